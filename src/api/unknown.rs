//! Which fields of a resource this operator doesn't know: the cluster's CRD may be newer than it.
//!
//! What is read as a `DockerCoins` has lost them. But the API server keeps a record of every field that someone set.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value, json};

use super::crd_schema;

/// The fields of the spec that this operator knows: its schema, with nothing of it but `properties` and `items`.
pub struct Known(Value);

impl Default for Known {
    fn default() -> Self {
        Self(names(&crd_schema()["properties"]["spec"]))
    }
}

/// What a schema says of names: it is kept for as long as the operator runs, and the rest of it is ten times as much.
fn names(schema: &Value) -> Value {
    let mut kept = json!({});
    if let Some(fields) = schema["properties"].as_object() {
        let fields = fields
            .iter()
            .map(|(name, field)| (name.clone(), names(field)));
        kept["properties"] = fields.collect();
    }
    if schema["items"].is_object() {
        kept["items"] = names(&schema["items"]);
    }
    kept
}

impl Known {
    /// The fields of the spec that someone set and the schema doesn't have, such as `spec.worker.flavour`, by the
    /// records of who manages which field.
    pub fn unknown(&self, records: &[ManagedFieldsEntry]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for record in records.iter().filter(|record| record.subresource.is_none()) {
            if let Some(fields) = &record.fields_v1 {
                walk("spec", &fields.0["f:spec"], &self.0, &mut found);
            }
        }
        found
    }

    /// The fields of a resource that someone wrote and it doesn't have, such as `spec.worker.env[0].flavour`. What is
    /// below its metadata and its status isn't looked at.
    pub fn unknown_in(&self, resource: &Value) -> BTreeSet<String> {
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        let fields = resource.as_object().into_iter().flatten();
        let names = fields.map(|(name, _)| name.clone());
        let mut found = BTreeSet::from_iter(names.filter(|name| !known.contains(&&**name)));
        compare("spec", &resource["spec"], &self.0, &mut found);
        found
    }
}

/// The fields of a value that its schema doesn't have.
fn compare(path: &str, value: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                let inner = format!("{path}.{name}");
                match &schema["properties"][name] {
                    Value::Null if schema["properties"].is_object() => {
                        found.insert(inner);
                    }
                    Value::Null => {}
                    known => compare(&inner, below, known, found),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                compare(&format!("{path}[{i}]"), item, &schema["items"], found);
            }
        }
        _ => {}
    }
}

fn walk(path: &str, fields: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    let Some(fields) = fields.as_object() else {
        return;
    };
    for (key, below) in fields {
        let Some(name) = key.strip_prefix("f:") else {
            // An item of a list, or the field itself.
            walk(&format!("{path}[]"), below, &schema["items"], found);
            continue;
        };
        let path = format!("{path}.{name}");
        match &schema["properties"][name] {
            // Whoever takes any name has no properties.
            Value::Null if schema["properties"].is_object() => {
                found.insert(path);
            }
            Value::Null => {}
            known => walk(&path, below, known, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;

    use super::*;

    fn unknown(fields: Value) -> BTreeSet<String> {
        let record = ManagedFieldsEntry {
            fields_v1: Some(FieldsV1(json!({ "f:spec": fields }))),
            ..ManagedFieldsEntry::default()
        };
        Known::default().unknown(&[record])
    }

    #[test]
    fn a_field_that_the_schema_does_not_have_is_unknown_wherever_it_is() {
        let fields = json!({
            "f:flavour": {},
            "f:worker": {
                ".": {},
                "f:flavour": {},
                "f:replicas": {},
                "f:env": { "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:flavour": {} } },
            },
        });
        let found = [
            "spec.flavour",
            "spec.worker.env[].flavour",
            "spec.worker.flavour",
        ];
        assert_eq!(unknown(fields), found.map(String::from).into());
    }

    #[test]
    fn labels_may_have_any_name_and_what_status_has_is_not_asked() {
        let fields = json!({
            "f:tag": {},
            "f:nodeSelector": { "f:disk": {} },
            "f:worker": { "f:podLabels": { "f:team": {} }, "f:resources": { "f:limits": { "f:cpu": {} } } },
        });
        assert_eq!(unknown(fields), BTreeSet::new());
        let status = ManagedFieldsEntry {
            subresource: Some("status".into()),
            fields_v1: Some(FieldsV1(json!({ "f:spec": { "f:flavour": {} } }))),
            ..ManagedFieldsEntry::default()
        };
        assert_eq!(Known::default().unknown(&[status]), BTreeSet::new());
    }
}
