//! The CustomResourceDefinition: what the derives give, made strict and bounded.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

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
///
/// A resource that the operator has not looked at yet has a status all the same, of a generation that never was:
/// kstatus takes one that says nothing for one that is as wanted, and Flux and Helm would not wait for it.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = DockerCoins::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            tighten(schema);
            let status = schema.properties.as_mut().and_then(|p| p.get_mut("status"));
            status.expect("a DockerCoins has a status").default =
                Some(JSON(json!({ "observedGeneration": -1 })));
        }
    }
    crd
}

/// The schema that [`crd`] has for the whole resource, in OpenAPI's form.
pub fn crd_schema() -> Value {
    json!(crd())["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

fn tighten(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(text) = &mut schema.description {
        *text = unwrapped(text);
    }
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

/// A text whose lines were broken for the source: `kubectl explain` breaks them anew. Paragraphs stay.
fn unwrapped(text: &str) -> String {
    let lines = |paragraph: &str| paragraph.lines().collect::<Vec<_>>().join(" ");
    let paragraphs = text.split("\n\n").map(lines);
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// A map of label keys to label values.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
        "x-kubernetes-validations": [{
            "rule": "self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
            "message": "a label's key is letters, digits, '-', '_' and '.', at most 63 of them, with or without a domain and a slash before it: write one such as example.com/team",
        }],
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

/// The rule that a field holds a name by which people reach a page; a star may stand for its first part.
pub(super) const IS_HOST_NAME: &str = "self.matches('^([*][.])?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$') && !self.matches('^[0-9.]+$')";
/// The rule that all hostnames are such names.
pub(super) const ARE_HOST_NAMES: &str = "!has(self.hostnames) || self.hostnames.all(name, name.matches('^([*][.])?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$') && !name.matches('^[0-9.]+$'))";
/// What both say to others.
pub(super) const HOST_NAME: &str = "a host is a name in lowercase, without a scheme, a port or a path, and no IP address: write coins.example.com";

/// The rule that a check which has no default says what it does. `at` is where the check is, such as
/// `self.liveness`.
pub(super) fn is_check_named(at: &str) -> String {
    format!(
        "!has({at}) || has({at}.httpGet) || has({at}.tcpSocket) || has({at}.exec) || (has({at}.disabled) && {at}.disabled)"
    )
}

/// The rule that a field which takes a number or a percentage has one, of which `percents` are the numbers that
/// may stand before the sign.
pub(super) fn is_number_or_percentage(field: &str, percents: &str) -> String {
    format!(
        "!has(self.{field}) || (type(self.{field}) == int ? int(self.{field}) >= 0 : string(self.{field}).matches('^{percents}%$'))"
    )
}

/// A number of pods, or a percentage of them; the rest is [`is_number_or_percentage`].
pub(super) fn number_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 8,
    })
}
