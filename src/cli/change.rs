//! How a write changes an object, for people to read: what of it is ours, before and after.
//!
//! It shows what [`crate::runtime::observe`] goes by and nothing else. What others wrote, and the API server's defaults, stand on
//! neither side; amounts that are equal are written alike. Fields that were ours and are no longer wanted are looked
//! up in the API server's records, as server-side apply does when it takes them away.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::cli::yaml::{without_stamp, yaml};
use crate::runtime::compare::{KEYS, differences, to_value};
use crate::runtime::field_path::{FieldPath, Managers, Step};
use crate::runtime::names::MANAGER;

/// How many unchanged lines stand around a change, as with kubectl and git.
const CONTEXT: usize = 3;

/// What of an object is ours, and what it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What is there; `None` where it is created.
    pub before: Option<Value>,
    /// What is written; `None` where it is deleted.
    pub after: Option<Value>,
}

impl Change {
    /// An object that isn't there yet.
    pub fn creation<K: Serialize>(wanted: &K) -> Self {
        let mut wanted = to_value(wanted);
        without_stamp(&mut wanted);
        Self {
            before: None,
            after: Some(wanted),
        }
    }

    /// An object that is there and is written. Where it is `taken_over`, all of its spec becomes ours, whichever manager wrote
    /// it.
    ///
    /// The hash of what was last written is shown only where nothing else differs.
    pub fn write<K: Resource + Serialize>(wanted: &K, live: &K, taken_over: bool) -> Self {
        let (mut after, live_value) = (to_value(wanted), to_value(live));
        let mut before = after.clone();
        for (path, there, _) in differences(&after, &live_value) {
            put(&mut before, &path.0, there);
        }
        for (path, there) in dropped(&after, &live_value, live.managed_fields(), taken_over) {
            put(&mut before, &path.0, Some(there));
        }
        let (mut plain_before, mut plain_after) = (before.clone(), after.clone());
        without_stamp(&mut plain_before);
        without_stamp(&mut plain_after);
        if plain_before != plain_after {
            (before, after) = (plain_before, plain_after);
        }
        Self {
            before: Some(before),
            after: Some(after),
        }
    }

    /// An object of ours that is deleted.
    pub fn deletion<K: Resource + Serialize>(live: &K) -> Self {
        let value = to_value(live);
        let mut before = json!({
            "apiVersion": value["apiVersion"],
            "kind": value["kind"],
            "metadata": { "name": value["metadata"]["name"], "namespace": value["metadata"]["namespace"] },
        });
        for (path, there) in dropped(&before, &value, live.managed_fields(), false) {
            put(&mut before, &path.0, Some(there));
        }
        without_stamp(&mut before);
        Self {
            before: Some(before),
            after: None,
        }
    }

    /// The change as a unified diff of YAML, as `kubectl diff` prints it; empty where there is none.
    pub fn unified(&self) -> String {
        let text = |side: &Option<Value>| side.as_ref().map(yaml).unwrap_or_default();
        let name = self.after.as_ref().or(self.before.as_ref());
        let name = name.map(file_name).unwrap_or_default();
        TextDiff::from_lines(text(&self.before), text(&self.after))
            .unified_diff()
            .context_radius(CONTEXT)
            .header(&format!("LIVE/{name}"), &format!("MERGED/{name}"))
            .to_string()
    }
}

/// What kubectl calls the object's file, such as `apps.v1.Deployment.demo.rng`.
fn file_name(object: &Value) -> String {
    let metadata = &object["metadata"];
    let (version, kind) = (&object["apiVersion"], &object["kind"]);
    let parts = [version, kind, &metadata["namespace"], &metadata["name"]];
    let parts = parts.into_iter().filter_map(Value::as_str);
    let parts: Vec<&str> = parts.flat_map(|part| part.split('/')).collect();
    parts.join(".")
}

