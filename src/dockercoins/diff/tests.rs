use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::*;

const OURS: &str = "uid-of-the-resource";

fn owner() -> OwnerReference {
    OwnerReference {
        api_version: "dockercoins.dev/v1alpha1".into(),
        kind: "DockerCoins".into(),
        name: "dockercoins".into(),
        uid: OURS.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// What we write.
fn wanted() -> Value {
    json!({
        "metadata": {
            "name": "rng",
            "annotations": { APPLIED: "hash" },
            "labels": { "app": "rng" },
            "ownerReferences": [owner()],
        },
        "spec": {
            "selector": { "matchLabels": { "app": "rng" } },
            "template": { "spec": { "containers": [{
                "name": "rng",
                "image": "rng:v1",
                "args": ["--save", ""],
                "env": [{ "name": "A", "value": "1" }],
                "resources": { "limits": { "cpu": "0.5" } },
            }] } },
        },
    })
}

/// What is there, after `change`: what we wrote, and what the API server and others put beside it.
fn live(change: impl FnOnce(&mut Value)) -> Value {
    let mut live = wanted();
    live["metadata"]["uid"] = json!("uid-of-the-object");
    live["metadata"]["annotations"]["example.com/note"] = json!("someone's");
    live["metadata"]["labels"]["team"] = json!("blue");
    live["spec"]["replicas"] = json!(4);
    let container = &mut live["spec"]["template"]["spec"]["containers"][0];
    container["terminationMessagePath"] = json!("/dev/termination-log");
    container["env"] = json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }]);
    container["resources"]["limits"]["cpu"] = json!("500m");
    change(&mut live);
    live
}

fn judged(live: Option<Value>) -> Verdict {
    let deployment = |json| serde_json::from_value::<Deployment>(json).unwrap();
    let live = live.map(deployment);
    judge(&deployment(wanted()), live.as_ref(), &owner(), |uid| {
        uid == "uid-of-another-that-lives"
    })
}

fn healed(path: &str, found: Option<Value>, wanted: Value) -> Verdict {
    Verdict::Heal(vec![Drift {
        path: path.into(),
        found,
        wanted,
        by: None,
    }])
}

#[test]
fn what_is_not_there_is_created() {
    assert_eq!(judged(None), Verdict::Create);
}

#[test]
fn defaults_of_the_api_server_and_what_others_add_are_no_difference() {
    assert_eq!(judged(Some(live(|_| {}))), Verdict::Keep);
}

#[test]
fn another_hash_means_that_the_resource_changed() {
    let live = live(|live| live["metadata"]["annotations"][APPLIED] = json!("an older one"));
    assert_eq!(judged(Some(live)), Verdict::Update);
}

#[test]
fn a_hash_that_someone_else_put_there_means_that_the_object_changed() {
    let live = live(|live| {
        live["metadata"]["annotations"][APPLIED] = json!("an older one");
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("rng:v0");
        live["metadata"]["managedFields"] = json!([{
            "manager": "kubectl-rollout",
            "fieldsV1": { "f:metadata": { "f:annotations": { format!("f:{APPLIED}"): {} } } },
        }]);
    });
    let drift = Drift {
        path: "spec.template.spec.containers[rng].image".into(),
        found: Some(json!("rng:v0")),
        wanted: json!("rng:v1"),
        by: Some("kubectl-rollout".into()),
    };
    assert_eq!(judged(Some(live)), Verdict::Heal(vec![drift]));
}

#[test]
fn an_edited_field_is_healed_and_the_last_who_took_it_is_named() {
    let live = live(|live| {
        let container = &mut live["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!("nginx");
        let image = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"rng\"}": { "f:image": {} },
        } } } } });
        let other = json!({ "f:spec": { "f:replicas": {} } });
        live["metadata"]["managedFields"] = json!([
            { "manager": "kubectl-edit", "time": "2026-11-24T08:00:00Z", "fieldsV1": image },
            { "manager": "kubectl-set", "time": "2026-11-24T09:00:00Z", "fieldsV1": image },
            { "manager": "kubectl-scale", "time": "2026-11-24T10:00:00Z", "fieldsV1": other },
            { "manager": MANAGER, "time": "2026-11-24T11:00:00Z", "fieldsV1": image },
        ]);
    });
    let drift = Drift {
        path: "spec.template.spec.containers[rng].image".into(),
        found: Some(json!("nginx")),
        wanted: json!("rng:v1"),
        by: Some("kubectl-set".into()),
    };
    assert_eq!(judged(Some(live)), Verdict::Heal(vec![drift]));
}

