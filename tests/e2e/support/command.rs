//! Runs the other commands of the operator's program.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

/// Runs a command with something on stdin, by a kubeconfig where it has to do with a cluster. It may ask registries on
/// this machine where it asks any.
pub fn command(arguments: &[&str], stdin: &str, kubeconfig: Option<&Path>) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"));
    command.args(arguments);
    if arguments.contains(&"--resolve") {
        command.args(["--allow-registry-network", "127.0.0.0/8"]);
    }
    match kubeconfig {
        Some(file) => command.env("KUBECONFIG", file),
        None => command.env_remove("KUBECONFIG"),
    };
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().expect("stdin is piped");
    // One that refuses its arguments ends without reading it.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer {
        code: output.status.code().expect("it ended by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}
