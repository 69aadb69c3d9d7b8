//! Invalid specs, refused by the operator or by the API server: the last good workload stays, the message names the
//! fix, and a valid spec recovers.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::coins::{message_of, nine, reasons};
use crate::support::namespace::{COINS, resource};
use crate::support::{COMPONENTS, Namespace, begin, settled};

async fn generations(namespace: &Namespace) -> Vec<Option<i64>> {
    let mut generations = Vec::new();
    for name in COMPONENTS {
        generations.push(namespace.get::<Deployment>(name).await.metadata.generation);
    }
    generations
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn all_faults_are_reported_at_once() {
    let (namespace, _, _operator) = settled("two", json!({})).await;
    let before = generations(&namespace).await;

    let bad = json!({
        "rng": { "image": "example.com/UPPER" },
        "worker": { "probes": { "readiness": { "tcpSocket": {} } } },
    });
    namespace.edit(COINS, bad).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "InvalidSpec")
        .await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "InvalidSpec"),
            ("ImagesResolved", "Unknown", "InvalidSpec"),
            ("Stalled", "True", "InvalidSpec")
        ]
    );
    let told = message_of(&coins, "Stalled");
    assert!(
        told.starts_with("spec.rng.image: ") && told.contains("; spec.worker.probes.readiness: "),
        "{told}"
    );
    assert_eq!(
        generations(&namespace).await,
        before,
        "the last good workload is untouched"
    );

    namespace
        .edit(COINS, json!({ "rng": null, "worker": null }))
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn api_servers_refusal_is_quoted() {
    let (namespace, _, _operator) = begin("annotation", json!({})).await;
    namespace.until_children(&nine()).await;
    let before = generations(&namespace).await;
    namespace
        .edit(
            COINS,
            json!({ "rng": { "podAnnotations": { "not a key": "" } } }),
        )
        .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "Rejected")
        .await;
    let told = message_of(&coins, "Stalled");
    assert!(
        told.contains("spec.template.annotations: Invalid value: \"not a key\""),
        "{told}"
    );
    assert_eq!(generations(&namespace).await, before);
    namespace.edit(COINS, json!({ "rng": null })).await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn refused_input_changes_nothing() {
    let (namespace, _, _operator) = begin("refused-input", json!({})).await;
    namespace.until_children(&nine()).await;
    let before = generations(&namespace).await;
    let bad = json!({ "spec": { "worker": { "image": "a/b:c", "tag": "v2" } } });
    let params = PatchParams::default();
    let refused = namespace
        .raw_coins()
        .patch(COINS, &params, &Patch::Merge(bad))
        .await;
    let kube::Error::Api(status) = refused.unwrap_err() else {
        panic!("the API server has refused it")
    };
    assert_eq!(status.code, 422);
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    namespace
        .until("worker", "a good change goes through", |d: &Deployment| {
            d.spec.replicas == Some(2)
        })
        .await;
    assert_eq!(generations(&namespace).await[..4], before[..4]);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn strict_validation_names_an_unknown_field() {
    let namespace = Namespace::new("strict").await;
    let yaml =
        serde_saphyr::to_string(&resource(COINS, json!({ "worker": { "replica": 3 } }))).unwrap();
    let said = namespace
        .try_kubectl(&["apply", "--validate=strict", "-f", "-"], &yaml)
        .await;
    assert!(!said.success);
    assert!(
        said.err.contains(r#"unknown field "spec.worker.replica""#),
        "{}",
        said.err
    );
}
