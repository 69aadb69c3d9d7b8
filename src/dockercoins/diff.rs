//! What must be written, by comparing what is wanted with what is there. Pure.
//!
//! Two questions, kept apart. *Did the resource change?* A hash of what was last written stands in an
//! annotation: if it differs, the object is written, and server-side apply also takes away what is no longer
//! wanted. *Did someone else change the object?* Every field that we write is looked up in the live object;
//! fields that we don't write are nobody's business here, so the API server's defaults and what others add
//! are no difference.

mod quantity;
pub mod view;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;

use crate::dockercoins::plan::{ADOPT, APPLIED, MANAGER, to_value};

/// What is to be done about one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It isn't there.
    Create,
    /// It is as wanted.
    Keep,
    /// The resource changed.
    Update,
    /// Someone else changed these fields of it.
    Heal(Vec<Drift>),
    /// It belonged to no one, and was handed over to us.
    Adopt,
    /// It is on its way out, and is written again when it is gone.
    Leaving,
    /// It isn't ours; who controls it, if anyone.
    Foreign(Option<String>),
}

/// A field that isn't as we wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Where it is, each list item by its name, such as `spec.template.spec.containers[rng].image`.
    pub path: String,
    /// What is there; `None` if the field is gone.
    pub found: Option<Value>,
    /// What we wrote; null where nothing may be.
    pub wanted: Value,
    /// The field manager that last changed it, where the API server knows.
    pub by: Option<String>,
}

/// Decides about one object.
///
/// `live` is what the cluster has under its name, `owner` what makes an object ours, and `is_alive` tells
/// whether a DockerCoins with a uid still exists: the children of one that is gone are about to be collected.
pub fn judge<K: Resource + Serialize>(
    wanted: &K,
    live: Option<&K>,
    owner: &OwnerReference,
    is_alive: impl Fn(&str) -> bool,
) -> Verdict {
    let Some(live) = live else {
        return Verdict::Create;
    };
    let controller = live
        .owner_references()
        .iter()
        .find(|reference| reference.controller == Some(true));
    match controller {
        Some(controller) if controller.uid == owner.uid => {
            if live.meta().deletion_timestamp.is_some() {
                return Verdict::Leaving;
            }
            judge_ours(wanted, live)
        }
        Some(controller)
            if controller.kind == owner.kind
                && controller.api_version == owner.api_version
                && !is_alive(&controller.uid) =>
        {
            Verdict::Leaving
        }
        Some(controller) => {
            Verdict::Foreign(Some(format!("{} {}", controller.kind, controller.name)))
        }
        None if live.meta().deletion_timestamp.is_some() => Verdict::Leaving,
        // What is to outlive the resource has no owner. Once it was written, it is ours by what is written on it.
        None if is_handed_over(live, owner)
            && wanted.owner_references().is_empty()
            && live.annotations().contains_key(APPLIED) =>
        {
            judge_ours(wanted, live)
        }
        None if is_handed_over(live, owner) => Verdict::Adopt,
        None => Verdict::Foreign(None),
    }
}

/// Whether an object that belongs to no one is handed over to the owner, by annotation.
fn is_handed_over<K: Resource>(live: &K, owner: &OwnerReference) -> bool {
    let name = live.annotations().get(ADOPT);
    name.is_some_and(|name| *name == owner.name)
}

/// Decides about an object that is ours, and there.
fn judge_ours<K: Resource + Serialize>(wanted: &K, live: &K) -> Verdict {
    if live.annotations().get(APPLIED) != wanted.annotations().get(APPLIED) {
        return match is_stamp_ours(live) {
            true => Verdict::Update,
            false => Verdict::Heal(drift(wanted, live)),
        };
    }
    match drift(wanted, live) {
        drift if drift.is_empty() => Verdict::Keep,
        drift => Verdict::Heal(drift),
    }
}

/// Whether the hash in a live object is one that we wrote there. Others remove it, and `kubectl rollout undo`
/// brings an old one back together with the old pods: then it wasn't the resource that changed.
fn is_stamp_ours<K: Resource>(live: &K) -> bool {
    live.annotations().contains_key(APPLIED)
        && last_manager(live.managed_fields(), &stamp_path()).is_none()
}

fn stamp_path() -> Path {
    let path = ["metadata", "annotations", APPLIED].map(|name| Step::Field(name.to_owned()));
    Path {
        steps: path.into(),
        has_whole_lists: false,
    }
}

