//! The CustomResourceDefinition: the derived schema, with bounds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::DockerCoins;

/// The default maxLength, in characters, of strings without their own.
const LONGEST: i64 = 1024;
/// The default maxItems and maxProperties of lists and maps without their own.
const MOST: i64 = 64;

/// The CustomResourceDefinition of DockerCoins.
///
/// Beyond the derived schema:
/// - Every string, list and map gets an upper bound, which limits the work of the API server and the operator.
/// - No field is nullable: the API server then drops an explicit `null` before it sets defaults and checks rules, so
///   that `tag: null` means no tag.
/// - `status` defaults to `observedGeneration: -1`. kstatus treats a resource without observedGeneration as current,
///   so Flux and Helm would not wait for the operator.
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

/// The schema of the whole resource in [`crd`], as OpenAPI.
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

/// Joins the lines of each paragraph: `kubectl explain` wraps them itself.
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
            "message": "a label key must be at most 63 letters, digits, '-', '_' and '.', optionally after a domain and a slash: write a key such as example.com/team",
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

/// A map of resource names to non-negative Kubernetes quantities.
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

/// The rule that a field is a DNS name, whose first label may be a star.
pub(super) const IS_HOST_NAME: &str = "self.matches('^([*][.])?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$') && !self.matches('^[0-9.]+$')";
/// The rule that all hostnames are DNS names.
pub(super) const ARE_HOST_NAMES: &str = "!has(self.hostnames) || self.hostnames.all(name, name.matches('^([*][.])?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$') && !name.matches('^[0-9.]+$'))";
/// The message of both rules.
pub(super) const HOST_NAME: &str = "a host must be a lowercase DNS name without a scheme, a port and a path, and not an IP address: write a host such as coins.example.com";

/// The rule that a probe without a default names its check. `at` is the path of the probe, such as
/// `self.liveness`.
pub(super) fn is_check_named(at: &str) -> String {
    format!(
        "!has({at}) || has({at}.httpGet) || has({at}.tcpSocket) || has({at}.exec) || (has({at}.disabled) && {at}.disabled)"
    )
}

/// The rule that a field is a number or a percentage. `percents` is the pattern of the number before the sign.
pub(super) fn is_number_or_percentage(field: &str, percents: &str) -> String {
    format!(
        "!has(self.{field}) || (type(self.{field}) == int ? int(self.{field}) >= 0 : string(self.{field}).matches('^{percents}%$'))"
    )
}

/// A number or percentage of pods; [`is_number_or_percentage`] checks the format.
pub(super) fn number_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 8,
    })
}
