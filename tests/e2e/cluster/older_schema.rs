//! Resources that were stored under another schema. The tests use an API server of their own, whose CRD accepts
//! anything.

use dockercoins_operator::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Patch;
use serde_json::{Value, json};

use crate::support::coins::{message_of, nine, reasons};
use crate::support::namespace::{COINS, install_crd};
use crate::support::registry::Images;
use crate::support::{Namespace, Operator, OwnCluster, Registry, until};

/// The CRD with a schema that takes everything and fills in nothing.
fn loose_crd() -> CustomResourceDefinition {
    let mut crd = json!(api::crd());
    let version = &mut crd["spec"]["versions"][0];
    // It wants a number of replicas.
    version["subresources"] = json!({ "status": {} });
    let schema = &mut version["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"] =
        json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    schema
        .as_object_mut()
        .expect("a schema is an object")
        .remove("x-kubernetes-validations");
    serde_json::from_value(crd).unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn undecodable_resource_is_reported_and_slows_no_other() {
    let cluster = OwnCluster::start().await;
    let client = cluster.client().await;
    install_crd(&client, &loose_crd()).await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let unreadable = Namespace::of(client.clone(), "unreadable").await;
    let invalid = Namespace::of(client.clone(), "invalid").await;
    let healthy = Namespace::of(client.clone(), "healthy").await;

    create_raw(
        &unreadable,
        &images,
        json!({ "worker": { "replicas": "many" } }),
    )
    .await;
    create_raw(
        &invalid,
        &images,
        json!({ "worker": { "image": "a/b:c", "tag": "v1" }, "redis": { "replicas": 2 } }),
    )
    .await;
    let _operator = Operator::start_at(&cluster.account(None));
    create_raw(&healthy, &images, json!({})).await;
    healthy.until_children(&nine()).await;
    healthy.run_pods(COINS).await;

    let told = until_raw_told(&unreadable, "InvalidSpec").await;
    let types: Vec<(&str, &str)> = told
        .iter()
        .map(|c| (c["type"].as_str().unwrap(), c["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        types,
        [
            ("Ready", "False"),
            ("ImagesResolved", "Unknown"),
            ("Stalled", "True")
        ]
    );
    let message = told[2]["message"].as_str().unwrap();
    assert!(
        message.starts_with("the resource cannot be read: "),
        "{message}"
    );
    assert!(message.contains("many"), "{message}");

    let coins = invalid
        .until_told(COINS, "Ready", "False", "InvalidSpec")
        .await;
    assert_eq!(
        message_of(&coins, "Stalled"),
        "spec.redis.replicas: two Redis pods would each keep their own counters: set 0 or 1, or remove replicas; \
         spec.worker.image: image and tag exclude each other: put the tag into image, or remove image"
    );
    for namespace in [&unreadable, &invalid] {
        assert_eq!(namespace.children().await, Default::default());
    }

    // Another state of the resource that can't be read either is told as such, and since when it is so.
    let other = json!({ "spec": { "worker": { "revisionHistoryLimit": 9 } } });
    unreadable.patch_raw(COINS, other).await;
    until("the new generation is told", async || {
        let coins = unreadable.raw_coins().get(COINS).await;
        let now = coins.map_err(|error| error.to_string())?.data["status"].clone();
        let since = |conditions: &[Value]| -> Vec<Value> {
            let since = conditions.iter().map(|c| c["lastTransitionTime"].clone());
            since.collect()
        };
        let conditions = now["conditions"].as_array().cloned().unwrap_or_default();
        match now["observedGeneration"] == json!(2) && since(&conditions) == since(&told) {
            true => Ok(()),
            false => Err(now.to_string()),
        }
    })
    .await;

    unreadable
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    invalid
        .edit(
            COINS,
            json!({ "worker": null, "redis": { "replicas": null } }),
        )
        .await;
    for namespace in [&unreadable, &invalid] {
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

    // One that was served, and then became unreadable, keeps what it has.
    unreadable
        .patch_raw(
            COINS,
            json!({ "spec": { "worker": { "replicas": "none" } } }),
        )
        .await;
    until_raw_told(&unreadable, "InvalidSpec").await;
    assert_eq!(unreadable.children().await, nine());
    unreadable
        .edit(COINS, json!({ "worker": { "replicas": 3 } }))
        .await;
    unreadable.run_pods(COINS).await;
}

/// The CRD of an operator that remembered less.
fn older_crd() -> CustomResourceDefinition {
    let mut crd = json!(api::crd());
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let component = &mut schema["properties"]["status"]["properties"]["components"]["items"];
    let fields = component["properties"].as_object_mut().unwrap();
    assert!(fields.remove("digest").is_some());
    serde_json::from_value(crd).unwrap()
}

/// The CRD of an operator that knows a field more.
fn newer_crd() -> CustomResourceDefinition {
    let mut crd = json!(api::crd());
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let worker = &mut schema["properties"]["spec"]["properties"]["worker"];
    worker["properties"]["flavour"] = json!({ "type": "string" });
    serde_json::from_value(crd).unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_or_wrong_crd_is_reported_until_it_is_fixed() {
    let cluster = OwnCluster::start().await;
    let client = cluster.client().await;
    let operator = Operator::start_at(&cluster.account(None));
    let absent = "the cluster serves no DockerCoins: install the CRD";
    operator.until_logged(absent).await;

    install_crd(&client, &older_crd()).await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let namespace = Namespace::of(client.clone(), "versions").await;
    create_raw(&namespace, &images, json!({})).await;
    let coins = namespace
        .until_told(COINS, "Stalled", "True", "OutdatedCRD")
        .await;
    let told = message_of(&coins, "Stalled");
    let dropped =
        "the cluster's CRD is older than this operator and drops status.components[].digest";
    assert!(told.starts_with(dropped), "{told}");
    assert_eq!(namespace.children().await, Default::default());
    assert_eq!(
        operator.log().matches(&format!("WARN {absent}")).count(),
        1,
        "{}",
        operator.log()
    );

    install_crd(&client, &newer_crd()).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    namespace
        .edit(
            COINS,
            json!({ "worker": { "flavour": "vanilla", "replicas": 2 } }),
        )
        .await;
    let note = namespace.until_event("UnknownField", |_| true).await;
    assert_eq!(
        note,
        "this operator is older than the cluster's CRD and ignores spec.worker.flavour. Upgrade the operator, or remove \
         these fields"
    );
    namespace.run_pods(COINS).await;
    drop(operator);

    // What can't be read is read by its conditions alone, and that takes a permission of its own.
    install_crd(&client, &loose_crd()).await;
    let lacks = "get dockercoins.dockercoins.dev";
    let operator = Operator::start_at(&cluster.account(Some(lacks)));
    let unreadable = Patch::Merge(json!({ "spec": { "worker": { "replicas": "many" } } }));
    let coins = namespace.raw_coins();
    // What the CRD allows counts a moment after it was written.
    until("it is taken", async || {
        coins.patch(COINS, &Default::default(), &unreadable).await
    })
    .await;
    operator
        .until_logged(r#"cannot get resource "dockercoins""#)
        .await;
    cluster.account(None);
    until_raw_told(&namespace, "InvalidSpec").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn downgraded_crd_stops_rollouts() {
    let cluster = OwnCluster::start().await;
    let client = cluster.client().await;
    install_crd(&client, &api::crd()).await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let namespace = Namespace::of(client.clone(), "older").await;
    let operator = Operator::start_at(&cluster.account(None));
    create_raw(&namespace, &images, json!({})).await;
    namespace.run_pods(COINS).await;
    let before = namespace.image("rng").await;

    install_crd(&client, &older_crd()).await;
    until("digests are dropped", async || {
        let coins = namespace.raw_coins().get(COINS).await;
        let status = coins.map_err(|error| error.to_string())?.data["status"].clone();
        match status.to_string().contains("\"digest\"") {
            true => Err(status.to_string()),
            false => Ok(()),
        }
    })
    .await;
    let moved = images.push("rng", "v0.1", "moved").await;
    // It is woken again and again, and asks each time.
    for time in ["1", "2", "3"] {
        let asks =
            json!({ "metadata": { "annotations": { "dockercoins.dev/requestedAt": time } } });
        namespace.patch_raw(COINS, asks).await;
        namespace
            .until_coins(COINS, "the request is done", |coins| {
                let status = coins.status.as_ref().unwrap();
                status.last_handled_requested_at.as_deref() == Some(time)
            })
            .await;
        let coins = namespace
            .until_told(COINS, "Stalled", "True", "OutdatedCRD")
            .await;
        assert_eq!(reasons(&coins)[0], ("Ready", "False", "OutdatedCRD"));
    }
    assert_eq!(namespace.image("rng").await, before);
    for reason in ["OutdatedCRD", "Pinned"] {
        let told = namespace.notes(reason).await;
        assert_eq!(told.len(), 1, "{reason}: {told:#?}");
    }
    let log = operator.log();
    let writes = log
        .matches("asking the API server to write the status")
        .count();
    assert!(writes < 30, "{writes} writes of the status:\n{log}");

    install_crd(&client, &api::crd()).await;
    let image = images.pinned("rng", "v0.1", &moved);
    namespace.until_image("rng", &image).await;
}

async fn create_raw(namespace: &Namespace, images: &Images, settings: Value) {
    let coins = crate::support::namespace::resource(COINS, images.spec_with(settings));
    let coins = serde_json::from_value(coins).unwrap();
    namespace
        .raw_coins()
        .create(&Default::default(), &coins)
        .await
        .unwrap();
}

/// Waits until a resource that this test can't read either has been told off, and gives its conditions.
async fn until_raw_told(namespace: &Namespace, reason: &str) -> Vec<Value> {
    until(&format!("the resource is told {reason}"), async || {
        let coins = namespace
            .raw_coins()
            .get(COINS)
            .await
            .map_err(|error| error.to_string())?;
        let conditions = coins.data["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_told = conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["reason"] == reason);
        if is_told {
            Ok(conditions)
        } else {
            Err(json!(conditions).to_string())
        }
    })
    .await
}
