//! The kinds of children, in one list. A new kind is a file in this folder and a line in the macro `kinds!`.
//!
//! Each file says which objects a resource asks for, what must precede an apply, what of a live object is kept, and which
//! field of the resource owns which field of the object.
//!
//! Pure, and infallible: [`crate::dockercoins::desired`] has made sure that the spec is valid. The objects hold only the fields
//! that the operator owns, without the API server's defaults.

mod deployment;
mod endpoint_slice;
mod horizontal_pod_autoscaler;
mod http_route;
mod ingress;
mod network_policy;
mod persistent_volume_claim;
mod pod_disruption_budget;
mod service;

pub use k8s_openapi::api::apps::v1::Deployment;
pub use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
pub use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
pub use k8s_openapi::api::discovery::v1::EndpointSlice;
pub use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
pub use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::core::ApiResource;
use serde_json::Value;

use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
pub use crate::dockercoins::gateway::HTTPRoute;
use crate::dockercoins::images::ImageSet;
use crate::dockercoins::metadata::with_hash;
use crate::runtime::cache::Cache;
use crate::runtime::child::Child;
use crate::runtime::compare::to_value;
use crate::runtime::field_path::FieldPath;
use crate::runtime::object_key::ObjectKey;

/// Hands the list of kinds to the macro `$then`, in the order in which they are written: a pod finds its claim and its
/// Services, and a policy closes pods before they run.
macro_rules! kinds {
    ($then:ident $($arguments:tt)*) => {
        $then! { [$($arguments)*]
            claims PersistentVolumeClaim;
            services Service;
            endpoint_slices EndpointSlice;
            policies NetworkPolicy;
            deployments Deployment;
            budgets PodDisruptionBudget;
            autoscalers HorizontalPodAutoscaler;
            ingresses Ingress;
            routes HTTPRoute;
        }
    };
}
pub(crate) use kinds;

/// Runs a block for each kind `K`: `for_each_kind!(K => { … })`.
macro_rules! for_each_kind {
    ($kind:ident => $body:block) => {
        $crate::dockercoins::kinds::kinds!(each_kind $kind $body)
    };
}
macro_rules! each_kind {
    ([$kind:ident $body:block] $($field:ident $K:ident;)*) => {
        $({ type $kind = $crate::dockercoins::kinds::$K; $body })*
    };
}
/// The same from the last kind to the first: what is written first is deleted last.
macro_rules! for_each_kind_in_reverse {
    ($kind:ident => $body:block) => {
        $crate::dockercoins::kinds::kinds!(each_kind_in_reverse $kind $body)
    };
}
macro_rules! each_kind_in_reverse {
    ([$kind:ident $body:block] $first:ident $K:ident; $($rest:tt)*) => {
        each_kind_in_reverse! { [$kind $body] $($rest)* }
        { type $kind = $crate::dockercoins::kinds::$K; $body }
    };
    ([$kind:ident $body:block]) => {};
}
pub(crate) use {each_kind, each_kind_in_reverse, for_each_kind, for_each_kind_in_reverse};

macro_rules! containers {
    ([] $($field:ident $K:ident;)*) => {
        /// The objects of one DockerCoins.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Plan {
            $(#[doc = concat!("Of the kind ", stringify!($K), ".")] pub $field: Vec<$K>,)*
        }

        /// Plans the children of a resource.
        pub fn plan(desired: &Desired, images: Option<&ImageSet>) -> Plan {
            Plan {
                $($field: $K::plan(desired, images).into_iter().map(with_hash).collect(),)*
            }
        }

        /// What was seen of each kind.
        #[derive(Default)]
        pub struct Caches {
            $(#[doc = concat!("Of the kind ", stringify!($K), ".")] pub $field: Cache<$K>,)*
        }

        $(impl Listed for $K {
            fn planned(plan: &Plan) -> &[Self] {
                &plan.$field
            }

            fn cache(caches: &Caches) -> &Cache<Self> {
                &caches.$field
            }
        })*
    };
}
kinds!(containers);

/// A kind in the list.
pub trait Listed: Child {
    /// The objects of this kind in a plan.
    fn planned(plan: &Plan) -> &[Self];

    /// What was seen of this kind.
    fn cache(caches: &Caches) -> &Cache<Self>;
}

/// A kind of child.
pub trait Kind: Listed {
    /// Whether every resource has objects of this kind. Nothing is done before they are listed. The other kinds may be
    /// missing in a cluster, or in the operator's role.
    const IS_REQUIRED: bool = false;

    /// The objects of this kind that a resource asks for. Without images there are no Deployments.
    fn plan(desired: &Desired, images: Option<&ImageSet>) -> Vec<Self>;

    /// Whether a resource wants an object of this name, and so does not delete it.
    fn is_wanted(_desired: &Desired, plan: &Plan, name: &str) -> bool {
        let mut planned = Self::planned(plan).iter();
        planned.any(|object| object.name_any() == name)
    }

    /// The object that must exist as ours before this one is applied.
    fn needs(_plan: &Plan, _name: &str) -> Option<ObjectKey> {
        None
    }

    /// Whether a field decides what runs, or who may reach it: an image, a selector, a security setting.
    fn is_critical(_path: &FieldPath) -> bool {
        false
    }

    /// The field of the resource that decides a field of the object; `None` if the operator decides it.
    fn owning_field(desired: &Desired, name: &str, path: &FieldPath) -> Option<FieldPath>;
}

impl Plan {
    /// All objects as they are sent, in the order in which they are written.
    pub fn objects(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        for_each_kind!(K => { objects.extend(K::planned(self).iter().map(to_value)); });
        objects
    }

    /// Every kind of which a plan may have objects.
    pub fn kinds() -> Vec<ApiResource> {
        let mut kinds = Vec::new();
        for_each_kind!(K => { kinds.push(ApiResource::erase::<K>(&())); });
        kinds
    }
}

/// A field of one component in the resource, such as `spec.worker.replicas`.
fn component_field(name: &str, field: &str) -> FieldPath {
    FieldPath::fields(["spec", name, field])
}

/// Whether an object concerns the operator: it has a component's name, or a DockerCoins controls it.
pub fn is_of_interest<K: kube::Resource>(object: &K) -> bool {
    let name = object.meta().name.as_deref();
    name.is_some_and(|name| Component::named(name).is_some())
        || object
            .owner_references()
            .iter()
            .any(|owner| owner.kind == "DockerCoins" && owner.controller == Some(true))
}

#[cfg(test)]
mod tests;
