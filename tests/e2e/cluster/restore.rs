//! Restoring from a backup, as `docs/operations.md` describes it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::coins::{component, nine};
use crate::support::namespace::COINS;
use crate::support::registry::{Images, Registry};
use crate::support::{Namespace, Operator};

/// A namespace with a resource whose tag has moved since it was pinned, the backup of it, and the pin.
async fn backed_up(subject: &str) -> (Namespace, Operator, Registry, Images, Value, String) {
    let namespace = Namespace::new(subject).await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    let coins = namespace.run_pods(COINS).await;
    let pinned = component(&coins, "rng").pinned.clone().unwrap();
    images.push("rng", "v0.1", "moved since").await;
    let saved = namespace
        .kubectl(&["get", "coins", COINS, "-o", "json"])
        .await;
    (
        namespace,
        operator,
        registry,
        images,
        serde_json::from_str(&saved).unwrap(),
        pinned,
    )
}

/// Deletes the resource, and waits until all that it owned has gone after it.
async fn lose(namespace: &Namespace) {
    namespace
        .kubectl(&["delete", "coins", COINS, "--wait=false"])
        .await;
    namespace.until_children(&BTreeSet::new()).await;
}

async fn apply(namespace: &Namespace, object: &Value) {
    let said = namespace
        .try_kubectl(&["apply", "--filename=-"], &object.to_string())
        .await;
    assert!(said.success, "{}", said.err);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn restore_without_status_resolves_tags_anew() {
    let (namespace, _operator, _registry, images, saved, pinned) = backed_up("restored").await;
    lose(&namespace).await;
    apply(&namespace, &saved).await;
    namespace.until_children(&nine()).await;
    let image = namespace.image("rng").await;
    assert_ne!(image, pinned);
    assert!(
        image.starts_with(&images.name("rng", "v0.1@sha256:")),
        "{image}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn restore_with_components_keeps_the_digests() {
    let (namespace, _operator, registry, _images, saved, pinned) = backed_up("restored-pins").await;
    lose(&namespace).await;
    let before = registry.questions();
    let mut suspended = saved.clone();
    suspended["spec"]["suspend"] = json!(true);
    apply(&namespace, &suspended).await;
    let status = json!({ "status": { "components": saved["status"]["components"] } }).to_string();
    let patch = [
        "patch",
        "coins",
        COINS,
        "--subresource=status",
        "--type=merge",
        "--patch",
        &status,
    ];
    namespace.kubectl(&patch).await;
    let resume = [
        "patch",
        "coins",
        COINS,
        "--type=merge",
        "--patch",
        r#"{"spec":{"suspend":false}}"#,
    ];
    namespace.kubectl(&resume).await;
    namespace.until_children(&nine()).await;
    assert_eq!(namespace.image("rng").await, pinned);
    assert_eq!(registry.questions(), before);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn standby_reports_a_missing_namespace() {
    let some = Namespace::new("standby-absent").await;
    let name = some.name.replace("standby", "no");
    let free = json!({ "metadata": { "name": "dockercoins-operator" }, "spec": {
        "holderIdentity": "someone",
        "leaseDurationSeconds": 3600,
        "renewTime": format!("{:.6}", k8s_openapi::jiff::Timestamp::now()),
    } });
    some.make::<k8s_openapi::api::coordination::v1::Lease>(free)
        .await;
    let account = crate::support::kubectl::kubeconfig(None, &[], None);
    let options = ["--namespace", &name];
    let operator = Operator::start_replica(&some, "a", account.path(), &options);
    let told = format!("namespace {name} does not exist: create it, or fix --namespace");
    operator.until_logged(&told).await;
    assert!(
        !operator
            .log()
            .contains("leading: this replica holds the Lease")
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_namespace_is_served_once_created() {
    let some = Namespace::new("exists").await;
    let images = some.push_images().await;
    let name = some.name.replace("exists", "absent");
    let operator = Operator::start_with(
        &[&some],
        &[
            "--allow-registry-network",
            "127.0.0.0/8",
            "--namespace",
            &name,
        ],
    );
    let told = format!("namespace {name} does not exist: create it, or fix --namespace");
    operator.until_logged(&told).await;
    some.create(COINS, &images, json!({})).await;
    some.until_children(&nine()).await;

    some.kubectl(&["create", "namespace", &name]).await;
    let absent = Namespace {
        name,
        client: some.client.clone(),
    };
    absent.create(COINS, &images, json!({})).await;
    absent.until_children(&nine()).await;
    assert_eq!(
        operator.log().matches(" does not exist: create it").count(),
        1
    );
}