#[test]
fn a_field_taken_away_is_healed() {
    let live = live(|live| {
        live["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("app");
    });
    assert_eq!(
        judged(Some(live)),
        healed("metadata.labels.app", None, json!("rng"))
    );
}

#[test]
fn an_empty_text_is_as_good_as_none_in_a_field_and_a_value_in_a_map() {
    let compared = |wanted: Value, live: Value| {
        let mut found = Vec::new();
        compare(&wanted, Some(&live), &mut Path::default(), &mut found);
        found.len()
    };
    assert_eq!(
        compared(json!({ "spec": { "value": "" } }), json!({ "spec": {} })),
        0
    );
    assert_eq!(
        compared(
            json!({ "nodeSelector": { "a": "" } }),
            json!({ "nodeSelector": {} })
        ),
        1
    );
}

#[test]
fn a_label_more_is_a_difference_where_it_selects_and_nowhere_else() {
    let compared = |at: &[&str]| {
        let nested = |value: Value| {
            at.iter()
                .rev()
                .fold(value, |value, field| json!({ *field: value }))
        };
        let mut found = Vec::new();
        compare(
            &nested(json!({ "a": "b" })),
            Some(&nested(json!({ "a": "b", "c": "d" }))),
            &mut Path::default(),
            &mut found,
        );
        found
            .into_iter()
            .map(|(path, found, wanted)| (path.to_string(), found, wanted))
            .collect::<Vec<_>>()
    };
    for selector in ["spec.selector", "spec.template.spec.nodeSelector"] {
        let at: Vec<&str> = selector.split('.').collect();
        let more = (format!("{selector}.c"), Some(json!("d")), Value::Null);
        assert_eq!(compared(&at), [more]);
    }
    assert_eq!(compared(&["metadata", "labels"]), []);
}

#[test]
fn an_item_of_a_list_is_compared_by_its_key_wherever_it_stands() {
    let live = live(|live| {
        live["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] = json!("3");
    });
    let path = "spec.template.spec.containers[rng].env[A].value";
    assert_eq!(
        judged(Some(live)),
        healed(path, Some(json!("3")), json!("1"))
    );
}

#[test]
fn a_list_without_keys_is_compared_in_its_order() {
    let changed = live(|live| {
        live["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["--save", "60 1"]);
    });
    let path = "spec.template.spec.containers[rng].args[1]";
    assert_eq!(
        judged(Some(changed)),
        healed(path, Some(json!("60 1")), json!(""))
    );

    let shorter = live(|live| {
        live["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["--save"]);
    });
    let path = "spec.template.spec.containers[rng].args";
    assert_eq!(
        judged(Some(shorter)),
        healed(path, Some(json!(["--save"])), json!(["--save", ""]))
    );
}

#[test]
fn an_object_that_is_being_deleted_is_waited_for() {
    let live = live(|live| live["metadata"]["deletionTimestamp"] = json!("2026-11-24T08:00:00Z"));
    assert_eq!(judged(Some(live)), Verdict::Leaving);
}

#[test]
fn the_object_of_a_resource_that_is_gone_is_waited_for_and_of_one_that_lives_is_foreign() {
    let of = |uid: &str| live(|live| live["metadata"]["ownerReferences"][0]["uid"] = json!(uid));
    assert_eq!(
        judged(Some(of("uid-of-one-that-is-gone"))),
        Verdict::Leaving
    );
    assert_eq!(
        judged(Some(of("uid-of-another-that-lives"))),
        Verdict::Foreign(Some("DockerCoins dockercoins".into()))
    );
}

#[test]
fn an_object_without_a_controller_is_foreign_until_it_is_handed_over_to_this_resource() {
    let annotated = |name: Option<&str>| {
        live(|live| {
            live["metadata"]["ownerReferences"] = json!([]);
            if let Some(name) = name {
                live["metadata"]["annotations"][ADOPT] = json!(name);
            }
        })
    };
    assert_eq!(judged(Some(annotated(None))), Verdict::Foreign(None));
    assert_eq!(
        judged(Some(annotated(Some("another")))),
        Verdict::Foreign(None)
    );
    assert_eq!(judged(Some(annotated(Some("dockercoins")))), Verdict::Adopt);
}

#[test]
fn an_object_of_another_controller_can_t_be_handed_over() {
    let live = live(|live| {
        live["metadata"]["ownerReferences"][0] = json!({
            "apiVersion": "v1", "kind": "Helm", "name": "chart", "uid": "x", "controller": true,
        });
        live["metadata"]["annotations"][ADOPT] = json!("dockercoins");
    });
    assert_eq!(
        judged(Some(live)),
        Verdict::Foreign(Some("Helm chart".into()))
    );
}

#[test]
fn the_field_to_edit_is_named_for_everything_that_can_be_set() {
    for (path, field) in [
        ("spec.template.spec.containers[rng].image", "spec.tag"),
        (
            "spec.template.spec.containers[rng].env[A].value",
            "spec.rng.env",
        ),
        (
            "spec.template.spec.containers[rng].resources.limits.cpu",
            "spec.rng.resources",
        ),
        (
            "spec.template.spec.containers[rng].livenessProbe",
            "spec.rng.probes",
        ),
        (
            "spec.template.spec.containers[rng].securityContext.readOnlyRootFilesystem",
            "spec.rng.securityContext",
        ),
        (
            "spec.template.spec.securityContext.runAsUser",
            "spec.rng.securityContext",
        ),
        ("spec.template.spec.nodeSelector", "spec.nodeSelector"),
        (
            "spec.template.spec.imagePullSecrets[regcred].name",
            "spec.imagePullSecrets",
        ),
        ("spec.template.metadata.labels.team", "spec.rng.podLabels"),
        (
            "spec.template.metadata.annotations[example.com/a]",
            "spec.rng.podAnnotations",
        ),
        ("spec.replicas", "spec.rng.replicas"),
        ("spec.strategy.type", "spec.rng.strategy"),
        ("spec.type", "nothing: the operator decides this field"),
        (
            "metadata.labels.app",
            "nothing: the operator decides this field",
        ),
    ] {
        let drift = Drift {
            path: path.into(),
            found: None,
            wanted: Value::Null,
            by: None,
        };
        assert_eq!(field_to_edit("rng", &drift, "spec.tag"), field, "{path}");
    }
    let drift = Drift {
        path: "spec.type".into(),
        found: None,
        wanted: Value::Null,
        by: None,
    };
    assert_eq!(field_to_edit("webui", &drift, ""), "spec.webui.service");
}

/// A Service's verdict after `change`, by the rules of [`judge`].
fn judged_service(change: impl FnOnce(&mut Value)) -> Verdict {
    let wanted = json!({
        "metadata": {
            "name": "webui",
            "annotations": { APPLIED: "hash" },
            "ownerReferences": [owner()],
        },
        "spec": {
            "type": "ClusterIP",
            "selector": { "app": "webui" },
            "ports": [{ "name": "webui", "port": 80, "targetPort": 80, "protocol": "TCP" }],
        },
    });
    let mut live = wanted.clone();
    live["spec"]["clusterIP"] = json!("10.0.0.7");
    change(&mut live);
    let service = |json| serde_json::from_value::<Service>(json).unwrap();
    judge(&service(wanted), Some(&service(live)), &owner(), |_| true)
}

#[test]
fn a_label_more_in_a_service_s_selector_is_healed_since_it_selects_fewer_pods() {
    let verdict = judged_service(|live| live["spec"]["selector"]["version"] = json!("2"));
    assert_eq!(
        verdict,
        healed("spec.selector.version", Some(json!("2")), Value::Null)
    );
}

#[test]
fn a_service_s_port_is_told_from_others_by_its_number() {
    assert_eq!(
        judged_service(|live| live["spec"]["ports"][0]["nodePort"] = json!(30080)),
        Verdict::Keep
    );
    assert_eq!(
        judged_service(|live| live["spec"]["ports"][0]["targetPort"] = json!(8080)),
        healed("spec.ports[80].targetPort", Some(json!(8080)), json!(80))
    );
}

#[test]
fn an_owner_that_joins_ours_is_no_difference() {
    let joined = live(|live| {
        let other = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other" });
        let owners = live["metadata"]["ownerReferences"].as_array_mut().unwrap();
        owners.insert(0, other);
    });
    assert_eq!(judged(Some(joined)), Verdict::Keep);
}

#[test]
fn a_hash_that_was_taken_away_is_put_back() {
    let live = live(|live| {
        let annotations = live["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove(APPLIED);
    });
    let path = "metadata.annotations[dockercoins.dev/applied]";
    assert_eq!(judged(Some(live)), healed(path, None, json!("hash")));
}

#[test]
fn what_means_nothing_may_be_left_out_and_what_chooses_something_may_not() {
    let drift = |wanted: Value| {
        let mut found = Found::new();
        let live = json!({});
        compare(&wanted, Some(&live), &mut Path::default(), &mut found);
        found.len()
    };
    for nothing in [json!(""), json!(0), json!([])] {
        assert_eq!(drift(json!({ "field": nothing })), 0);
    }
    for something in [json!("a"), json!(1), json!(["a"]), json!(false), json!({})] {
        assert_eq!(drift(json!({ "field": something })), 1);
    }
}

/// A NetworkPolicy, and what becomes of it after `change`.
fn policy_judged(change: impl FnOnce(&mut Value)) -> Verdict {
    let wanted = json!({
        "metadata": {
            "name": "rng",
            "annotations": { APPLIED: "hash" },
            "ownerReferences": [owner()],
        },
        "spec": {
            "podSelector": { "matchLabels": { "app": "rng" } },
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{ "podSelector": { "matchLabels": { "app": "worker" } } }],
                "ports": [{ "port": 80, "protocol": "TCP" }],
            }],
        },
    });
    let mut live = wanted.clone();
    change(&mut live);
    let policy = |json| {
        serde_json::from_value::<k8s_openapi::api::networking::v1::NetworkPolicy>(json).unwrap()
    };
    judge(&policy(wanted), Some(&policy(live)), &owner(), |_| true)
}

#[test]
fn whatever_someone_adds_to_a_network_policy_is_undone() {
    assert_eq!(policy_judged(|_| {}), Verdict::Keep);
    let ports = json!([{ "port": 80, "protocol": "TCP" }, { "port": 22, "protocol": "TCP" }]);
    assert_eq!(
        policy_judged(|live| live["spec"]["ingress"][0]["ports"] = ports.clone()),
        healed(
            "spec.ingress[0].ports",
            Some(ports.clone()),
            json!([{ "port": 80, "protocol": "TCP" }])
        )
    );
    let everyone = |live: &mut Value| {
        live["spec"]["ingress"]
            .as_array_mut()
            .unwrap()
            .push(json!({}));
    };
    assert!(matches!(policy_judged(everyone), Verdict::Heal(_)));
    assert_eq!(
        policy_judged(|live| live["spec"]["podSelector"]["matchLabels"]["team"] = json!("blue")),
        healed(
            "spec.podSelector.matchLabels.team",
            Some(json!("blue")),
            Value::Null
        )
    );
}

#[test]
fn a_claim_that_outlives_its_resource_is_the_next_one_s_of_that_name_and_no_other_s() {
    let claim = |name: &str, stamp: Option<&str>, size: &str| {
        let mut annotations = json!({ ADOPT: name });
        if let Some(stamp) = stamp {
            annotations[APPLIED] = json!(stamp);
        }
        let claim = json!({
            "metadata": { "name": "redis", "annotations": annotations },
            "spec": { "resources": { "requests": { "storage": size } } },
        });
        serde_json::from_value::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(claim).unwrap()
    };
    let wanted = claim("dockercoins", Some("hash"), "1Gi");
    let judged = |live| judge(&wanted, Some(&live), &owner(), |_| false);
    assert_eq!(
        judged(claim("dockercoins", Some("hash"), "1024Mi")),
        Verdict::Keep
    );
    assert_eq!(
        judged(claim("dockercoins", Some("older"), "1Gi")),
        Verdict::Update
    );
    assert_eq!(judged(claim("dockercoins", None, "1Gi")), Verdict::Adopt);
    assert_eq!(
        judged(claim("another", Some("hash"), "1Gi")),
        Verdict::Foreign(None)
    );
}
