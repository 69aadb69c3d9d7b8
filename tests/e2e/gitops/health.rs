//! The health of a resource, by kstatus and by the health check for Argo CD.

use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::overlay::EXAMPLES;
use crate::support::variable;

/// What is said of one state.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Verdict {
    /// kstatus: Current, InProgress, Failed or Terminating.
    pub kstatus: String,
    /// Argo CD: Healthy, Progressing, Degraded or Suspended.
    pub health: String,
    /// What Argo CD shows with it.
    pub message: String,
}

/// Judges states of the resource, in order.
pub async fn judge(states: &[Value]) -> Vec<Verdict> {
    let script = NamedTempFile::new().unwrap();
    std::fs::write(script.path(), script_of_the_example()).unwrap();
    let mut judge = Command::new(variable("HEALTH"))
        .arg(script.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("HEALTH names the judge");
    let mut input = judge.stdin.take().expect("stdin is piped");
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    let write = async {
        // One that fails early doesn't read it.
        let _ = input.write_all(lines.as_bytes()).await;
        drop(input);
    };
    let (output, ()) = tokio::join!(judge.wait_with_output(), write);
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let verdicts: Vec<Verdict> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(verdicts.len(), states.len());
    verdicts
}

/// The Lua in the ConfigMap of the examples.
fn script_of_the_example() -> String {
    let file = std::fs::read_to_string(format!("{EXAMPLES}/argo-cd/health.yaml")).unwrap();
    let map: Value = serde_saphyr::from_str(&file).unwrap();
    let script = &map["data"]["resource.customizations.health.dockercoins.dev_DockerCoins"];
    script.as_str().expect("the script is there").to_owned()
}
