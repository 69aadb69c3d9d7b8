use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::*;

/// The schema of the whole resource.
fn schema() -> JSONSchemaProps {
    let version = crd().spec.versions.remove(0);
    version.schema.unwrap().open_api_v3_schema.unwrap()
}

/// The paths below a schema for which `is` holds.
fn places(
    schema: &JSONSchemaProps,
    path: &str,
    is: &impl Fn(&JSONSchemaProps) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    if is(schema) {
        found.push(path.to_owned());
    }
    for (name, below) in schema.properties.iter().flatten() {
        found.extend(places(below, &format!("{path}.{name}"), is));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        found.extend(places(items, &format!("{path}[]"), is));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        found.extend(places(values, &format!("{path}{{}}"), is));
    }
    found
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn it_has_its_names_and_the_workers_scale() {
    let crd = crd();
    let names = crd.spec.names;
    assert_eq!(
        (
            crd.spec.group.as_str(),
            names.kind.as_str(),
            names.plural.as_str(),
            crd.spec.scope.as_str()
        ),
        (
            "dockercoins.dev",
            "DockerCoins",
            "dockercoins",
            "Namespaced"
        )
    );
    assert_eq!(names.short_names, Some(vec!["coins".to_owned()]));
    assert_eq!(names.categories, Some(vec!["all".to_owned()]));
    let scale = crd.spec.versions[0]
        .subresources
        .clone()
        .unwrap()
        .scale
        .unwrap();
    assert_eq!(
        (
            scale.spec_replicas_path.as_str(),
            scale.status_replicas_path.as_str(),
            scale.label_selector_path.as_deref()
        ),
        (
            ".spec.worker.replicas",
            ".status.replicas",
            Some(".status.selector")
        )
    );
}

#[test]
fn it_is_small_enough_for_client_side_apply() {
    // Client-side apply stores the object in an annotation; all annotations together may have 256 KiB.
    let size = serde_json::to_string(&crd()).unwrap().len();
    assert!(size < 150_000, "{size}");
}

#[test]
fn every_string_list_and_map_is_bounded() {
    let is_unbounded = |schema: &JSONSchemaProps| match schema.type_.as_deref() {
        Some("string") => {
            schema.max_length.is_none() && schema.enum_.is_none() && schema.format.is_none()
        }
        Some("array") => schema.max_items.is_none(),
        Some("object") => schema.additional_properties.is_some() && schema.max_properties.is_none(),
        _ => false,
    };
    assert_eq!(places(&schema(), "", &is_unbounded), none());
}

#[test]
fn null_is_never_a_value() {
    assert_eq!(
        places(&schema(), "", &|schema| schema.nullable == Some(true)),
        none()
    );
}

#[test]
fn every_field_is_described() {
    let root = schema();
    let spec = &root.properties.as_ref().unwrap()["spec"];
    let undescribed = |schema: &JSONSchemaProps| schema.description.is_none();
    let found = places(spec, "spec", &undescribed);
    // The description of a list or map covers its items or values.
    let found: Vec<_> = found
        .into_iter()
        .filter(|path| !path.ends_with("[]") && !path.ends_with("{}"))
        .collect();
    assert_eq!(found, none());
}

/// The optional fields whose description names no default. Objects with fields of their own need none, nor do
/// Kubernetes' own types.
fn without_default(schema: &JSONSchemaProps, path: &str) -> Vec<String> {
    let required = schema.required.clone().unwrap_or_default();
    let mut found = Vec::new();
    for (name, setting) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        if ["spec.affinity", "spec.tolerations"].contains(&path.as_str()) {
            continue;
        }
        let description = setting.description.clone().unwrap_or_default();
        let is_group = setting.properties.is_some();
        if !is_group && !required.contains(name) && !description.contains("Default:") {
            found.push(path.clone());
        }
        found.extend(without_default(setting, &path));
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &setting.items {
            found.extend(without_default(items, &format!("{path}[]")));
        }
    }
    found
}

#[test]
fn every_optional_setting_names_its_default() {
    let root = schema();
    let spec = &root.properties.as_ref().unwrap()["spec"];
    assert_eq!(without_default(spec, "spec"), none());
}

#[test]
fn its_columns_tell_what_runs_since_when_and_wide_ones_tell_why() {
    let columns = crd().spec.versions.remove(0).additional_printer_columns;
    let columns: Vec<_> = columns
        .unwrap()
        .into_iter()
        .map(|column| (column.name, column.priority.unwrap_or(0)))
        .collect();
    let expected = [
        ("Ready", 0),
        ("Reason", 0),
        ("Registry", 0),
        ("Tag", 0),
        ("Workers", 0),
        ("Images", 1),
        ("Message", 1),
        ("Age", 0),
    ];
    assert_eq!(
        columns,
        expected.map(|(name, priority)| (name.to_owned(), priority))
    );
}

#[test]
fn a_resource_that_says_nothing_is_one_with_every_default() {
    let said_nothing: DockerCoinsSpec = serde_json::from_str("{}").unwrap();
    assert_eq!(said_nothing.tag, "v0.1");
    assert_eq!(said_nothing.registry, Registry::default());
    assert_eq!(said_nothing.resolve.policy, ResolvePolicy::Required);
    assert_eq!(
        serde_json::to_value(&said_nothing).unwrap(),
        serde_json::json!({
            "registry": { "prefix": "docker.io/dockercoins" },
            "tag": "v0.1",
            "resolve": { "policy": "Required" },
            "suspend": false,
            "hasher": {}, "redis": {}, "rng": {}, "webui": {}, "worker": {},
        })
    );
}

#[test]
fn lists_with_keys_are_merged_by_them() {
    let root = schema();
    let keyed = |schema: &JSONSchemaProps| schema.x_kubernetes_list_type.as_deref() == Some("map");
    let mut found = places(&root, "", &keyed);
    found.retain(|path| !path.starts_with(".spec.affinity"));
    assert_eq!(
        found,
        [
            ".spec.hasher.env",
            ".spec.imagePullSecrets",
            ".spec.redis.env",
            ".spec.rng.env",
            ".spec.webui.env",
            ".spec.worker.env",
            ".status.components",
            ".status.conditions",
        ]
    );
}

#[test]
fn every_rule_says_what_to_write() {
    let is_mute = |schema: &JSONSchemaProps| {
        let rules = schema.x_kubernetes_validations.iter().flatten();
        rules.into_iter().any(|rule| {
            rule.message
                .as_deref()
                .is_none_or(|message| !message.contains("write") && !message.contains("leave"))
        })
    };
    assert_eq!(places(&schema(), "", &is_mute), none());
}
