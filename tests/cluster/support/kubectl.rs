//! kubectl, as people use it.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Namespace;

/// The program: the pinned one in `make test`, else the one on the path.
pub fn program() -> OsString {
    std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into())
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
