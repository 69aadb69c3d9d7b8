//! The command line, as a person or a script meets it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use resolver::Digest;
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
    command.stdin.take().unwrap().write_all(input).unwrap();
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

#[test]
fn a_network_that_is_denied_is_not_asked_though_it_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let endpoint = format!("http://{at}");
    let flags = [
        ["--allow-registry-network", "127.0.0.0/8"],
        ["--deny-registry-network", "10.0.0.0/8"],
        ["--deny-registry-network", "127.0.0.0/16"],
        ["--endpoint", &endpoint],
        ["--output", "json"],
    ];
    let output = run(
        &[&["resolve", "redis:7"][..], &flags.concat()].concat(),
        b"",
    );
    assert_eq!(output.status.code(), Some(1));
    let line = &lines(&output)[0];
    assert_eq!(line["reason"], "AddressNotAllowed");
    let told = line["error"].as_str().unwrap();
    let because = format!(
        "`{at}` is at 127.0.0.1, in the network 127.0.0.0/16: no connection is made there, since an administrator has denied that network to registries"
    );
    assert!(told.ends_with(&because), "{told}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "a connection was made");
}

/// A registry on this machine, which answers to the head of each request with these words.
fn registry(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // It ends with the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let answer = answer(&String::from_utf8(head).unwrap());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// A whole answer, or its head where `HEAD` was asked.
fn reply(request: &str, status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let shown = if request.starts_with("HEAD ") {
        ""
    } else {
        body
    };
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{shown}"
    )
}

/// An image for two platforms.
const INDEX: &str = r#"{"manifests":[{"platform":{"os":"linux","architecture":"amd64"}},{"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}"#;

fn index(request: &str, more: &str) -> String {
    let digest = Digest::of(INDEX.as_bytes());
    let headers = format!(
        "Content-Type: application/vnd.oci.image.index.v1+json\r\nDocker-Content-Digest: {digest}\r\n{more}"
    );
    reply(request, "200 OK", &headers, INDEX)
}

fn online(endpoint: &str, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = ["resolve", "--allow-registry-network", "127.0.0.0/8"]
        .iter()
        .chain(more)
        .map(ToString::to_string)
        .collect();
    arguments.push(format!("--endpoint=http://{endpoint}"));
    arguments
}

#[test]
fn the_login_that_a_credential_helper_keeps_is_used_and_it_is_asked_once() {
    let login = format!("Basic {}", base64("alice:hunter2"));
    let at = registry(move |request| match request.contains(&login) {
        true => index(request, ""),
        false => reply(
            request,
            "401 Unauthorized",
            "WWW-Authenticate: Basic\r\n",
            "",
        ),
    });
    let folder = tempfile::TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let script = format!(
        r#"#!/bin/sh
server=$(cat)
echo "$1 $server" >> '{}'
printf '{{"ServerURL":"%s","Username":"alice","Secret":"hunter2"}}' "$server"
"#,
        place("asked")
    );
    std::fs::write(place("source"), script).unwrap();
    // Written by a process of its own: what this one writes, a program that it starts may hold open.
    let copy = Command::new("install")
        .args([
            "-m",
            "755",
            &place("source"),
            &place("docker-credential-test"),
        ])
        .status();
    assert!(copy.unwrap().success());
    let config =
        json!({ "auths": { &at: {} }, "credHelpers": { &at: "test" }, "credsStore": "missing" });
    std::fs::write(place("config.json"), config.to_string()).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let own = folder.path().to_str().unwrap().to_owned();
    let variables = [("PATH", path.as_str()), ("DOCKER_CONFIG", own.as_str())];
    let arguments = online(&at, &["--output=json", "redis:7", "redis:8"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run_with(&variables, &arguments, b"");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let credentials: Vec<_> = lines(&output)
        .iter()
        .map(|line| line["credential"].clone())
        .collect();
    let used = json!({ "key": at, "username": "alice" });
    assert_eq!(credentials, [used.clone(), used]);
    let asked = std::fs::read_to_string(place("asked")).unwrap();
    assert_eq!(asked, format!("get {at}\n"));

    std::fs::remove_file(place("docker-credential-test")).unwrap();
    let output = run_with(&variables, &arguments, b"");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    let begin = format!(
        "dockercoins-operator: docker-credential-test gave no login for {at}: it cannot be started: "
    );
    assert!(told.starts_with(&begin), "{told}");
    assert_eq!(told.lines().count(), 1);
    assert_eq!(lines(&output)[0]["reason"], "AuthenticationFailed");
}

#[test]
fn what_is_left_of_a_registrys_limit_is_told() {
    let limits = "RateLimit-Limit: 100;w=21600\r\nratelimit-remaining: 76;w=21600\r\n";
    let at = registry(move |request| match request.contains("/limited/") {
        true => index(request, limits),
        false => index(request, ""),
    });
    let images = ["limited/app:v1", "open/app:v1"];
    let ask = |output: &str| {
        let arguments = online(&at, &[&[output][..], &images].concat());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&arguments, b"")
    };
    let output = ask("--output=json");
    let limits: Vec<_> = lines(&output)
        .iter()
        .map(|line| line["rateLimit"].clone())
        .collect();
    let limit = json!({ "remaining": 76, "limit": 100, "seconds": 21600 });
    assert_eq!(limits, [limit, Value::Null]);
    let table = text(&ask("--output=table").stdout);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].ends_with("PULLS LEFT"), "{table}");
    assert!(rows[1].ends_with("76 of 100 in 6 h"), "{table}");
    assert!(rows[2].ends_with("  -"), "{table}");
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::prelude::BASE64_STANDARD.encode(text)
}
