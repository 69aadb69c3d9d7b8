//! Metrics after known work, and probes during an outage of the API server.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::monitor::{Monitored, Samples};
use crate::support::namespace::COINS;
use crate::support::{Namespace, variable};

const READY: &str = r#"dockercoins_resources{ready="True",reason="Ready"}"#;

fn has(samples: &Samples, series: &str, value: f64) -> bool {
    samples.get(series) == Some(&value)
}

/// The series of a metric, each with its value, in order.
fn of<'a>(samples: &'a Samples, metric: &str) -> Vec<(&'a str, f64)> {
    let ours = samples.iter().filter_map(|(series, value)| {
        let labels = series.strip_prefix(metric)?;
        labels.starts_with('{').then_some((labels, *value))
    });
    ours.collect()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn work_for_a_resource_is_counted_until_it_is_deleted() {
    let namespace = Namespace::new("metrics").await;
    let images = namespace.push_images().await;
    let monitored = Monitored::start(&namespace);
    monitored
        .until_page("/readyz", 200, |body| body == "ok\n")
        .await;
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;
    let synced = |told: &Samples| -> Vec<String> {
        of(told, "dockercoins_watch_synced")
            .into_iter()
            // Other tests install Gateway API, sooner or later.
            .filter(|(labels, value)| *value == 1.0 && !labels.contains("HTTPRoute"))
            .map(|(labels, _)| labels.to_owned())
            .collect()
    };
    let expected = [
        "Deployment",
        "DockerCoins",
        "EndpointSlice",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
    ]
    .map(|kind| format!(r#"{{kind="{kind}"}}"#));
    // The last reconcile tells events after the status.
    let active = r#"controller_runtime_active_workers{controller="dockercoins"}"#;
    let told = monitored
        .until_scraped(|told| {
            has(told, READY, 1.0) && has(told, active, 0.0) && synced(told) == expected
        })
        .await;

    let writes = of(&told, "dockercoins_writes_total");
    let applies: Vec<_> = writes
        .iter()
        .filter(|(labels, _)| labels.contains("apply"))
        .collect();
    assert_eq!(
        applies,
        [
            &(r#"{kind="Deployment",verb="apply",result="ok"}"#, 5.0),
            &(r#"{kind="Service",verb="apply",result="ok"}"#, 4.0),
        ]
    );
    assert_eq!(
        of(&told, "dockercoins_resources"),
        [(r#"{ready="True",reason="Ready"}"#, 1.0)]
    );
    // Five tags, and of each digest the platforms.
    let host = images.host();
    let asked = format!(r#"{{host="{host}",result="ok"}}"#);
    assert_eq!(
        of(&told, "dockercoins_registry_requests_total"),
        [(asked.as_str(), 10.0)]
    );
    let counted = format!(r#"dockercoins_registry_request_seconds_count{{host="{host}"}}"#);
    assert!(has(&told, &counted, 10.0), "{told:#?}");
    let of_controller = |name: &str| format!(r#"{name}{{controller="dockercoins"}}"#);
    let ended: f64 = of(&told, "controller_runtime_reconcile_total")
        .iter()
        .map(|(_, n)| n)
        .sum();
    assert!(ended >= 1.0, "{told:#?}");
    for (name, value) in [
        ("controller_runtime_reconcile_errors_total", 0.0),
        ("controller_runtime_max_concurrent_reconciles", 8.0),
    ] {
        assert!(has(&told, &of_controller(name), value), "{name}: {told:#?}");
    }
    assert!(
        has(&told, r#"workqueue_depth{name="dockercoins"}"#, 0.0),
        "{told:#?}"
    );
    assert!(of(&told, "dockercoins_heals_total").is_empty(), "{told:#?}");

    namespace.delete::<Service>("rng").await;
    let healed = r#"dockercoins_heals_total{kind="Service"}"#;
    monitored.until_scraped(|told| has(told, healed, 1.0)).await;

    namespace
        .delete::<dockercoins_operator::api::DockerCoins>(COINS)
        .await;
    let told = monitored.until_scraped(|told| has(told, READY, 0.0)).await;
    assert_eq!(
        of(&told, "dockercoins_resources"),
        [(r#"{ready="True",reason="Ready"}"#, 0.0)]
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn existing_resources_are_counted_at_start() {
    let namespace = Namespace::new("metrics-restart").await;
    let images = namespace.push_images().await;
    let first = Monitored::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;
    drop(first);
    let second = Monitored::start(&namespace);
    let told = second.until_scraped(|told| has(told, READY, 1.0)).await;
    assert!(
        of(&told, "dockercoins_writes_total").is_empty(),
        "{told:#?}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn series_do_not_grow_with_resources() {
    let namespace = Namespace::new("metrics-many").await;
    let images = namespace.push_images().await;
    let monitored = Monitored::start(&namespace);
    let held = r#"dockercoins_resources{ready="False",reason="NamesHeld"}"#;
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;
    namespace.create("another-1", &images, json!({})).await;
    let two = monitored
        .until_scraped(|told| has(told, held, 1.0) && has(told, READY, 1.0))
        .await;
    for number in 2..100 {
        let name = format!("another-{number}");
        namespace.create(&name, &images, json!({})).await;
    }
    let hundred = monitored.until_scraped(|told| has(told, held, 99.0)).await;
    // That something changed meanwhile may have happened to either for the first time.
    let series = |samples: &Samples| {
        let all = samples.keys().filter(|series| !series.contains("conflict"));
        all.cloned().collect::<Vec<_>>()
    };
    assert_eq!(series(&hundred), series(&two));
    let names = [namespace.name.as_str(), "another-"];
    let tells = |series: &&String| names.iter().any(|name| series.contains(name));
    assert_eq!(hundred.keys().find(tells), None);
}

/// A way to the API server, which can be closed.
struct Way {
    kubeconfig: tempfile::NamedTempFile,
    is_open: Arc<watch::Sender<bool>>,
}

impl Way {
    async fn open() -> Self {
        let kubeconfig = std::fs::read_to_string(variable("KUBECONFIG")).unwrap();
        let (_, rest) = kubeconfig
            .split_once("https://")
            .expect("it names the server");
        let server = rest
            .split_whitespace()
            .next()
            .unwrap()
            .trim_matches('"')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), kubeconfig.replace(&server, &address)).unwrap();
        let is_open = Arc::new(watch::Sender::new(true));
        let state = Arc::clone(&is_open);
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let (mut open, server) = (state.subscribe(), server.clone());
                tokio::spawn(async move {
                    if !*open.borrow() {
                        return;
                    }
                    let mut there = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self {
            kubeconfig: file,
            is_open,
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn operator_is_live_but_not_ready_without_the_api_server() {
    let namespace = Namespace::new("metrics-away").await;
    let way = Way::open().await;
    let path = way.kubeconfig.path();
    let monitored = Monitored::start_by(&namespace, path);
    monitored
        .until_page("/readyz", 200, |body| body == "ok\n")
        .await;

    way.is_open.send_replace(false);
    let kinds = ["DockerCoins", "Service", "Deployment"];
    let fails = |kind: &str| {
        let name = &namespace.name;
        format!("the watch of {kind} in namespace {name} fails: the log says why")
    };
    monitored
        .until_page("/readyz", 503, |body| {
            let mut told: Vec<&str> = body.trim_end().split(", ").collect();
            told.sort_unstable();
            let mut expected = kinds.map(fails);
            expected.sort_unstable();
            told == expected
        })
        .await;
    assert_eq!(
        monitored.get("/healthz").await.unwrap(),
        (200, "ok\n".into())
    );
    let told = monitored.scrape().await;
    for kind in kinds {
        let series = format!(r#"dockercoins_watch_synced{{kind="{kind}"}}"#);
        assert!(has(&told, &series, 0.0), "{told:#?}");
        let failures = &told[&format!(r#"dockercoins_watch_failures_total{{kind="{kind}"}}"#)];
        assert!(*failures >= 1.0, "{told:#?}");
    }

    // Nothing has changed, so that no watch has anything to bring.
    way.is_open.send_replace(true);
    monitored
        .until_page("/readyz", 200, |body| body == "ok\n")
        .await;
    assert_eq!(
        monitored.get("/healthz").await.unwrap(),
        (200, "ok\n".into())
    );
}
