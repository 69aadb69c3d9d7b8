//! Runs kubectl.

use std::ffi::OsString;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Namespace;

/// The program: the pinned one in `make test`, else the one on the path.
pub fn program() -> OsString {
    std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into())
}

/// A kubeconfig of the tests for another user in these groups, by `HOST:PORT` in place of the API server's own
/// address.
pub fn kubeconfig(user: Option<&str>, groups: &[&str], server: Option<&str>) -> NamedTempFile {
    let shown = std::process::Command::new(program())
        .args(["config", "view", "--raw", "--flatten", "--output=json"])
        .output()
        .unwrap();
    let mut config: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let who = &mut config["users"][0]["user"];
    if let Some(user) = user {
        who["as"] = json!(user);
    }
    if !groups.is_empty() {
        who["as-groups"] = json!(groups);
    }
    if let Some(server) = server {
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://{server}"));
    }
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

/// What kubectl answered.
#[derive(Debug)]
pub struct Said {
    /// Whether it exited with 0.
    pub success: bool,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

impl Said {
    /// What it wrote to stdout, or everything it wrote where it failed.
    pub fn ok(self) -> Result<String, String> {
        match self.success {
            true => Ok(self.out),
            false => Err(self.out + &self.err),
        }
    }
}

impl Namespace {
    /// Runs kubectl in this namespace, and gives what it printed. It must succeed.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let said = self.try_kubectl(arguments, "").await;
        assert!(said.success, "kubectl {arguments:?}: {}", said.err);
        said.out
    }

    /// Runs kubectl in this namespace with something on stdin.
    pub async fn try_kubectl(&self, arguments: &[&str], stdin: &str) -> Said {
        let mut kubectl = Command::new(program())
            .args(["--namespace", &self.name])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is there");
        let mut input = kubectl.stdin.take().expect("stdin is piped");
        // One that fails early doesn't read it.
        let _ = input.write_all(stdin.as_bytes()).await;
        drop(input);
        let output = kubectl.wait_with_output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said {
            success: output.status.success(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}
