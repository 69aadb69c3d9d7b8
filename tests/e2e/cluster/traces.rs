//! Traces, received by the OpenTelemetry Collector's own receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::login::pull_secret;
use super::quiet::until_watching;
use crate::support::coins::nine;
use crate::support::collector::{Collector, Span, trees};
use crate::support::namespace::COINS;
use crate::support::registry::{PASSWORD, Registry, USER, free_address};
use crate::support::server::{Answer, Server};
use crate::support::{Namespace, Operator, until};

/// The trace of a resource that is created, its images at a registry that asks for a login.
const CREATION: &str = "\
reconcile dockercoins 1 DockerCoins dockercoins
  apply Deployment hasher
    request to apply Deployment NAMESPACE/hasher
  apply Deployment redis
    request to apply Deployment NAMESPACE/redis
  apply Deployment rng
    request to apply Deployment NAMESPACE/rng
  apply Deployment webui
    request to apply Deployment NAMESPACE/webui
  apply Deployment worker
    request to apply Deployment NAMESPACE/worker
  apply Service hasher
    request to apply Service NAMESPACE/hasher
  apply Service redis
    request to apply Service NAMESPACE/redis
  apply Service rng
    request to apply Service NAMESPACE/rng
  apply Service webui
    request to apply Service NAMESPACE/webui
  diff Deployment 5
  diff Service 4
  plan
  prune
  request to create Event NAMESPACE/dockercoins
  request to create Event NAMESPACE/dockercoins
  resolve
    image hasher
      exchange GET manifest 200 1
      exchange HEAD manifest 200 1
      exchange HEAD manifest 401 1
    image redis
      exchange GET manifest 200 1
      exchange HEAD manifest 200 1
      exchange HEAD manifest 401 1
    image rng
      exchange GET manifest 200 1
      exchange HEAD manifest 200 1
      exchange HEAD manifest 401 1
    image webui
      exchange GET manifest 200 1
      exchange HEAD manifest 200 1
      exchange HEAD manifest 401 1
    image worker
      exchange GET manifest 200 1
      exchange HEAD manifest 200 1
      exchange HEAD manifest 401 1
    request to read Secret NAMESPACE/regcred
  status
    request to write the status of DockerCoins NAMESPACE/dockercoins
  validate";

/// One of its steps, which is there twice where a second has passed since the digests were stored.
const STATUS: &str = "  status
    request to write the status of DockerCoins NAMESPACE/dockercoins
";

