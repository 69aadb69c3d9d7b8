//! A test's own Git repository: an edited copy of `examples/gitops`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::kubectl::Said;
use crate::support::registry::Images;
use crate::support::{Namespace, variable};

/// The folder of the examples.
pub const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gitops");

/// Where the overlay that the tests edit is, in the repository.
pub const PATH: &str = "overlays/production";

/// A copy of the examples.
pub struct Repository {
    folder: TempDir,
}

impl Repository {
    /// The examples as they are.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let copied = Command::new("cp")
            .args(["-R", &format!("{EXAMPLES}/.")])
            .arg(folder.path())
            .status();
        assert!(copied.unwrap().success());
        Self { folder }
    }

    /// The examples for a namespace, its images in the cluster's registry, and pods that no node takes.
    pub fn of(namespace: &Namespace, images: &Images) -> Self {
        let repository = Self::new();
        repository.edit(&["set", "namespace", &namespace.name]);
        repository.set_tag(images, "v0.1");
        repository.patch(json!([
            { "op": "add", "path": "/spec/nodeSelector", "value": { "example.com/no-node": "has-this" } },
        ]));
        repository
    }

    /// The repository's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `kustomize edit` in the overlay.
    pub fn edit(&self, arguments: &[&str]) {
        self.edit_in(PATH, arguments);
    }

    /// `kustomize edit` in another folder of the repository.
    pub fn edit_in(&self, path: &str, arguments: &[&str]) {
        let folder = self.folder.path().join(path);
        let said = kustomize(&folder, &[&["edit"], arguments].concat());
        assert!(said.success, "kustomize edit {arguments:?}: {}", said.err);
    }

    /// Has the overlay name all five images in a registry by this tag.
    pub fn set_tag(&self, images: &Images, tag: &str) {
        let image = |name: &str, component: &str| format!("{name}={}", images.name(component, tag));
        let edits = ["hasher", "rng", "webui", "worker"]
            .map(|component| image(&format!("dockercoins/{component}"), component));
        let edits = edits.iter().map(String::as_str);
        let redis = image("redis", "redis");
        let edits: Vec<_> = ["set", "image", &redis].into_iter().chain(edits).collect();
        self.edit(&edits);
    }

    /// Adds a JSON patch of the resource to the overlay.
    pub fn patch(&self, patch: Value) {
        let patch = patch.to_string();
        self.edit(&["add", "patch", "--kind", "DockerCoins", "--patch", &patch]);
    }

    /// What `kustomize build` makes of the overlay.
    pub fn build(&self) -> String {
        build(&self.folder.path().join(PATH))
    }
}

/// What `kustomize build` makes of a folder.
pub fn build(folder: &Path) -> String {
    let said = kustomize(folder, &["build"]);
    assert!(said.success, "{}", said.err);
    said.out
}

/// The objects in a text with several documents of YAML.
pub fn objects(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).expect(document))
        .collect()
}

/// The one DockerCoins in a text with several documents of YAML.
pub fn coins(yaml: &str) -> Value {
    let is_coins = |object: &Value| object["kind"] == "DockerCoins";
    let found: Vec<Value> = objects(yaml).into_iter().filter(is_coins).collect();
    let [coins] = found.as_slice() else {
        panic!("one DockerCoins in\n{yaml}");
    };
    coins.clone()
}

fn kustomize(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(variable("KUSTOMIZE"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    Said {
        success: output.status.success(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
