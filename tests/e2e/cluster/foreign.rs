//! Existing objects with our names and another owner, or none.

use dockercoins_operator::api::DockerCoins;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::coins::{message_of, nine, reasons};
use crate::support::namespace::COINS;
use crate::support::{COMPONENTS, Namespace, Operator, SERVED, begin, until};

fn stranger_s_service() -> Value {
    json!({
        "metadata": { "name": "redis", "labels": { "team": "blue" } },
        "spec": { "selector": { "app": "redis" }, "ports": [{ "port": 6379 }] },
    })
}

fn stranger_s_deployment() -> Value {
    let labels = json!({ "app": "rng" });
    json!({
        "metadata": { "name": "rng", "labels": labels },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "containers": [
                        { "name": "rng", "image": "dockercoins/rng:v0.1", "command": ["sleep"], "env": [{ "name": "A" }] },
                        { "name": "sidecar", "image": "example.com/sidecar" },
                    ],
                    "hostNetwork": true,
                },
            },
        },
    })
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn foreign_service_is_left_alone_and_named() {
    let namespace = Namespace::new("foreign").await;
    let images = namespace.push_images().await;
    let before: Service = namespace.make(stranger_s_service()).await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    namespace.until_children(&nine()).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "ForeignObject"),
            ("ImagesResolved", "True", "Resolved"),
            ("Stalled", "True", "ForeignObject"),
        ]
    );
    assert_eq!(
        message_of(&coins, "Ready"),
        "Service redis is not the operator's: delete it, or hand it over with \
         `kubectl annotate service redis dockercoins.dev/adopt=dockercoins`"
    );
    assert_eq!(
        json!(namespace.get::<Service>("redis").await),
        json!(before)
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn lasting_failure_is_one_event() {
    let namespace = Namespace::new("foreign-stays").await;
    let images = namespace.push_images().await;
    namespace.make::<Service>(stranger_s_service()).await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_event("ForeignObject", |_| true).await;
    for content in ["once", "twice"] {
        let moved = images.push("worker", "v0.1", content).await;
        let asks =
            json!({ "metadata": { "annotations": { "dockercoins.dev/requestedAt": content } } });
        namespace.patch_raw(COINS, asks).await;
        let digest = &moved.to_string()["sha256:".len()..][..12];
        namespace
            .until_event("Pinned", |note| note.contains(digest))
            .await;
        // Written after the status that tells the failure again.
        let image = images.pinned("worker", "v0.1", &moved);
        namespace.until_image("worker", &image).await;
    }
    assert_eq!(namespace.notes("ForeignObject").await.len(), 1);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn annotated_service_is_adopted() {
    let namespace = Namespace::new("adopt").await;
    let images = namespace.push_images().await;
    let before: Service = namespace.make(stranger_s_service()).await;
    let _operator = Operator::start(&namespace);
    let coins = namespace.create(COINS, &images, json!({})).await;
    namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;

    namespace
        .kubectl(&[
            "annotate",
            "service",
            "redis",
            "dockercoins.dev/adopt=dockercoins",
        ])
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    let adopted: Service = namespace.get("redis").await;
    assert_eq!(adopted.uid(), before.uid());
    assert_eq!(adopted.owner_references()[0].uid, coins.uid().unwrap());
    assert_eq!(
        adopted.labels().get("team").map(String::as_str),
        Some("blue")
    );
    let note = namespace.until_event("Adopted", |_| true).await;
    assert_eq!(
        note,
        "Service redis was handed over to DockerCoins dockercoins by its annotation, and now is as the resource says"
    );

    namespace.delete::<DockerCoins>(COINS).await;
    namespace.until_children(&Default::default()).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn foreign_deployment_is_left_alone_until_it_is_annotated() {
    let namespace = Namespace::new("foreign-rng").await;
    let images = namespace.push_images().await;
    let before: Deployment = namespace.make(stranger_s_deployment()).await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    assert_eq!(
        message_of(&coins, "Stalled"),
        "Deployment rng is not the operator's: delete it, or hand it over with \
         `kubectl annotate deployment rng dockercoins.dev/adopt=dockercoins`"
    );
    let now: Deployment = namespace.get("rng").await;
    assert_eq!(
        (json!(now.spec), now.owner_references()),
        (json!(before.spec), [].as_slice())
    );

    namespace
        .kubectl(&[
            "annotate",
            "deployment",
            "rng",
            "dockercoins.dev/adopt=dockercoins",
        ])
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    let adopted: Deployment = namespace.get("rng").await;
    assert_eq!(
        (adopted.uid(), adopted.owner_references().len()),
        (before.uid(), 1)
    );
    assert!(
        namespace
            .image("rng")
            .await
            .starts_with(&images.name("rng", "v0.1@sha256:"))
    );
    // What the stranger ran is gone with all that belonged to it, but not the number of pods.
    let spec = adopted.spec;
    assert_eq!(spec.replicas, Some(0));
    let pod = spec.template.spec.unwrap();
    assert_eq!((pod.containers.len(), pod.host_network), (1, None));
    let container = &pod.containers[0];
    assert_eq!((&container.command, &container.env), (&None, &None));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn deleted_foreign_object_makes_room_for_ours() {
    let namespace = Namespace::new("freed").await;
    let images = namespace.push_images().await;
    let before: Service = namespace.make(stranger_s_service()).await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    namespace.delete::<Service>("redis").await;
    namespace
        .until("redis", "the Service is ours", |s: &Service| {
            s.uid() != before.uid()
        })
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    // Nothing of ours had been deleted.
    assert_eq!(namespace.notes("Healed").await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn orphaned_children_are_foreign_to_a_new_resource() {
    let (namespace, images, _operator) = begin("orphans", json!({})).await;
    namespace.until_children(&nine()).await;
    let orphan = DeleteParams {
        propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
        ..Default::default()
    };
    namespace
        .api::<DockerCoins>()
        .delete(COINS, &orphan)
        .await
        .unwrap();
    for name in COMPONENTS {
        namespace
            .until(name, "the Deployment is an orphan", |d: &Deployment| {
                d.owner_references().is_empty()
            })
            .await;
    }
    for name in SERVED {
        namespace
            .until(name, "the Service is an orphan", |s: &Service| {
                s.owner_references().is_empty()
            })
            .await;
    }
    assert_eq!(namespace.children().await, nine());
    // It goes after its last child has been let go.
    until("the resource is gone", async || {
        match namespace.raw_coins().get_opt(COINS).await.unwrap() {
            None => Ok(()),
            Some(coins) => Err(format!("{:?}", coins.metadata)),
        }
    })
    .await;

    let coins = namespace.create(COINS, &images, json!({})).await;
    let told = namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    for object in nine() {
        assert!(
            message_of(&told, "Ready").contains(&object),
            "{}",
            message_of(&told, "Ready")
        );
    }
    for kind in ["services", "deployments"] {
        namespace
            .kubectl(&[
                "annotate",
                kind,
                "--all",
                "dockercoins.dev/adopt=dockercoins",
            ])
            .await;
    }
    let uid = coins.uid().unwrap();
    for name in COMPONENTS {
        namespace
            .until(
                name,
                "the Deployment is the new resource's",
                |d: &Deployment| is_owned_by(d, &uid),
            )
            .await;
    }
    for name in SERVED {
        namespace
            .until(name, "the Service is the new resource's", |s: &Service| {
                is_owned_by(s, &uid)
            })
            .await;
    }
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
}

fn is_owned_by<K: kube::Resource>(object: &K, uid: &str) -> bool {
    object
        .owner_references()
        .iter()
        .any(|owner| owner.uid == uid)
}
