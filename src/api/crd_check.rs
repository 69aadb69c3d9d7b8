//! Whether the schema that the cluster serves for a DockerCoins is the one that this operator means.
//!
//! Fields are compared, by name. The API server drops what its schema does not know: of a field of the spec that is a
//! setting without effect, of one of the status it is memory that the operator relies on. What a field may hold is
//! not compared: a resource that can't be read is told so by itself.

use serde_json::{Map, Value};

/// What status must keep, or a restart would roll out what a tag means by then.
const MEMORY: [&str; 4] = [
    "status.components",
    "status.components[].digest",
    "status.components[].image",
    "status.components[].pinned",
];

/// What to do about a CRD that is not this operator's.
pub const UPGRADE: &str = "`helm upgrade` with crds.enabled=true (and `--force-conflicts`, if it was changed by hand), or `dockercoins-operator crd | kubectl apply --server-side --force-conflicts --filename -`";

/// Whether a field of the status, by its path, is one that the operator can't do without, or holds one.
pub fn is_memory(field: &str) -> bool {
    MEMORY.iter().any(|needed| {
        let below = needed.strip_prefix(field);
        below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
    })
}

/// How many fields a message names.
const NAMED: usize = 5;

/// The fields in which the schema that is served and this operator's differ, as paths such as
/// `spec.worker.env[].name`. A field that is missing stands for all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Those that the cluster does not know: its CRD is older.
    pub missing: Vec<String>,
    /// Those that this operator does not know: it is older itself.
    pub unknown: Vec<String>,
}

impl Differences {
    /// Whether the operator can't act: what it would have to remember is dropped.
    pub fn forget(&self) -> bool {
        self.missing.iter().any(|field| is_memory(field))
    }

    /// What is to be said, and done about it; nothing where there is no difference.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.missing.is_empty() {
            sentences.push(format!(
                "the CRD in the cluster is older than this operator: it drops {}. Upgrade it: {UPGRADE}",
                named(&self.missing)
            ));
        }
        if !self.unknown.is_empty() {
            sentences.push(format!(
                "this operator is older than the CRD in the cluster: it does not heed {}. Upgrade the operator",
                named(&self.unknown)
            ));
        }
        sentences
    }
}

/// The schema of a DockerCoins in what the API server publishes of the group's version, a document of OpenAPI 3; `None`
/// where there is none. An empty document is what it answers, with 200, for a moment after a CRD has gone.
///
/// # Errors
/// Where it is no JSON.
pub fn published(document: &str) -> Result<Option<Value>, serde_json::Error> {
    if document.trim().is_empty() {
        return Ok(None);
    }
    let document: Value = serde_json::from_str(document)?;
    // Served beside others of the group's, of which there are none yet.
    let mut schemas = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten();
    let of_coins = schemas.find(|(name, _)| name.ends_with(".DockerCoins"));
    Ok(of_coins.map(|(_, schema)| schema.clone()))
}

/// Compares the spec and the status of two schemas of the whole resource, in OpenAPI's form.
pub fn differences(served: &Value, own: &Value) -> Differences {
    let mut differences = Differences::default();
    for part in ["spec", "status"] {
        let (served, own) = (&served["properties"][part], &own["properties"][part]);
        absent(own, served, part, &mut differences.missing);
        absent(served, own, part, &mut differences.unknown);
    }
    differences
}

/// The fields of `wanted` that `schema` has not.
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
                "this operator is older than the CRD in the cluster: it does not heed spec.new1, spec.new2, spec.new3, spec.new4, spec.new5 and 1 more. Upgrade the operator"
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
