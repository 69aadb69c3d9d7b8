//! The schema's rules, each with valid and invalid values, and its bounds.

mod beside;

use std::collections::BTreeSet;

use dockercoins_operator::api;
use serde_json::{Value, json};

use super::schema::said_of;
use super::store::ON_CHANGE;
use crate::support::Namespace;
use crate::support::namespace::COINS;

/// A value nested under a path such as `worker.strategy`.
fn at(path: &str, value: Value) -> Value {
    path.rsplit('.')
        .fold(value, |value, field| json!({ field: value }))
}

/// A rule of the schema: where it holds, what it takes, what it refuses, and how it is told.
struct Rule {
    path: &'static str,
    good: Vec<Value>,
    bad: Vec<Value>,
    message: &'static str,
}

fn rules() -> Vec<Rule> {
    let tags = |path| Rule {
        path,
        good: vec![
            json!("v0.1"),
            json!("_x"),
            json!("A-b.c"),
            json!("a".repeat(128)),
        ],
        bad: vec![
            json!(".v1"),
            json!("-v1"),
            json!("a b"),
            json!("a/b"),
            json!("v1@x"),
            json!(""),
        ],
        message: "tag must be 1 to 128 letters, digits, '_', '.' or '-', and must not begin with '.' or '-': write a tag such as v0.1",
    };
    let mut rules = beside::rules();
    rules.extend([
        tags("tag"),
        tags("worker.tag"),
        Rule {
            path: "registry.prefix",
            good: vec![
                json!("dockercoins"),
                json!("localhost:5000"),
                json!("registry.example.com:5000/team/a"),
                json!("10.0.0.1/x/"),
                json!("[::1]:5000/x"),
            ],
            bad: vec![
                json!("registry.example.com/Team"),
                json!("a//b"),
                json!("host/rng:v1"),
                json!("/x"),
            ],
            message: "prefix must be host[:port][/path], with a path of lowercase letters, digits, '.', '_' and '-', and without a tag: write a prefix such as registry.example.com:5000/team, and the tag in spec.tag",
        },
        Rule {
            path: "registry.prefix",
            good: vec![json!("docker.io/dockercoins")],
            bad: vec![json!("")],
            message: "prefix must not be empty: write host[:port][/path], or leave prefix out for docker.io/dockercoins",
        },
        Rule {
            path: "registry.prefix",
            good: vec![json!("registry.example.com")],
            bad: vec![
                json!("https://registry.example.com"),
                json!("http://127.0.0.1:5000/x"),
            ],
            message: "prefix must not have a scheme: write registry.example.com:5000/team here, and the scheme in spec.registry.endpoint",
        },
        Rule {
            path: "registry.prefix",
            good: vec![json!("registry.example.com")],
            bad: vec![json!(format!(
                "registry.example.com/x@sha256:{}",
                "a".repeat(64)
            ))],
            message: "prefix must not have a digest, because four images share it: write the digest in the component's image",
        },
        Rule {
            path: "registry.prefix",
            good: vec![json!("registry.example.com")],
            bad: vec![
                json!("registry.example.com /team"),
                json!(" "),
                json!("a\tb"),
                json!("a\n"),
            ],
            message: "prefix must not have spaces: write a prefix such as registry.example.com:5000/team",
        },
        Rule {
            path: "registry.endpoint",
            good: vec![
                json!("http://registry:5000"),
                json!("https://registry.example.com"),
                json!("https://registry.example.com/"),
                json!("http://[::1]:5000"),
            ],
            bad: vec![
                json!("registry:5000"),
                json!("ftp://registry"),
                json!("http://registry/path"),
                json!("http://user:word@registry"),
                json!(""),
            ],
            message: "endpoint must be http:// or https://, a host and an optional port: write a URL such as http://registry:5000",
        },
        Rule {
            path: "registry.certificateAuthority",
            good: vec![
                json!({ "configMapKeyRef": { "name": "registry" } }),
                json!({ "secretKeyRef": { "name": "registry", "key": "tls.crt" } }),
            ],
            bad: vec![
                json!({}),
                json!({ "configMapKeyRef": { "name": "a" }, "secretKeyRef": { "name": "b" } }),
            ],
            message: "exactly one of configMapKeyRef and secretKeyRef is required: write one of them",
        },
        Rule {
            path: "resolve.interval",
            good: vec![json!("10s"), json!("10m"), json!("1h30m"), json!("0.5h")],
            bad: vec![
                json!("10"),
                json!("ten minutes"),
                json!("-10m"),
                json!("10 m"),
                json!("1d"),
                json!(""),
            ],
            message: "interval must be numbers with units (s, m or h): write an interval such as 10m, or leave it out to resolve each tag once",
        },
        Rule {
            path: "resolve.interval",
            good: vec![json!("10s")],
            bad: vec![json!("0s"), json!("9.9s"), json!("0h0m1s")],
            message: "interval must be at least 10s: write an interval such as 10m, or leave it out to resolve each tag once",
        },
        Rule {
            path: "rng",
            good: vec![
                json!({ "image": "a/b:c" }),
                json!({ "tag": "v1" }),
                json!({}),
            ],
            bad: vec![json!({ "image": "a/b:c", "tag": "v1" })],
            message: "image and tag are mutually exclusive: write the full reference in image, or only a tag in tag",
        },
        Rule {
            path: "rng.image",
            good: vec![
                json!("rng"),
                json!("registry.example.com:5000/team/rng:v0.1"),
                json!("rng@sha256:0"),
            ],
            bad: vec![json!("a b"), json!("docker://a/b"), json!(""), json!("a\n")],
            message: "image must be a reference without spaces and without a scheme: write an image such as registry.example.com/team/rng:v0.1",
        },
        Rule {
            path: "redis",
            good: vec![json!({ "replicas": 0 }), json!({ "replicas": 1 })],
            bad: vec![json!({ "replicas": 2 }), json!({ "replicas": 1000 })],
            message: "redis must have at most one pod, because two would split the counters: write 0 or 1, or leave replicas out",
        },
        Rule {
            path: "webui.service",
            good: vec![
                json!({ "type": "NodePort", "nodePort": 30080 }),
                json!({ "type": "LoadBalancer", "nodePort": 30080 }),
                json!({ "type": "ClusterIP" }),
                json!({ "annotations": { "a": "b" } }),
            ],
            bad: vec![
                json!({ "nodePort": 30080 }),
                json!({ "type": "ClusterIP", "nodePort": 30080 }),
            ],
            message: "nodePort requires type NodePort or LoadBalancer: write type: NodePort, or leave nodePort out",
        },
        Rule {
            path: "hasher.probes.readiness",
            good: vec![
                json!({ "httpGet": { "path": "/" }, "periodSeconds": 3 }),
                json!({ "tcpSocket": {} }),
                json!({ "exec": { "command": ["true"] } }),
                json!({ "timeoutSeconds": 3 }),
            ],
            bad: vec![
                json!({ "httpGet": { "path": "/" }, "tcpSocket": {} }),
                json!({ "exec": { "command": ["true"] }, "tcpSocket": {} }),
            ],
            message: "httpGet, tcpSocket and exec are mutually exclusive: write one of them",
        },
        Rule {
            path: "hasher.probes.liveness",
            good: vec![
                json!({ "disabled": true }),
                json!({ "disabled": false, "periodSeconds": 3 }),
            ],
            bad: vec![
                json!({ "disabled": true, "periodSeconds": 3 }),
                json!({ "disabled": true, "tcpSocket": {} }),
                json!({ "disabled": true, "failureThreshold": 1 }),
            ],
            message: "a disabled probe must not have other fields: write disabled: true alone, or leave disabled out",
        },
        Rule {
            path: "worker.strategy",
            good: vec![
                json!({ "type": "Recreate" }),
                json!({ "rollingUpdate": { "maxSurge": 1 } }),
                json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "50%" } }),
            ],
            bad: vec![json!({ "type": "Recreate", "rollingUpdate": {} })],
            message: "rollingUpdate requires type RollingUpdate: write that type, or leave rollingUpdate out",
        },
        Rule {
            path: "worker.strategy.rollingUpdate",
            good: vec![
                json!({ "maxSurge": 0, "maxUnavailable": 1 }),
                json!({ "maxSurge": "1%", "maxUnavailable": "0%" }),
                json!({ "maxSurge": 0 }),
            ],
            bad: vec![
                json!({ "maxSurge": 0, "maxUnavailable": 0 }),
                json!({ "maxSurge": "0%", "maxUnavailable": 0 }),
                json!({ "maxSurge": 0, "maxUnavailable": "0%" }),
            ],
            message: "maxSurge and maxUnavailable must not both be 0: write at least 1 for one of them",
        },
        Rule {
            path: "worker.strategy.rollingUpdate",
            good: vec![json!({ "maxSurge": 3 }), json!({ "maxSurge": "150%" })],
            bad: vec![
                json!({ "maxSurge": "3" }),
                json!({ "maxSurge": "-1%" }),
                json!({ "maxSurge": "many" }),
                json!({ "maxSurge": -1 }),
            ],
            message: "maxSurge must be a number of pods or a percentage: write a value such as 1 or 25%",
        },
        Rule {
            path: "worker.strategy.rollingUpdate",
            good: vec![
                json!({ "maxUnavailable": 3 }),
                json!({ "maxUnavailable": "100%" }),
            ],
            bad: vec![
                json!({ "maxUnavailable": "3" }),
                json!({ "maxUnavailable": "101%" }),
                json!({ "maxUnavailable": -1 }),
            ],
            message: "maxUnavailable must be a number of pods or a percentage up to 100%: write a value such as 1 or 25%",
        },
        Rule {
            path: "hasher",
            good: vec![
                json!({ "minReadySeconds": 599 }),
                json!({ "minReadySeconds": 600, "progressDeadlineSeconds": 601 }),
            ],
            bad: vec![
                json!({ "minReadySeconds": 600 }),
                json!({ "minReadySeconds": 30, "progressDeadlineSeconds": 30 }),
            ],
            message: "progressDeadlineSeconds (default 600) must be greater than minReadySeconds: write a greater progressDeadlineSeconds, or a smaller minReadySeconds",
        },
        Rule {
            path: "rng.resources",
            good: vec![json!({ "requests": { "cpu": 0 }, "limits": { "cpu": 2 } })],
            bad: vec![
                json!({ "requests": { "cpu": -1 } }),
                json!({ "limits": { "memory": -1 } }),
            ],
            message: "resource amounts must not be negative: write an amount such as 250m or 64Mi",
        },
        Rule {
            path: "rng.resources",
            good: vec![
                json!({ "requests": { "cpu": "1000m" }, "limits": { "cpu": 1 } }),
                json!({ "requests": { "cpu": 1 }, "limits": { "memory": "1Ki" } }),
            ],
            bad: vec![
                json!({ "requests": { "cpu": "1001m" }, "limits": { "cpu": 1 } }),
                json!({ "requests": { "memory": "1Gi" }, "limits": { "memory": "1G" } }),
            ],
            message: "requests must not exceed limits: write a smaller request, or a greater limit",
        },
        Rule {
            path: "redis.probes",
            good: vec![
                json!({ "startup": { "tcpSocket": {} } }),
                json!({ "startup": { "disabled": true } }),
                json!({ "liveness": { "periodSeconds": 3 } }),
            ],
            bad: vec![
                json!({ "startup": {} }),
                json!({ "startup": { "periodSeconds": 3 } }),
                json!({ "startup": { "disabled": false } }),
            ],
            message: "there is no default startup probe: write httpGet, tcpSocket or exec into startup, or leave it out",
        },
        Rule {
            path: "rng",
            good: vec![
                json!({ "probes": { "liveness": { "tcpSocket": {} } } }),
                json!({ "probes": { "readiness": { "periodSeconds": 3 } } }),
            ],
            bad: vec![json!({ "probes": { "liveness": { "periodSeconds": 3 } } })],
            message: "rng has no default liveness probe: write httpGet, tcpSocket or exec into probes.liveness, or leave it out",
        },
        Rule {
            path: "worker",
            good: vec![
                json!({ "probes": { "liveness": { "exec": { "command": ["true"] } } } }),
                json!({ "probes": { "readiness": { "disabled": true } } }),
            ],
            bad: vec![
                json!({ "probes": { "liveness": {} } }),
                json!({ "probes": { "readiness": { "periodSeconds": 3 } } }),
            ],
            message: "worker has no default probes: write httpGet, tcpSocket or exec into each of its probes, or leave the probe out",
        },
        Rule {
            path: "nodeSelector",
            good: vec![
                json!({ "a": "" }),
                json!({ "topology.kubernetes.io/zone": "a-1" }),
            ],
            bad: vec![
                json!({ "a b": "" }),
                json!({ "/a": "" }),
                json!({ "a/": "" }),
                json!({ "A.example/b": "" }),
                json!({ "a/b/c": "" }),
                json!({ "a".repeat(64): "" }),
            ],
            message: "a label key must be at most 63 letters, digits, '-', '_' and '.', optionally after a domain and a slash: write a key such as example.com/team",
        },
        Rule {
            path: "tolerations",
            good: vec![
                json!([{ "operator": "Exists" }]),
                json!([{ "key": "a" }]),
                json!([{ "key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute" }]),
            ],
            bad: vec![
                json!([{ "key": "a", "operator": "Maybe" }]),
                json!([{ "key": "a", "effect": "Never" }]),
            ],
            message: "operator must be Exists or Equal, and effect NoSchedule, PreferNoSchedule or NoExecute: write one of these, or leave the field out",
        },
        Rule {
            path: "tolerations",
            good: vec![json!([{ "key": "a", "operator": "Exists" }])],
            bad: vec![
                json!([{ "operator": "Exists", "value": "a" }]),
                json!([{ "value": "a" }]),
                json!([{}]),
            ],
            message: "a toleration with operator Exists must not have a value, and one without a key must have operator Exists: write key and value, or operator Exists",
        },
        Rule {
            path: "tolerations",
            good: vec![json!([
                { "key": "a", "effect": "NoExecute", "tolerationSeconds": 3 }
            ])],
            bad: vec![
                json!([{ "key": "a", "tolerationSeconds": 3 }]),
                json!([{ "key": "a", "effect": "NoSchedule", "tolerationSeconds": 3 }]),
            ],
            message: "tolerationSeconds requires effect NoExecute: write that effect, or leave tolerationSeconds out",
        },
    ]);
    rules
}

