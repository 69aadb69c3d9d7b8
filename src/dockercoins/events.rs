//! What is worth an event: what was written, healed and pinned, and what began to fail or to work. Pure.
//!
//! A failure that stays is told once, when it begins: the condition goes on telling it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{ComponentStatus, DockerCoinsStatus};
use crate::dockercoins::component::Component;
use crate::dockercoins::diff::{Drift, Verdict};
use crate::dockercoins::images::stored_component;

/// Something that people should see in `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether it is a warning.
    pub warning: bool,
    /// The stable name of what happened.
    pub reason: String,
    /// What the operator was doing.
    pub action: &'static str,
    /// What happened, for a person.
    pub note: String,
}

/// What to tell of objects that were written, each with why.
///
/// `was_there` says whether an object had been written before, `field` which field of the resource decides
/// what drifted.
pub fn of_writes(
    resource: &str,
    written: &[(String, Verdict)],
    was_there: impl Fn(&str) -> bool,
    field: impl Fn(&str, &Drift) -> String,
) -> Vec<News> {
    let mut created = Vec::new();
    let mut updated = Vec::new();
    let mut told = Vec::new();
    for (title, verdict) in written {
        match verdict {
            Verdict::Create if was_there(title) => told.push(News {
                warning: true,
                reason: "Healed".into(),
                action: "Heal",
                note: format!("{title} had been deleted, and was created again. To stop the operator, set spec.suspend of DockerCoins {resource}"),
            }),
            Verdict::Create => created.push(title.as_str()),
            Verdict::Update => updated.push(title.as_str()),
            Verdict::Adopt => told.push(News {
                warning: false,
                reason: "Adopted".into(),
                action: "Adopt",
                note: format!("{title} was handed over to DockerCoins {resource} by annotation, and now is as it says"),
            }),
            Verdict::Heal(drift) => told.extend(drift.iter().map(|drift| News {
                warning: true,
                reason: "Healed".into(),
                action: "Heal",
                note: healed(resource, title, drift, &field(title, drift)),
            })),
            Verdict::Keep | Verdict::Leaving | Verdict::Foreign(_) => {}
        }
    }
    for (titles, reason, what) in [
        (created, "Created", "created"),
        (updated, "Updated", "updated"),
    ] {
        if !titles.is_empty() {
            told.push(News {
                warning: false,
                reason: reason.into(),
                action: "Apply",
                note: format!("{what} {}", titles.join(", ")),
            });
        }
    }
    told
}

fn healed(resource: &str, title: &str, drift: &Drift, field: &str) -> String {
    let by = drift.by.as_deref().unwrap_or("someone");
    // People put passwords into variables, and everyone may read events.
    let is_secret = drift.path.contains("].env");
    let shown = |value: &Value| match is_secret {
        true => "another value".to_owned(),
        false => brief(value),
    };
    let found = drift
        .found
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), shown);
    let wanted = match is_secret {
        true => "what the resource says".to_owned(),
        false => brief(&drift.wanted),
    };
    let advice = match field.starts_with("spec.") {
        true => format!("To change it, set {field} of DockerCoins {resource}"),
        false => "The operator decides this field".to_owned(),
    };
    format!(
        "{title}: {by} had changed {} to {found}, and it was changed back to {wanted}. {advice}",
        drift.path
    )
}

/// A value as people would write it, cut short.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What to tell of digests that are new.
pub fn of_pins(before: &DockerCoinsStatus, after: &DockerCoinsStatus) -> Option<News> {
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
    (!changed.is_empty()).then(|| News {
        warning: false,
        reason: "Pinned".into(),
        action: "Resolve",
        note: changed.join(", "),
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

/// As much of a digest as tells it from others.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// What to tell of conditions that changed: a failure that began, or the end of all of them.
pub fn of_status(before: &DockerCoinsStatus, after: &DockerCoinsStatus) -> Vec<News> {
    let condition = |status: &DockerCoinsStatus, type_: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .cloned()
    };
    let mut told = Vec::new();
    for type_ in ["Ready", "ImagesResolved"] {
        let Some(now) = condition(after, type_) else {
            continue;
        };
        let then = condition(before, type_);
        let is_new = then.is_none_or(|then| {
            (then.status, then.reason) != (now.status.clone(), now.reason.clone())
        });
        let is_quiet = [
            "RolloutInProgress",
            "Suspended",
            "Resolved",
            "NotRequired",
            "WaitingForDeletion",
            "NamespaceTerminating",
            "Outdated",
        ]
        .contains(&now.reason.as_str());
        // One failure is told once, though both conditions carry it.
        let is_told = told
            .iter()
            .any(|news: &News| news.note == now.message || news.reason == now.reason);
        if is_new && !is_quiet && !is_told && now.status != "Unknown" {
            told.push(News {
                warning: now.reason != "Ready",
                reason: now.reason,
                action: "Reconcile",
                note: now.message,
            });
        }
    }
    told
}

/// What to tell of fields that are set and that this operator doesn't know.
pub fn of_unknown(fields: &BTreeSet<String>) -> Option<News> {
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    (!fields.is_empty()).then(|| News {
        warning: true,
        reason: "UnknownField".into(),
        action: "Read",
        note: format!(
            "this operator is older than the cluster's CRD and doesn't know {}: the rest is served as ever. Upgrade the operator, or take them out",
            fields.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests;
