//! `spec.suspend`: nothing is written, and status stays true.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use crate::support::coins::{message_of, nine, reasons};
use crate::support::namespace::COINS;
use crate::support::registry::Registry;
use crate::support::{Namespace, Operator, begin};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn suspended_resource_is_observed_and_not_written() {
    let namespace = Namespace::new("suspend").await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    images.push_tag("v0.2").await;
    let _operator = Operator::start(&namespace);
    namespace
        .create(COINS, &images, json!({ "worker": { "replicas": 1 } }))
        .await;
    namespace.run_pods(COINS).await;
    let ours = namespace.image("rng").await;
    let asked = registry.questions();

    namespace.edit(COINS, json!({ "suspend": true })).await;
    let coins = namespace.until_told(COINS, "Ready", "True", "Ready").await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "True", "Resolved")
        ]
    );
    let acts = namespace.acts();

    namespace
        .kubectl(&["set", "image", "deployment/rng", "rng=example.com/rng:mine"])
        .await;
    namespace.delete::<Service>("webui").await;
    namespace
        .edit(COINS, json!({ "tag": "v0.2", "worker": { "replicas": 3 } }))
        .await;
    let coins = namespace
        .until_coins(COINS, "everything that waits is told", |coins| {
            let told = coins
                .status
                .iter()
                .flat_map(|s| &s.conditions)
                .find(|c| c.type_ == "Ready");
            told.is_some_and(|c| {
                [
                    "Service webui",
                    "Deployment rng",
                    "PodDisruptionBudget worker",
                ]
                .iter()
                .all(|object| c.message.contains(object))
            })
        })
        .await;
    assert_eq!(
        message_of(&coins, "Ready"),
        "suspended, and these are not as wanted: Service webui, Deployment rng, Deployment worker, \
         PodDisruptionBudget worker, images that no registry has been asked for. Set spec.suspend to false to have them written"
    );
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "Suspended"),
            ("ImagesResolved", "False", "Suspended")
        ]
    );
    assert_eq!(
        coins.status.as_ref().unwrap().observed_generation,
        coins.metadata.generation
    );
    assert_eq!(namespace.image("rng").await, "example.com/rng:mine");
    assert_eq!(registry.questions(), asked);
    assert_eq!(namespace.written_since(&acts), Default::default());

    namespace.edit(COINS, json!({ "suspend": false })).await;
    namespace.until_children(&nine()).await;
    namespace
        .until("worker", "worker has three replicas", |d: &Deployment| {
            d.spec.replicas == Some(3)
        })
        .await;
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "True", "Resolved")
        ]
    );
    assert_ne!(namespace.image("rng").await, ours);
    assert!(
        namespace
            .image("rng")
            .await
            .starts_with(&images.name("rng", "v0.2@"))
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn resource_created_suspended_has_no_children() {
    let (namespace, _, _operator) = begin("born", json!({ "suspend": true })).await;
    namespace
        .until_told(COINS, "Ready", "False", "Suspended")
        .await;
    assert_eq!(namespace.children().await, Default::default());
    namespace.edit(COINS, json!({ "suspend": null })).await;
    namespace.until_children(&nine()).await;
}
