use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::PodSpec;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::*;
use crate::api::DockerCoins;
use crate::dockercoins::component::PerComponent;
use crate::runtime::names::{ADOPT, APPLIED_HASH};

/// A DockerCoins with these settings.
fn desired(spec: Value) -> Desired {
    let mut coins: DockerCoins = serde_json::from_value(json!({
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "metadata": { "name": "dockercoins" },
        "spec": spec,
    }))
    .unwrap();
    coins.metadata.namespace = Some("demo".into());
    coins.metadata.uid = Some("11111111-2222-3333-4444-555555555555".into());
    Desired::from_resource(&coins).unwrap()
}

/// An image with a digest for each component.
fn pinned() -> ImageSet {
    let digest = "ab".repeat(32);
    PerComponent::from_fn(|component| {
        Some(format!(
            "registry.example.com/{component}:v0.1@sha256:{digest}"
        ))
    })
}

/// The pods of all Deployments.
fn pods(desired: &Desired, images: &ImageSet) -> Vec<PodSpec> {
    let deployments = plan(desired, Some(images)).deployments;
    deployments
        .into_iter()
        .map(|d| d.spec.template.spec.unwrap())
        .collect()
}

/// The objects other than Services and Deployments, as `Kind name`.
fn optional_objects(spec: Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    plan(&desired(spec), Some(&pinned()))
        .objects()
        .iter()
        .map(|object| (text(&object["kind"]), text(&object["metadata"]["name"])))
        .filter(|(kind, _)| kind != "Service" && kind != "Deployment")
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect()
}

