//! Alerts about resources, and about the operator's permissions.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::{Watched, ask_again, change, role, wait};
use crate::support::Namespace;
use crate::support::coins::nine;
use crate::support::kubectl::kubeconfig;
use crate::support::namespace::COINS;

/// What an operator may do with Deployments.
const ALL: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_tag_fires_until_it_is_pushed() {
    let namespace = Namespace::new("alert-tag").await;
    let images = namespace.push_images().await;
    let watched = Watched::start(&[&namespace], &[]).await;
    namespace
        .create(COINS, &images, json!({ "tag": "v0.2" }))
        .await;
    let reason = [("reason", "NotFoundOrNoAccess")];
    let prometheus = &watched.prometheus;
    prometheus
        .until_firing("DockerCoinsResourceNotReady", &reason, wait)
        .await;
    let of_registry = prometheus.alerts("DockerCoinsRegistryFailing", &[]).await;
    assert_eq!(of_registry, Vec::<Value>::new(), "the registry is well");
    images.push_tag("v0.2").await;
    ask_again(&namespace).await;
    prometheus
        .until_quiet("DockerCoinsResourceNotReady", &reason)
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn drift_fight_fires_until_it_ends() {
    let namespace = Namespace::new("alert-fight").await;
    let images = namespace.push_images().await;
    let watched = Watched::start(&[&namespace], &[]).await;
    namespace
        .create(COINS, &images, json!({ "rng": { "replicas": 2 } }))
        .await;
    namespace.until_children(&nine()).await;
    let scale = async || {
        let change = json!({ "spec": { "replicas": 5 } });
        namespace.patch::<Deployment>("rng", change).await;
    };
    watched
        .prometheus
        .until_firing("DockerCoinsContended", &[], scale)
        .await;
    watched
        .prometheus
        .until_quiet("DockerCoinsContended", &[])
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_permission_fires_until_it_is_granted() {
    let namespace = Namespace::new("alert-forbidden").await;
    let user = format!("operator-of-{}", namespace.name);
    role(&namespace, &user, &["get", "list", "watch"]).await;
    let config = kubeconfig(Some(&user), &[], None);
    let watched = Watched::start_by(&config, &[&namespace], &[]).await;
    let images = namespace.push_images().await;
    namespace.create(COINS, &images, json!({})).await;
    let labels = [("kind", "Deployment"), ("verb", "apply")];
    let again = async || change(&namespace).await;
    watched
        .prometheus
        .until_firing("DockerCoinsWritesForbidden", &labels, again)
        .await;
    role(&namespace, &user, &ALL).await;
    watched
        .prometheus
        .until_quiet("DockerCoinsWritesForbidden", &[])
        .await;
    // After so many failures it would wait for minutes.
    change(&namespace).await;
    namespace.until_children(&nine()).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn failing_watch_fires_until_it_works() {
    let namespace = Namespace::new("alert-watch").await;
    let user = format!("operator-of-{}", namespace.name);
    role(&namespace, &user, &["create", "patch"]).await;
    let config = kubeconfig(Some(&user), &[], None);
    let watched = Watched::start_by(&config, &[&namespace], &[]).await;
    let kind = [("kind", "Deployment")];
    watched
        .prometheus
        .until_firing("DockerCoinsWatchFailing", &kind, wait)
        .await;
    let other = watched
        .prometheus
        .alerts("DockerCoinsWatchFailing", &[("kind", "Service")])
        .await;
    assert_eq!(other, Vec::<Value>::new(), "Services are watched");
    role(&namespace, &user, &ALL).await;
    watched
        .prometheus
        .until_quiet("DockerCoinsWatchFailing", &[])
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn refused_status_fires_until_it_is_accepted() {
    let namespace = Namespace::new("alert-status").await;
    let images = namespace.push_images().await;
    let watched = Watched::start(&[&namespace], &[]).await;
    namespace.create(COINS, &images, json!({})).await;
    let name = &namespace.name;
    let policy = json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                    "resourceRules": [{
                        "apiGroups": ["dockercoins.dev"], "apiVersions": ["*"],
                        "operations": ["UPDATE"], "resources": ["dockercoins/status"],
                    }],
                },
                "validations": [{ "expression": "false", "message": "no status today" }],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        },
    ] })
    .to_string();
    let applied = namespace.try_kubectl(&["apply", "-f", "-"], &policy).await;
    assert!(applied.success, "{}", applied.err);
    let result = [("result", "error")];
    let again = async || change(&namespace).await;
    watched
        .prometheus
        .until_firing("DockerCoinsStatusNotWritten", &result, again)
        .await;
    assert!(
        watched
            .operator
            .log()
            .contains("the status could not be written")
    );
    let deleted = namespace.try_kubectl(&["delete", "-f", "-"], &policy).await;
    assert!(deleted.success, "{}", deleted.err);
    watched
        .prometheus
        .until_quiet("DockerCoinsStatusNotWritten", &[])
        .await;
}
