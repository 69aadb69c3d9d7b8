//! The command `render` prints what an operator writes, also where there is no operator.

use dockercoins_operator::dockercoins::kinds::Plan;
use dockercoins_operator::runtime::names::{APPLIED_HASH, MANAGER};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject};
use serde_json::{Map, Value, json};

use super::gateway::install_gateway_api;
use crate::support::coins::nine;
use crate::support::command::command;
use crate::support::namespace::{COINS, merged, resource};
use crate::support::registry::Images;
use crate::support::{COMPONENTS, Namespace, Operator, SERVED, until};

/// Every field that there is, with images that are in the registry.
fn every_field(images: &Images, policy: &str) -> Value {
    let example: Value =
        serde_saphyr::from_str(include_str!("../../../examples/every-field.yaml")).unwrap();
    let registry = json!({ "registry": { "endpoint": null, "certificateAuthority": null } });
    let ours = json!({
        "resolve": { "policy": policy },
        "redis": { "tag": null },
        "rng": { "image": images.name("rng", "v0.1") },
        // Other tests have node ports too.
        "webui": { "service": { "nodePort": null } },
        "worker": { "tag": null, "resolve": null },
    });
    let spec = merged(merged(example["spec"].clone(), registry), ours);
    without_nulls(merged(spec, images.spec()))
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        let there = std::mem::take(fields).into_iter();
        let there = there.filter(|(_, below)| !below.is_null());
        *fields = there
            .map(|(name, below)| (name, without_nulls(below)))
            .collect();
    }
    value
}

fn rendered(coins: &Value, options: &[&str]) -> Vec<Value> {
    let arguments = [&["render", "-f", "-"], options].concat();
    let answer = command(&arguments, &coins.to_string(), None);
    assert_eq!(answer.code, 0, "{}", answer.err);
    serde_saphyr::from_multiple(&answer.out).unwrap()
}

/// The part of an object that a manager applied, by the API server's own records.
fn applied(fields: &Value, live: &Value) -> Value {
    let fields = fields.as_object().unwrap();
    if fields.is_empty() {
        // The API server leaves an empty list out.
        return match live {
            Value::Null => json!([]),
            live => live.clone(),
        };
    }
    let (mut object, mut list) = (Map::new(), Vec::new());
    for (name, below) in fields {
        if let Some(name) = name.strip_prefix("f:") {
            object.insert(name.to_owned(), applied(below, &live[name]));
        } else if let Some(keys) = name.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap();
            let is_it = |item: &&Value| keys.iter().all(|(key, value)| item[key] == *value);
            let item = live.as_array().unwrap().iter().find(is_it).unwrap();
            list.push(applied(below, item));
        }
    }
    match list.is_empty() {
        true => Value::Object(object),
        // The records name the items in an order of their own.
        false => Value::Array(sorted(list)),
    }
}

/// A list of items that have names, by these.
fn sorted(mut list: Vec<Value>) -> Vec<Value> {
    list.sort_by_key(|item| item["name"].as_str().map(str::to_owned));
    list
}

fn with_sorted_lists(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, below)| (name, with_sorted_lists(below)))
            .collect(),
        Value::Array(items) if items.iter().all(|item| item.get("name").is_some()) => {
            sorted(items.into_iter().map(with_sorted_lists).collect()).into()
        }
        other => other,
    }
}

/// What the operator applied of the object that has this one's name, but for what only the operator can write.
async fn written(namespace: &Namespace, object: &Value) -> Value {
    let kinds = Plan::kinds();
    let kind = kinds
        .iter()
        .find(|kind| object["kind"] == kind.kind && object["apiVersion"] == kind.api_version);
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.client.clone(), &namespace.name, kind.unwrap());
    let name = object["metadata"]["name"].as_str().unwrap();
    let live = until(
        &format!("there is a {} {name}", object["kind"]),
        async || api.get(name).await,
    )
    .await;
    let records: Vec<_> = live
        .managed_fields()
        .iter()
        .filter(|record| record.manager.as_deref() == Some(MANAGER))
        .collect();
    assert_eq!(records.len(), 1, "one apply is all that was written");
    let fields = &records[0].fields_v1.as_ref().unwrap().0;
    let mut applied = applied(fields, &json!(live));
    for field in ["apiVersion", "kind"] {
        applied[field] = object[field].clone();
    }
    let metadata = applied["metadata"].as_object_mut().unwrap();
    for own in ["name", "namespace"] {
        metadata.insert(own.to_owned(), json!(live)["metadata"][own].clone());
    }
    // A claim that is to be retained has no owner.
    let is_owned = metadata.remove("ownerReferences").is_some();
    assert_eq!(is_owned, object["kind"] != "PersistentVolumeClaim");
    let annotations = metadata["annotations"].as_object_mut().unwrap();
    assert!(annotations.remove(APPLIED_HASH).is_some());
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    match object["kind"] == "HTTPRoute" {
        true => without_defaults(applied, object),
        false => applied,
    }
}

