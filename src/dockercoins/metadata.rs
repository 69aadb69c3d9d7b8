//! What the children have in common: name, labels, owner, and the hash of what is applied. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::api::GROUP;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::runtime::names::{APPLIED_HASH, MANAGER};

/// The annotation of `kubectl apply`. On a child it would be wrong, because kubectl applied the resource alone.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The annotations that the spec sets on a child, without the operator's and kubectl's own.
pub fn user_annotations(written: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut annotations = written.clone();
    annotations.retain(|key, _| !is_own_annotation(key) && key != LAST_APPLIED);
    annotations
}

/// The metadata of a component's object.
pub fn metadata(
    desired: &Desired,
    component: Component,
    annotations: BTreeMap<String, String>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(component.name().to_owned()),
        namespace: Some(desired.namespace.clone()),
        labels: Some(labels(desired, component)),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        owner_references: Some(vec![desired.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The labels of a component's objects: `app`, as in the manifests of the DockerCoins course, and those that Kubernetes
/// recommends.
pub fn labels(desired: &Desired, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector(component);
    for (key, value) in [
        ("component", component.name()),
        ("instance", &desired.name),
        ("managed-by", MANAGER),
        ("name", "dockercoins"),
        ("part-of", "dockercoins"),
    ] {
        labels.insert(format!("app.kubernetes.io/{key}"), value.to_owned());
    }
    labels
}

/// The selector of a component's pods. A Deployment's selector is immutable. Other pods with this label join the
/// Service, such as those of the course's DaemonSet.
pub fn selector(component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), component.name().to_owned())])
}

/// Adds the annotation with the object's hash.
pub fn with_hash<K: Resource + Serialize>(mut object: K) -> K {
    let hash = Sha256::digest(serde_json::to_vec(&object).expect("a Kubernetes object is JSON"));
    let hash: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    object
        .meta_mut()
        .annotations
        .get_or_insert_default()
        .insert(APPLIED_HASH.to_owned(), hash);
    object
}

/// Whether the operator defines this annotation.
pub fn is_own_annotation(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(prefix, _)| prefix == GROUP)
}
