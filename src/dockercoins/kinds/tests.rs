mod plan;

use serde_json::json;

use super::*;
use crate::api::DockerCoins;

fn desired() -> Desired {
    let spec = json!({ "registry": { "prefix": "registry.example.com/team" }, "tag": "v0.1" });
    let coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
    Desired::from_resource(&coins).unwrap()
}

/// A path of fields, in which `containers[rng]` may stand.
fn path(text: &str) -> FieldPath {
    FieldPath::dotted(&text.replace("[rng]", ""))
}

#[test]
fn every_setting_of_a_deployment_names_its_field() {
    for (at, field) in [
        ("spec.template.spec.containers[rng].image", Some("spec.tag")),
        (
            "spec.template.spec.containers[rng].env.value",
            Some("spec.rng.env"),
        ),
        (
            "spec.template.spec.containers[rng].resources.limits.cpu",
            Some("spec.rng.resources"),
        ),
        (
            "spec.template.spec.containers[rng].livenessProbe",
            Some("spec.rng.probes"),
        ),
        (
            "spec.template.spec.containers[rng].securityContext.readOnlyRootFilesystem",
            Some("spec.rng.securityContext"),
        ),
        (
            "spec.template.spec.securityContext.runAsUser",
            Some("spec.rng.securityContext"),
        ),
        ("spec.template.spec.nodeSelector", Some("spec.nodeSelector")),
        (
            "spec.template.spec.imagePullSecrets.name",
            Some("spec.imagePullSecrets"),
        ),
        (
            "spec.template.metadata.labels.team",
            Some("spec.rng.podLabels"),
        ),
        (
            "spec.template.metadata.annotations.a",
            Some("spec.rng.podAnnotations"),
        ),
        ("spec.replicas", Some("spec.rng.replicas")),
        ("spec.strategy.type", Some("spec.rng.strategy")),
        ("spec.selector", None),
        ("metadata.labels.app", None),
    ] {
        let edit = Deployment::owning_field(&desired(), "rng", &path(at));
        assert_eq!(edit, field.map(FieldPath::dotted), "{at}");
    }
}

#[test]
fn a_field_of_the_other_kinds_names_the_setting_that_asks_for_them() {
    let desired = desired();
    let at = path("spec.type");
    for (edit, field) in [
        (
            Service::owning_field(&desired, "webui", &at),
            Some("spec.webui.service"),
        ),
        (
            Service::owning_field(&desired, "redis", &at),
            Some("spec.redis.external"),
        ),
        (Service::owning_field(&desired, "rng", &at), None),
        (
            PodDisruptionBudget::owning_field(&desired, "rng", &at),
            Some("spec.rng.replicas"),
        ),
        (
            HorizontalPodAutoscaler::owning_field(&desired, "rng", &at),
            Some("spec.rng.autoscaling"),
        ),
        (
            Ingress::owning_field(&desired, "webui", &at),
            Some("spec.webui.ingress"),
        ),
    ] {
        assert_eq!(edit, field.map(FieldPath::dotted));
    }
}

#[test]
fn images_selectors_and_security_decide_what_runs() {
    for (at, is_critical) in [
        ("spec.template.spec.containers[rng].image", true),
        (
            "spec.template.spec.containers[rng].securityContext.privileged",
            true,
        ),
        ("spec.selector.matchLabels.app", true),
        ("spec.template.spec.containers[rng].imagePullPolicy", false),
        ("spec.replicas", false),
    ] {
        assert_eq!(Deployment::is_critical(&path(at)), is_critical, "{at}");
    }
    assert!(Service::is_critical(&path("spec.selector.app")));
    assert!(NetworkPolicy::is_critical(&path("spec.ingress")));
    assert!(!Ingress::is_critical(&path("spec.rules")));
}

#[test]
fn kinds_are_visited_in_the_order_of_writing_and_in_reverse() {
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for_each_kind!(K => { forward.push(ObjectKey::new::<K>("").kind); });
    for_each_kind_in_reverse!(K => { backward.push(ObjectKey::new::<K>("").kind); });
    assert_eq!(forward.first().unwrap(), "PersistentVolumeClaim");
    assert_eq!(forward.len(), 9);
    backward.reverse();
    assert_eq!(forward, backward);
}
