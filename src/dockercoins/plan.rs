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

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::ApiResource;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::GROUP;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Storage};
use crate::dockercoins::gateway::HTTPRoute;
use crate::dockercoins::images::ImageSet;

/// The operator's field manager, and the value of the `app.kubernetes.io/managed-by` label.
pub const MANAGER: &str = "dockercoins-operator";

/// The annotation with the hash of the object as last applied. It distinguishes a change of the resource from drift.
pub const APPLIED: &str = "dockercoins.dev/applied";

/// The annotation that lets the DockerCoins that it names adopt an object.
pub const ADOPT: &str = "dockercoins.dev/adopt";

/// The annotation of `kubectl apply`. On a child it would be wrong, because kubectl applied the resource alone.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// All objects of one DockerCoins: nine where nothing more is asked for, and others by the fields that ask for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The claim of a volume for the coins.
    pub claims: Vec<PersistentVolumeClaim>,
    /// One Service for each component that listens.
    pub services: Vec<Service>,
    /// The address of a Redis elsewhere.
    pub endpoint_slices: Vec<EndpointSlice>,
    /// Who may reach the pods, for each component.
    pub policies: Vec<NetworkPolicy>,
    /// One Deployment for each component that has pods; `None` while there are no images to run, which leaves those
    /// that exist alone.
    pub deployments: Option<Vec<Deployment>>,
    /// How many pods may be missing, for each component with several.
    pub budgets: Vec<PodDisruptionBudget>,
    /// Who decides how many pods there are.
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// The way to the web page through an ingress controller.
    pub ingresses: Vec<Ingress>,
    /// The way to the web page through a Gateway.
    pub routes: Vec<HTTPRoute>,
}

impl Plan {
    /// All of its objects as they are sent, in the order in which they are written.
    pub fn objects(&self) -> Vec<Value> {
        // By name, so that a new kind does not compile before it is here, and in `kinds`.
        let Self {
            claims,
            services,
            endpoint_slices,
            policies,
            deployments,
            budgets,
            autoscalers,
            ingresses,
            routes,
        } = self;
        let claims = claims.iter().map(to_value);
        claims
            .chain(services.iter().map(to_value))
            .chain(endpoint_slices.iter().map(to_value))
            .chain(policies.iter().map(to_value))
            .chain(deployments.iter().flatten().map(to_value))
            .chain(budgets.iter().map(to_value))
            .chain(autoscalers.iter().map(to_value))
            .chain(ingresses.iter().map(to_value))
            .chain(routes.iter().map(to_value))
            .collect()
    }

    /// Every kind of which a plan may have objects.
    pub fn kinds() -> Vec<ApiResource> {
        vec![
            ApiResource::erase::<PersistentVolumeClaim>(&()),
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<EndpointSlice>(&()),
            ApiResource::erase::<NetworkPolicy>(&()),
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<PodDisruptionBudget>(&()),
            ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            ApiResource::erase::<Ingress>(&()),
            ApiResource::erase::<HTTPRoute>(&()),
        ]
    }
}

/// An object as it is sent.
pub(crate) fn to_value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("a Kubernetes object is JSON")
}

/// Plans the children of a resource. Without images there are no Deployments.
pub fn plan(desired: &Desired, images: Option<&ImageSet>) -> Plan {
    let services = Component::ALL
        .into_iter()
        .filter_map(|component| Some((component, component.port()?)))
        .map(|(component, port)| service::service(desired, component, port));
    let deployments = images.map(|images| {
        let running = desired.running();
        running
            .filter_map(|wanted| {
                let image = images[wanted.component].as_ref()?;
                Some(stamped(deployment::deployment(desired, wanted, image)))
            })
            .collect()
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
        deployments,
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
        .insert(APPLIED.to_owned(), hash);
    object
}

/// Whether the operator defines this annotation.
pub fn is_own_annotation(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(prefix, _)| prefix == GROUP)
}

#[cfg(test)]
mod tests;
