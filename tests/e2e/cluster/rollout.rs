//! Status while pods do not become ready, and while the API server refuses a write.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::json;

use crate::support::coins::{component, message_of, nine, reasons};
use crate::support::namespace::COINS;
use crate::support::{Namespace, Operator, begin, conditions, until};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rollout_past_its_deadline_is_stalled() {
    let (namespace, _, _operator) = begin(
        "deadline",
        json!({ "rng": { "progressDeadlineSeconds": 1 } }),
    )
    .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ProgressDeadlineExceeded")
        .await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "ProgressDeadlineExceeded"),
            ("ImagesResolved", "True", "Resolved"),
            ("Stalled", "True", "ProgressDeadlineExceeded"),
        ]
    );
    let whole = "rng: 0 of 1 pods are available. That has not changed for longer than the progress deadline: \
                 `kubectl describe pods -l app=rng` tells why";
    let coins = namespace
        .until_coins(COINS, "what rng waits for is told", |coins| {
            conditions(coins)
                .iter()
                .any(|c| (c.type_, c.message) == ("Stalled", whole))
        })
        .await;
    assert_eq!(
        component(&coins, "rng").message.as_deref(),
        Some("0 of 1 pods are available")
    );
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "True", "Resolved")
        ]
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn quota_that_refuses_pods_is_quoted() {
    let namespace = Namespace::new("quota").await;
    let images = namespace.push_images().await;
    let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
    namespace.make::<ResourceQuota>(quota).await;
    let enforced = |q: &ResourceQuota| q.status.as_ref().is_some_and(|s| s.hard.is_some());
    namespace
        .until("none", "the quota is enforced", enforced)
        .await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    let coins = namespace
        .until_coins(COINS, "the quota is told for all five", |coins| {
            let told = coins.status.iter().flat_map(|s| &s.components);
            told.filter(|c| {
                c.message
                    .as_ref()
                    .is_some_and(|m| m.contains("exceeded quota: none"))
            })
            .count()
                == 5
        })
        .await;
    let told = component(&coins, "rng").message.as_deref().unwrap();
    assert!(
        told.starts_with("0 of 1 pods are updated; pods can't be created: pods \"rng-"),
        "{told}"
    );
    assert_eq!(reasons(&coins)[0], ("Ready", "False", "RolloutInProgress"));

    namespace.delete::<ResourceQuota>("none").await;
    namespace.run_pods(COINS).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rejected_deployment_stops_no_other() {
    let namespace = Namespace::new("refused").await;
    let images = namespace.push_images().await;
    let _operator = Operator::start(&namespace);
    let resources = json!({ "requests": { "example.com/cards": "2" } });
    namespace
        .create(
            COINS,
            &images,
            json!({ "hasher": { "resources": resources } }),
        )
        .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "Rejected")
        .await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "Rejected"),
            ("ImagesResolved", "True", "Resolved"),
            ("Stalled", "True", "Rejected")
        ]
    );
    assert_eq!(
        message_of(&coins, "Stalled"),
        format!(
            "the API server refused to apply Deployment {}/hasher: Deployment.apps \"hasher\" is invalid: \
             spec.template.spec.containers[0].resources.limits: Required value: \
             Limit must be set for non overcommitable resources",
            namespace.name
        )
    );
    let mut others = nine();
    others.remove("Deployment hasher");
    namespace.until_children(&others).await;

    namespace
        .edit(COINS, json!({ "hasher": { "resources": null } }))
        .await;
    namespace.until_children(&nine()).await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    // What had never been there was not deleted by anyone.
    assert_eq!(namespace.notes("Healed").await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rejected_change_leaves_the_workload_as_it_was() {
    let (namespace, _, _operator) = begin("refused-later", json!({})).await;
    namespace.run_pods(COINS).await;
    let before: Deployment = namespace.get("rng").await;
    let resources = json!({ "requests": { "example.com/cards": "2" } });
    namespace
        .edit(COINS, json!({ "rng": { "resources": resources } }))
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "Rejected")
        .await;
    // The operator retries with backoff, and publishes no further event.
    until("it has been tried three times", async || {
        let tries = namespace.requests_about("patch", "deployments", "rng") - 1;
        if tries >= 3 {
            Ok(())
        } else {
            Err(format!("{tries} tries"))
        }
    })
    .await;
    assert_eq!(namespace.notes("Rejected").await.len(), 1);
    let now: Deployment = namespace.get("rng").await;
    assert_eq!(
        (json!(now.spec), now.metadata.generation),
        (json!(before.spec), before.metadata.generation)
    );

    namespace
        .edit(COINS, json!({ "rng": { "resources": null } }))
        .await;
    namespace.until_told(COINS, "Ready", "True", "Ready").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn taken_node_port_is_reported() {
    let namespace = Namespace::new("node-port").await;
    let other = Namespace::new("node-port-taken").await;
    let taken = json!({ "metadata": { "name": "taken" }, "spec": { "type": "NodePort", "ports": [{ "port": 80 }] } });
    let taken: k8s_openapi::api::core::v1::Service = other.make(taken).await;
    let port = json!(taken)["spec"]["ports"][0]["nodePort"].clone();
    let images = namespace.push_images().await;
    let _operator = Operator::start(&namespace);
    let service = json!({ "type": "NodePort", "nodePort": port });
    namespace
        .create(COINS, &images, json!({ "webui": { "service": service } }))
        .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "Rejected")
        .await;
    let told = message_of(&coins, "Stalled");
    assert!(
        told.contains("provided port is already allocated"),
        "{told}"
    );
    namespace
        .edit(
            COINS,
            json!({ "webui": { "service": { "nodePort": null } } }),
        )
        .await;
    namespace.until_children(&nine()).await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
}
