//! The nine objects of a resource: creation, owner references, settings, deletion.

use dockercoins_operator::api::DockerCoins;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::{Resource, ResourceExt as _};
use serde_json::json;

use crate::support::coins::{component, nine, reasons};
use crate::support::namespace::{COINS, image_of};
use crate::support::{COMPONENTS, Namespace, Operator, SERVED, begin};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn resource_becomes_nine_objects_that_it_controls() {
    let namespace = Namespace::new("nine").await;
    let images = namespace.push_images().await;
    let _operator = Operator::start(&namespace);
    let coins = namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;

    let owner = json!([{
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "name": COINS,
        "uid": coins.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    }]);
    for name in SERVED {
        let service: Service = namespace.get(name).await;
        assert_eq!(json!(service.owner_references()), owner, "Service {name}");
        assert_eq!(labels(&service), wanted_labels(name), "Service {name}");
    }
    for name in COMPONENTS {
        let deployment: Deployment = namespace.get(name).await;
        assert_eq!(
            json!(deployment.owner_references()),
            owner,
            "Deployment {name}"
        );
        assert_eq!(
            labels(&deployment),
            wanted_labels(name),
            "Deployment {name}"
        );
        let selector = json!(deployment.spec.selector);
        assert_eq!(
            selector,
            json!({ "matchLabels": { "app": name } }),
            "Deployment {name}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn resource_is_ready_when_all_pods_are() {
    let (namespace, _, _operator) = begin("ready", json!({ "worker": { "replicas": 3 } })).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "RolloutInProgress"),
            ("ImagesResolved", "True", "Resolved"),
            ("Reconciling", "True", "RolloutInProgress"),
        ]
    );

    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "True", "Resolved")
        ]
    );
    let worker = component(&coins, "worker");
    assert_eq!(
        (
            worker.replicas,
            worker.ready_replicas,
            worker.message.clone()
        ),
        (3, 3, None)
    );
    let status = coins.status.as_ref().unwrap();
    assert_eq!(
        (status.replicas, status.selector.as_deref()),
        (Some(3), Some("app=worker"))
    );
    assert_eq!(status.observed_generation, coins.meta().generation);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn resource_is_deleted_without_an_operator() {
    let (namespace, _, operator) = begin("abandoned", json!({})).await;
    namespace.until_children(&nine()).await;
    drop(operator);
    namespace.delete::<DockerCoins>(COINS).await;
    namespace.until_children(&Default::default()).await;
    let coins = namespace.api::<DockerCoins>().get_opt(COINS).await.unwrap();
    assert_eq!(coins, None, "no finalizer holds the resource back");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn recreated_resource_gets_nine_new_objects() {
    let (namespace, images, _operator) = begin("again", json!({})).await;
    namespace.until_children(&nine()).await;
    let before: Deployment = namespace.get("rng").await;

    namespace.delete::<DockerCoins>(COINS).await;
    let coins = namespace.create(COINS, &images, json!({})).await;
    let uid = coins.uid().unwrap();
    for name in SERVED {
        namespace
            .until(name, "the Service is the new resource's", |s: &Service| {
                is_owned_by(s, &uid)
            })
            .await;
    }
    for name in COMPONENTS {
        namespace
            .until(
                name,
                "the Deployment is the new resource's",
                |d: &Deployment| is_owned_by(d, &uid),
            )
            .await;
    }
    assert_ne!(namespace.get::<Deployment>("rng").await.uid(), before.uid());
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(coins.uid(), Some(uid));
    assert_eq!(namespace.children().await, nine());
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn obsolete_object_is_pruned() {
    let namespace = Namespace::new("prune").await;
    let images = namespace.push_images().await;
    let operator = Operator::start(&namespace);
    let coins = namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    drop(operator);

    let owner = json!({
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "name": COINS,
        "uid": coins.uid(),
        "controller": true,
    });
    let service = |name: &str, manager: &str| {
        json!({
            "metadata": {
                "name": name,
                "labels": { "app.kubernetes.io/managed-by": manager },
                "ownerReferences": [owner],
            },
            "spec": { "ports": [{ "port": 80 }] },
        })
    };
    namespace
        .make::<Service>(service("worker", "dockercoins-operator"))
        .await;
    namespace
        .make::<Service>(service("beside", "someone"))
        .await;

    let _operator = Operator::start(&namespace);
    let mut left = nine();
    left.insert("Service beside".into());
    namespace.until_children(&left).await;
    let note = namespace.until_event("Pruned", |_| true).await;
    assert_eq!(
        note,
        "deleted Service worker, which the resource no longer asks for"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn every_setting_reaches_the_deployment_and_is_removed_again() {
    let (namespace, _, _operator) = begin("settings", json!({})).await;
    namespace.until_children(&nine()).await;
    let bare = without_hash(namespace.get::<Deployment>("rng").await);

    let settings = json!({
        "imagePullSecrets": [{ "name": "regcred" }],
        "tolerations": [{ "key": "training", "operator": "Exists", "effect": "NoSchedule" }],
        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "training", "operator": "Exists" }] },
        ] } } },
        "rng": {
            "resources": { "requests": { "cpu": "0.5", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
            "env": [{ "name": "A", "value": "1" }, { "name": "B" }],
            "podLabels": { "team": "blue", "app": "not-this" },
            "podAnnotations": { "note": "hello" },
            "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": "0%" } },
            "minReadySeconds": 3,
            "progressDeadlineSeconds": 60,
            "revisionHistoryLimit": 2,
            "securityContext": { "runAsUser": 1000, "runAsGroup": 1001, "fsGroup": 1002, "readOnlyRootFilesystem": true },
        },
    });
    namespace.edit(COINS, settings).await;
    let is_new = |d: &Deployment| d.spec.min_ready_seconds == Some(3);
    let full: Deployment = namespace
        .until("rng", "the settings have reached rng", is_new)
        .await;
    let full = json!(full);
    let pod = &full["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "regcred" }]));
    assert_eq!(
        pod["tolerations"],
        json!([{ "key": "training", "operator": "Exists", "effect": "NoSchedule" }])
    );
    assert_eq!(
        pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
            [0],
        json!({ "matchExpressions": [{ "key": "training", "operator": "Exists" }] })
    );
    assert_eq!(
        container["resources"],
        json!({ "requests": { "cpu": "500m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } })
    );
    assert_eq!(
        container["env"],
        json!([{ "name": "A", "value": "1" }, { "name": "B" }])
    );
    assert_eq!(
        full["spec"]["template"]["metadata"]["labels"]["team"],
        "blue"
    );
    assert_eq!(full["spec"]["template"]["metadata"]["labels"]["app"], "rng");
    assert_eq!(
        full["spec"]["template"]["metadata"]["annotations"],
        json!({ "note": "hello" })
    );
    assert_eq!(
        full["spec"]["strategy"],
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": "0%" } })
    );
    assert_eq!(full["spec"]["progressDeadlineSeconds"], 60);
    assert_eq!(full["spec"]["revisionHistoryLimit"], 2);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let user = &pod["securityContext"];
    assert_eq!(
        (&user["runAsUser"], &user["runAsGroup"], &user["fsGroup"]),
        (&json!(1000), &json!(1001), &json!(1002))
    );

    let nothing =
        json!({ "imagePullSecrets": null, "tolerations": null, "affinity": null, "rng": null });
    namespace.edit(COINS, nothing).await;
    let is_back = |d: &Deployment| {
        d.spec
            .template
            .spec
            .as_ref()
            .is_some_and(|pod| pod.affinity.is_none())
    };
    let back: Deployment = namespace
        .until("rng", "the settings are gone from rng", is_back)
        .await;
    let mut back = without_hash(back);
    // Nobody's: the API server filled it in, and only a new Deployment would have the default again.
    for value in [&mut back, &mut bare.clone()] {
        value["spec"]["strategy"].take();
    }
    let mut bare = bare;
    bare["spec"]["strategy"].take();
    assert_eq!(back, bare);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn image_is_pinned_to_the_digest_of_the_index() {
    let namespace = Namespace::new("index").await;
    let images = namespace.push_images().await;
    let digest = images.push("rng", "v0.1", "for two platforms").await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    let rng: Deployment = namespace
        .until("rng", "rng is there", |_: &Deployment| true)
        .await;
    assert_eq!(image_of(&rng), images.pinned("rng", "v0.1", &digest));
    let container = &json!(rng)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    let told = component(&coins, "rng");
    assert_eq!(told.image.as_deref(), Some(&*images.name("rng", "v0.1")));
    assert_eq!(told.digest.as_deref(), Some(&*digest.to_string()));
    assert_eq!(
        told.pinned.as_deref(),
        Some(&*images.pinned("rng", "v0.1", &digest))
    );
}

fn labels<K: Resource>(object: &K) -> serde_json::Value {
    json!(object.labels())
}

fn wanted_labels(component: &str) -> serde_json::Value {
    json!({
        "app": component,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": COINS,
        "app.kubernetes.io/managed-by": "dockercoins-operator",
        "app.kubernetes.io/name": "dockercoins",
        "app.kubernetes.io/part-of": "dockercoins",
    })
}

pub fn is_owned_by<K: Resource>(object: &K, uid: &str) -> bool {
    object
        .owner_references()
        .iter()
        .any(|owner| owner.uid == uid)
}

/// A Deployment as it is meant, without what changes by itself.
fn without_hash(deployment: Deployment) -> serde_json::Value {
    let mut value = json!(deployment);
    value["metadata"] = json!({ "name": deployment.name_any(), "labels": deployment.labels() });
    value.as_object_mut().expect("an object").remove("status");
    value
}
