//! Output for images whose registry is asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use resolver::Digest;
use serde_json::{Value, json};

use super::{base64, lines, run, run_with, text};

/// A registry on this machine, which answers to the head of each request with these words.
pub(super) fn registry(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // It ends with the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // The client may end before the answer.
            let _ = reply_to(stream.unwrap(), &answer);
        }
    });
    address
}

fn reply_to(mut stream: TcpStream, answer: impl Fn(&str) -> String) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let answer = answer(&String::from_utf8(head).unwrap());
    stream.write_all(answer.as_bytes())
}

/// A whole answer, or its head where `HEAD` was asked.
pub(super) fn reply(request: &str, status: &str, headers: &str, body: &str) -> String {
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
pub(super) const INDEX: &str = r#"{"manifests":[{"platform":{"os":"linux","architecture":"amd64"}},{"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}"#;

pub(super) fn index(request: &str, more: &str) -> String {
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

/// A program of these words in a folder. It is written by a process of its own: what this one writes, a program
/// that another test starts may hold open.
fn program(folder: &Path, name: &str, script: &str) {
    let source = folder.join("source");
    std::fs::write(&source, script).unwrap();
    let copy = Command::new("install")
        .args(["-m", "755"])
        .args([&source, &folder.join(name)])
        .status();
    assert!(copy.unwrap().success());
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
        "`{at}` is at 127.0.0.1, in the network 127.0.0.0/16: connections to it are not allowed: an administrator denied that network. The flag for that is --deny-registry-network 127.0.0.0/16"
    );
    assert!(told.ends_with(&because), "{told}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "a connection was made");
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
    program(folder.path(), "docker-credential-test", &script);
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

#[test]
fn the_platforms_of_an_image_are_told_but_for_none_of_few_pulls() {
    let at = registry(move |request| match request.contains("/scarce/") {
        true if request.starts_with("HEAD ") => index(request, "RateLimit-Remaining: 9\r\n"),
        true => reply(
            request,
            "500 Internal Server Error",
            "",
            "asked for what counts",
        ),
        false => index(request, ""),
    });
    let images = ["open/app:v1", "scarce/app:v1"];
    let ask = |output: &str| {
        let arguments = online(&at, &[&[output][..], &images].concat());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&arguments, b"")
    };
    let output = ask("--output=json");
    assert_eq!(output.status.code(), Some(0));
    let platforms: Vec<_> = lines(&output)
        .iter()
        .map(|line| line["platforms"].clone())
        .collect();
    assert_eq!(
        platforms,
        [json!(["linux/amd64", "linux/arm64/v8"]), json!([])]
    );
    let table = text(&ask("--output=table").stdout);
    let digest = Digest::of(INDEX.as_bytes());
    let rows: Vec<&str> = table.lines().collect();
    let cells = |row: &str| -> Vec<String> {
        let cells = row
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    let digest = digest.to_string();
    assert_eq!(cells(rows[0])[..3], ["IMAGE", "DIGEST", "PLATFORMS"]);
    assert_eq!(
        cells(rows[1])[..4],
        ["open/app:v1", &digest, "linux/amd64, linux/arm64/v8", "-"]
    );
    assert_eq!(cells(rows[2])[..4], ["scarce/app:v1", &digest, "-", "-"]);
}

#[test]
fn a_plugin_that_fails_is_told_beside_the_answer() {
    let at = registry(|request| index(request, ""));
    let folder = tempfile::TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let hosts = folder.path().join("hosts/registry.example.com");
    std::fs::create_dir_all(&hosts).unwrap();
    std::fs::write(
        hosts.join("hosts.toml"),
        format!("server = \"http://{at}\"\n"),
    )
    .unwrap();
    let script = "#!/bin/sh\necho no cloud here >&2\nexit 1\n";
    program(folder.path(), "failing", script);
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
        "providers": [{
            "name": "failing", "matchImages": ["registry.example.com"], "defaultCacheDuration": "1m",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        }],
    });
    std::fs::write(place("plugins.json"), config.to_string()).unwrap();
    let flags = [
        "--allow-registry-network=127.0.0.0/8".to_owned(),
        format!("--registry-config={}", place("hosts")),
        format!("--credential-provider-config={}", place("plugins.json")),
        format!("--credential-provider-bin-dir={}", folder.path().display()),
        "--output=json".to_owned(),
    ];
    let flags = flags.iter().map(String::as_str);
    let arguments: Vec<&str> = ["resolve", "registry.example.com/app:v1"]
        .into_iter()
        .chain(flags)
        .collect();
    let output = run(&arguments, b"");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(lines(&output)[0]["endpoint"], format!("http://{at}"));
    assert_eq!(
        text(&output.stderr),
        "dockercoins-operator: the credential provider failing failed for registry.example.com/app: it failed (exit status: 1): no cloud here\n"
    );
}
