//! Install, upgrade, rollback and uninstall on a real node, while a DockerCoins runs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

use super::helm::{CHART, OtherChart, Release, crd, helm_ok, no_crd, without_field};
use crate::support::namespace::{COINS, client};
use crate::support::{Namespace, until, variable};

/// The chart's values for the operator's image in the cluster's registry.
fn image() -> [String; 2] {
    let image = variable("OPERATOR_IMAGE");
    let (image, _digest) = image.split_once('@').unwrap_or((&image, ""));
    let (repository, tag) = image.rsplit_once(':').unwrap();
    [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
    ]
}

/// Where Pod Security `restricted` is enforced.
async fn restricted(subject: &str) -> Namespace {
    let namespace = Namespace::of(client().await, subject).await;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    namespace
        .kubectl(&["label", "namespace", &namespace.name, label])
        .await;
    namespace
}

/// The uids of pods by name, and how often their containers were started again.
async fn pods(namespace: &Namespace) -> BTreeMap<String, (String, i32)> {
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await;
    let known = |pod: Pod| {
        let status = pod
            .status
            .as_ref()
            .and_then(|s| s.container_statuses.as_ref());
        let restarts = status.map_or(0, |all| all.iter().map(|c| c.restart_count).sum());
        (pod.name_any(), (pod.uid().unwrap(), restarts))
    };
    pods.unwrap().into_iter().map(known).collect()
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn release_changes_roll_no_pod() {
    no_crd(&client().await).await;
    let (home, demo) = (restricted("operator").await, restricted("demo").await);
    let release = Release::new("dockercoins-operator", &home.name);
    let image = image();
    let act = |verb, chart, more: &[&str]| {
        let set = [
            "--set",
            &image[0],
            "--set",
            &image[1],
            "--wait",
            "--timeout=3m",
        ];
        helm_ok(&release.arguments(verb, chart, &[&set[..], more].concat()))
    };
    let test = || release.manage("test", &["--timeout=2m", "--logs"]);
    let ready = async || demo.until_told(COINS, "Ready", "True", "Ready").await;

    // From a chart whose CRD is older: it lacks a setting.
    let older = OtherChart::with_crd(|crd| without_field(crd, "spec/suspend"));
    act("install", older.path(), &[]);
    let registry = variable("REGISTRY");
    demo.create_spec(
        COINS,
        json!({
            "registry": { "prefix": registry, "endpoint": "http://registry.registry.svc:5000" },
            "tag": "v0.1",
            "redis": { "image": format!("{registry}/library/redis:7") },
        }),
    )
    .await;
    let coins = ready().await;
    assert!(
        coins
            .status
            .unwrap()
            .components
            .iter()
            .all(|c| c.pinned.is_some())
    );
    let before = pods(&demo).await;
    assert_eq!(before.len(), 5);

    // The chart's own, with a standby.
    act("upgrade", CHART, &["--set", "replicas=2"]);
    let tested = test();
    assert!(tested.contains("the CRD is this operator's\n"), "{tested}");
    assert!(tested.contains(":8080/readyz is ready\n"), "{tested}");
    demo.edit(COINS, json!({ "suspend": true })).await;
    demo.until_coins(COINS, "it is suspended", |coins| {
        let told = coins.status.as_ref();
        told.is_some_and(|told| told.observed_generation == coins.metadata.generation)
    })
    .await;
    demo.edit(COINS, json!({ "suspend": null })).await;
    ready().await;
    assert_eq!(pods(&demo).await, before);

    release.manage("rollback", &["1", "--wait", "--timeout=3m"]);
    ready().await;
    assert_eq!(pods(&demo).await, before);

    release.manage("uninstall", &["--wait"]);
    until("the operator's pods are gone", async || {
        let left = pods(&home).await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
    crd(&demo.client).await;
    assert_eq!(pods(&demo).await, before);

    act("install", CHART, &[]);
    test();
    // It acts, which the answer to an edit shows, and rolls nothing.
    demo.edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    ready().await;
    let after = pods(&demo).await;
    assert_eq!(after.len(), 6);
    assert!(
        before
            .iter()
            .all(|(name, pod)| after.get(name) == Some(pod)),
        "{before:?} {after:?}"
    );
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn release_for_one_namespace_serves_it_alone() {
    no_crd(&client().await).await;
    let (home, demo, other) = (
        restricted("operator").await,
        restricted("served").await,
        restricted("unserved").await,
    );
    home.kubectl(&[
        "create",
        "secret",
        "generic",
        "pushes",
        "--from-literal=secret=as-long-as-it-must-be",
    ])
    .await;
    // Where the nodes pull from is the pod's own address in a pod: only by hosts.toml it gets an answer.
    let registry = variable("REGISTRY");
    let mirror = "[host.\"http://registry.registry.svc:5000\"]\n";
    let values = json!({
        "watchNamespaces": [demo.name],
        "rbac": { "nodes": false, "aggregate": false },
        "registries": { "hosts": { &registry: { "hostsToml": mirror } } },
        "webhook": { "enabled": true, "secret": "pushes" },
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    let release = Release::new("dockercoins-operator", &home.name);
    let [repository, tag] = image();
    let file = file.path().to_str().unwrap();
    let more = [
        "--set",
        &repository,
        "--set",
        &tag,
        "--values",
        file,
        "--wait",
        "--timeout=3m",
    ];
    helm_ok(&release.arguments("install", CHART, &more));

    let spec = json!({
        "registry": { "prefix": registry },
        "tag": "v0.1",
        "redis": { "image": format!("{registry}/library/redis:7") },
    });
    other.create_spec(COINS, spec.clone()).await;
    demo.create_spec(COINS, spec).await;
    demo.until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    demo.until_told(COINS, "Ready", "True", "Ready").await;
    assert!(other.children().await.is_empty());
    // What it may not do it has not tried: there is no warning.
    let log = home
        .kubectl(&["logs", "deployment/dockercoins-operator"])
        .await;
    assert!(log.contains("registries may tell of pushes"), "{log}");
    assert!(!log.contains("\"level\":\"WARN\""), "{log}");
}
