//! Docker's credential helpers: `docker-credential-NAME get`.
//!
//! By the protocol of docker-credential-helpers, a helper reads the server's address from stdin and writes a JSON object
//! with `Username` and `Secret` to stdout, or fails and writes the reason to stdout. Its stderr is not shown.

use std::process::Stdio;
use std::time::Duration;

use resolver::Proof;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::runtime::message::truncate;

/// The timeout of a helper: some ask a cloud.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The most bytes of output.
const OUTPUT_MAX: u64 = 64 << 10;

/// The most bytes shown of a failed helper's output.
const SHOWN_MAX: usize = 200;

/// The user name that marks the secret as an identity token.
const TOKEN: &str = "<token>";

/// The protocol's only mark of a missing login: docker-credential-helpers compares this text too.
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a helper for a server's user name and secret; `None` if it has none.
///
/// # Errors
/// A message that never holds the helper's answer.
pub(super) async fn get(
    name: &str,
    server: &str,
    deadline: Duration,
) -> Result<Option<(String, Proof)>, String> {
    if name.contains('/') {
        return Err("its name has a `/`: write what follows `docker-credential-`".to_owned());
    }
    ask(&format!("docker-credential-{name}"), server, deadline).await
}

async fn ask(
    program: &str,
    server: &str,
    deadline: Duration,
) -> Result<Option<(String, Proof)>, String> {
    // Dropping the future kills the helper.
    match tokio::time::timeout(deadline, run(program, server)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!(
            "it did not answer within {deadline:?} and was ended; see whether it waits for a person"
        )),
    }
}

async fn run(program: &str, server: &str) -> Result<Option<(String, Proof)>, String> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            format!("it cannot be started: {error}; put it in a folder of PATH, or take it out of the file")
        })?;
    if let Some(mut input) = child.stdin.take() {
        // The program may answer without reading its input.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(out) = child.stdout.take() {
        let read = out.take(OUTPUT_MAX + 1).read_to_end(&mut output).await;
        read.map_err(|error| format!("its output cannot be read: {error}"))?;
    }
    if output.len() as u64 > OUTPUT_MAX {
        return Err(format!("it printed more than {OUTPUT_MAX} bytes"));
    }
    let status = child
        .wait()
        .await
        .map_err(|error| format!("its end cannot be waited for: {error}"))?;
    match status.success() {
        true => read(&output),
        false => said(&String::from_utf8_lossy(&output))
            .map(|()| None)
            .map_err(|said| format!("it failed ({status}){said}")),
    }
}

fn read(output: &[u8]) -> Result<Option<(String, Proof)>, String> {
    let Answer { username, secret } = serde_json::from_slice(output).map_err(|_| {
        "it printed something else than a JSON object with `Username` and `Secret`".to_owned()
    })?;
    Ok(match (username.as_str(), secret.is_empty()) {
        (_, true) => None,
        (TOKEN, _) => Some((String::new(), Proof::IdentityToken(secret))),
        _ => Some((username, Proof::Password(secret))),
    })
}

/// The output of a failed helper as an error, unless it only has no login. Output that may hold a secret is not shown.
fn said(output: &str) -> Result<(), String> {
    let line = output.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.starts_with(NOT_FOUND) {
        return Ok(());
    }
    if line.is_empty() || line.contains('{') {
        return Err(" and said nothing; run it by hand with `get`".to_owned());
    }
    let shown: String = line.chars().filter(|c| !c.is_control()).collect();
    Err(format!(" and said: {}", truncate(&shown, SHOWN_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_password_a_token_or_nothing() {
        let of = |output: &str| read(output.as_bytes());
        assert_eq!(
            of(r#"{"ServerURL":"quay.io","Username":"alice","Secret":"s"}"#),
            Ok(Some(("alice".to_owned(), Proof::Password("s".to_owned()))))
        );
        assert_eq!(
            of(r#"{"ServerURL":"quay.io","Username":"<token>","Secret":"s"}"#),
            Ok(Some((String::new(), Proof::IdentityToken("s".to_owned()))))
        );
        assert_eq!(of(r#"{"Username":"","Secret":""}"#), Ok(None));
        let none = "it printed something else than a JSON object with `Username` and `Secret`";
        for output in ["", "hunter2", "[]x", r#"{"Secret":7}"#] {
            assert_eq!(of(output), Err(none.to_owned()), "{output}");
        }
    }

    #[tokio::test]
    async fn a_hanging_helper_is_killed_and_a_missing_one_reported() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("hanging");
        let id = folder.path().join("id");
        let script = format!("#!/bin/sh\necho $$ > '{}'\nexec sleep 1000\n", id.display());
        let source = folder.path().join("source");
        std::fs::write(&source, script).unwrap();
        // Written by a process of its own: what this one writes, another test's may hold open when it is started.
        let copy = std::process::Command::new("install")
            .args(["-m", "755"])
            .args([&source, &path])
            .status();
        assert!(copy.unwrap().success());
        let deadline = Duration::from_secs(1);
        let hung = ask(path.to_str().unwrap(), "quay.io", deadline).await;
        assert_eq!(
            hung,
            Err(
                "it did not answer within 1s and was ended; see whether it waits for a person"
                    .to_owned()
            )
        );
        let id = std::fs::read_to_string(id).unwrap();
        let commands = format!("/proc/{}/cmdline", id.trim());
        let ended = async {
            while std::fs::read(&commands).is_ok_and(|line| !line.is_empty()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended)
            .await
            .unwrap();

        let missing = get("no-such-helper", "quay.io", deadline)
            .await
            .unwrap_err();
        assert!(missing.starts_with("it cannot be started: "), "{missing}");
        let odd = get("../a", "quay.io", deadline).await;
        assert!(odd.unwrap_err().starts_with("its name has a `/`"));
    }

    #[test]
    fn a_missing_login_is_no_error_and_other_output_is_shown() {
        assert_eq!(said("credentials not found in native keychain\n"), Ok(()));
        let nothing = Err(" and said nothing; run it by hand with `get`".to_owned());
        assert_eq!(said(""), nothing);
        assert_eq!(said(r#"x {"Username":"a","Secret":"hunter2"}"#), nothing);
        assert_eq!(
            said("no\nkeychain\u{1b}"),
            Err(" and said: no keychain".to_owned())
        );
        let long = said(&"x".repeat(1000)).unwrap_err();
        assert_eq!(long, format!(" and said: {}…", "x".repeat(SHOWN_MAX)));
    }
}
