//! Compares the DockerCoins schema that the cluster serves with this operator's.
//!
//! The API server drops fields that its schema lacks. A dropped spec field is a setting without effect; a dropped
//! status field is state that the operator relies on. So field names are compared, and which fields have a default.
//! Types and rules are not: a resource that cannot be decoded reports that itself.

use serde_json::{Map, Value};

/// The status fields without which a restart would roll out moved tags.
const MEMORY: [&str; 4] = [
    "status.components",
    "status.components[].digest",
    "status.components[].image",
    "status.components[].pinned",
];

/// How to install this operator's CRD.
pub const UPGRADE: &str = "`helm upgrade` with crds.enabled=true (and `--force-conflicts`, if it was changed by hand), or `dockercoins-operator crd | kubectl apply --server-side --force-conflicts --filename -`";

/// Whether a field, by its path, is one of `MEMORY` or contains one.
pub fn is_memory(field: &str) -> bool {
    MEMORY.iter().any(|needed| {
        let below = needed.strip_prefix(field);
        below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
    })
}

/// The maximum number of fields in a message.
const NAMED: usize = 5;

/// The fields in which the served schema and this operator's differ, as paths such as `spec.worker.env[].name`. A
/// missing field stands for all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The fields that the CRD in the cluster lacks: it is older.
    pub missing: Vec<String>,
    /// The fields that have a default in this operator's CRD only: the one in the cluster is older.
    pub without_default: Vec<String>,
    /// The fields that this operator lacks: it is older.
    pub unknown: Vec<String>,
}

impl Differences {
    /// Whether the CRD in the cluster is older than this operator.
    pub fn is_older(&self) -> bool {
        !(self.missing.is_empty() && self.without_default.is_empty())
    }

    /// Whether the operator cannot work, because the cluster drops status fields that it relies on.
    pub fn forget(&self) -> bool {
        self.missing.iter().any(|field| is_memory(field))
    }

    /// A sentence with the fix for each kind of difference; empty if there is none.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.missing.is_empty() {
            sentences.push(format!(
                "the CRD in the cluster is older than this operator: it drops {}. Upgrade it: {UPGRADE}",
                named(&self.missing)
            ));
        }
        if !self.without_default.is_empty() {
            sentences.push(format!(
                "the CRD in the cluster is older than this operator: it has no default for {}. Upgrade it: {UPGRADE}",
                named(&self.without_default)
            ));
        }
        if !self.unknown.is_empty() {
            sentences.push(format!(
                "this operator is older than the CRD in the cluster: it ignores {}. Upgrade the operator",
                named(&self.unknown)
            ));
        }
        sentences
    }
}

/// The schema of DockerCoins in an OpenAPI 3 document of the API server; `None` if the document lacks it. The API server
/// returns an empty document with 200 for a moment after a CRD was deleted.
///
/// # Errors
/// If the document is not JSON.
pub fn published(document: &str) -> Result<Option<Value>, serde_json::Error> {
    if document.trim().is_empty() {
        return Ok(None);
    }
    let document: Value = serde_json::from_str(document)?;
    let mut schemas = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten();
    let of_coins = schemas.find(|(name, _)| name.ends_with(".DockerCoins"));
    Ok(of_coins.map(|(_, schema)| schema.clone()))
}

/// Compares the spec and the status in two OpenAPI schemas of the whole resource.
pub fn differences(served: &Value, own: &Value) -> Differences {
    let mut differences = Differences::default();
    for part in ["spec", "status"] {
        let (served, own) = (&served["properties"][part], &own["properties"][part]);
        absent(own, served, part, &mut differences.missing);
        absent(served, own, part, &mut differences.unknown);
        without_default(own, served, part, &mut differences.without_default);
    }
    differences
}

/// Collects the fields of `wanted` that `schema` lacks.
fn absent(wanted: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    if wanted.is_null() || schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    if schema.is_null() {
        found.push(path.to_owned());
        return;
    }
    let none = Map::new();
    for (name, field) in wanted["properties"].as_object().unwrap_or(&none) {
        let path = format!("{path}.{name}");
        absent(field, &schema["properties"][name], &path, found);
    }
    for (inner, step) in [("items", "[]"), ("additionalProperties", ".*")] {
        if wanted[inner].is_object() {
            absent(
                &wanted[inner],
                &schema[inner],
                &format!("{path}{step}"),
                found,
            );
        }
    }
}

