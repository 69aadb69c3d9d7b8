//! Registries that are slow, fail, limit requests, or have an address that is not allowed.

use serde_json::json;

use crate::support::coins::{message_of, nine, reasons, services};
use crate::support::namespace::COINS;
use crate::support::server::{Answer, Server, reply};
use crate::support::{Namespace, Operator, Registry, begin, conditions};

/// The spec of a DockerCoins whose images are at a server that is none of the real ones.
fn spec_at(server: &Server) -> serde_json::Value {
    Registry::at(&server.address).images("team").spec()
}

/// What an operator says of a registry that answers like this, in a namespace of its own, while another
/// resource that it looks after is served as if nothing were.
async fn told_of(subject: &str, server: &Server, reason: &str) -> String {
    let namespace = Namespace::new(subject).await;
    let healthy = Namespace::new("healthy").await;
    let images = healthy.push_images().await;
    let options = [
        "--allow-registry-network",
        "127.0.0.0/8",
        "--registry-deadline",
        "3",
        "--concurrency",
        "2",
    ];
    let _operator = Operator::start_with(&[&namespace, &healthy], &options);
    namespace.create_spec(COINS, spec_at(server)).await;
    healthy.create(COINS, &images, json!({})).await;
    // The first message: later ones also say that the circuit is open.
    let coins = namespace.until_told(COINS, "Ready", "False", reason).await;
    healthy.until_children(&nine()).await;
    namespace.until_children(&services()).await;
    assert_eq!(reasons(&coins)[1], ("ImagesResolved", "False", reason));
    message_of(&coins, "ImagesResolved").to_owned()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn slow_registry_times_out() {
    let pause = std::time::Duration::from_millis(500);
    let server = Server::start(move |_| {
        Answer::Endless(
            b"HTTP/1.1 200 OK\r\nX-Slow: ".to_vec(),
            b"a".to_vec(),
            pause,
        )
    })
    .await;
    let told = told_of("slow", &server, "Timeout").await;
    let address = &server.address;
    let host = address.trim_start_matches("http://");
    let first = format!(
        "hasher: {host}/team/hasher:v0.1 at {address}: {address} did not answer in time: \
         the deadline for all requests is 3s. The same goes for redis, rng, webui, worker. "
    );
    assert!(told.starts_with(&first), "{told}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn failing_registry_is_quoted() {
    let server =
        Server::start(|request| reply(request, "503 Service Unavailable", &[], "out to lunch"))
            .await;
    let told = told_of("failing", &server, "RegistryError").await;
    assert!(told.contains("answered HTTP 503"), "{told}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn retry_after_is_respected() {
    let headers = [("Retry-After", "3600")];
    let server = Server::start(move |request| {
        reply(request, "429 Too Many Requests", &headers, "slow down")
    })
    .await;
    let told = told_of("limited", &server, "RateLimited").await;
    assert!(told.contains("retry after 3600s"), "{told}");
    // HEAD, for each of the five, and nothing more.
    assert!(server.lines().len() <= 10, "{:#?}", server.lines());
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn loopback_address_is_refused_by_default() {
    let server = Server::start(|request| reply(request, "200 OK", &[], "")).await;
    let namespace = Namespace::new("loopback").await;
    let _operator = Operator::start_with(&[&namespace], &[]);
    namespace.create_spec(COINS, spec_at(&server)).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "AddressNotAllowed")
        .await;
    let told = message_of(&coins, "Stalled");
    assert!(
        told.contains("The operator's flag for that is --allow-registry-network 127.0.0.1/32"),
        "{told}"
    );
    assert_eq!(server.heard(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn unknown_host_is_reported() {
    let (namespace, images, _operator) = begin(
        "unknown-host",
        json!({ "registry": { "prefix": "registry.invalid/team" } }),
    )
    .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "NameNotResolved")
        .await;
    let told = conditions(&coins);
    assert_eq!((told[2].type_, told[2].status), ("Reconciling", "True"));
    namespace
        .edit(COINS, json!({ "registry": { "prefix": images.prefix() } }))
        .await;
    namespace.until_children(&nine()).await;
}