/// Puts a value where a path leads, or takes away what is there.
fn put(object: &mut Value, path: &[Step], value: Option<Value>) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match step {
        Step::Field(name) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            let fields = object.as_object_mut().expect("it is one now");
            match (rest.is_empty(), value) {
                (true, Some(value)) => drop(fields.insert(name.clone(), value)),
                (true, None) => drop(fields.remove(name)),
                (false, value) => put(fields.entry(name).or_insert(Value::Null), rest, value),
            }
        }
        Step::Item(key, id) => {
            if !object.is_array() {
                *object = Value::Array(Vec::new());
            }
            let items = object.as_array_mut().expect("it is one now");
            let at = items.iter().position(|item| item[*key] == *id);
            match (rest.is_empty(), at, value) {
                (true, Some(at), Some(value)) => items[at] = value,
                (true, None, Some(value)) => items.push(value),
                (true, Some(at), None) => drop(items.remove(at)),
                (true, None, None) => {}
                (false, Some(at), value) => put(&mut items[at], rest, value),
                (false, None, value) => {
                    items.push(json!({ *key: id }));
                    put(items.last_mut().expect("just pushed"), rest, value);
                }
            }
        }
        Step::Index(at) => {
            if let Some(item) = object.get_mut(*at) {
                match (rest.is_empty(), value) {
                    (true, value) => *item = value.unwrap_or_default(),
                    (false, value) => put(item, rest, value),
                }
            }
        }
    }
}

/// The fields of `live` that an apply of `wanted` takes away: ours, and no one else's.
fn dropped(
    wanted: &Value,
    live: &Value,
    records: &[ManagedFieldsEntry],
    taken_over: bool,
) -> Vec<(FieldPath, Value)> {
    let mut found = Vec::new();
    for record in records.iter().filter(|record| record.subresource.is_none()) {
        let Some(fields) = &record.fields_v1 else {
            continue;
        };
        let mut path = FieldPath::default();
        if record.manager.as_deref() == Some(MANAGER) {
            walk(&fields.0, Some(wanted), live, &mut path, &mut found);
            found.retain(|(path, _)| taken_over || Managers(records).other(path).is_none());
        } else if taken_over {
            let spec = json!({ "f:spec": fields.0["f:spec"] });
            walk(&spec, Some(wanted), live, &mut path, &mut found);
        }
    }
    // The running number is handed to another manager first, and stays.
    let replicas = ["spec", "replicas"].map(|name| Step::Field(name.to_owned()));
    found.retain(|(path, _)| path.0 != replicas);
    found
}

/// Goes to each field that a record names, and finds those that are there and not wanted.
fn walk(
    fields: &Value,
    wanted: Option<&Value>,
    live: &Value,
    path: &mut FieldPath,
    found: &mut Vec<(FieldPath, Value)>,
) {
    let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else {
        if wanted.is_none() {
            found.push((path.clone(), live.clone()));
        }
        return;
    };
    for (name, below) in fields {
        if let Some((step, there)) = look_up(name, live) {
            let wanted = wanted.and_then(|wanted| look_up(name, wanted));
            let wanted = wanted.map(|(_, wanted)| wanted);
            path.within(step, |path| walk(below, wanted, there, path, found));
        }
    }
}

/// What a name in a `FieldsV1` record stands for in an object: a field or a list's item, and its place.
fn look_up<'a>(name: &str, object: &'a Value) -> Option<(Step, &'a Value)> {
    if let Some(field) = name.strip_prefix("f:") {
        return Some((Step::Field(field.to_owned()), object.get(field)?));
    }
    let keys: Map<String, Value> = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
    let is_it = |item: &&Value| keys.iter().all(|(key, id)| item[key] == *id);
    let item = object.as_array()?.iter().find(is_it)?;
    let key = KEYS.into_iter().find(|key| keys.contains_key(*key))?;
    Some((Step::Item(key, keys[key].clone()), item))
}

#[cfg(test)]
mod tests;
