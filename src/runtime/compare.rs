//! How two objects differ in the fields that we write. Pure.
//!
//! Every field of the wanted object is looked up in the live one. Fields that we do not write are no difference: they
//! are the API server's defaults, or others'.

mod quantity;

use serde::Serialize;
use serde_json::Value;

use super::field_path::{FieldPath, Step};

/// A field whose value differs: where, what is there, and what is wanted.
pub type Difference = (FieldPath, Option<Value>, Value);

/// An object as it is sent.
pub fn to_value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("a Kubernetes object is JSON")
}

/// The fields of `wanted` that `live` has otherwise.
pub fn differences(wanted: &Value, live: &Value) -> Vec<Difference> {
    let kind = wanted["kind"].as_str().unwrap_or_default();
    let mut comparison = Comparison {
        has_whole_lists: !KEYED.contains(&kind),
        path: FieldPath::default(),
        found: Vec::new(),
    };
    comparison.compare(wanted, Some(live));
    comparison.found
}

/// The kinds in whose specs lists have keys, so that others may add items. In the rest a list is one value: one more port
/// in a NetworkPolicy opens the pods.
const KEYED: [&str; 2] = ["Deployment", "Service"];

/// The keys of lists. `uid` is the one of owner references, which have a name too.
pub const KEYS: [&str; 5] = ["uid", "mountPath", "containerPort", "port", "name"];

/// The key of the items of a list; `None` for a list that is one value, and is compared whole.
fn merge_key(items: &[Value]) -> Option<&'static str> {
    KEYS.into_iter()
        .find(|key| !items.is_empty() && items.iter().all(|item| item.get(key).is_some()))
}

struct Comparison {
    /// Whether a list is one value in this object, outside its metadata.
    has_whole_lists: bool,
    path: FieldPath,
    found: Vec<Difference>,
}

impl Comparison {
    fn compare(&mut self, wanted: &Value, live: Option<&Value>) {
        match (wanted, live) {
            (Value::Object(wanted), Some(Value::Object(live))) => {
                for (key, value) in wanted {
                    self.below(Step::Field(key.clone()), value, live.get(key));
                }
                if is_selector(&self.path) {
                    for (key, value) in live.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                        let mut path = self.path.clone();
                        path.0.push(Step::Field(key.clone()));
                        self.found.push((path, Some(value.clone()), Value::Null));
                    }
                }
            }
            (Value::Array(wanted), Some(Value::Array(live)))
                if !self.is_whole_list()
                    && let Some(key) = merge_key(wanted) =>
            {
                for item in wanted {
                    let there = live.iter().find(|candidate| candidate[key] == item[key]);
                    self.below(Step::Item(key, item[key].clone()), item, there);
                }
            }
            (Value::Array(wanted), Some(Value::Array(live))) if wanted.len() == live.len() => {
                for (i, (item, there)) in wanted.iter().zip(live).enumerate() {
                    self.below(Step::Index(i), item, Some(there));
                }
            }
            // The API server leaves these out, as Go's JSON does.
            (wanted, None) if is_empty(wanted) && !is_map_entry(&self.path) => {}
            (wanted, Some(live))
                if wanted == live
                    || is_quantity(&self.path) && quantity::are_equal(wanted, live) => {}
            (wanted, live) => {
                self.found
                    .push((self.path.clone(), live.cloned(), wanted.clone()));
            }
        }
    }

    fn below(&mut self, step: Step, wanted: &Value, live: Option<&Value>) {
        self.path.0.push(step);
        self.compare(wanted, live);
        self.path.0.pop();
    }

    fn is_whole_list(&self) -> bool {
        let first = self.path.0.first();
        let is_metadata = matches!(first, Some(Step::Field(name)) if name == "metadata");
        self.has_whole_lists && !is_metadata
    }
}

/// Whether a value means the same as its absence: Go's types of Kubernetes leave out empty texts, zeroes and empty
/// lists. Not so `false` and `{}`, which are behind pointers and choose something.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Object(_) => false,
    }
}

/// Whether a path is a selector of pods or nodes: one more label selects fewer of them, so an added label is a
/// difference.
fn is_selector(path: &FieldPath) -> bool {
    match &path.0[..] {
        [Step::Field(spec), Step::Field(selector)] => spec == "spec" && selector == "selector",
        [.., Step::Field(selector)] => {
            ["nodeSelector", "podSelector", "matchLabels"].contains(&selector.as_str())
        }
        _ => false,
    }
}

/// Whether a path is an entry of a map with the user's keys, where an empty text is a value.
fn is_map_entry(path: &FieldPath) -> bool {
    const MAPS: [&str; 5] = [
        "annotations",
        "labels",
        "matchLabels",
        "nodeSelector",
        "selector",
    ];
    matches!(&path.0[..], [.., Step::Field(map), Step::Field(_)] if MAPS.contains(&map.as_str()))
}

/// Whether a path is an amount in `resources.requests` or `resources.limits`, where `0.5` equals `500m`.
fn is_quantity(path: &FieldPath) -> bool {
    matches!(&path.0[..], [.., Step::Field(resources), Step::Field(_), Step::Field(_)] if resources == "resources")
}

#[cfg(test)]
mod tests;
