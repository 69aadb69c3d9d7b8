//! What the runtime must know of a kind of object that a controller writes.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::field_path::{compact, is_applied};

/// A kind of object that a controller writes.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The one name under which it is written, if there is only one: then only this name is watched.
    const NAME: Option<&'static str> = None;

    /// The writes that must go before `self` is applied over `live`, where server-side apply alone is not enough.
    fn prerequisites(&self, _live: &Self) -> Vec<Prerequisite> {
        Vec::new()
    }

    /// Removes the status, if no decision needs it.
    fn drop_status(&mut self) {}
}

/// A write that goes before an apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Prerequisite {
    /// Why it is needed.
    pub why: &'static str,
    /// What is sent.
    pub patch: Patch,
}

/// The body of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// A server-side apply by the release manager.
    Apply(Value),
    /// A merge patch.
    Merge(Value),
}

/// Removes from an object what no decision needs, before it is cached.
///
/// `managedFields` stay, since they name who changed a field; the operator's own are kept as text.
pub fn slim<K: Resource>(object: &mut K) {
    object
        .annotations_mut()
        .remove("kubectl.kubernetes.io/last-applied-configuration");
    let records = object.managed_fields_mut();
    records.retain(|record| record.subresource.as_deref() != Some("status"));
    for record in records.iter_mut().filter(|record| is_applied(record)) {
        compact(record);
    }
}

/// Removes from a child what no decision needs.
pub fn slim_child<K: Child>(object: &mut K) {
    slim(object);
    object.drop_status();
}
