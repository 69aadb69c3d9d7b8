//! Alerts about registries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::prometheus::Pace;
use super::{Watched, ask_again};
use crate::support::namespace::COINS;
use crate::support::server::{Answer, Server, reply};
use crate::support::{Namespace, Registry};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn registry_outage_fires_until_it_ends() {
    let namespace = Namespace::new("alert-registry").await;
    let mut registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    registry.shut_down();
    let watched = Watched::start_at(Pace::OF_REGISTRIES, &[&namespace], &[]).await;
    namespace.create(COINS, &images, json!({})).await;
    let host = registry.host.clone();
    let host = [("host", host.as_str())];
    let again = async || ask_again(&namespace).await;
    let prometheus = &watched.prometheus;
    prometheus
        .until_firing("DockerCoinsRegistryFailing", &host, again)
        .await;
    let reason = [("reason", "ConnectionFailed")];
    prometheus
        .until_firing("DockerCoinsResourceNotReady", &reason, again)
        .await;
    registry.bring_up().await;
    ask_again(&namespace).await;
    prometheus
        .until_quiet("DockerCoinsResourceNotReady", &reason)
        .await;
    prometheus
        .until_quiet("DockerCoinsRegistryFailing", &[])
        .await;
}

/// A server that has every image, and says that few questions are left while `is_low`.
pub async fn limited(is_low: Arc<AtomicBool>) -> Server {
    Server::start(move |request| limited_answer(request, is_low.load(Ordering::Relaxed))).await
}

fn limited_answer(request: &str, is_low: bool) -> Answer {
    let left = if is_low { "9;w=21600" } else { "90;w=21600" };
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let digest = resolver::Digest::of(manifest.as_bytes()).to_string();
    let headers = [
        ("Content-Type", "application/vnd.oci.image.index.v1+json"),
        ("Docker-Content-Digest", &digest),
        ("RateLimit-Limit", "100;w=21600"),
        ("RateLimit-Remaining", left),
    ];
    reply(request, "200 OK", &headers, manifest)
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn low_rate_limit_fires_until_it_recovers() {
    let namespace = Namespace::new("alert-limit").await;
    let is_low = Arc::new(AtomicBool::new(true));
    let server = limited(Arc::clone(&is_low)).await;
    let images = Registry::at(&server.address).images("team");
    let watched = Watched::start(&[&namespace], &[]).await;
    namespace.create(COINS, &images, json!({})).await;
    let host = [("host", images.host())];
    let again = async || ask_again(&namespace).await;
    watched
        .prometheus
        .until_firing("DockerCoinsRegistryRateLimitLow", &host, again)
        .await;
    is_low.store(false, Ordering::Relaxed);
    ask_again(&namespace).await;
    watched
        .prometheus
        .until_quiet("DockerCoinsRegistryRateLimitLow", &[])
        .await;
}
