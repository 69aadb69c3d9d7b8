use serde_json::json;

use super::*;

/// The differences, with their paths as text.
fn differing(wanted: Value, live: Value) -> Vec<(String, Option<Value>, Value)> {
    let found = differences(&wanted, &live).into_iter();
    found
        .map(|(path, found, wanted)| (path.to_string(), found, wanted))
        .collect()
}

/// A Deployment whose container has these fields.
fn deployment(container: Value) -> Value {
    json!({ "kind": "Deployment", "spec": { "template": { "spec": { "containers": [container] } } } })
}

#[test]
fn an_empty_value_equals_its_absence_except_in_maps() {
    for empty in [json!(""), json!(0), json!([])] {
        assert_eq!(differing(json!({ "field": empty }), json!({})), []);
    }
    for value in [json!("a"), json!(1), json!(["a"]), json!(false), json!({})] {
        let difference = ("field".to_owned(), None, value.clone());
        assert_eq!(
            differing(json!({ "field": value }), json!({})),
            [difference]
        );
    }
    let difference = ("nodeSelector.a".to_owned(), None, json!(""));
    assert_eq!(
        differing(
            json!({ "nodeSelector": { "a": "" } }),
            json!({ "nodeSelector": {} })
        ),
        [difference]
    );
}

#[test]
fn an_added_label_differs_in_selectors_alone() {
    let differing = |at: &str| {
        let nested = |value: Value| {
            let fields = at.split('.').rev();
            fields.fold(value, |value, field| json!({ field: value }))
        };
        differing(
            nested(json!({ "a": "b" })),
            nested(json!({ "a": "b", "c": "d" })),
        )
    };
    for selector in ["spec.selector", "spec.template.spec.nodeSelector"] {
        let added = (format!("{selector}.c"), Some(json!("d")), Value::Null);
        assert_eq!(differing(selector), [added]);
    }
    assert_eq!(differing("metadata.labels"), []);
}

#[test]
fn items_of_keyed_lists_are_compared_by_key() {
    let wanted = deployment(json!({ "name": "rng", "env": [{ "name": "A", "value": "1" }] }));
    let env = json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "3" }]);
    let live = deployment(json!({ "name": "rng", "env": env }));
    let path = "spec.template.spec.containers[rng].env[A].value";
    assert_eq!(
        differing(wanted, live),
        [(path.to_owned(), Some(json!("3")), json!("1"))]
    );
}

#[test]
fn a_list_without_keys_is_compared_in_order() {
    let args = |args: Value| deployment(json!({ "name": "rng", "args": args }));
    let wanted = args(json!(["--save", ""]));
    let path = "spec.template.spec.containers[rng].args";
    assert_eq!(
        differing(wanted.clone(), args(json!(["--save", "60 1"]))),
        [(format!("{path}[1]"), Some(json!("60 1")), json!(""))]
    );
    assert_eq!(
        differing(wanted, args(json!(["--save"]))),
        [(
            path.to_owned(),
            Some(json!(["--save"])),
            json!(["--save", ""])
        )]
    );
}

#[test]
fn a_port_of_a_service_is_compared_by_number() {
    let service = |port: Value| json!({ "kind": "Service", "spec": { "ports": [port] } });
    let wanted = service(json!({ "name": "webui", "port": 80, "targetPort": 80 }));
    let node_port = json!({ "name": "webui", "port": 80, "targetPort": 80, "nodePort": 30080 });
    assert_eq!(differing(wanted.clone(), service(node_port)), []);
    let target = json!({ "name": "webui", "port": 80, "targetPort": 8080 });
    let path = "spec.ports[80].targetPort".to_owned();
    assert_eq!(
        differing(wanted, service(target)),
        [(path, Some(json!(8080)), json!(80))]
    );
}

#[test]
fn lists_of_other_kinds_are_one_value() {
    let policy =
        |ingress: Value| json!({ "kind": "NetworkPolicy", "spec": { "ingress": ingress } });
    let rule = json!({ "ports": [{ "port": 80 }] });
    let wanted = policy(json!([rule]));
    let ports = json!([{ "port": 80 }, { "port": 22 }]);
    assert_eq!(
        differing(wanted.clone(), policy(json!([{ "ports": ports }]))),
        [(
            "spec.ingress[0].ports".to_owned(),
            Some(ports),
            json!([{ "port": 80 }])
        )]
    );
    let two = json!([rule, {}]);
    assert_eq!(
        differing(wanted, policy(two.clone())),
        [("spec.ingress".to_owned(), Some(two), json!([rule]))]
    );
}

#[test]
fn equal_quantities_do_not_differ() {
    let limits =
        |cpu: &str| deployment(json!({ "name": "rng", "resources": { "limits": { "cpu": cpu } } }));
    assert_eq!(differing(limits("0.5"), limits("500m")), []);
    assert_eq!(differing(limits("0.5"), limits("501m")).len(), 1);
}
