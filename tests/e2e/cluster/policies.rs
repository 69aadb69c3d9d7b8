//! The policies Required, BestEffort and Never.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::support::coins::{component, message_of, nine, reasons, services};
use crate::support::namespace::COINS;
use crate::support::registry::Registry;
use crate::support::{Namespace, Operator, begin, until};

fn pull_policy(deployment: &Deployment) -> Value {
    json!(deployment)["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"].clone()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn required_deploys_nothing_until_the_registry_answers() {
    let namespace = Namespace::new("required").await;
    let mut registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    registry.shut_down();
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ConnectionFailed")
        .await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "ConnectionFailed"),
            ("ImagesResolved", "False", "ConnectionFailed"),
            ("Reconciling", "True", "ConnectionFailed"),
        ]
    );
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.contains(&format!("{} at http://", images.name("hasher", "v0.1"))),
        "{told}"
    );
    assert!(
        told.contains(
            ". Nothing is deployed before every image is resolved. It is asked again at "
        ),
        "{told}"
    );
    namespace.until_children(&services()).await;

    registry.bring_up().await;
    namespace.until_children(&nine()).await;
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
async fn registry_outage_does_not_block_other_fields() {
    let namespace = Namespace::new("later-dead").await;
    let mut registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    images.push_tag("v0.2").await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;
    let before = namespace.image("rng").await;
    registry.shut_down();

    // Without a new reference nobody notices.
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    namespace
        .until("worker", "worker has two replicas", |d: &Deployment| {
            d.spec.replicas == Some(2)
        })
        .await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;

    // With one, the last good set runs on, and the rest is done.
    let change = json!({ "tag": "v0.2", "rng": { "env": [{ "name": "A", "value": "1" }] } });
    namespace.edit(COINS, change).await;
    namespace
        .until_told(COINS, "ImagesResolved", "False", "ConnectionFailed")
        .await;
    let has_env = |d: &Deployment| {
        json!(d)["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"] == "A"
    };
    namespace
        .until("rng", "rng has its variable", has_env)
        .await;
    assert_eq!(namespace.image("rng").await, before);

    // Who takes the tag back is where they were, without the registry.
    namespace.edit(COINS, json!({ "tag": "v0.1" })).await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(component(&coins, "rng").pinned.as_deref(), Some(&*before));
    assert_eq!(namespace.image("rng").await, before);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_tag_and_its_arrival_are_one_event_each() {
    let namespace = Namespace::new("missing-tag").await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;

    namespace.edit(COINS, json!({ "tag": "v0.2" })).await;
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "False", "NotFoundOrNoAccess")
        .await;
    namespace
        .until_event("NotFoundOrNoAccess", |note| note.contains("v0.2"))
        .await;
    images.push_tag("v0.2").await;
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    namespace.run_pods(COINS).await;
    // The last event follows the status.
    until("both states are told by events", async || {
        let told: Vec<String> = namespace
            .events()
            .await
            .into_iter()
            .filter(|(_, reason, _)| ["NotFoundOrNoAccess", "Ready"].contains(&reason.as_str()))
            .map(|(type_, reason, _)| format!("{type_} {reason}"))
            .collect();
        let wanted = ["Normal Ready", "Warning NotFoundOrNoAccess", "Normal Ready"];
        (told == wanted).then_some(()).ok_or(format!("{told:?}"))
    })
    .await;
    assert_eq!(
        reasons(&coins)[2],
        ("Stalled", "True", "NotFoundOrNoAccess")
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn best_effort_runs_by_tag_until_the_registry_answers() {
    let namespace = Namespace::new("best-effort").await;
    let mut registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let digest = images.push("rng", "v0.1", "v0.1").await;
    registry.shut_down();
    let _operator = Operator::start(&namespace);
    namespace
        .create(
            COINS,
            &images,
            json!({ "resolve": { "policy": "BestEffort" } }),
        )
        .await;
    namespace.until_children(&nine()).await;
    let rng: Deployment = namespace
        .until("rng", "rng is there", |_: &Deployment| true)
        .await;
    assert_eq!(namespace.image("rng").await, images.name("rng", "v0.1"));
    assert_eq!(pull_policy(&rng), "Always");
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "False", "Unpinned")
        ]
    );
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.starts_with("hasher, redis, rng, webui, worker run by tag until they can be pinned: "),
        "{told}"
    );

    registry.bring_up().await;
    namespace
        .until_image("rng", &images.pinned("rng", "v0.1", &digest))
        .await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn never_asks_no_registry() {
    let namespace = Namespace::new("never").await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    let _operator = Operator::start(&namespace);
    namespace
        .create(
            COINS,
            &images,
            json!({ "tag": "no-such-tag", "resolve": { "policy": "Never" } }),
        )
        .await;
    namespace.until_children(&nine()).await;
    let rng: Deployment = namespace
        .until("rng", "rng is there", |_: &Deployment| true)
        .await;
    assert_eq!(
        namespace.image("rng").await,
        images.name("rng", "no-such-tag")
    );
    assert_eq!(pull_policy(&rng), "Always");
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "True", "NotRequired")
        ]
    );
    assert_eq!(registry.questions(), 0);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn never_for_one_component_touches_no_other() {
    let (namespace, images, _operator) = begin("never-one", json!({})).await;
    namespace.run_pods(COINS).await;
    let hasher: Deployment = namespace.get("hasher").await;
    namespace
        .edit(
            COINS,
            json!({ "worker": { "tag": "v-nope", "resolve": { "policy": "Never" } } }),
        )
        .await;
    namespace
        .until_image("worker", &images.name("worker", "v-nope"))
        .await;
    let now: Deployment = namespace.get("hasher").await;
    assert_eq!(now.metadata.generation, hasher.metadata.generation);
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn change_from_never_to_required_pins_the_tag() {
    let namespace = Namespace::new("to-required").await;
    let images = namespace.push_images().await;
    let digest = images.push("rng", "v0.1", "v0.1").await;
    let _operator = Operator::start(&namespace);
    namespace
        .create(COINS, &images, json!({ "resolve": { "policy": "Never" } }))
        .await;
    namespace
        .until_image("rng", &images.name("rng", "v0.1"))
        .await;
    namespace
        .edit(COINS, json!({ "resolve": { "policy": "Required" } }))
        .await;
    namespace
        .until_image("rng", &images.pinned("rng", "v0.1", &digest))
        .await;
}
