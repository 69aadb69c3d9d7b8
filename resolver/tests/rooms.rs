//! The rooms that decide know neither network nor clock.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, each a file, and a folder where it has one.
const PURE: [&str; 13] = [
    "names",
    "keyring",
    "endpoint",
    "hosts",
    "proxy",
    "address",
    "challenge",
    "outcome",
    "platforms",
    "said",
    "plugins/config",
    "duration",
    "plugins/answer",
];

/// What only a room that acts has a use for.
const ACTS: [&str; 9] = [
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

fn files(room: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{room}.rs"))];
    if let Ok(folder) = fs::read_dir(source.join(room)) {
        files.extend(folder.map(|entry| entry.unwrap().path()));
    }
    files
}

#[test]
fn pure_rooms_do_nothing_but_decide() {
    let mut found = Vec::new();
    for file in PURE.iter().flat_map(|room| files(room)) {
        let text = fs::read_to_string(&file).unwrap();
        found.extend(
            ACTS.iter()
                .filter(|acts| text.contains(**acts))
                .map(|acts| (file.clone(), *acts)),
        );
    }
    assert_eq!(found, []);
}