/// Compares a plan with its snapshot in `fixtures/`. `UPDATE=1 cargo test` updates the snapshot.
fn assert_snapshot(name: &str, spec: Value) {
    let mut text = String::new();
    for object in plan(&desired(spec), Some(&pinned())).objects() {
        text += "---\n";
        text += &serde_saphyr::to_string(&object).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/dockercoins/kinds/fixtures")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    let line = text
        .lines()
        .zip(expected.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    assert!(
        text == expected,
        "{name}, line {}: planned `{}`, in the snapshot `{}`",
        line + 1,
        at(&text),
        at(&expected)
    );
}

#[test]
fn an_empty_spec_has_nine_objects() {
    assert_snapshot("minimal.objects.yaml", json!({}));
}

#[test]
fn every_field_shows_in_the_objects() {
    let example: Value =
        serde_saphyr::from_str(include_str!("../../../../examples/every-field.yaml")).unwrap();
    assert_snapshot("every-field.objects.yaml", example["spec"].clone());
}

#[test]
fn an_external_redis_has_a_service_and_no_pods() {
    let example: Value =
        serde_saphyr::from_str(include_str!("../../../../examples/external-redis.yaml")).unwrap();
    assert_snapshot("external-redis.objects.yaml", example["spec"].clone());
    let at = |host: &str| {
        let plan = plan(
            &desired(json!({ "redis": { "external": { "host": host } } })),
            Some(&pinned()),
        );
        let service = plan.services[1].spec.clone().unwrap();
        let slices: Vec<_> = plan
            .endpoint_slices
            .iter()
            .map(|slice| {
                (
                    slice.address_type.clone(),
                    slice.endpoints.clone().unwrap()[0].addresses.clone(),
                )
            })
            .collect();
        let names: Vec<_> = plan
            .deployments
            .into_iter()
            .map(|d| d.metadata.name.unwrap())
            .collect();
        assert_eq!(names, ["hasher", "rng", "webui", "worker"]);
        (service.type_.unwrap(), service.external_name, slices)
    };
    assert_eq!(
        at("redis.example.com"),
        (
            "ExternalName".into(),
            Some("redis.example.com".into()),
            vec![]
        )
    );
    assert_eq!(
        at("2001:db8::6"),
        (
            "ClusterIP".into(),
            None,
            vec![("IPv6".into(), vec!["2001:db8::6".into()])]
        )
    );
}

#[test]
fn optional_objects_exist_only_if_the_spec_asks_for_them() {
    let several = json!({ "worker": { "replicas": 2 }, "rng": { "replicas": 1 } });
    assert_eq!(optional_objects(several), ["PodDisruptionBudget worker"]);
    let cpu = json!({ "requests": { "cpu": "100m" } });
    let scaled = |min: i32| {
        let autoscaling = json!({ "minReplicas": min, "maxReplicas": 5 });
        json!({ "worker": { "resources": cpu, "autoscaling": autoscaling } })
    };
    assert_eq!(
        optional_objects(scaled(1)),
        ["HorizontalPodAutoscaler worker"]
    );
    assert_eq!(
        optional_objects(scaled(2)),
        [
            "PodDisruptionBudget worker",
            "HorizontalPodAutoscaler worker"
        ]
    );
    let scaled = plan(&desired(scaled(2)), Some(&pinned()));
    assert_eq!(scaled.deployments[4].spec.replicas, None);
    assert_eq!(
        optional_objects(json!({ "redis": { "storage": { "size": "1Gi" } } })),
        ["PersistentVolumeClaim redis"]
    );
    let closed = json!({ "networkPolicy": { "enabled": true } });
    let names = ["hasher", "redis", "rng", "webui", "worker"];
    assert_eq!(
        optional_objects(closed),
        names.map(|name| format!("NetworkPolicy {name}"))
    );
    assert_eq!(
        optional_objects(json!({ "networkPolicy": { "enabled": false } })),
        Vec::<String>::new()
    );
    assert_eq!(optional_objects(json!({})), Vec::<String>::new());
}

#[test]
fn only_a_retained_claim_has_no_owner() {
    let claim = |when: Value| {
        let storage = json!({ "size": "1Gi", "whenDeleted": when });
        let mut plan = plan(&desired(json!({ "redis": { "storage": storage } })), None);
        let metadata = plan.claims.remove(0).metadata;
        let annotations = metadata.annotations.unwrap();
        (
            metadata.owner_references.is_some(),
            annotations.get(ADOPT).cloned(),
        )
    };
    assert_eq!(claim(Value::Null), (true, None));
    assert_eq!(claim(json!("Delete")), (true, None));
    assert_eq!(claim(json!("Retain")), (false, Some("dockercoins".into())));
}

#[test]
fn ingress_annotations_do_not_override_the_operator_s() {
    let annotations = json!({ APPLIED_HASH: "mine", "example.com/a": "b" });
    let ingress = json!({ "host": "coins.example.com", "annotations": annotations });
    let plan = plan(&desired(json!({ "webui": { "ingress": ingress } })), None);
    let written = plan.ingresses[0].metadata.annotations.clone().unwrap();
    assert_eq!(written["example.com/a"], "b");
    assert_ne!(written[APPLIED_HASH], "mine");
}

#[test]
fn empty_lists_and_maps_are_not_sent() {
    let spec = json!({
        "imagePullSecrets": [], "nodeSelector": {}, "tolerations": [],
        "rng": { "env": [], "podLabels": {}, "podAnnotations": {}, "resources": { "requests": {}, "limits": {} } },
        "webui": {
            "service": { "annotations": {} },
            "ingress": { "host": "a.example.com", "annotations": {} },
            "httpRoute": { "parentRefs": [{ "name": "a" }], "hostnames": [], "annotations": {} },
        },
    });
    fn empty(value: &Value, path: &str) -> Vec<String> {
        let below: Vec<(String, &Value)> = match value {
            Value::Array(items) => items
                .iter()
                .map(|item| (format!("{path}[]"), item))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, field)| (format!("{path}.{name}"), field))
                .collect(),
            _ => return Vec::new(),
        };
        match below.is_empty() {
            true => vec![path.to_owned()],
            false => below
                .into_iter()
                .flat_map(|(path, value)| empty(value, &path))
                .collect(),
        }
    }
    let found: Vec<_> = plan(&desired(spec), Some(&pinned()))
        .objects()
        .into_iter()
        .flat_map(|object| empty(&object, object["metadata"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(found, ["redis.spec.template.spec.volumes[].emptyDir"]);
}

#[test]
fn without_images_there_are_no_deployments() {
    let plan = plan(&desired(json!({})), None);
    let names: Vec<_> = plan
        .services
        .iter()
        .map(|s| s.metadata.name.clone().unwrap())
        .collect();
    assert_eq!(names, ["hasher", "redis", "rng", "webui"]);
    assert_eq!(plan.deployments, []);
}

#[test]
fn pod_labels_do_not_override_the_operator_s() {
    let labels = json!({ "app": "mine", "app.kubernetes.io/managed-by": "me", "team": "blue" });
    let desired = desired(json!({ "rng": { "podLabels": labels } }));
    let deployment = &plan(&desired, Some(&pinned())).deployments[2];
    let labels = deployment
        .spec
        .template
        .metadata
        .clone()
        .unwrap()
        .labels
        .unwrap();
    assert_eq!(
        labels,
        BTreeMap::from(
            [
                ("app", "rng"),
                ("app.kubernetes.io/component", "rng"),
                ("app.kubernetes.io/instance", "dockercoins"),
                ("app.kubernetes.io/managed-by", "dockercoins-operator"),
                ("app.kubernetes.io/name", "dockercoins"),
                ("app.kubernetes.io/part-of", "dockercoins"),
                ("team", "blue"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
        )
    );
}

#[test]
fn service_annotations_do_not_override_the_operator_s() {
    let annotations = json!({ APPLIED_HASH: "mine", ADOPT: "mine", "example.com/a": "b" });
    let plan = plan(
        &desired(json!({ "webui": { "service": { "annotations": annotations } } })),
        None,
    );
    let written = plan.services[3].metadata.annotations.clone().unwrap();
    assert_eq!(written["example.com/a"], "b");
    assert!(!written.contains_key(ADOPT));
    assert_ne!(written[APPLIED_HASH], "mine");
}

#[test]
fn every_pod_passes_pod_security_restricted() {
    for pod in pods(&desired(json!({})), &pinned()) {
        let of_pod = pod.security_context.unwrap();
        assert_eq!(of_pod.run_as_non_root, Some(true));
        assert_ne!(of_pod.run_as_user, Some(0));
        assert_eq!(of_pod.seccomp_profile.unwrap().type_, "RuntimeDefault");
        for container in pod.containers {
            let of_container = container.security_context.unwrap();
            assert_eq!(of_container.allow_privilege_escalation, Some(false));
            assert_eq!(
                of_container.capabilities.unwrap().drop,
                Some(vec!["ALL".to_owned()])
            );
        }
        assert_eq!(pod.automount_service_account_token, Some(false));
    }
}

#[test]
fn only_images_without_a_digest_are_always_pulled() {
    let mut images = pinned();
    images[Component::Worker] = Some("registry.example.com/worker:v0.1".to_owned());
    let policies: Vec<_> = pods(&desired(json!({})), &images)
        .iter()
        .map(|pod| pod.containers[0].image_pull_policy.clone().unwrap())
        .collect();
    assert_eq!(
        policies,
        [
            "IfNotPresent",
            "IfNotPresent",
            "IfNotPresent",
            "IfNotPresent",
            "Always"
        ]
    );
}

#[test]
fn the_applied_hash_changes_only_with_the_object() {
    let applied_hash = |spec: Value| {
        let deployment = plan(&desired(spec), Some(&pinned())).deployments.remove(4);
        deployment.metadata.annotations.unwrap()[APPLIED_HASH].clone()
    };
    assert_eq!(
        applied_hash(json!({})),
        applied_hash(json!({ "rng": { "replicas": 3 } }))
    );
    assert_ne!(
        applied_hash(json!({})),
        applied_hash(json!({ "worker": { "replicas": 1 } }))
    );
}

#[test]
fn the_default_strategy_is_recreate_for_redis_alone() {
    let strategies = |spec: Value| {
        let deployments = plan(&desired(spec), Some(&pinned())).deployments;
        deployments
            .into_iter()
            .map(|d| d.spec.strategy.unwrap().type_.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        strategies(json!({})),
        [
            "RollingUpdate",
            "Recreate",
            "RollingUpdate",
            "RollingUpdate",
            "RollingUpdate"
        ]
    );
    let other = json!({
        "redis": { "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } } },
        "worker": { "strategy": { "type": "Recreate" } },
    });
    assert_eq!(
        strategies(other),
        [
            "RollingUpdate",
            "RollingUpdate",
            "RollingUpdate",
            "RollingUpdate",
            "Recreate"
        ]
    );
}

#[test]
fn kinds_lists_every_kind_of_a_plan() {
    let example: Value =
        serde_saphyr::from_str(include_str!("../../../../examples/every-field.yaml")).unwrap();
    let objects = plan(&desired(example["spec"].clone()), Some(&pinned())).objects();
    let kinds = Plan::kinds();
    for object in objects {
        let is_it = |kind: &ApiResource| {
            (object["kind"].as_str(), object["apiVersion"].as_str())
                == (Some(&kind.kind), Some(&kind.api_version))
        };
        assert!(kinds.iter().any(is_it), "{}", object["kind"]);
    }
}