fn traced(namespace: &Namespace, endpoint: &str) -> Operator {
    let options = [
        "--allow-registry-network",
        "127.0.0.0/8",
        "--registry-deadline",
        "4",
        "--otlp-endpoint",
        endpoint,
    ];
    let variables = [
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("OTEL_SERVICE_NAME", "coins"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
    ];
    Operator::start_in(&variables, &[namespace], &options)
}

/// What is shown of a span in a tree: what tells it from its siblings.
fn label(span: &Span) -> String {
    let shown: &[&str] = match span.name.as_str() {
        "reconcile" => &["name", "generation", "woken_by"],
        "apply" | "diff" => &["kind", "name", "differing"],
        "image" => &["component"],
        "exchange" => &[
            "http.request.method",
            "asked_for",
            "http.response.status_code",
            "attempt",
        ],
        "request" => &["what"],
        _ => &[],
    };
    let shown = shown.iter().filter_map(|key| span.attributes.get(*key));
    shown.map(|value| format!(" {value}")).collect()
}

/// The spans and their attributes, as docs/traces.md has them.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../../../docs/traces.md");
    let words = |cell: &str| -> Vec<String> {
        let pieces = cell.split('`').skip(1).step_by(2);
        pieces.map(str::to_owned).collect()
    };
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [name] = &words(cells[0])[..] else {
            panic!("a row names one span: {row}")
        };
        (name.clone(), words(cells[2]).into_iter().collect())
    })
    .collect()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn creation_is_one_trace_without_secrets() {
    let namespace = Namespace::new("traces").await;
    let registry = Registry::start_with_login().await;
    let images = registry.images("team");
    images.push_all().await;
    let secret = pull_secret("regcred", images.host(), USER, PASSWORD);
    namespace.make::<Secret>(secret).await;
    let collector = Collector::start().await;
    let mut operator = traced(&namespace, &collector.endpoint);
    until_watching(&namespace).await;
    let settings = json!({ "imagePullSecrets": [{ "name": "regcred" }] });
    let coins = namespace.create(COINS, &images, settings).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods_to_rest(COINS).await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    let spans = collector.spans();
    let trees = trees(&spans, label);
    let asking: Vec<&String> = trees.iter().filter(|t| t.contains("exchange")).collect();
    let [asking] = asking[..] else {
        panic!("registries are asked in one trace:\n{asking:#?}")
    };
    // Whichever image is answered first has the nodes listed.
    let (nodes, others): (Vec<&str>, Vec<&str>) = asking
        .lines()
        .partition(|line| line.ends_with("request to list Node"));
    assert_eq!(nodes, ["      request to list Node"]);
    let found = others.join("\n").replace(&namespace.name, "NAMESPACE");
    let found = found.replace(&STATUS.repeat(2), STATUS);
    assert_eq!(found, CREATION, "{found}");

    for tree in &trees {
        let reconcile = format!("reconcile {COINS} 1 ");
        assert!(tree.starts_with(&reconcile), "{tree}");
        assert!(
            tree.contains("request"),
            "it asked nobody anything:\n{tree}"
        );
    }
    let uid = coins.metadata.uid.unwrap();
    for span in &spans {
        let resource = [
            ("deployment.environment.name", "test"),
            ("service.name", "coins"),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let resource = resource.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(span.resource, resource.into());
        if span.name == "reconcile" {
            assert_eq!(span.attributes["uid"], uid);
            assert_eq!(span.attributes["k8s.namespace.name"], namespace.name);
        }
    }
    for secret in [PASSWORD, "bGVhcm5lcjpsZXQtbWUtaW4"] {
        assert!(!collector.text().contains(secret), "{}", collector.text());
    }

    let log = operator.log();
    for span in [
        "reconcile{",
        "validate",
        "resolve:",
        "exchange{",
        "request{",
    ] {
        assert!(!log.contains(span), "the log has a span, {span}:\n{log}");
    }

    // What the page tells, no more and no less, but for what only failures have.
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    for span in spans {
        let attributes = seen.entry(span.name).or_default();
        attributes.extend(span.attributes.into_keys());
    }
    let mut told = documented();
    for attributes in told.values_mut() {
        attributes.remove("error.type");
    }
    assert_eq!(seen, told);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn sigterm_exports_the_spans_under_way() {
    let namespace = Namespace::new("traces-drain").await;
    let silent = |_: &str| Answer::Endless(Vec::new(), Vec::new(), Duration::from_secs(3600));
    let server = Server::start(silent).await;
    let collector = Collector::start().await;
    let mut operator = traced(&namespace, &collector.endpoint);
    let images = Registry::at(&server.address).images("team");
    namespace.create_spec(COINS, images.spec()).await;
    until("the registry is asked", async || match server.heard()[..] {
        [] => Err("not yet"),
        _ => Ok(()),
    })
    .await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    let spans = collector.spans();
    for name in ["reconcile", "image", "exchange"] {
        let failed = |span: &&Span| {
            let has = |key: &str, value: &str| span.attributes.get(key).is_some_and(|v| v == value);
            span.name == name && has("error.type", "Timeout") && has("otel.status_code", "ERROR")
        };
        assert!(spans.iter().any(|span| failed(&span)), "{name}: {spans:#?}");
    }
    let trees = trees(&spans, |_| String::new());
    assert!(
        trees.iter().any(|tree| tree.contains("exchange")),
        "{trees:#?}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_collector_is_logged_once() {
    let namespace = Namespace::new("traces-away").await;
    let images = namespace.push_images().await;
    let endpoint = format!("http://{}", free_address());
    let mut operator = traced(&namespace, &endpoint);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    operator.until_logged("traces can't be delivered").await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    let log = operator.log();
    assert_eq!(log.matches("traces can't be delivered").count(), 1, "{log}");
    assert!(log.contains("Connection refused"), "{log}");
    assert!(log.contains("the last traces were not delivered"), "{log}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn silent_collector_delays_nothing() {
    let namespace = Namespace::new("traces-slow").await;
    let images = namespace.push_images().await;
    let silent = |_: &str| Answer::Endless(Vec::new(), Vec::new(), Duration::from_secs(3600));
    let server = Server::start(silent).await;
    let mut operator = traced(&namespace, &server.address);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    until("a trace is sent", async || match server.lines()[..] {
        [] => Err("not yet"),
        _ => Ok(()),
    })
    .await;
    let began = Instant::now();
    assert_eq!(operator.terminate().await.code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(server.lines()[0], "POST /v1/traces");
}
