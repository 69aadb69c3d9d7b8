//! Shared results and circuit breakers.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use resolver::{
    Endpoint, Failure, Format, HostReport, Keyring, Observer, Options, Reference, Request,
    Resolver, Shared,
};
use support::certificates::Authority;
use support::server::{Answer, Server, header, reply};
use support::{options, resolver};
use tokio::time::Instant;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

/// A registry with every image.
async fn registry() -> Server {
    Server::start(|request| {
        let digest = digest();
        let headers = [
            ("content-type", INDEX),
            ("docker-content-digest", digest.as_str()),
        ];
        reply(request, "200 OK", &headers, "")
    })
    .await
}

/// A keyring with one login for a server, from a Secret of this name.
fn keyring(server: &Server, secret: &str, password: &str) -> Keyring {
    let host = server.address.trim_start_matches("http://");
    let config = format!(r#"{{"auths":{{"{host}":{{"username":"me","password":"{password}"}}}}}}"#);
    let mut keyring = Keyring::new();
    keyring
        .add(secret, config.as_bytes(), Format::DockerConfigJson)
        .unwrap();
    keyring
}

/// Resolves an image at a server into its digest or reason.
async fn ask(
    shared: &Shared,
    server: &str,
    image: &str,
    keyring: &Keyring,
    authority: Option<&[u8]>,
    since: Instant,
) -> String {
    let reference = Reference::parse(&format!("registry.example.com/{image}")).unwrap();
    let endpoint = Endpoint::parse(server).unwrap();
    let request = Request {
        reference: &reference,
        endpoint: Some(&endpoint),
        keyring,
        certificate_authority: authority,
    };
    match shared.resolve(&request, since).await {
        Ok(resolved) => resolved.digest.to_string(),
        Err(error) => format!("{} {}", error.reason(), error.circuit_open_for.is_some()),
    }
}

#[tokio::test]
async fn hundred_equal_requests_share_one_query() {
    let (registry, shared) = (registry().await, Shared::new(resolver()));
    let (keyring, now) = (keyring(&registry, "regcred", "word"), Instant::now());
    let all = (0..100).map(|_| ask(&shared, &registry.address, "a:1", &keyring, None, now));
    let answers = futures::future::join_all(all).await;
    assert_eq!(answers, vec![digest(); 100]);
    assert_eq!(registry.lines(), ["HEAD /v2/a/manifests/1"]);
    // A later caller gets a new answer.
    let later = Instant::now();
    ask(&shared, &registry.address, "a:1", &keyring, None, later).await;
    assert_eq!(registry.lines().len(), 2);
}

/// Records its calls.
#[derive(Debug, Default)]
struct Book(Mutex<Vec<String>>);

impl Book {
    fn write(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Book {
    fn host_queried(&self, report: &HostReport<'_>) {
        let result = report.failure.map_or("ok", Failure::reason);
        let remaining = report.remaining.map(|left| left.remaining);
        self.write(format!("{} {result} {remaining:?}", report.host));
    }

    fn result_shared(&self) {
        self.write("shared".to_owned());
    }
}

#[tokio::test]
async fn observer_sees_each_query_and_each_shared_result_once() {
    let registry = Server::start(|request| {
        let digest = digest();
        let headers = [
            ("content-type", INDEX),
            ("docker-content-digest", digest.as_str()),
            ("ratelimit-remaining", "76;w=21600"),
        ];
        // Three exchanges are one question: the login is asked for and shown.
        match (request.contains("/b/"), header(request, "authorization")) {
            (true, _) => reply(request, "404 Not Found", &[], ""),
            (_, Some(_)) => reply(request, "200 OK", &headers, ""),
            (_, None) => {
                let wanted = [("www-authenticate", "Basic realm=\"x\"")];
                reply(request, "401 Unauthorized", &wanted, "")
            }
        }
    })
    .await;
    let book = Arc::new(Book::default());
    let shared = Shared::new(
        Resolver::new(Options {
            observer: Some(book.clone()),
            ..options()
        })
        .unwrap(),
    );
    let (keyring, now) = (keyring(&registry, "regcred", "word"), Instant::now());
    let all = (0..3).map(|_| ask(&shared, &registry.address, "a:1", &keyring, None, now));
    futures::future::join_all(all).await;
    let mut told = book.read();
    told.sort();
    let asked = format!("{} ok Some(76)", registry.address);
    assert_eq!(told, [&asked, "shared", "shared"]);

    ask(&shared, &registry.address, "a:1", &keyring, None, now).await;
    assert_eq!(book.read(), ["shared"]);
    ask(&shared, &registry.address, "b:1", &keyring, None, now).await;
    let in_vain = format!("{} NotFoundOrNoAccess None", registry.address);
    assert_eq!(book.read(), [in_vain]);
}

#[tokio::test]
async fn results_are_shared_only_with_equal_credentials() {
    let (registry, shared) = (registry().await, Shared::new(resolver()));
    let now = Instant::now();
    let authority = Authority::new("one").pem;
    let askers = [
        (Keyring::new(), None),
        (keyring(&registry, "regcred", "word"), None),
        (keyring(&registry, "regcred", "other"), None),
        (keyring(&registry, "another", "word"), None),
        (
            keyring(&registry, "another", "word"),
            Some(authority.as_bytes()),
        ),
    ];
    for (keyring, authority) in &askers {
        ask(&shared, &registry.address, "a:1", keyring, *authority, now).await;
    }
    assert_eq!(registry.lines().len(), askers.len());
}

#[tokio::test]
async fn circuit_opens_for_the_failing_registry_only() {
    let shared = Shared::new(resolver());
    let beside = registry().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let down = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let none = Keyring::new();
    let mut told = Vec::new();
    for tag in 1..=4 {
        let image = format!("a:{tag}");
        told.push(ask(&shared, &down, &image, &none, None, Instant::now()).await);
    }
    let failed = "ConnectionFailed false".to_owned();
    assert_eq!(told[..3], [failed.clone(), failed.clone(), failed]);
    assert_eq!(told[3], "ConnectionFailed true");
    let answer = ask(&shared, &beside.address, "a:1", &none, None, Instant::now()).await;
    assert_eq!(answer, digest());
}

#[tokio::test]
async fn rate_limit_applies_per_credential() {
    let registry = Server::start(|request| match header(request, "authorization") {
        Some(_) => reply(
            request,
            "429 Too Many Requests",
            &[("retry-after", "60")],
            "",
        ),
        None => reply(
            request,
            "401 Unauthorized",
            &[("www-authenticate", "Basic realm=\"x\"")],
            "",
        ),
    })
    .await;
    let shared = Shared::new(resolver());
    let one = keyring(&registry, "regcred", "word");
    let ask = async |keyring: &Keyring, image: &str| {
        ask(
            &shared,
            &registry.address,
            image,
            keyring,
            None,
            Instant::now(),
        )
        .await
    };
    assert_eq!(ask(&one, "a:1").await, "RateLimited false");
    let before = registry.lines().len();
    assert_eq!(ask(&one, "b:1").await, "RateLimited true");
    assert_eq!(registry.lines().len(), before, "it is not asked");
    assert_eq!(
        ask(&Keyring::new(), "b:1").await,
        "AuthenticationFailed false"
    );
}

#[tokio::test]
async fn next_login_is_tried_after_a_silent_not_found() {
    let registry = Server::start(|request| match header(request, "authorization") {
        Some(_) => Answer::Endless(Vec::new(), Vec::new(), Duration::from_secs(3600)),
        None if request.contains("/private/") => reply(
            request,
            "401 Unauthorized",
            &[("www-authenticate", "Basic realm=\"x\"")],
            "",
        ),
        None => {
            let digest = digest();
            let headers = [
                ("content-type", INDEX),
                ("docker-content-digest", digest.as_str()),
            ];
            reply(request, "200 OK", &headers, "")
        }
    })
    .await;
    let deadline = Duration::from_secs(1);
    let shared = Shared::new(
        Resolver::new(Options {
            deadline,
            ..options()
        })
        .unwrap(),
    );
    let (one, none) = (keyring(&registry, "regcred", "word"), Keyring::new());
    let mut told = Vec::new();
    for tag in 1..=4 {
        let image = format!("private/a:{tag}");
        told.push(
            ask(
                &shared,
                &registry.address,
                &image,
                &one,
                None,
                Instant::now(),
            )
            .await,
        );
    }
    assert_eq!(told[2..], ["Timeout false", "Timeout true"]);
    let answer = ask(
        &shared,
        &registry.address,
        "a:1",
        &none,
        None,
        Instant::now(),
    )
    .await;
    assert_eq!(answer, digest());
}