/// The rule about the name, which is at the root.
const NAME_RULE: &str =
    "metadata.name becomes a label value: write a name of at most 63 characters";

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn every_rule_accepts_valid_and_explains_invalid_input() {
    let namespace = Namespace::new("rules").await;
    for rule in rules() {
        for good in rule.good {
            let said = said_of(&namespace, COINS, at(rule.path, good.clone())).await;
            assert!(said.is_ok(), "{} takes {good}: {said:?}", rule.path);
        }
        for bad in rule.bad {
            let said = said_of(&namespace, COINS, at(rule.path, bad.clone()))
                .await
                .expect_err(&bad.to_string());
            // An object's value is not repeated.
            let shown = match &bad {
                Value::Object(_) | Value::Array(_) => String::new(),
                other => format!("{other}: "),
            };
            let whole = format!(
                "DockerCoins.dockercoins.dev \"{COINS}\" is invalid: spec.{}: Invalid value: {shown}{}",
                rule.path, rule.message
            );
            assert_eq!(said, whole, "for {bad}");
        }
    }
    assert!(
        said_of(&namespace, &"a".repeat(63), json!({}))
            .await
            .is_ok()
    );
    let long = "a".repeat(64);
    assert_eq!(
        said_of(&namespace, &long, json!({})).await,
        Err(format!(
            "DockerCoins.dockercoins.dev \"{long}\" is invalid: <nil>: Invalid value: {NAME_RULE}"
        ))
    );
}

