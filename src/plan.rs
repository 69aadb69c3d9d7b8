//! The objects that a DockerCoins consists of, as they are sent to the API server.
//!
//! Pure, and it can't fail: what is wrong with a spec was found in [`crate::desired`]. Only the fields that
//! we mean are in the objects; the API server's defaults, and what others write beside us, stay out.

mod deployment;
mod service;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::ApiResource;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::GROUP;
use crate::component::Component;
use crate::desired::Desired;

/// The name under which the operator writes, and the value of the `app.kubernetes.io/managed-by` label.
pub const MANAGER: &str = "dockercoins-operator";

/// The annotation that keeps a hash of what was last written to an object. It tells a change of the resource
/// from a change that someone else made to the object.
pub const APPLIED: &str = "dockercoins.dev/applied";

/// The annotation by which an object that isn't ours is handed over to the resource that it names.
pub const ADOPT: &str = "dockercoins.dev/adopt";

/// All objects of one DockerCoins.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One Service for each component that listens.
    pub services: Vec<Service>,
    /// One Deployment for each component; `None` while there are no images to run, which leaves those that
    /// exist alone.
    pub deployments: Option<Vec<Deployment>>,
}

impl Plan {
    /// All of its objects as they are sent, in the order in which they are written.
    pub fn objects(&self) -> Vec<Value> {
        // By name, so that a new kind does not compile before it is here, and in `kinds`.
        let Self {
            services,
            deployments,
        } = self;
        let services = services.iter().map(to_value);
        let deployments = deployments.iter().flatten().map(to_value);
        services.chain(deployments).collect()
    }

    /// Every kind of which a plan may have objects.
    pub fn kinds() -> Vec<ApiResource> {
        vec![
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<Deployment>(&()),
        ]
    }
}

fn to_value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("a Kubernetes object is JSON")
}

/// The objects for what is wanted, with the images that are to run, in the order of [`Component::ALL`].
pub fn plan(desired: &Desired, images: Option<&[String; 5]>) -> Plan {
    let services = Component::ALL
        .into_iter()
        .filter_map(|component| Some((component, component.port()?)))
        .map(|(component, port)| stamped(service::service(desired, component, port)))
        .collect();
    let deployments = images.map(|images| {
        desired
            .components
            .iter()
            .zip(images)
            .map(|(wanted, image)| stamped(deployment::deployment(desired, wanted, image)))
            .collect()
    });
    Plan {
        services,
        deployments,
    }
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
        .insert(APPLIED.to_owned(), hash);
    object
}

/// Whether an annotation key is the operator's own.
pub fn is_own_annotation(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(prefix, _)| prefix == GROUP)
}

#[cfg(test)]
mod tests;
