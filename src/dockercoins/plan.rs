//! The objects that a DockerCoins consists of, as they are sent to the API server.
//!
//! Pure, and it can't fail: what is wrong with a spec was found in [`crate::dockercoins::desired`]. Only the fields that
//! we mean are in the objects; the API server's defaults, and what others write beside us, stay out.

mod closed;
mod deployment;
mod entry;
mod service;
mod several;
mod store;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::api::GROUP;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Store};
use crate::dockercoins::images::ImageSet;
pub use crate::dockercoins::kinds::Plan;
use crate::runtime::names::{APPLIED_HASH, MANAGER};

/// What `kubectl apply` keeps of an object that it wrote. It wrote the resource, not its children, so that it would
/// be untrue there.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The objects for what is wanted, with the images that are to run.
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
    let (claim, slice) = match &desired.store {
        Store::Memory => (None, None),
        Store::Volume(wanted) => (Some(store::claim(desired, wanted)), None),
        Store::Elsewhere(redis) => (None, store::endpoint_slice(desired, redis)),
    };
    let policies = desired
        .running()
        .filter(|_| desired.is_closed)
        .map(|wanted| closed::policy(desired, wanted.component));
    let budgets = desired
        .running()
        .filter(|wanted| wanted.is_several())
        .map(|wanted| several::budget(desired, wanted.component));
    let autoscalers = desired.running().filter_map(|wanted| {
        let scaling = wanted.scaling?;
        Some(several::autoscaler(desired, wanted.component, scaling))
    });
    let ingress = desired.ingress.as_ref();
    let ingress = ingress.map(|wanted| entry::ingress(desired, wanted));
    let route = desired.http_route.as_ref();
    let route = route.map(|wanted| entry::route(desired, wanted));
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

/// The annotations that the resource gives to one of its objects, without those that others must be able to trust.
fn users_annotations(written: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut annotations = written.clone();
    annotations.retain(|key, _| !is_own_annotation(key) && key != LAST_APPLIED);
    annotations
}

/// Name, place, labels and owner of a component's object.
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

/// The labels of everything that belongs to a component. `app` is what DockerCoins' manifests have always
/// used; the others are the ones that Kubernetes recommends.
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

/// What selects a component's pods. It can't be changed once a Deployment exists, and pods that others run
/// with this label join the Service, as the course's DaemonSet does.
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

/// Whether an annotation key is the operator's own.
pub fn is_own_annotation(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(prefix, _)| prefix == GROUP)
}

#[cfg(test)]
mod tests;
