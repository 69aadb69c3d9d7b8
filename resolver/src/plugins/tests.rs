mod faults;
mod runs;
mod verdicts;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::*;

/// A folder with a configuration and the programs of plugins.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// A folder with one plugin, `a`, that is for `*.io` and is this shell script. It stands in
    /// `$DIR`, and an answer in `$DIR/answer`.
    fn with_plugin(script: &str) -> Folder {
        let folder = Folder::new();
        folder.program("a", script);
        folder.file("answer", &answer("Image", &["r.io"]));
        folder.file("config", &configuration(&folder.provider("a")));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The provider of a program, as JSON.
    fn provider(&self, name: &str) -> serde_json::Value {
        json!({
            "name": name,
            "matchImages": ["*.io"],
            "defaultCacheDuration": "12h",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "env": [{ "name": "DIR", "value": self.path("") }],
        })
    }

    /// Writes a program. Another process does it: one that is open for writing here could be
    /// inherited by a process that another test begins, and then not be executed.
    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = Command::new("sh")
            .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("#!/bin/sh\n{script}\n");
        let mut input = writer.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        assert!(writer.wait().unwrap().success());
    }

    fn open(&self) -> Plugins {
        self.open_at("config").unwrap()
    }

    fn open_at(&self, config: &str) -> Result<Plugins, PluginsError> {
        fs::create_dir_all(self.path("bin")).unwrap();
        Plugins::open(&self.path(config), &self.path("bin"))
    }

    /// The text of a file, empty where there is none.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A message without the path of this folder.
    fn shown(&self, message: &impl ToString) -> String {
        let path = self.0.path().display().to_string();
        message.to_string().replace(&path, "")
    }
}

/// A configuration of one provider, as JSON.
fn configuration(provider: &serde_json::Value) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [provider],
    })
    .to_string()
}

/// An answer with a login under each key, named by it.
fn answer(scope: &str, keys: &[&str]) -> String {
    let auth: serde_json::Map<_, _> = keys
        .iter()
        .map(|key| {
            let login = json!({ "username": key, "password": "hunter2" });
            ((*key).to_owned(), login)
        })
        .collect();
    json!({
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": scope,
        "auth": auth,
    })
    .to_string()
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/plugins/cases.json")
}
