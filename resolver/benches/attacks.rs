//! What a hostile server can make of the resolver's memory: the most that a process has had
//! resident, while it asked for one image, and for many at once.
//!
//! Each attack is met by a fresh process (this program again), so that the memory of one does not
//! count as another's. It fails where an aim is missed.

#[path = "../tests/support/server.rs"]
#[allow(dead_code)]
mod server;

use std::process::{Command, ExitCode};
use std::time::Duration;

use resolver::{Endpoint, Keyring, Options, Reference, Request, Resolver};
use server::{Answer, Server, header, reply};

/// The number of concurrent images of the large case.
const MANY: usize = 32;

/// The deadline of one image: short, so that slow bodies end.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest permitted resident set in KiB, with one image and with many.
const AIMS: [u64; 2] = [12 << 10, 160 << 10];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

type Attack = Box<dyn Fn(&str) -> Answer + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, victim, address, images] = arguments.as_slice()
        && victim == "victim"
    {
        suffer(address, images.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let runtime = runtime();
    let mut missed = false;
    for (name, attack) in attacks() {
        let server = runtime.block_on(Server::start(attack));
        let mut run = |images: usize, aim: u64| {
            let address = server.address.clone();
            // The server needs this thread while the victim runs.
            let victim =
                async { tokio::task::spawn_blocking(move || peak(&address, images)).await };
            let (kib, outcome) = runtime.block_on(victim).expect("the victim ends");
            missed |= kib >= aim;
            (format!("{:.1} MiB", kib as f64 / 1024.0), outcome)
        };
        let (one, outcome) = run(1, AIMS[0]);
        let (many, _) = run(MANY, AIMS[1]);
        println!(
            "{:<72} {:>10}   {one}; {many} (below {} MiB) with {MANY} images at once; {outcome}",
            format!("peak memory of the resolver, {name}"),
            format!("< {} MiB", AIMS[0] >> 10),
            AIMS[1] >> 10,
        );
    }
    match missed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The peak of a process with this many concurrent images in KiB, and the result of one.
fn peak(address: &str, images: usize) -> (u64, String) {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["victim", address, &images.to_string()])
        .output()
        .expect("this program starts");
    let told = String::from_utf8(output.stdout).expect("text");
    let (kib, outcome) = told
        .trim_end()
        .split_once(' ')
        .unwrap_or_else(|| panic!("the victim said {told:?}"));
    (kib.parse().expect("a number"), outcome.to_owned())
}

/// Resolves images, and prints this process's peak and the last result.
fn suffer(address: &str, images: usize) {
    let options = Options {
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        deadline: DEADLINE,
        ..Options::default()
    };
    let resolver = Resolver::new(options).expect("a resolver");
    let endpoint = Endpoint::parse(address).expect("an address");
    let reference = Reference::parse("registry.example.com/team/app:v1").expect("a name");
    let outcome = runtime().block_on(async {
        let asking: Vec<_> = (0..images)
            .map(|_| {
                let (resolver, endpoint) = (resolver.clone(), endpoint.clone());
                let reference = reference.clone();
                tokio::spawn(async move {
                    let request = Request {
                        reference: &reference,
                        endpoint: Some(&endpoint),
                        keyring: &Keyring::new(),
                        certificate_authority: None,
                    };
                    match resolver.resolve(&request).await {
                        Ok(_) => "resolved",
                        Err(error) => error.reason(),
                    }
                })
            })
            .collect();
        let mut last = "";
        for asked in asking {
            last = asked.await.expect("no panic");
        }
        last
    });
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .expect("Linux tells the peak");
    println!("{} {outcome}", peak.trim());
}

fn attacks() -> Vec<(&'static str, Attack)> {
    let drip = Duration::from_secs(1);
    vec![
        (
            "no attack",
            Box::new(|request| manifest(request, r#"{"schemaVersion":2}"#)),
        ),
        (
            "a manifest of 10 GB",
            Box::new(|request| {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {INDEX}\r\nContent-Length: 10000000000\r\n\r\n"
                );
                match request.starts_with("HEAD ") {
                    true => manifest(request, ""),
                    false => endless(&head, vec![b' '; 1 << 16], Duration::ZERO),
                }
            }),
        ),
        (
            "an index of 10,000 entries",
            Box::new(|request| manifest(request, &index(10_000))),
        ),
        (
            "headers without end",
            Box::new(|_| {
                let more = b"X-More: and more\r\n".repeat(1000);
                endless("HTTP/1.1 200 OK\r\n", more, Duration::ZERO)
            }),
        ),
        (
            "challenges of 60 kB",
            Box::new(|request| {
                let challenges = "Bearer realm=\"x\", ".repeat(3000);
                let headers = [("WWW-Authenticate", challenges.as_str())];
                reply(request, "401 Unauthorized", &headers, "")
            }),
        ),
        (
            "a head of one byte a second",
            Box::new(move |_| endless("HTTP/1.1 200 OK\r\n", b"X".to_vec(), drip)),
        ),
        (
            "a body of one byte a second",
            Box::new(move |request| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {INDEX}\r\n\r\n");
                match request.starts_with("HEAD ") {
                    true => manifest(request, ""),
                    false => endless(&head, b" ".to_vec(), drip),
                }
            }),
        ),
        (
            "an explanation of an error without end",
            Box::new(|_| {
                endless(
                    "HTTP/1.1 404 Not Found\r\n\r\n",
                    vec![b'x'; 1 << 16],
                    Duration::ZERO,
                )
            }),
        ),
        (
            "a token without end",
            Box::new(|request| {
                with_token(request, || {
                    endless(
                        "HTTP/1.1 200 OK\r\n\r\n{\"token\":\"",
                        vec![b'x'; 1 << 16],
                        Duration::ZERO,
                    )
                })
            }),
        ),
        (
            "a token among 60,000 values",
            Box::new(|request| {
                let many = format!("{{\"more\":[{}0]}}", "0,".repeat(60_000));
                with_token(request, || reply(request, "200 OK", &[], &many))
            }),
        ),
        (
            "redirects without end",
            Box::new(|request| {
                reply(
                    request,
                    "307 Temporary Redirect",
                    &[("Location", "/again")],
                    "",
                )
            }),
        ),
    ]
}

/// A manifest without a digest header, so that it is fetched.
fn manifest(request: &str, body: &str) -> Answer {
    reply(request, "200 OK", &[("Content-Type", INDEX)], body)
}

/// An index of this many images.
fn index(entries: usize) -> String {
    let entry = format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{}","size":500,"platform":{{"architecture":"amd64","os":"linux"}}}}"#,
        "0".repeat(64)
    );
    let entries = vec![entry; entries].join(",");
    format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#)
}

/// A registry with its own token server.
fn with_token(request: &str, token: impl Fn() -> Answer) -> Answer {
    if request.starts_with("GET /token") {
        return token();
    }
    let host = header(request, "host").unwrap_or_default();
    let challenge = format!("Bearer realm=\"http://{host}/token\"");
    let headers = [("WWW-Authenticate", challenge.as_str())];
    reply(request, "401 Unauthorized", &headers, "")
}

fn endless(head: &str, more: Vec<u8>, pause: Duration) -> Answer {
    Answer::Endless(head.as_bytes().to_vec(), more, pause)
}
