//! Two DockerCoins in one namespace.

use std::collections::BTreeSet;

use dockercoins_operator::api::DockerCoins;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::children::is_owned_by;
use crate::support::coins::{message_of, nine, reasons};
use crate::support::namespace::COINS;
use crate::support::{COMPONENTS, Namespace, Operator, SERVED, begin};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn second_resource_waits_for_the_first_to_go() {
    let namespace = Namespace::new("second").await;
    let images = namespace.push_images().await;
    let _operator = Operator::start(&namespace);
    let first = namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    let second = namespace.create("second", &images, json!({})).await;
    let told = namespace
        .until_told("second", "Ready", "False", "NamesHeld")
        .await;
    assert_eq!(
        reasons(&told),
        [
            ("Ready", "False", "NamesHeld"),
            ("ImagesResolved", "Unknown", "NamesHeld"),
            ("Stalled", "True", "NamesHeld")
        ]
    );
    assert_eq!(
        message_of(&told, "Ready"),
        "DockerCoins dockercoins already has the names hasher, redis, rng, webui and worker in this namespace: \
         delete one of the two, or move this one to another namespace"
    );
    assert_eq!(owners(&namespace).await, [first.uid().unwrap()].into());

    namespace.delete::<DockerCoins>(COINS).await;
    namespace
        .until_told("second", "Ready", "False", "RolloutInProgress")
        .await;
    // The first's are there until the garbage collector has been.
    let uid = second.uid().unwrap();
    for name in COMPONENTS {
        namespace
            .until(name, "the Deployment is the second's", |d: &Deployment| {
                is_owned_by(d, &uid)
            })
            .await;
    }
    for name in SERVED {
        namespace
            .until(name, "the Service is the second's", |s: &Service| {
                is_owned_by(s, &uid)
            })
            .await;
    }
    assert_eq!(owners(&namespace).await, [uid].into());
    let coins = namespace.run_pods("second").await;
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
async fn owner_of_the_objects_wins_over_the_older_resource() {
    let namespace = Namespace::new("holder").await;
    let images = namespace.push_images().await;
    // The older one can't have anything while its spec asks for a registry that isn't there.
    let operator = Operator::start(&namespace);
    let old = namespace.create("a-holder", &images, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace.create("b-other", &images, json!({})).await;
    namespace
        .until_told("b-other", "Ready", "False", "NamesHeld")
        .await;
    drop(operator);

    // After a restart it is found in what is there.
    let _operator = Operator::start(&namespace);
    namespace
        .edit("a-holder", json!({ "worker": { "replicas": 2 } }))
        .await;
    let two = |d: &Deployment| d.spec.replicas == Some(2);
    namespace
        .until("worker", "the holder's change has come through", two)
        .await;
    assert_eq!(owners(&namespace).await, [old.uid().unwrap()].into());
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn deleting_the_second_resource_leaves_the_first_alone() {
    let (namespace, images, _operator) = begin("second-gone", json!({})).await;
    namespace.run_pods(COINS).await;
    let before: Deployment = namespace.get("rng").await;
    namespace.create("second", &images, json!({})).await;
    namespace
        .until_told("second", "Ready", "False", "NamesHeld")
        .await;
    namespace.delete::<DockerCoins>("second").await;
    // The first still answers, and nothing of it has moved.
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    namespace
        .until("worker", "the first is served", |d: &Deployment| {
            d.spec.replicas == Some(2)
        })
        .await;
    let after: Deployment = namespace.get("rng").await;
    assert_eq!(
        (after.uid(), after.meta().generation),
        (before.uid(), before.meta().generation)
    );
    assert_eq!(namespace.children().await, nine());
}

/// The uids of those who control the nine objects.
async fn owners(namespace: &Namespace) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    for name in COMPONENTS {
        owners.extend(
            namespace
                .get::<Deployment>(name)
                .await
                .owner_references()
                .iter()
                .map(|o| o.uid.clone()),
        );
    }
    for name in SERVED {
        owners.extend(
            namespace
                .get::<Service>(name)
                .await
                .owner_references()
                .iter()
                .map(|o| o.uid.clone()),
        );
    }
    owners
}
