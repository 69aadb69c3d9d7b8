//! What each wing of `src/` may import, which modules decide without IO, and who may write to the API server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each wing with the wings that it may import, as `src/lib.rs` lists them.
const WINGS: [(&str, &[&str]); 6] = [
    ("api", &[]),
    ("runtime", &[]),
    ("telemetry", &["api", "runtime"]),
    ("registry", &["runtime", "telemetry"]),
    ("dockercoins", &["api", "registry", "runtime", "telemetry"]),
    (
        "cli",
        &["api", "dockercoins", "registry", "runtime", "telemetry"],
    ),
];

/// The modules that decide: no client, no clock, no files, no waiting.
const PURE: [&str; 25] = [
    "api",
    "cli/hash_rate",
    "cli/manifest",
    "dockercoins/component",
    "dockercoins/desired",
    "dockercoins/error",
    "dockercoins/events",
    "dockercoins/gateway",
    "dockercoins/images",
    "dockercoins/kinds",
    "dockercoins/observed",
    "dockercoins/metadata",
    "dockercoins/reason",
    "dockercoins/rollout",
    "dockercoins/status",
    "registry/webhook/payload",
    "registry/webhook/auth",
    "cli/yaml",
    "runtime/compare",
    "runtime/field_path",
    "runtime/observe",
    "runtime/leader/lease",
    "runtime/watch/state",
    "telemetry/metrics",
    "api/crd_check",
];

/// What only a module that does IO uses.
const IO: [&str; 15] = [
    "tokio",
    "async ",
    ".await",
    "Client",
    "Api<",
    "Api,",
    "kube::Api",
    "kube::api::",
    "SystemTime",
    "std::net",
    "Instant",
    "::now()",
    "std::fs",
    "std::env",
    "fastrand",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The file of a module, and all files below it but its tests.
fn files(module: &str) -> Vec<PathBuf> {
    let mut found = vec![source().join(format!("{module}.rs"))];
    let mut folders = vec![source().join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    found
}

/// A file's lines without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_wing_imports_only_what_it_may() {
    let mut found = BTreeSet::new();
    for (wing, allowed) in WINGS {
        for file in files(wing) {
            let code = code(&file);
            let imported = code.split("crate::").skip(1).map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap()
            });
            found.extend(
                imported
                    .filter(|other| *other != wing && !allowed.contains(other))
                    .map(|other| (wing, other.to_owned())),
            );
        }
    }
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn every_top_level_module_is_a_wing() {
    let wings: BTreeSet<String> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !["lib", "main"].contains(&name.as_str()))
        .collect();
    assert_eq!(wings, WINGS.map(|(wing, _)| wing.to_owned()).into());
}

#[test]
fn modules_that_decide_do_no_io() {
    let mut found = Vec::new();
    for file in PURE.iter().flat_map(|module| files(module)) {
        let code = code(&file);
        found.extend(
            IO.iter()
                .filter(|io| code.contains(**io))
                .map(|io| (file.clone(), *io)),
        );
    }
    assert_eq!(found, []);
}

#[test]
fn only_the_cluster_modules_write_to_the_api_server() {
    const WRITES: [&str; 6] = [
        "patch(",
        ".create(",
        ".replace(",
        "patch_status(",
        "PatchParams",
        "PostParams",
    ];
    const WRITERS: [&str; 4] = [
        "dockercoins/cluster/status.rs",
        "runtime/api_client.rs",
        "runtime/event.rs",
        "runtime/leader/lease_api.rs",
    ];
    let mut found = Vec::new();
    for file in WINGS.iter().flat_map(|(wing, _)| files(wing)) {
        let path = file.strip_prefix(source()).unwrap().to_str().unwrap();
        let code = code(&file);
        if WRITES.iter().any(|write| code.contains(write))
            && !WRITERS.iter().any(|writer| path.starts_with(writer))
        {
            found.push(path.to_owned());
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
