//! Start and end of the operator's process.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::coins::nine;
use crate::support::namespace::COINS;
use crate::support::server::{Answer, Server, reply};
use crate::support::{Namespace, Operator, Registry, begin, until};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn sigterm_ends_the_operator_with_0() {
    let (namespace, _, operator) = begin("sigterm", json!({})).await;
    namespace.run_pods_to_rest(COINS).await;
    ends_at_once(operator).await;
}

/// Sends SIGTERM, and expects the end before anything could have been waited for.
async fn ends_at_once(mut operator: Operator) {
    let began = Instant::now();
    let status = operator.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", operator.log());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        began.elapsed()
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn sigterm_lets_a_reconcile_finish() {
    let namespace = Namespace::new("drain").await;
    // A registry that is heard of no more once it was asked.
    let server =
        Server::start(|_| Answer::Endless(Vec::new(), Vec::new(), Duration::from_secs(3600))).await;
    let options = [
        "--allow-registry-network",
        "127.0.0.0/8",
        "--registry-deadline",
        "4",
    ];
    let mut operator = Operator::start_with(&[&namespace], &options);
    namespace
        .create_spec(COINS, Registry::at(&server.address).images("team").spec())
        .await;
    until("the registry is asked", async || {
        if server.heard().is_empty() {
            Err("not yet")
        } else {
            Ok(())
        }
    })
    .await;
    let status = operator.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", operator.log());
    // What had been begun was brought to its end and told.
    let coins = namespace
        .until_told(COINS, "Ready", "False", "Timeout")
        .await;
    assert_eq!(coins.metadata.generation, Some(1));
    assert_eq!(
        namespace.children().await,
        crate::support::coins::services()
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn repeated_kills_lead_to_the_same_objects() {
    let namespace = Namespace::new("killed").await;
    let images = namespace.push_images().await;
    namespace
        .create(COINS, &images, json!({ "worker": { "replicas": 2 } }))
        .await;
    let mut undone = nine();
    // Each life ends as soon as one more thing is there.
    while !undone.is_empty() {
        let _operator = Operator::start(&namespace);
        let before = undone.len();
        until("one more thing is there", async || {
            for child in namespace.children().await {
                undone.remove(&child);
            }
            if undone.len() < before {
                Ok(())
            } else {
                Err(format!("{undone:?}"))
            }
        })
        .await;
    }
    let _operator = Operator::start(&namespace);
    namespace.run_pods(COINS).await;
    assert_eq!(namespace.children().await, nine());
    assert_eq!(namespace.notes("Healed").await, [""; 0]);
}

/// A kubeconfig for whatever listens at a URL.
fn kubeconfig_of(url: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        "contexts": [{ "name": "nowhere", "context": { "cluster": "nowhere", "user": "nobody" } }],
        "clusters": [{ "name": "nowhere", "cluster": { "server": url } }],
        "users": [{ "name": "nobody", "user": {} }],
    });
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn unreachable_api_server_is_reported() {
    let kubeconfig = kubeconfig_of("http://127.0.0.1:1");
    let mut operator = Operator::start_at(kubeconfig.path().to_str().unwrap());
    let status = operator.end().await;
    assert_eq!(status.code(), Some(1));
    assert!(
        operator.log().contains("the API server did not answer"),
        "{}",
        operator.log()
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn sigterm_ends_an_operator_that_never_synced() {
    let unknown = [
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ];
    let mut version = json!({ "major": "1", "minor": "37", "gitVersion": "v1.37.0" });
    for field in unknown {
        version[field] = json!("");
    }
    let version = version.to_string();
    // It falls silent at the very first request, or at the first list.
    for (knows_its_version, last) in [(false, "GET /version"), (true, "GET /apis/apps")] {
        let version = version.clone();
        let server = Server::start(move |request| match knows_its_version {
            true if request.starts_with("GET /version") => reply(request, "200 OK", &[], &version),
            _ => Answer::Endless(Vec::new(), Vec::new(), Duration::from_secs(3600)),
        })
        .await;
        let kubeconfig = kubeconfig_of(&server.address);
        let operator = Operator::start_at(kubeconfig.path().to_str().unwrap());
        until("the server is asked", async || {
            let heard = server.lines();
            let is_last = |line: &String| line.starts_with(last);
            heard
                .iter()
                .any(is_last)
                .then_some(())
                .ok_or(heard.join(", "))
        })
        .await;
        ends_at_once(operator).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn operator_serves_only_its_namespaces() {
    let first = Namespace::new("several-a").await;
    let second = Namespace::new("several-b").await;
    let other = Namespace::new("several-not").await;
    let _operator = Operator::start_with(
        &[&first, &second],
        &["--allow-registry-network", "127.0.0.0/8"],
    );
    for namespace in [&other, &first, &second] {
        let images = namespace.push_images().await;
        namespace.create(COINS, &images, json!({})).await;
    }
    first.until_children(&nine()).await;
    second.until_children(&nine()).await;
    assert_eq!(other.children().await, Default::default());
    assert_eq!(other.requests(), Default::default());
}