/// What was applied, without what the CRD of HTTPRoutes fills into the items of lists that are recorded as one value.
fn without_defaults(applied: Value, rendered: &Value) -> Value {
    match (applied, rendered) {
        (Value::Object(fields), Value::Object(rendered)) => fields
            .into_iter()
            .filter_map(|(name, below)| {
                let rendered = rendered.get(&name)?;
                Some((name, without_defaults(below, rendered)))
            })
            .collect(),
        (Value::Array(items), Value::Array(rendered)) => {
            assert_eq!(items.len(), rendered.len());
            let items = items.into_iter().zip(rendered);
            items
                .map(|(item, rendered)| without_defaults(item, rendered))
                .collect()
        }
        (value, _) => value,
    }
}

/// Has an operator write a resource's objects, and compares each with what is rendered.
async fn is_as_written(namespace: &Namespace, spec: Value, options: &[&str], objects: usize) {
    install_gateway_api(&namespace.client).await;
    let mut coins = resource(COINS, spec.clone());
    coins["metadata"]["namespace"] = json!(namespace.name);
    let rendered = rendered(&coins, options);
    let _operator = Operator::start(namespace);
    namespace.create_spec(COINS, spec).await;
    namespace.until_children(&nine()).await;
    let mut compared = 0;
    for object in rendered {
        let written = written(namespace, &object).await;
        assert_eq!(with_sorted_lists(object), written);
        compared += 1;
    }
    assert_eq!(compared, objects);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rendered_tags_equal_what_the_operator_writes() {
    let namespace = Namespace::new("render-tags").await;
    let images = namespace.images();
    is_as_written(&namespace, every_field(&images, "Never"), &[], 20).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rendered_digests_equal_what_the_operator_writes() {
    let namespace = Namespace::new("render-pins").await;
    let images = namespace.push_images().await;
    is_as_written(
        &namespace,
        every_field(&images, "Required"),
        &["--resolve"],
        20,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rendered_defaults_equal_what_the_operator_writes() {
    let namespace = Namespace::new("render-few").await;
    let images = namespace.push_images().await;
    is_as_written(&namespace, images.spec(), &["--resolve"], 9).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rendered_objects_can_be_applied_by_kubectl() {
    let namespace = Namespace::new("render-alone").await;
    let images = namespace.push_images().await;
    // Texts that another reader of YAML would take for something else.
    let texts = [
        "yes",
        "on",
        "0123",
        "1e3",
        "~",
        "null",
        "",
        " x",
        "a: b",
        "- c",
        "#d",
        "0x1f",
        "1:30",
        "two\nlines\n",
        "\t",
        "é\u{85}",
        "'\"",
        "2026-11-24",
    ];
    let env: Vec<Value> = (0..)
        .zip(texts)
        .map(|(i, text)| json!({ "name": format!("TEXT_{i}"), "value": text }))
        .collect();
    let spec = images.spec_with(json!({ "worker": { "replicas": 1, "env": env } }));
    let coins = resource(COINS, spec).to_string();
    let yaml = command(&["render", "-f", "-", "--resolve"], &coins, None);
    assert_eq!(yaml.code, 0, "{}", yaml.err);
    let applied = namespace
        .try_kubectl(&["apply", "--filename=-"], &yaml.out)
        .await;
    assert!(applied.success, "{}", applied.err);
    assert_eq!(namespace.children().await, nine());
    let worker: Deployment = namespace.get("worker").await;
    let container = &worker.spec.template.spec.as_ref().unwrap().containers[0];
    let values: Vec<String> = container
        .env
        .iter()
        .flatten()
        .map(|variable| variable.value.clone().unwrap_or_default())
        .collect();
    assert_eq!(values, texts);
    assert_eq!(worker.owner_references(), []);
    assert_eq!(worker.annotations().get(APPLIED_HASH), None);

    let versions = async || {
        let mut versions = Vec::new();
        for name in SERVED {
            let service: Service = namespace.get(name).await;
            versions.push(service.metadata.generation.map(|n| n.to_string()));
            versions.push(service.resource_version());
        }
        for name in COMPONENTS {
            let deployment: Deployment = namespace.get(name).await;
            versions.push(deployment.metadata.generation.map(|n| n.to_string()));
        }
        versions
    };
    let before = versions().await;
    let json = [
        "render",
        "-f",
        "-",
        "--resolve",
        "-o",
        "json",
        "-n",
        &namespace.name,
    ];
    let json = command(&json, &coins, None);
    assert_eq!(json.code, 0, "{}", json.err);
    let again = namespace
        .try_kubectl(&["apply", "--filename=-"], &json.out)
        .await;
    assert!(again.success, "{}", again.err);
    assert_eq!(again.out.lines().count(), 9, "{}", again.out);
    // kubectl says `configured` of a Deployment with a strategy, whatever it changes.
    assert_eq!(versions().await, before);
    // The Deployments are ones that the cluster can work with.
    until("the pods are made", async || {
        let pods = namespace.api::<Pod>();
        let pods = pods
            .list(&Default::default())
            .await
            .map_err(|e| e.to_string())?;
        match pods.items.len() {
            5 => Ok(()),
            n => Err(format!("{n} pods")),
        }
    })
    .await;
}
