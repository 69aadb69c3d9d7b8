//! Resolution of tags against a working registry: when it happens, and what is rolled out.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::support::coins::{component, message_of, nine};
use crate::support::namespace::COINS;
use crate::support::registry::Registry;
use crate::support::{COMPONENTS, Namespace, Operator, begin};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn moved_tag_and_restart_change_nothing() {
    let namespace = Namespace::new("moved").await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods_to_rest(COINS).await;
    let before = namespace.image("rng").await;
    let asked = registry.questions();
    let acts = namespace.acts();
    assert_eq!(
        asked, 10,
        "one question for each tag, and one for each index"
    );

    images.push("rng", "v0.1", "moved").await;
    drop(operator);
    let _operator = Operator::start(&namespace);
    namespace.until_marked("seen").await;
    assert_eq!(registry.questions(), asked);
    assert_eq!(
        namespace.written_since(&acts),
        [("patch deployments".into(), 1)].into()
    );
    assert_eq!(namespace.image("rng").await, before);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn one_missing_tag_holds_back_the_whole_set() {
    let (namespace, images, _operator) = begin("missing", json!({})).await;
    namespace.until_children(&nine()).await;
    let mut before = Vec::new();
    for name in COMPONENTS {
        before.push(namespace.image(name).await);
    }
    for name in ["hasher", "rng", "webui"] {
        images.push(name, "v0.2", "v0.2").await;
    }
    namespace
        .edit(COINS, json!({ "tag": "v0.2", "worker": { "replicas": 2 } }))
        .await;
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "False", "NotFoundOrNoAccess")
        .await;
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.starts_with(&format!("worker: {}", images.name("worker", "v0.2"))),
        "{told}"
    );
    let (told, again) = told.split_once(". It is asked again at ").unwrap();
    assert!(
        told.ends_with("The last complete set of images runs on"),
        "{told}"
    );
    assert_eq!(message_of(&coins, "Stalled"), told);
    let next = component(&coins, "worker").next_attempt.clone().unwrap().0;
    assert_eq!(again, format!("{next:.0}, or when the resource changes"));
    // What isn't about images is done all the same.
    namespace
        .until("worker", "worker has two replicas", |d: &Deployment| {
            d.spec.replicas == Some(2)
        })
        .await;
    for (name, image) in COMPONENTS.iter().zip(&before) {
        assert_eq!(&namespace.image(name).await, image);
    }
    // The resolved part of the new set is known, and waits.
    let rng = component(&coins, "rng");
    assert_eq!(rng.image.as_deref(), Some(&*images.name("rng", "v0.2")));
    assert!(rng.digest.is_some());
    assert_eq!(rng.pinned.as_deref(), Some(&*before[2]));

    let digest = images.push("worker", "v0.2", "v0.2").await;
    namespace
        .until_image("worker", &images.pinned("worker", "v0.2", &digest))
        .await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn interval_rolls_out_a_moved_tag() {
    let (namespace, images, _operator) =
        begin("interval", json!({ "resolve": { "interval": "10s" } })).await;
    namespace.until_children(&nine()).await;
    let before = namespace.image("hasher").await;
    let moved = images.push("rng", "v0.1", "moved").await;
    namespace
        .until_image("rng", &images.pinned("rng", "v0.1", &moved))
        .await;
    assert_eq!(namespace.image("hasher").await, before);
    let note = namespace
        .until_event("Pinned", |note| note.contains("moved from"))
        .await;
    let image = images.name("rng", "v0.1");
    assert!(
        note.starts_with(&format!("{image} moved from sha256:")),
        "{note}"
    );
    assert!(note.ends_with(&moved.to_string()[..19]), "{note}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn failed_refresh_keeps_the_digests() {
    let namespace = Namespace::new("refresh").await;
    let mut registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let _operator = Operator::start(&namespace);
    namespace
        .create(COINS, &images, json!({ "resolve": { "interval": "10s" } }))
        .await;
    namespace.run_pods(COINS).await;
    let before = namespace.image("rng").await;
    registry.shut_down();
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "True", "RefreshFailed")
        .await;
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.starts_with("the last good digests stay, since asking again failed: "),
        "{told}"
    );
    namespace.until_told(COINS, "Ready", "True", "Ready").await;
    assert_eq!(namespace.image("rng").await, before);
    registry.bring_up().await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn endpoint_answers_for_the_prefix_only() {
    let namespace = Namespace::new("endpoint").await;
    let images = namespace.push_images().await;
    let digest = images.push("rng", "v0.1", "v0.1").await;
    let _operator = Operator::start(&namespace);
    // Redis is on another host than the prefix, and is asked there.
    let (host, path) = images
        .prefix()
        .split_once('/')
        .map(|(h, p)| (h.to_owned(), p.to_owned()))
        .unwrap();
    let settings = json!({ "registry": {
        "prefix": format!("registry.example.com/{path}"),
        "endpoint": format!("http://{host}"),
    } });
    namespace.create(COINS, &images, settings).await;
    namespace.until_children(&nine()).await;
    let pinned = format!("registry.example.com/{path}/rng:v0.1@{digest}");
    namespace.until_image("rng", &pinned).await;
    assert!(
        namespace
            .image("redis")
            .await
            .starts_with(&images.name("redis", "v0.1@"))
    );
}
