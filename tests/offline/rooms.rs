//! Who may know whom: the rooms that decide know no client, no clock, no files and no waiting.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that decide, each a file, and a folder where it has one.
const PURE: [&str; 19] = [
    "api",
    "books",
    "component",
    "desired",
    "diff",
    "error",
    "gateway",
    "images",
    "leader/lease",
    "manifest",
    "metrics",
    "plan",
    "render",
    "rollout",
    "crd",
    "status",
    "news",
    "webhook/payload",
    "webhook/proof",
];

/// What only a room that acts has a use for.
const ACTS: [&str; 15] = [
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

fn files(room: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{room}.rs"))];
    if let Ok(folder) = fs::read_dir(source.join(room)) {
        let is_room = |path: &PathBuf| {
            path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs")
        };
        files.extend(folder.map(|entry| entry.unwrap().path()).filter(is_room));
    }
    files
}

#[test]
fn pure_rooms_do_nothing_but_decide() {
    let mut found = Vec::new();
    for file in PURE.iter().flat_map(|room| files(room)) {
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let code = code.join("\n");
        found.extend(
            ACTS.iter()
                .filter(|acts| code.contains(**acts))
                .map(|acts| (file.clone(), *acts)),
        );
    }
    assert_eq!(found, []);
}

#[test]
fn only_the_room_of_the_cluster_writes_to_the_api_server() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let writes = [
        "patch(",
        ".create(",
        ".replace(",
        "patch_status(",
        "PatchParams",
        "PostParams",
    ];
    let mut found = Vec::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.starts_with(source.join("cluster"))
            {
                let text = fs::read_to_string(&path).unwrap();
                if writes.iter().any(|write| text.contains(write)) {
                    found.push(path.strip_prefix(&source).unwrap().to_owned());
                }
            }
        }
    }
    assert_eq!(found, [Path::new("cluster.rs")]);
}
