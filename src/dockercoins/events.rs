//! Which events a reconcile publishes: for writes, heals and new digests, and for failures that begin or end. Pure.
//!
//! A failure that stays has one event, when it begins: the condition keeps it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{ComponentStatus, DockerCoinsStatus};
use crate::dockercoins::component::Component;
use crate::dockercoins::images::stored_component;
use crate::dockercoins::reason::Reason;
use crate::runtime::decide::Cause;
use crate::runtime::event::Event;
use crate::runtime::field_path::FieldPath;
use crate::runtime::message::truncate;
use crate::runtime::object_key::ObjectKey;
use crate::runtime::observe::Drift;

/// The longest value in a note, in bytes.
const VALUE_MAX: usize = 160;

/// An object that was applied.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object.
    pub object: ObjectKey,
    /// Why; of drift, only the fields that the apply restored.
    pub cause: Cause,
    /// For each restored field, the field of the resource that decides it.
    pub edits: Vec<Option<FieldPath>>,
}

/// The events for objects that were applied.
pub fn of_writes(resource: &str, written: &[Written]) -> Vec<Event> {
    let mut created = Vec::new();
    let mut updated = Vec::new();
    let mut events = Vec::new();
    for Written {
        object,
        cause,
        edits,
    } in written
    {
        match cause {
            Cause::Create => created.push(object.to_string()),
            Cause::Update => updated.push(object.to_string()),
            Cause::Recreate => events.push(Event {
                is_warning: true,
                reason: "Healed",
                action: "Heal",
                note: format!("{object} had been deleted, and was created again. To stop the operator, set spec.suspend of DockerCoins {resource}").into(),
            }),
            Cause::Adopt => events.push(Event {
                is_warning: false,
                reason: "Adopted",
                action: "Adopt",
                note: format!("{object} was handed over to DockerCoins {resource} by its annotation, and now is as the resource says").into(),
            }),
            Cause::Heal(drift) => events.extend(drift.iter().zip(edits).map(|(drift, edit)| Event {
                is_warning: true,
                reason: "Healed",
                action: "Heal",
                note: healed(resource, object, drift, edit.as_ref()).into(),
            })),
        }
    }
    for (objects, reason, verb) in [
        (created, "Created", "created"),
        (updated, "Updated", "updated"),
    ] {
        if !objects.is_empty() {
            events.push(Event {
                is_warning: false,
                reason,
                action: "Apply",
                note: format!("{verb} {}", objects.join(", ")).into(),
            });
        }
    }
    events
}

/// The event for an object that was deleted.
pub fn of_deletion(object: &ObjectKey) -> Event {
    Event {
        is_warning: false,
        reason: "Pruned",
        action: "Prune",
        note: format!("deleted {object}, which the resource no longer asks for").into(),
    }
}

fn healed(resource: &str, object: &ObjectKey, drift: &Drift, edit: Option<&FieldPath>) -> String {
    let manager = drift.manager.as_deref().unwrap_or("someone");
    // Variables may hold passwords, and everyone may read events.
    let is_secret = drift.path.names().contains(&"env");
    let shown = |value: &Value| match is_secret {
        true => "another value".to_owned(),
        false => text_of(value),
    };
    let found = drift
        .found
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), shown);
    let wanted = match is_secret {
        true => "what the resource says".to_owned(),
        false => text_of(&drift.wanted),
    };
    let advice = match edit {
        Some(field) => format!("To change it, set {field} of DockerCoins {resource}"),
        None => "The operator decides this field".to_owned(),
    };
    format!(
        "{object}: {manager} had changed {} to {found}, and it was changed back to {wanted}. {advice}",
        drift.path
    )
}

/// A value as people would write it.
fn text_of(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    truncate(&text, VALUE_MAX)
}

/// The event for digests that are new.
pub fn of_pins(before: &DockerCoinsStatus, after: &DockerCoinsStatus) -> Option<Event> {
    let changed: Vec<String> = Component::ALL
        .into_iter()
        .filter_map(|component| {
            let now = stored_component(after, component)?;
            let then = stored_component(before, component);
            let is_new =
                then.is_none_or(|then| (&then.image, &then.digest) != (&now.image, &now.digest));
            Some((now, then)).filter(|_| is_new)
        })
        .filter_map(|(now, then)| Some(pinned(now, then, now.digest.as_ref()?)))
        .collect();
    (!changed.is_empty()).then(|| Event {
        is_warning: false,
        reason: "Pinned",
        action: "Resolve",
        note: changed.join(", ").into(),
    })
}

fn pinned(now: &ComponentStatus, then: Option<&ComponentStatus>, digest: &str) -> String {
    let image = now.image.as_deref().unwrap_or(&now.name);
    match then
        .filter(|then| then.image == now.image)
        .and_then(|then| then.digest.as_deref())
    {
        Some(old) => format!("{image} moved from {} to {}", short(old), short(digest)),
        None => format!("{image} is {}", short(digest)),
    }
}

/// The algorithm and twelve digits of a digest.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// The events for conditions that changed: a failure that began, or the end of all of them.
pub fn of_status(before: &DockerCoinsStatus, after: &DockerCoinsStatus) -> Vec<Event> {
    let condition = |status: &DockerCoinsStatus, type_: &str| {
        let mut conditions = status.conditions.iter();
        conditions
            .find(|condition| condition.type_ == type_)
            .cloned()
    };
    let mut events: Vec<Event> = Vec::new();
    for type_ in ["Ready", "ImagesResolved"] {
        let Some(now) = condition(after, type_) else {
            continue;
        };
        let is_new = condition(before, type_).is_none_or(|then| {
            (then.status, then.reason) != (now.status.clone(), now.reason.clone())
        });
        let Some(reason) = Reason::named(&now.reason).filter(|reason| reason.has_event) else {
            continue;
        };
        // One failure has one event, although both conditions have its reason.
        let is_published = events.iter().any(|event| event.reason == reason.name);
        if is_new && !is_published && now.status != "Unknown" {
            events.push(Event {
                is_warning: reason.name != "Ready",
                reason: reason.name,
                action: "Reconcile",
                note: now.message.into(),
            });
        }
    }
    events
}

/// The event for fields that are set and that this operator does not know.
pub fn of_unknown(fields: &BTreeSet<String>) -> Option<Event> {
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    (!fields.is_empty()).then(|| Event {
        is_warning: true,
        reason: "UnknownField",
        action: "Read",
        note: format!(
            "this operator is older than the cluster's CRD and ignores {}. Upgrade the operator, or remove these fields",
            fields.join(", ")
        )
        .into(),
    })
}

#[cfg(test)]
mod tests;
