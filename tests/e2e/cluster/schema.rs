//! The resource's schema, as the API server and kubectl apply it.

use std::collections::BTreeMap;

use dockercoins_operator::api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::Namespace;
use crate::support::namespace::{COINS, TESTER, merged, resource};

/// What the API server says to a DockerCoins with this spec, without keeping it.
pub async fn said_of(namespace: &Namespace, name: &str, spec: Value) -> Result<Value, String> {
    let coins = serde_json::from_value(resource(name, spec)).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match namespace.raw_coins().create(&params, &coins).await {
        Ok(coins) => Ok(coins.data["spec"].clone()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn null_means_absent_and_defaults_are_filled_in() {
    let namespace = Namespace::new("defaults").await;
    let defaults = json!({
        "registry": { "prefix": "docker.io/dockercoins" },
        "tag": "v0.1",
        "resolve": { "policy": "Required" },
        "suspend": false,
        "hasher": {},
        "redis": {},
        "rng": {},
        "webui": {},
        "worker": {},
    });
    assert_eq!(
        said_of(&namespace, COINS, json!({})).await,
        Ok(defaults.clone())
    );
    let nulls = json!({
        "registry": { "prefix": null, "endpoint": null },
        "tag": null,
        "resolve": { "policy": null, "interval": null },
        "suspend": null,
        "imagePullSecrets": null,
        "nodeSelector": null,
        "affinity": null,
        "rng": { "image": null, "tag": null, "replicas": null, "probes": null, "env": null, "strategy": null },
        "worker": { "image": "a/b:c", "tag": null },
    });
    let with_image = merged(defaults, json!({ "worker": { "image": "a/b:c" } }));
    assert_eq!(said_of(&namespace, COINS, nulls).await, Ok(with_image));
    let variable = said_of(
        &namespace,
        COINS,
        json!({ "rng": { "env": [{ "name": "A" }] } }),
    )
    .await
    .unwrap();
    assert_eq!(
        variable["rng"]["env"],
        json!([{ "name": "A", "value": "" }])
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn both_kinds_of_apply_take_the_crd_and_the_examples() {
    let namespace = Namespace::new("apply").await;
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/dockercoins.yaml");
    let mut files = vec![crd.into()];
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
    files.extend(examples.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()));
    for file in files.iter().filter(|file| file.ends_with(".yaml")) {
        for how in [
            &["--dry-run=server"][..],
            &["--dry-run=server", "--server-side", "--force-conflicts"],
        ] {
            let mut arguments = vec!["apply", "--validate=strict", "-f", file];
            arguments.extend(how);
            let said = namespace.try_kubectl(&arguments, "").await;
            assert!(said.success, "kubectl {arguments:?}: {}", said.err);
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn two_managers_share_variables_by_name() {
    let namespace = Namespace::new("appliers").await;
    let apply = async |manager: &str, name: &str| {
        let params = PatchParams::apply(manager);
        let spec = json!({ "rng": { "env": [{ "name": name, "value": "1" }] } });
        namespace
            .raw_coins()
            .patch(COINS, &params, &Patch::Apply(resource(COINS, spec)))
            .await
            .unwrap()
    };
    apply(TESTER, "A").await;
    let coins = apply("another", "B").await;
    let env = &coins.data["spec"]["rng"]["env"];
    assert_eq!(
        *env,
        json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "1" }])
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn kubectl_explain_describes_every_field() {
    let namespace = Namespace::new("explain").await;
    let spec = &api::crd_schema()["properties"]["spec"];
    // The same type twice is explained once: the API server made both from the same text.
    let mut seen = BTreeMap::new();
    objects("spec", spec, &mut seen);
    for (fields, path) in seen {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(&fields).unwrap();
        let said = namespace
            .kubectl(&["explain", &format!("dockercoins.{path}")])
            .await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, field) in fields {
            let description = field["description"]
                .as_str()
                .unwrap_or_else(|| panic!("{path}.{name} is described"));
            let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                said.contains(&description),
                "{path}.{name}: {description:?} is not in {said:?}"
            );
        }
    }
}

#[test]
fn every_optional_field_says_what_absence_means() {
    let spec = &api::crd_schema()["properties"]["spec"];
    let mut silent = Vec::new();
    leaves("spec", spec, &mut silent);
    assert_eq!(silent, Vec::<String>::new());
}

/// Whether a field is one of Kubernetes' own types, whose text is Kubernetes'.
fn is_kubernetes_own(path: &str) -> bool {
    path.starts_with("spec.affinity.") || path.starts_with("spec.tolerations.")
}

/// The objects below a schema, each once: its fields as JSON, and where it is.
fn objects(path: &str, schema: &Value, seen: &mut BTreeMap<String, String>) {
    let schema = if schema["items"].is_object() {
        &schema["items"]
    } else {
        schema
    };
    let Some(fields) = schema["properties"].as_object() else {
        return;
    };
    if is_kubernetes_own(&format!("{path}.")) {
        return;
    }
    seen.entry(json!(fields).to_string())
        .or_insert_with(|| path.to_owned());
    for (name, field) in fields {
        objects(&format!("{path}.{name}"), field, seen);
    }
}

/// The fields below a schema that hold a value, aren't required, and don't say what their absence means.
fn leaves(path: &str, schema: &Value, silent: &mut Vec<String>) {
    let schema = if schema["items"].is_object() {
        &schema["items"]
    } else {
        schema
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let below = format!("{path}.{name}");
        if is_kubernetes_own(&below) {
            continue;
        }
        let is_object = field["properties"].is_object();
        let says = field["description"]
            .as_str()
            .is_some_and(|text| text.contains("Default:"));
        if !is_object && !says && !required.contains(&json!(name)) {
            silent.push(below.clone());
        }
        leaves(&below, field, silent);
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn kubectl_get_prints_the_columns() {
    let namespace = Namespace::new("columns").await;
    let none = json!({ "replicas": 0 });
    let images = namespace.push_images().await;
    let _operator = crate::support::Operator::start(&namespace);
    let settings =
        json!({ "hasher": none, "redis": none, "rng": none, "webui": none, "worker": none });
    namespace.create(COINS, &images, settings).await;
    namespace.until_told(COINS, "Ready", "True", "Ready").await;
    let table = namespace.kubectl(&["get", "coins"]).await;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "NAME", "READY", "REASON", "REGISTRY", "TAG", "WORKERS", "AGE"
        ]
    );
    assert_eq!(
        lines[1][..6],
        [COINS, "True", "Ready", &images.prefix(), "v0.1", "0"]
    );
    let wide = namespace.kubectl(&["get", "coins", "-o", "wide"]).await;
    let heading: Vec<&str> = wide.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        heading,
        [
            "NAME", "READY", "REASON", "REGISTRY", "TAG", "WORKERS", "IMAGES", "MESSAGE", "AGE"
        ]
    );
    assert!(
        wide.contains("Resolved") && wide.contains("every component runs as asked for"),
        "{wide}"
    );
    let all = namespace.kubectl(&["get", "all"]).await;
    assert!(
        all.contains("dockercoins.dockercoins.dev/dockercoins"),
        "{all}"
    );
    // What Helm and scripts wait by.
    namespace
        .kubectl(&[
            "wait",
            "--for=condition=Ready",
            "coins/dockercoins",
            "--timeout=10s",
        ])
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn scale_can_be_read_once_workers_are_set() {
    let namespace = Namespace::new("scale-sub").await;
    namespace.create_spec(COINS, json!({})).await;
    let read = ["get", "coins", COINS, "--subresource=scale"];
    let said = namespace.try_kubectl(&read, "").await;
    assert!(!said.success);
    assert!(
        said.err
            .contains("the spec replicas field \".spec.worker.replicas\" does not exist"),
        "{}",
        said.err
    );
    namespace
        .kubectl(&["scale", "coins/dockercoins", "--replicas=3"])
        .await;
    let coins: api::DockerCoins = namespace.get(COINS).await;
    assert_eq!(coins.spec.worker.replicas, Some(3));
    namespace.kubectl(&read).await;
}
