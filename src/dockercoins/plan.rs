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
use crate::dockercoins::desired::{Desired, Store};
use crate::dockercoins::gateway::HTTPRoute;
use crate::dockercoins::images::ImageSet;

/// The name under which the operator writes, and the value of the `app.kubernetes.io/managed-by` label.
pub const MANAGER: &str = "dockercoins-operator";

/// The annotation that keeps a hash of what was last written to an object. It tells a change of the resource
/// from a change that someone else made to the object.
pub const APPLIED: &str = "dockercoins.dev/applied";

/// The annotation by which an object that isn't ours is handed over to the resource that it names.
pub const ADOPT: &str = "dockercoins.dev/adopt";

/// What `kubectl apply` keeps of an object that it wrote. It wrote the resource, not its children, so that it would
/// be untrue there.
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

/// The objects for what is wanted, with the images that are to run.
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