#[test]
fn every_rule_of_the_schema_is_tried() {
    let mut found = BTreeSet::new();
    walk(&json!(api::crd()), &mut |value| {
        for rule in value["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            found.insert(
                rule["message"]
                    .as_str()
                    .expect("every rule has a message")
                    .to_owned(),
            );
        }
    });
    let mut tried: BTreeSet<String> = rules().iter().map(|rule| rule.message.to_owned()).collect();
    tried.insert(NAME_RULE.to_owned());
    tried.extend(ON_CHANGE.map(str::to_owned));
    assert_eq!(found, tried);
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|value| walk(value, visit)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn exceeded_bounds_are_named() {
    let namespace = Namespace::new("bounds").await;
    let long_list = |count: usize| {
        (0..count)
            .map(|i| json!({ "name": format!("n{i}") }))
            .collect::<Vec<_>>()
    };
    let long_map = |count: usize| {
        (0..count)
            .map(|i| (format!("k{i}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
    };
    for (path, bad, complaint) in [
        (
            "worker.replicas",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "worker.replicas",
            json!(1001),
            "should be less than or equal to 1000",
        ),
        ("worker.replicas", json!("many"), "must be of type integer"),
        ("worker.replicas", json!(1.5), "must be of type integer"),
        (
            "tag",
            json!("a".repeat(129)),
            "Too long: may not be more than 128 bytes",
        ),
        (
            "rng.tag",
            json!("a".repeat(129)),
            "Too long: may not be more than 128 bytes",
        ),
        (
            "rng.image",
            json!("a".repeat(513)),
            "Too long: may not be more than 512 bytes",
        ),
        (
            "registry.prefix",
            json!("a".repeat(256)),
            "Too long: may not be more than 255 bytes",
        ),
        (
            "rng.securityContext.runAsUser",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "rng.securityContext.runAsGroup",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "rng.securityContext.fsGroup",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "rng.minReadySeconds",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "rng.revisionHistoryLimit",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "rng.progressDeadlineSeconds",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "rng.probes.readiness.periodSeconds",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "rng.probes.readiness.tcpSocket.port",
            json!(65536),
            "should be less than or equal to 65535",
        ),
        (
            "rng.probes.readiness.exec.command",
            json!([]),
            "should have at least 1 items",
        ),
        (
            "rng.probes.readiness.httpGet",
            json!({}),
            "path: Required value",
        ),
        (
            "rng.strategy.type",
            json!("Sometimes"),
            "Unsupported value: \"Sometimes\": supported values: \"RollingUpdate\", \"Recreate\"",
        ),
        ("rng.resources.requests.cpu", json!("-1"), "should match"),
        ("rng.resources.limits.memory", json!("lots"), "should match"),
        (
            "webui.service.type",
            json!("ExternalName"),
            "Unsupported value",
        ),
        (
            "webui.service.nodePort",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "resolve.policy",
            json!("Sometimes"),
            "Unsupported value: \"Sometimes\": supported values: \"Required\", \"BestEffort\", \"Never\"",
        ),
        ("rng.resolve.policy", json!("never"), "Unsupported value"),
        (
            "rng.env",
            json!([{ "name": "A" }, { "name": "A" }]),
            "Duplicate value",
        ),
        (
            "rng.env",
            json!([{ "name": "" }]),
            "should be at least 1 chars long",
        ),
        ("rng.env", json!([{ "name": "1A" }]), "should match"),
        (
            "rng.env",
            json!(long_list(65)),
            "must have at most 64 items",
        ),
        (
            "imagePullSecrets",
            json!([{ "name": "a" }, { "name": "a" }]),
            "Duplicate value",
        ),
        ("imagePullSecrets", json!([{}]), "name: Required value"),
        (
            "imagePullSecrets",
            json!(long_list(17)),
            "must have at most 16 items",
        ),
        (
            "rng.podLabels",
            json!(long_map(65)),
            "Too many: 65: must have at most 64 items",
        ),
        (
            "rng.podLabels",
            json!({ "a": "b".repeat(64) }),
            "Too long: may not be more than 63 bytes",
        ),
        (
            "nodeSelector",
            json!({ "a": "b c" }),
            "should match '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'",
        ),
        ("nodeSelector", json!({ "a": 1 }), "must be of type string"),
        ("suspend", json!("yes"), "must be of type boolean"),
        (
            "worker.autoscaling.maxReplicas",
            json!(1001),
            "should be less than or equal to 1000",
        ),
        (
            "redis.storage",
            json!({ "size": "1Gi", "whenDeleted": "Keep" }),
            "Unsupported value: \"Keep\": supported values: \"Delete\", \"Retain\"",
        ),
        ("redis.storage", json!({}), "size: Required value"),
        ("redis.external", json!({}), "host: Required value"),
        (
            "redis.external",
            json!({ "host": "redis", "port": 0 }),
            "should be greater than or equal to 1",
        ),
        ("webui.httpRoute", json!({}), "parentRefs: Required value"),
        (
            "webui.httpRoute.parentRefs",
            json!([]),
            "should have at least 1 items",
        ),
        (
            "webui.httpRoute.parentRefs",
            json!(long_list(17)),
            "must have at most 16 items",
        ),
        (
            "webui.ingress",
            json!({ "host": "a.example.com", "tls": {} }),
            "secretName: Required value",
        ),
    ] {
        let said = said_of(&namespace, COINS, at(path, bad.clone()))
            .await
            .expect_err(&format!("{path}: {bad}"));
        let start = format!("DockerCoins.dockercoins.dev \"{COINS}\" is invalid: ");
        assert!(said.starts_with(&start), "{path}: {bad}: {said}");
        assert!(
            said.contains(&format!("spec.{path}")),
            "{path}: {bad}: {said}"
        );
        assert!(said.contains(complaint), "{path}: {bad}: {said}");
    }
}
