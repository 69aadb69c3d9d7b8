//! The children of a DockerCoins, as the operator applies them. Pure, and infallible: the spec is valid, since
//! [`crate::dockercoins::desired`] made it so.
//!
//! The objects hold only the fields that the operator owns, without the API server's defaults.

mod deployment;
mod exposure;
mod network_policy;
mod scaling;
mod service;
mod storage;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::api::GROUP;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Storage};
use crate::dockercoins::images::ImageSet;
pub use crate::dockercoins::kinds::Plan;
use crate::runtime::names::{APPLIED_HASH, MANAGER};

/// The annotation of `kubectl apply`. On a child it would be wrong, because kubectl applied the resource alone.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Plans the children of a resource. Without images there are no Deployments.
pub fn plan(desired: &Desired, images: Option<&ImageSet>) -> Plan {
    let services = Component::ALL
        .into_iter()
        .filter_map(|component| Some((component, component.port()?)))
        .map(|(component, port)| service::service(desired, component, port));
    let deployments = images.into_iter().flat_map(|images| {
        desired.running().filter_map(move |wanted| {
            let image = images[wanted.component].as_ref()?;
            Some(deployment::deployment(desired, wanted, image))
        })
    });
    let (claim, slice) = match &desired.storage {
        Storage::EmptyDir => (None, None),
        Storage::Volume(wanted) => (Some(storage::volume_claim(desired, wanted)), None),
        Storage::External(redis) => (None, storage::endpoint_slice(desired, redis)),
    };
    let policies = desired
        .running()
        .filter(|_| desired.has_network_policies)
        .map(|wanted| network_policy::network_policy(desired, wanted.component));
    let budgets = desired
        .running()
        .filter(|wanted| wanted.has_several_pods())
        .map(|wanted| scaling::disruption_budget(desired, wanted.component));
    let autoscalers = desired.running().filter_map(|wanted| {
        let scaling = wanted.scaling?;
        Some(scaling::autoscaler(desired, wanted.component, scaling))
    });
    let ingress = desired.ingress.as_ref();
    let ingress = ingress.map(|wanted| exposure::ingress(desired, wanted));
    let route = desired.http_route.as_ref();
    let route = route.map(|wanted| exposure::http_route(desired, wanted));
    Plan {
        claims: all(claim),
        services: all(services),
        endpoint_slices: all(slice),
        policies: all(policies),
        deployments: all(deployments),
        budgets: all(budgets),
        autoscalers: all(autoscalers),
        ingresses: all(ingress),
        routes: all(route),
    }
}

/// The objects of a kind, each with its hash.
fn all<K: Resource + Serialize>(objects: impl IntoIterator<Item = K>) -> Vec<K> {
    objects.into_iter().map(stamped).collect()
}

/// The annotations that the spec sets on a child, without the operator's and kubectl's own.
fn user_annotations(written: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut annotations = written.clone();
    annotations.retain(|key, _| !is_own_annotation(key) && key != LAST_APPLIED);
    annotations
}

/// The metadata of a component's object.
fn metadata(
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
fn labels(desired: &Desired, component: Component) -> BTreeMap<String, String> {
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

/// Puts the hash of what is sent into what is sent.
fn stamped<K: Resource + Serialize>(mut object: K) -> K {
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

#[cfg(test)]
mod tests;