/// The fields of `wanted` that `live` has otherwise. The hash is none of them where any other is.
fn drift<K: Resource + Serialize>(wanted: &K, live: &K) -> Vec<Drift> {
    let mut found = differences(&to_value(wanted), &to_value(live));
    let stamp = stamp_path();
    if found.iter().any(|(path, _, _)| *path != stamp) {
        found.retain(|(path, _, _)| *path != stamp);
    }
    let records = live.managed_fields();
    found
        .into_iter()
        .map(|(path, live_value, wanted)| Drift {
            path: path.to_string(),
            // Of a field that is gone there is no record, but of a hash that came with the change there is.
            by: last_manager(records, &path).or_else(|| last_manager(records, &stamp)),
            found: live_value,
            wanted,
        })
        .collect()
}

type Found = Vec<(Path, Option<Value>, Value)>;

/// What `wanted` has otherwise than `live`: the place, what is there, and what is wanted.
fn differences(wanted: &Value, live: &Value) -> Found {
    let mut found = Vec::new();
    let mut path = Path {
        has_whole_lists: !KEYED.contains(&wanted["kind"].as_str().unwrap_or_default()),
        ..Path::default()
    };
    compare(wanted, Some(live), &mut path, &mut found);
    found
}

fn compare(wanted: &Value, live: Option<&Value>, path: &mut Path, found: &mut Found) {
    match (wanted, live) {
        (Value::Object(wanted), Some(Value::Object(live))) => {
            for (key, value) in wanted {
                path.within(Step::Field(key.clone()), |path| {
                    compare(value, live.get(key), path, found)
                });
            }
            if path.is_selector() {
                for (key, value) in live.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                    path.within(Step::Field(key.clone()), |path| {
                        found.push((path.clone(), Some(value.clone()), Value::Null));
                    });
                }
            }
        }
        (Value::Array(wanted), Some(Value::Array(live)))
            if !path.is_whole()
                && let Some(key) = merge_key(wanted) =>
        {
            for item in wanted {
                let step = Step::Item(key, item[key].clone());
                let there = live.iter().find(|candidate| candidate[key] == item[key]);
                path.within(step, |path| compare(item, there, path, found));
            }
        }
        (Value::Array(wanted), Some(Value::Array(live))) if wanted.len() == live.len() => {
            for (i, (item, there)) in wanted.iter().zip(live).enumerate() {
                path.within(Step::Index(i), |path| {
                    compare(item, Some(there), path, found)
                });
            }
        }
        // The API server leaves these out, as Go's JSON does.
        (wanted, None) if is_empty(wanted) && !path.is_entry() => {}
        (wanted, Some(live))
            if wanted == live || path.is_quantity() && quantity::are_equal(wanted, live) => {}
        (wanted, live) => found.push((path.clone(), live.cloned(), wanted.clone())),
    }
}

/// Whether a value means the same as its absence: Kubernetes' Go types leave out empty texts, zeroes and empty
/// lists. Not so `false` and `{}`, which stand behind pointers and choose something.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Object(_) => false,
    }
}

/// The kinds in whose specs lists have keys, so that others may add items. In the rest a list is one value: a port more
/// in a NetworkPolicy is a way in.
const KEYED: [&str; 2] = ["Deployment", "Service"];

/// Such keys. `uid` for owner references comes first: they have a name too.
const KEYS: [&str; 5] = ["uid", "mountPath", "containerPort", "port", "name"];

/// The key by which Kubernetes tells the items of a list apart, for the lists that we write. A list without
/// one is one value, and is compared whole.
fn merge_key(items: &[Value]) -> Option<&'static str> {
    KEYS.into_iter()
        .find(|key| !items.is_empty() && items.iter().all(|item| item.get(key).is_some()))
}

/// A place in an object.
#[derive(Clone, Debug, Default)]
struct Path {
    steps: Vec<Step>,
    /// Whether lists are one value in this object, but for those in its metadata.
    has_whole_lists: bool,
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Item(&'static str, Value),
    Index(usize),
}

impl Path {
    fn within(&mut self, step: Step, inner: impl FnOnce(&mut Self)) {
        self.steps.push(step);
        inner(self);
        self.steps.pop();
    }

    /// Whether it is what a Service or a policy selects pods by, or pods their nodes. One label more selects fewer of
    /// them, so here what others add is a difference.
    fn is_selector(&self) -> bool {
        match &self.steps[..] {
            [Step::Field(spec), Step::Field(selector)] => spec == "spec" && selector == "selector",
            [.., Step::Field(selector)] => {
                ["nodeSelector", "podSelector", "matchLabels"].contains(&selector.as_str())
            }
            _ => false,
        }
    }

