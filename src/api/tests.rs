use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::*;

/// The schema of the whole resource.
fn schema() -> JSONSchemaProps {
    let version = crd().spec.versions.remove(0);
    version.schema.unwrap().open_api_v3_schema.unwrap()
}

/// The places below a schema at which `is` holds.
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
    // The annotation that client-side apply keeps may be 256 KiB, with everything else in annotations.
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
    // The items of a list and the values of a map are described by the list and the map.
    let found: Vec<_> = found
        .into_iter()
        .filter(|path| !path.ends_with("[]") && !path.ends_with("{}"))
        .collect();
    assert_eq!(found, none());
}

#[test]
fn every_optional_setting_names_its_default() {
    let root = schema();
    let spec = &root.properties.as_ref().unwrap()["spec"];
    let mut found = Vec::new();
    let mut check = |path: String, schema: &JSONSchemaProps| {
        let is_group = schema.properties.is_some();
        let description = schema.description.clone().unwrap_or_default();
        if !is_group && !description.contains("Default:") {
            found.push(path);
        }
    };
    for (name, setting) in spec.properties.iter().flatten() {
        check(format!("spec.{name}"), setting);
        for (below, setting) in setting
            .properties
            .iter()
            .flatten()
            .filter(|_| name != "affinity")
        {
            check(format!("spec.{name}.{below}"), setting);
        }
    }
    assert_eq!(found, none());
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
