use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::json;

use super::*;
use crate::runtime::names::APPLIED_HASH;

/// A Deployment as we want it, with this spec.
fn wanted(stamp: &str, spec: Value) -> Deployment {
    let mut object = json!({
        "metadata": { "name": "rng", "namespace": "demo", "annotations": { APPLIED_HASH: stamp } },
        "spec": { "selector": {}, "template": { "spec": { "containers": [] } } },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// The same in the cluster, with who manages which field.
fn live(stamp: &str, spec: Value, records: &[(&str, Value)]) -> Deployment {
    let mut live = wanted(stamp, spec);
    let record = |(manager, fields): &(&str, Value)| {
        serde_json::from_value(json!({ "manager": manager, "fieldsV1": fields })).unwrap()
    };
    live.metadata.managed_fields = Some(records.iter().map(record).collect());
    live
}

/// A pod with one container, whose fields these are.
fn pod(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("rng");
    json!({ "spec": { "containers": [container] } })
}

/// The record of a manager of these fields of the container.
fn of_container(fields: Value) -> Value {
    let mut own = json!({ ".": {}, "f:name": {} });
    for (field, below) in fields.as_object().unwrap() {
        own[field] = below.clone();
    }
    json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"rng\"}": own } } } } })
}

fn changed(change: &Change) -> Vec<String> {
    let is_change = |line: &&str| line.starts_with(['+', '-']);
    let text = change.unified();
    text.lines()
        .skip(2)
        .filter(is_change)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_change_is_a_unified_diff_under_kubectls_names() {
    let there = live("1", json!({ "minReadySeconds": 1 }), &[]);
    let after = wanted("2", json!({ "minReadySeconds": 5 }));
    assert_eq!(
        Change::write(&after, &there, false).unified(),
        "--- LIVE/apps.v1.Deployment.demo.rng\n\
         +++ MERGED/apps.v1.Deployment.demo.rng\n\
         @@ -4,7 +4,7 @@\n   name: rng\n   namespace: demo\n spec:\n-  minReadySeconds: 1\n+  minReadySeconds: 5\n   selector: {}\n   template:\n     spec:\n"
    );
}

#[test]
fn what_others_wrote_stands_on_neither_side_and_equal_amounts_are_alike() {
    let amount = |cpu: &str| json!({ "template": pod(json!({ "resources": { "limits": { "cpu": cpu } } })) });
    let mut there = live(
        "1",
        amount("500m"),
        &[("kubectl", of_container(json!({ "f:stdin": {} })))],
    );
    there.spec.paused = Some(true);
    there.metadata.labels = Some([("theirs".to_owned(), "x".to_owned())].into());
    let change = Change::write(&wanted("1", amount("0.5")), &there, false);
    assert_eq!(change.unified(), "");
}

#[test]
fn what_was_ours_and_is_not_wanted_any_more_is_taken_away() {
    let env = |names: &[&str]| {
        let env: Vec<Value> = names
            .iter()
            .map(|name| json!({ "name": name, "value": format!("of {name}") }))
            .collect();
        json!({ "template": pod(json!({ "env": env })) })
    };
    let item = json!({ ".": {}, "f:name": {}, "f:value": {} });
    let of_env = |names: &[&str]| {
        let fields = names
            .iter()
            .map(|name| (format!("k:{{\"name\":\"{name}\"}}"), item.clone()));
        of_container(json!({ "f:env": Map::from_iter(fields) }))
    };
    let mut spec = env(&["KEPT", "OURS", "SHARED", "THEIRS"]);
    spec["progressDeadlineSeconds"] = json!(120);
    let mut ours = of_env(&["KEPT", "OURS", "SHARED"]);
    ours["f:spec"]["f:progressDeadlineSeconds"] = json!({});
    let records = [(MANAGER, ours), ("kubectl", of_env(&["SHARED", "THEIRS"]))];
    let change = Change::write(
        &wanted("2", env(&["KEPT"])),
        &live("1", spec, &records),
        false,
    );
    assert_eq!(
        changed(&change),
        [
            "-  progressDeadlineSeconds: 120",
            "-        - name: OURS",
            "-          value: of OURS"
        ]
    );
}

#[test]
fn a_number_of_replicas_that_is_no_longer_ours_stays() {
    let records = [(MANAGER, json!({ "f:spec": { "f:replicas": {} } }))];
    let there = live("1", json!({ "replicas": 3 }), &records);
    let change = Change::write(&wanted("2", json!({})), &there, false);
    assert_eq!(
        changed(&change),
        [
            "-    dockercoins.dev/applied: \"1\"",
            "+    dockercoins.dev/applied: \"2\""
        ]
    );
}

#[test]
fn of_an_object_that_is_taken_over_all_the_spec_is_replaced() {
    let command = json!({ "template": pod(json!({ "command": ["sleep"], "stdin": true })) });
    let records = [(
        "kubectl",
        of_container(json!({ "f:command": {}, "f:stdin": {} })),
    )];
    let (after, there) = (
        wanted("1", json!({ "template": pod(json!({})) })),
        live("1", command, &records),
    );
    assert_eq!(
        changed(&Change::write(&after, &there, false)),
        Vec::<String>::new()
    );
    assert_eq!(
        changed(&Change::write(&after, &there, true)),
        [
            "-      - command:",
            "-        - sleep",
            "-        name: rng",
            "-        stdin: true",
            "+      - name: rng"
        ]
    );
}

#[test]
fn what_is_gone_comes_again_and_what_is_there_too_much_of_a_selector_goes() {
    let labels = |labels: Value| json!({ "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": { "app": "rng" } } } });
    let mut there = live("1", labels(json!({ "app": "rng" })), &[]);
    there.spec.template.metadata = None;
    assert_eq!(
        changed(&Change::write(
            &wanted("1", labels(json!({ "app": "rng" }))),
            &there,
            false
        )),
        [
            "-  template: {}",
            "+  template:",
            "+    metadata:",
            "+      labels:",
            "+        app: rng"
        ]
    );
    let node = |labels: Value| json!({ "template": { "spec": { "containers": [], "nodeSelector": labels } } });
    let there = live("1", node(json!({ "a": "b", "more": "c" })), &[]);
    assert_eq!(
        changed(&Change::write(
            &wanted("1", node(json!({ "a": "b" }))),
            &there,
            false
        )),
        ["-        more: c"]
    );
}

