//! The crate's import rules: no cycle between modules, and no I/O in those that only decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules without I/O and clock: each a file, and a folder where it has one.
const PURE: [&str; 13] = [
    "names",
    "keyring",
    "endpoint",
    "hosts",
    "proxy",
    "address",
    "challenge",
    "response",
    "platforms",
    "server_message",
    "plugins/config",
    "duration",
    "plugins/response",
];

/// Text that only code with I/O or a clock has a use for.
const IMPURE: [&str; 9] = [
    "tokio",
    "async ",
    ".await",
    "hyper_util",
    "TcpStream",
    "lookup_host",
    "Instant",
    "::now()",
    "std::fs",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a module: its own, and those of its folder.
fn files(module: &str) -> Vec<PathBuf> {
    let mut files = vec![source().join(format!("{module}.rs"))];
    if let Ok(folder) = fs::read_dir(source().join(module)) {
        let paths = folder.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.is_file()));
    }
    files
}

/// The modules of the crate's root, each with the others that it imports outside its tests.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = fs::read_to_string(source().join("lib.rs")).unwrap();
    let modules = root.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let imported = |module: &str| {
        let mut imported = BTreeSet::new();
        for file in files(module) {
            if file.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
            for after in lines.flat_map(|line| line.split("crate::").skip(1)) {
                let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
                let end = after.find(|letter| !is_name(letter)).unwrap_or(after.len());
                imported.insert(after[..end].to_owned());
            }
        }
        imported.remove(module);
        imported.remove("");
        imported
    };
    modules
        .map(|module| (module.to_owned(), imported(module)))
        .collect()
}

#[test]
fn pure_modules_have_no_io() {
    let mut found = Vec::new();
    for file in PURE.iter().flat_map(|module| files(module)) {
        let text = fs::read_to_string(&file).unwrap();
        found.extend(
            IMPURE
                .iter()
                .filter(|impure| text.contains(**impure))
                .map(|impure| (file.clone(), *impure)),
        );
    }
    assert_eq!(found, []);
}

#[test]
fn modules_have_no_import_cycle() {
    let mut left = imports();
    assert!(left["resolve"].contains("error"), "{left:?}");
    loop {
        let known: BTreeSet<String> = left.keys().cloned().collect();
        let count = left.len();
        // A module whose imports are all in order is in order itself.
        left.retain(|_, imported| !imported.is_disjoint(&known));
        if left.len() == count {
            break;
        }
    }
    assert_eq!(left, BTreeMap::new());
}
