//! Finds the fields of a resource that this operator does not know, because the CRD in the cluster is newer.
//!
//! Decoding a `DockerCoins` drops such fields, but `metadata.managedFields` lists every field that was set.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value, json};

use super::crd_schema;

/// The spec fields that this operator knows: its schema, reduced to `properties` and `items`.
pub struct Known(Value);

impl Default for Known {
    fn default() -> Self {
        Self(names(&crd_schema()["properties"]["spec"]))
    }
}

/// Reduces a schema to its field names. The operator keeps the result in memory; the whole schema is ten times as large.
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
    /// The spec fields in managed fields that the schema lacks, such as `spec.worker.flavour`.
    pub fn unknown(&self, records: &[ManagedFieldsEntry]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for record in records.iter().filter(|record| record.subresource.is_none()) {
            if let Some(fields) = &record.fields_v1 {
                walk("spec", &fields.0["f:spec"], &self.0, &mut found);
            }
        }
        found
    }

    /// The fields in a manifest that the schema lacks, such as `spec.worker.env[0].flavour`. Metadata and status are not
    /// checked.
    pub fn unknown_in(&self, resource: &Value) -> BTreeSet<String> {
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        let fields = resource.as_object().into_iter().flatten();
        let names = fields.map(|(name, _)| name.clone());
        let mut found = BTreeSet::from_iter(names.filter(|name| !known.contains(&&**name)));
        compare("spec", &resource["spec"], &self.0, &mut found);
        found
    }
}

/// Collects the fields of a value that its schema lacks.
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
            // `k:{…}` is a list item, `.` the field itself.
            walk(&format!("{path}[]"), below, &schema["items"], found);
            continue;
        };
        let path = format!("{path}.{name}");
        match &schema["properties"][name] {
            // A schema without properties takes any name.
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