#[test]
fn a_port_that_someone_added_to_a_policy_is_shown_to_go() {
    let policy = |ports: Value| -> NetworkPolicy {
        serde_json::from_value(json!({
            "metadata": { "name": "rng", "namespace": "demo", "annotations": { APPLIED_HASH: "1" } },
            "spec": { "podSelector": {}, "ingress": [{ "ports": ports }] },
        }))
        .unwrap()
    };
    let there = policy(json!([{ "port": 80 }, { "port": 22 }]));
    let change = Change::write(&policy(json!([{ "port": 80 }])), &there, false);
    assert_eq!(changed(&change), ["-    - port: 22"]);
}

#[test]
fn creations_and_deletions_have_one_side() {
    let object = wanted("1", json!({ "minReadySeconds": 1 }));
    let text = Change::creation(&object).unified();
    assert!(text.contains("\n@@ -0,0 +1,"), "{text}");
    assert!(!text.contains(APPLIED_HASH), "{text}");
    let records = [
        (
            MANAGER,
            json!({ "f:metadata": { "f:annotations": { format!("f:{APPLIED_HASH}"): {} } }, "f:spec": { "f:minReadySeconds": {} } }),
        ),
        ("kubectl", json!({ "f:spec": { "f:paused": {} } })),
    ];
    let there = live(
        "1",
        json!({ "minReadySeconds": 1, "paused": true }),
        &records,
    );
    assert_eq!(
        changed(&Change::deletion(&there)),
        [
            "-apiVersion: apps/v1",
            "-kind: Deployment",
            "-metadata:",
            "-  name: rng",
            "-  namespace: demo",
            "-spec:",
            "-  minReadySeconds: 1"
        ]
    );
}
