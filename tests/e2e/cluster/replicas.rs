//! Who owns the number of replicas, and other fields with more than one state.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::support::namespace::COINS;
use crate::support::{Namespace, Operator, settled};

async fn until_replicas(namespace: &Namespace, number: i32) {
    let what = format!("worker has {number} replicas");
    namespace
        .until("worker", &what, |d: &Deployment| {
            d.spec.replicas == Some(number)
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn unset_replicas_are_never_written() {
    let (namespace, _, _operator) = settled("scaled", json!({})).await;
    namespace
        .kubectl(&["scale", "deployment/worker", "--replicas=4"])
        .await;
    namespace.until_marked("later").await;
    until_replicas(&namespace, 4).await;
    assert_eq!(namespace.notes("Healed").await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn unsetting_replicas_keeps_the_running_number() {
    let (namespace, _, _operator) = settled("there-and-back", json!({})).await;
    namespace
        .kubectl(&["scale", "deployment/worker", "--replicas=4"])
        .await;
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    until_replicas(&namespace, 2).await;
    namespace
        .edit(COINS, json!({ "worker": { "replicas": null } }))
        .await;
    namespace.until_marked("after").await;
    until_replicas(&namespace, 2).await;
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 3 } }))
        .await;
    until_replicas(&namespace, 3).await;
    namespace
        .edit(COINS, json!({ "worker": { "replicas": null } }))
        .await;
    namespace.until_marked("at last").await;
    until_replicas(&namespace, 3).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn replicas_unset_during_downtime_keep_the_running_number() {
    let (namespace, _, operator) =
        settled("unset-away", json!({ "worker": { "replicas": 3 } })).await;
    until_replicas(&namespace, 3).await;
    drop(operator);
    namespace
        .edit(COINS, json!({ "worker": { "replicas": null } }))
        .await;
    let _operator = Operator::start(&namespace);
    namespace.until_marked("after").await;
    until_replicas(&namespace, 3).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn scaling_the_resource_scales_the_workers() {
    let (namespace, _, _operator) = settled("scale", json!({ "worker": { "replicas": 1 } })).await;
    namespace
        .kubectl(&["scale", "dockercoins/dockercoins", "--replicas=4"])
        .await;
    until_replicas(&namespace, 4).await;
    let scale = namespace
        .kubectl(&[
            "get",
            "dockercoins",
            COINS,
            "--subresource=scale",
            "-o",
            "json",
        ])
        .await;
    let scale: Value = serde_json::from_str(&scale).unwrap();
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["selector"]),
        (&json!(4), &json!("app=worker"))
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn zero_replicas_are_ready() {
    let none = json!({ "replicas": 0 });
    let settings =
        json!({ "hasher": none, "redis": none, "rng": none, "webui": none, "worker": none });
    let (namespace, _, _operator) = settled("zero", settings).await;
    namespace.until_told(COINS, "Ready", "True", "Ready").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn strategy_changes_to_recreate_and_back_to_the_default() {
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 2 } });
    let (namespace, _, _operator) =
        settled("strategy", json!({ "rng": { "strategy": rolling } })).await;
    let strategy = |d: &Deployment| json!(d)["spec"]["strategy"].clone();
    let surging = |d: &Deployment| strategy(d)["rollingUpdate"]["maxSurge"] == 2;
    namespace.until("rng", "rng surges by 2", surging).await;
    namespace
        .edit(
            COINS,
            json!({ "rng": { "strategy": { "type": "Recreate", "rollingUpdate": null } } }),
        )
        .await;
    let recreated = |d: &Deployment| strategy(d) == json!({ "type": "Recreate" });
    namespace.until("rng", "rng is recreated", recreated).await;
    namespace
        .edit(COINS, json!({ "rng": { "strategy": null } }))
        .await;
    let by_quarters = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } });
    namespace
        .until("rng", "rng rolls by quarters", |d: &Deployment| {
            strategy(d) == by_quarters
        })
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn probe_changes_between_all_kinds_and_back_to_the_default() {
    let (namespace, _, _operator) = settled("probes", json!({})).await;
    let probe = |d: &Deployment| {
        json!(d)["spec"]["template"]["spec"]["containers"][0]["readinessProbe"].clone()
    };
    let default = probe(&namespace.get("hasher").await);
    assert_eq!(default["httpGet"]["path"], "/");
    for (readiness, kind) in [
        (
            json!({ "tcpSocket": { "port": 8080 }, "httpGet": null }),
            "tcpSocket",
        ),
        (
            json!({ "exec": { "command": ["true"] }, "tcpSocket": null }),
            "exec",
        ),
        (
            json!({ "httpGet": { "path": "/healthy" }, "exec": null, "timeoutSeconds": 3 }),
            "httpGet",
        ),
    ] {
        namespace
            .edit(
                COINS,
                json!({ "hasher": { "probes": { "readiness": readiness } } }),
            )
            .await;
        let is_only = |d: &Deployment| {
            let probe = probe(d);
            let kinds: Vec<&str> = ["httpGet", "tcpSocket", "exec"]
                .into_iter()
                .filter(|kind| !probe[kind].is_null())
                .collect();
            kinds == [kind] && probe["httpGet"]["path"] != "/"
        };
        namespace
            .until(
                "hasher",
                &format!("hasher is checked by {kind} alone"),
                is_only,
            )
            .await;
    }
    namespace
        .edit(
            COINS,
            json!({ "hasher": { "probes": { "readiness": null } } }),
        )
        .await;
    namespace
        .edit(
            COINS,
            json!({ "hasher": { "probes": { "readiness": { "disabled": true } } } }),
        )
        .await;
    namespace
        .until("hasher", "hasher isn't checked", |d: &Deployment| {
            probe(d).is_null()
        })
        .await;
    namespace
        .edit(COINS, json!({ "hasher": { "probes": null } }))
        .await;
    namespace
        .until("hasher", "hasher is checked as before", |d: &Deployment| {
            probe(d) == default
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn quantity_in_another_notation_is_no_drift() {
    let resources =
        json!({ "requests": { "cpu": "0.5", "memory": "0.5Gi" }, "limits": { "cpu": 1 } });
    let (namespace, _, operator) =
        settled("amounts", json!({ "rng": { "resources": resources } })).await;
    let amounts =
        json!({ "requests": { "cpu": "500m", "memory": "512Mi" }, "limits": { "cpu": "1" } });
    let is_kept = |d: &Deployment| {
        json!(d)["spec"]["template"]["spec"]["containers"][0]["resources"] == amounts
    };
    namespace
        .until(
            "rng",
            "the API server keeps the amounts in its own notation",
            is_kept,
        )
        .await;
    drop(operator);
    let _operator = Operator::start(&namespace);
    namespace.until_marked("seen").await;
    assert_eq!(namespace.requests_about("patch", "deployments", "rng"), 1);
    assert_eq!(namespace.notes("Healed").await, [""; 0]);
}
