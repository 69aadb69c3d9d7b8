//! What of an object in the cluster matters for deciding what to do about it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;

use super::child::{Child, Prerequisite};
use super::compare::{differences, to_value};
use super::field_path::{FieldPath, Managers};
use super::names::{ADOPT, APPLIED_HASH};

/// What matters of an object, beside the object that is wanted in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Its uid.
    pub uid: Option<String>,
    /// Whose it is.
    pub ownership: Ownership,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// The hash in its annotation.
    pub applied_hash: Option<String>,
    /// The hash of the wanted object that it was compared with.
    pub compared_hash: Option<String>,
    /// The other field manager that wrote the hash. `kubectl rollout undo` brings back an old one with the old pods.
    pub hash_writer: Option<String>,
    /// The fields that another manager changed or removed.
    pub drift: Vec<Drift>,
    /// The fields that differ although only the operator owns them: admission set them at our apply.
    pub admission: Vec<Drift>,
    /// The writes that must go before an apply.
    pub prerequisites: Vec<Prerequisite>,
}

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The resource controls it, or it is the resource's although it outlives it.
    Ours,
    /// Its controller is a resource of our kind that is gone: the garbage collector is about to delete it.
    OwnerGone,
    /// No one controls it, and its annotation hands it over to the resource.
    HandedOver,
    /// It is not ours; the kind and name of its controller, if it has one.
    Foreign(Option<String>),
}

/// A field that is not as it was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The field.
    pub path: FieldPath,
    /// Its value; `None` if it is gone.
    pub found: Option<Value>,
    /// The applied value; null where there may be none.
    pub wanted: Value,
    /// The manager that changed it, if `managedFields` says so.
    pub manager: Option<String>,
}

/// Compares a live object with the wanted one.
///
/// `owner` is the reference to the resource, and `is_alive` says whether a resource of our kind with this uid exists.
pub fn observe<K: Resource + Serialize>(
    wanted: &K,
    live: &K,
    owner: &OwnerReference,
    is_alive: impl Fn(&str) -> bool,
) -> Observed {
    let managers = Managers(live.managed_fields());
    let hash_path = FieldPath::fields(["metadata", "annotations", APPLIED_HASH]);
    let hash_writer = managers.other(&hash_path);
    let mut found = differences(&to_value(wanted), &to_value(live));
    // Where a field differs, the hash beside it is no news.
    if found.iter().any(|(path, _, _)| *path != hash_path) {
        found.retain(|(path, _, _)| *path != hash_path);
    }
    let (mut drift, mut admission) = (Vec::new(), Vec::new());
    for (path, value, wanted) in found {
        let manager = managers.other(&path);
        let is_set_by_admission =
            manager.is_none() && value.is_some() && managers.is_applied_by_us(&path);
        let difference = Drift {
            // A removed field has no record, but a hash that was written together with the removal has one.
            manager: manager.or_else(|| hash_writer.clone()),
            found: value,
            wanted,
            path,
        };
        match is_set_by_admission {
            true => admission.push(difference),
            false => drift.push(difference),
        }
    }
    Observed {
        uid: live.uid(),
        ownership: ownership(wanted, live, owner, is_alive),
        is_terminating: live.meta().deletion_timestamp.is_some(),
        applied_hash: hash_of(live),
        compared_hash: hash_of(wanted),
        hash_writer,
        drift,
        admission,
        prerequisites: Vec::new(),
    }
}

/// The same for a child, with what must go before an apply.
pub fn observe_child<K: Child>(
    wanted: &K,
    live: &K,
    owner: &OwnerReference,
    is_alive: impl Fn(&str) -> bool,
) -> Observed {
    Observed {
        prerequisites: wanted.prerequisites(live),
        ..observe(wanted, live, owner, is_alive)
    }
}

/// The hash of what was applied, or is to be.
pub fn hash_of<K: Resource>(object: &K) -> Option<String> {
    object.annotations().get(APPLIED_HASH).cloned()
}

/// The uid of an object's controller.
pub fn controller_uid<K: Resource>(object: &K) -> Option<&String> {
    controller(object).map(|controller| &controller.uid)
}

fn controller<K: Resource>(object: &K) -> Option<&OwnerReference> {
    let mut owners = object.owner_references().iter();
    owners.find(|owner| owner.controller == Some(true))
}

fn ownership<K: Resource>(
    wanted: &K,
    live: &K,
    owner: &OwnerReference,
    is_alive: impl Fn(&str) -> bool,
) -> Ownership {
    let is_handed_over = live.annotations().get(ADOPT) == Some(&owner.name);
    match controller(live) {
        Some(controller) if controller.uid == owner.uid => Ownership::Ours,
        Some(controller)
            if controller.kind == owner.kind
                && controller.api_version == owner.api_version
                && !is_alive(&controller.uid) =>
        {
            Ownership::OwnerGone
        }
        Some(controller) => {
            Ownership::Foreign(Some(format!("{} {}", controller.kind, controller.name)))
        }
        // An object that outlives the resource has no owner. Its hash says that it was applied.
        None if is_handed_over
            && wanted.owner_references().is_empty()
            && hash_of(live).is_some() =>
        {
            Ownership::Ours
        }
        None if is_handed_over => Ownership::HandedOver,
        None => Ownership::Foreign(None),
    }
}

#[cfg(test)]
mod tests;
