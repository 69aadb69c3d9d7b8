//! The CustomResourceDefinition: what the derives give, made strict and bounded.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::DockerCoins;

/// The longest string that a field takes which sets no bound of its own, in characters.
const LONGEST: i64 = 1024;
/// The most items or keys that a list or map takes which sets no bound of its own.
const MOST: i64 = 64;

/// The CustomResourceDefinition of DockerCoins.
///
/// Beside what the types say, every string, list and map gets an upper bound, so that no resource can make
/// the API server or the operator work without limit, and no field takes `null`: the API server then drops
/// an explicit `null` before it fills in defaults and checks rules, so that `tag: null` means no tag.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = DockerCoins::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            tighten(schema);
        }
    }
    crd
}

fn tighten(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    match schema.type_.as_deref() {
        Some("string") if schema.enum_.is_none() && schema.format.is_none() => {
            schema.max_length.get_or_insert(LONGEST);
        }
        Some("array") => {
            schema.max_items.get_or_insert(MOST);
        }
        Some("object") if schema.properties.is_none() && schema.additional_properties.is_some() => {
            schema.max_properties.get_or_insert(MOST);
        }
        _ => {}
    }
    schema
        .properties
        .iter_mut()
        .flat_map(|p| p.values_mut())
        .for_each(tighten);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        tighten(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        tighten(values);
    }
}

/// A map of label keys to label values.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

/// A map of annotation keys to values.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 4096 },
    })
}

/// A map of resource names to amounts that aren't negative, in Kubernetes' notation for quantities.
pub(super) fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "x-kubernetes-int-or-string": true,
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
            "maxLength": 32,
        },
    })
}

/// A number of pods that isn't negative, or a percentage of them.
pub(super) fn number_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "pattern": "^[0-9]{1,4}%?$",
        "maxLength": 5,
    })
}