/// Collects the fields of both schemas that have a default in `wanted` only.
fn without_default(wanted: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    if schema.is_null() || schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    if !wanted["default"].is_null() && schema["default"].is_null() {
        found.push(path.to_owned());
    }
    for (name, field) in wanted["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        without_default(field, &schema["properties"][name], &path, found);
    }
}

fn named(fields: &[String]) -> String {
    let first = fields.iter().take(NAMED).map(String::as_str);
    let first = first.collect::<Vec<_>>().join(", ");
    match fields.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::crd_schema as own;

    #[test]
    fn the_schema_is_found_in_what_is_published_if_it_is_there() {
        let schemas = json!({ "dev.dockercoins.v1alpha1.DockerCoins": own(), "dev.dockercoins.v1alpha1.DockerCoinsList": {} });
        let document = json!({ "openapi": "3.0.0", "components": { "schemas": schemas } });
        let without = json!({ "openapi": "3.0.0", "paths": {} });

        assert_eq!(published(&document.to_string()).unwrap(), Some(own()));
        assert_eq!(published(&without.to_string()).unwrap(), None);
        assert_eq!(published("").unwrap(), None);
        assert!(published("<html>").is_err());
    }

    #[test]
    fn a_schema_does_not_differ_from_itself() {
        assert_eq!(differences(&own(), &own()), Differences::default());
        assert_eq!(
            differences(&own(), &own()).sentences(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_older_crd_drops_settings_and_memory() {
        let mut older = own();
        let properties = &mut older["properties"];
        let worker = properties["spec"]["properties"]["worker"]["properties"].as_object_mut();
        worker.unwrap().remove("replicas");
        let settings_alone = differences(&older, &own());
        let component = &mut older["properties"]["status"]["properties"]["components"];
        let component = component["items"]["properties"].as_object_mut();
        component.unwrap().remove("pinned");
        let both = differences(&older, &own());

        let missing = ["spec.worker.replicas", "status.components[].pinned"];
        assert_eq!(settings_alone.missing, missing[..1]);
        assert!(!settings_alone.forget());
        assert_eq!(both.missing, missing);
        assert!(both.forget());
        assert_eq!(
            both.sentences(),
            [
                "the CRD in the cluster is older than this operator: it drops spec.worker.replicas, status.components[].pinned. Upgrade it: `helm upgrade` with crds.enabled=true (and `--force-conflicts`, if it was changed by hand), or `dockercoins-operator crd | kubectl apply --server-side --force-conflicts --filename -`"
            ]
        );
    }

    #[test]
    fn crd_without_the_status_default_is_older() {
        let mut older = own();
        let status = older["properties"]["status"].as_object_mut().unwrap();
        status.remove("default");
        let found = differences(&older, &own());

        assert_eq!(found.without_default, ["status"]);
        assert!(found.is_older() && !found.forget());
        let sentences = found.sentences();
        assert!(
            sentences[0].contains("it has no default for status. Upgrade it"),
            "{sentences:?}"
        );
    }

    #[test]
    fn a_newer_crd_has_fields_that_are_not_heeded() {
        let mut newer = own();
        for number in 1..=6 {
            newer["properties"]["spec"]["properties"][format!("new{number}")] =
                json!({ "type": "string" });
        }
        let found = differences(&newer, &own());

        assert!(!found.forget());
        assert_eq!(
            found.sentences(),
            [
                "this operator is older than the CRD in the cluster: it ignores spec.new1, spec.new2, spec.new3, spec.new4, spec.new5 and 1 more. Upgrade the operator"
            ]
        );
    }

    #[test]
    fn a_schema_that_takes_everything_drops_nothing() {
        let mut loose = own();
        loose["properties"]["spec"] =
            json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        assert_eq!(differences(&loose, &own()), Differences::default());
    }

    #[test]
    fn a_crd_without_a_status_forgets_everything() {
        let mut bare = own();
        bare["properties"].as_object_mut().unwrap().remove("status");
        assert_eq!(differences(&bare, &own()).missing, ["status"]);
        assert!(differences(&bare, &own()).forget());
    }
}
