//! The command line, as a person or a script uses it.

mod online;
mod render;
mod watch;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn run(arguments: &[&str], input: &[u8]) -> Output {
    run_with(&[], arguments, input)
}

fn run_with(variables: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses its arguments ends without reading it.
    let _ = command.stdin.take().unwrap().write_all(input);
    command.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = text(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const OFFLINE: [&str; 4] = ["resolve", "--offline", "--output", "json"];

fn offline(more: &[&str], input: &[u8]) -> Output {
    run(&[&OFFLINE[..], more].concat(), input)
}

fn name(
    input: &str,
    registry: &str,
    repository: &str,
    tag: Option<&str>,
    normalized: &str,
    familiar: &str,
) -> Value {
    json!({
        "input": input, "registry": registry, "repository": repository, "tag": tag, "digest": null,
        "normalized": normalized, "familiar": familiar,
    })
}

#[test]
fn names_are_read_from_the_lines_of_the_input_and_answered_in_order() {
    let output = offline(&["-"], b"alpine\ngcr.io/google-containers/alpine-with-bash:1.0\nregistry.mycompany.io:5000/myimage:awesome");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        lines(&output),
        [
            name(
                "alpine",
                "docker.io",
                "library/alpine",
                Some("latest"),
                "docker.io/library/alpine:latest",
                "alpine:latest"
            ),
            name(
                "gcr.io/google-containers/alpine-with-bash:1.0",
                "gcr.io",
                "google-containers/alpine-with-bash",
                Some("1.0"),
                "gcr.io/google-containers/alpine-with-bash:1.0",
                "gcr.io/google-containers/alpine-with-bash:1.0"
            ),
            name(
                "registry.mycompany.io:5000/myimage:awesome",
                "registry.mycompany.io:5000",
                "myimage",
                Some("awesome"),
                "registry.mycompany.io:5000/myimage:awesome",
                "registry.mycompany.io:5000/myimage:awesome"
            ),
        ]
    );
    // The order of the fields is part of what scripts see.
    assert!(text(&output.stdout).starts_with(
        r#"{"input":"alpine","registry":"docker.io","repository":"library/alpine","tag":"latest","digest":null,"normalized":"docker.io/library/alpine:latest","familiar":"alpine:latest"}"#
    ));
}

#[test]
fn a_refused_line_is_told_in_its_place_and_by_the_exit_code_after_all_are_answered() {
    let output = offline(&["-"], b" alpine\n\n\xff\nalpine\r\nredis:7\n");
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let inputs: Vec<_> = lines
        .iter()
        .map(|line| line["input"].as_str().unwrap())
        .collect();
    assert_eq!(inputs, [" alpine", "", "\u{fffd}", "alpine\r", "redis:7"]);
    let refused: Vec<_> = lines
        .iter()
        .map(|line| line.get("error").is_some())
        .collect();
    assert_eq!(refused, [true, true, true, true, false]);
    assert_eq!(lines[0].as_object().unwrap().len(), 2, "{}", lines[0]);
}

#[test]
fn a_digest_stays_and_takes_no_tag() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let written = format!("redis@{digest}");
    let both = format!("redis:7@{digest}");
    let output = offline(&[&written, &both], b"");
    let normalized = format!("docker.io/library/redis@{digest}");
    let mut one = name(
        &written,
        "docker.io",
        "library/redis",
        None,
        &normalized,
        &written,
    );
    one["digest"] = json!(digest);
    let normalized = format!("docker.io/library/redis:7@{digest}");
    let mut other = name(
        &both,
        "docker.io",
        "library/redis",
        Some("7"),
        &normalized,
        &both,
    );
    other["digest"] = json!(digest);
    assert_eq!(lines(&output), [one, other]);
}

#[test]
fn the_logins_for_an_image_are_named_in_the_order_in_which_they_would_be_tried() {
    let auth = |login: &str| json!({ "auth": base64(login) });
    let config = json!({ "auths": {
        "https://index.docker.io/v1/": auth("hub:secret"),
        "quay.io": auth("all:secret"),
        "quay.io/core": auth("core:secret"),
        "*.io": auth("glob:secret"),
        "broken": { "auth": "%%%" },
    } });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let images = ["quay.io/coreos/etcd", "redis", "example.com/a"];
    let output = offline(&[&["--docker-config", path][..], &images].concat(), b"");
    let login = |key: &str, username: &str| json!({ "key": key, "username": username });
    let credentials: Vec<_> = lines(&output)
        .iter()
        .map(|line| line["credentials"].clone())
        .collect();
    assert_eq!(
        credentials,
        [
            json!([
                login("quay.io/core", "core"),
                login("quay.io", "all"),
                login("*.io", "glob")
            ]),
            json!([login("*.io", "glob")]),
            json!([]),
        ]
    );
    assert!(
        text(&output.stderr).contains("the entry `broken` of"),
        "{}",
        text(&output.stderr)
    );
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn a_file_of_logins_that_is_not_there_is_told_by_its_name() {
    let output = offline(
        &["--docker-config", "/nonexistent/config.json", "redis"],
        b"",
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "dockercoins-operator: /nonexistent/config.json: No such file or directory (os error 2)\n"
    );
}

#[test]
fn people_get_a_table_and_below_it_what_is_wrong() {
    let output = run(
        &["resolve", "--offline", "redis:7", "Redis", "quay.io/a/b@x"],
        b"",
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "REGISTRY   REPOSITORY     TAG  DIGEST  LOGINS\n\
         docker.io  library/redis  7    -       -\n"
    );
    let told = text(&output.stderr);
    assert!(told.starts_with("\"Redis\": "), "{told}");
    assert!(told.contains("\n\"quay.io/a/b@x\": "), "{told}");
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::prelude::BASE64_STANDARD.encode(text)
}