    /// Whether a list here is one value.
    fn is_whole(&self) -> bool {
        let is_metadata =
            matches!(&self.steps[..], [Step::Field(first), ..] if first == "metadata");
        self.has_whole_lists && !is_metadata
    }

    /// Whether it is an entry of a map of the user's, where an empty text is a value like any other.
    fn is_entry(&self) -> bool {
        const MAPS: [&str; 5] = [
            "annotations",
            "labels",
            "matchLabels",
            "nodeSelector",
            "selector",
        ];
        matches!(&self.steps[..], [.., Step::Field(map), Step::Field(_)] if MAPS.contains(&map.as_str()))
    }

    /// Whether it is an amount in `resources.requests` or `resources.limits`, where `0.5` is `500m`.
    fn is_quantity(&self) -> bool {
        matches!(&self.steps[..], [.., Step::Field(resources), Step::Field(_), Step::Field(_)] if resources == "resources")
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            match step {
                Step::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]")?,
                Step::Field(name) if i == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(_, Value::String(key)) => write!(f, "[{key}]")?,
                Step::Item(_, key) => write!(f, "[{key}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Who last took a field, by the records that the API server keeps of each manager's fields.
fn last_manager(records: &[ManagedFieldsEntry], path: &Path) -> Option<String> {
    records
        .iter()
        .filter(|record| {
            !record
                .manager
                .as_deref()
                .unwrap_or_default()
                .starts_with(MANAGER)
        })
        .filter(|record| {
            record
                .fields_v1
                .as_ref()
                .is_some_and(|fields| has_field(&fields.0, &path.steps))
        })
        .max_by_key(|record| record.time.clone())
        .and_then(|record| record.manager.clone())
}

/// Whether a record in the `FieldsV1` format names a field or something below it.
fn has_field(fields: &Value, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    let below = match step {
        // A list without keys is recorded as one value.
        Step::Index(_) => return true,
        Step::Field(name) => fields.get(format!("f:{name}")),
        Step::Item(key, value) => fields.as_object().and_then(|fields| {
            fields.iter().find_map(|(name, below)| {
                let keys: Value = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
                (keys.get(key) == Some(value)).then_some(below)
            })
        }),
    };
    // One that is recorded as a whole is named whatever is below it.
    let is_whole = |below: &Value| below.as_object().is_some_and(|fields| fields.is_empty());
    below.is_some_and(|below| is_whole(below) || has_field(below, rest))
}

/// The field of the resource by which people change what they changed in the object, for the event that tells
/// them. `component` is the object's name.
pub fn field_to_edit(component: &str, drift: &Drift, image_field: &str) -> String {
    let path = drift.path.as_str();
    let below = |field: &str| format!("spec.{component}.{field}");
    let in_pod = path.strip_prefix("spec.template.spec.").unwrap_or_default();
    let in_container = in_pod
        .split_once("].")
        .map(|(_, field)| field)
        .unwrap_or_default();
    let first = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    match (first(in_pod).as_str(), first(in_container).as_str()) {
        ("containers", "image") => return image_field.to_owned(),
        ("containers", "env") => return below("env"),
        ("containers", "resources") => return below("resources"),
        ("containers", "startupProbe" | "readinessProbe" | "livenessProbe") => {
            return below("probes");
        }
        ("containers", "securityContext") | ("securityContext", _) => {
            return below("securityContext");
        }
        ("volumes", _) if component == "redis" => return below("storage"),
        ("nodeSelector" | "tolerations" | "affinity" | "imagePullSecrets", _) => {
            return format!("spec.{}", first(in_pod));
        }
        _ => {}
    }
    if path.starts_with("spec.template.metadata.labels") {
        return below("podLabels");
    }
    if path.starts_with("spec.template.metadata.annotations") {
        return below("podAnnotations");
    }
    let field = first(path.strip_prefix("spec.").unwrap_or_default());
    match field.as_str() {
        "replicas"
        | "strategy"
        | "minReadySeconds"
        | "progressDeadlineSeconds"
        | "revisionHistoryLimit" => below(&field),
        "type" | "ports" if component == "webui" => below("service"),
        "type" | "ports" | "externalName" if component == "redis" => below("external"),
        _ => "nothing: the operator decides this field".to_owned(),
    }
}

#[cfg(test)]
mod tests;
