use serde_json::{Value, json};

use super::*;

fn from(spec: Value) -> Result<Desired, Vec<Invalid>> {
    let mut coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
    coins.metadata.namespace = Some("demo".into());
    Desired::from_resource(&coins)
}

/// The field that sets each of the five images, and the image.
fn images(spec: Value) -> Vec<(String, String)> {
    let desired = from(spec).unwrap();
    desired
        .components
        .iter()
        .map(|(_, wanted)| (wanted.image_field.clone(), wanted.image.to_string()))
        .collect()
}

/// The violations, as messages.
fn violations(spec: Value) -> Vec<String> {
    from(spec)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn default_images_are_upstream_s_and_the_official_redis() {
    let expected = [
        ("spec.tag", "docker.io/dockercoins/hasher:v0.1"),
        ("spec.redis.image", "docker.io/library/redis:7"),
        ("spec.tag", "docker.io/dockercoins/rng:v0.1"),
        ("spec.tag", "docker.io/dockercoins/webui:v0.1"),
        ("spec.tag", "docker.io/dockercoins/worker:v0.1"),
    ];
    assert_eq!(
        images(json!({})),
        expected.map(|(field, image)| (field.into(), image.into()))
    );
}

#[test]
fn prefix_and_common_tag_do_not_apply_to_redis() {
    let spec = json!({ "registry": { "prefix": "127.0.0.1:5000" }, "tag": "v2" });
    let images: Vec<_> = images(spec).into_iter().map(|(_, image)| image).collect();
    assert_eq!(
        images,
        [
            "127.0.0.1:5000/hasher:v2",
            "docker.io/library/redis:7",
            "127.0.0.1:5000/rng:v2",
            "127.0.0.1:5000/webui:v2",
            "127.0.0.1:5000/worker:v2",
        ]
    );
}

#[test]
fn a_prefix_is_a_host_with_a_path_or_a_docker_hub_namespace() {
    for (prefix, worker) in [
        ("dockercoins", "docker.io/dockercoins/worker:v0.1"),
        ("dockercoins/", "docker.io/dockercoins/worker:v0.1"),
        ("127.0.0.1:5000", "127.0.0.1:5000/worker:v0.1"),
        (
            "ghcr.io/jpetazzo/dockercoins",
            "ghcr.io/jpetazzo/dockercoins/worker:v0.1",
        ),
        ("localhost/training", "localhost/training/worker:v0.1"),
        ("[::1]:5000/a/b/", "[::1]:5000/a/b/worker:v0.1"),
    ] {
        assert_eq!(
            images(json!({ "registry": { "prefix": prefix } }))[4].1,
            worker,
            "{prefix}"
        );
    }
}

#[test]
fn the_image_field_is_the_one_that_sets_the_image() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = json!({
        "hasher": { "tag": "v3" },
        "redis": { "tag": "7.2" },
        "rng": { "image": "quay.io/me/rng" },
        "webui": { "image": "quay.io/me/webui:v9" },
        "worker": { "image": format!("quay.io/me/worker@{digest}") },
    });
    let expected = [
        (
            "spec.hasher.tag",
            "docker.io/dockercoins/hasher:v3".to_owned(),
        ),
        ("spec.redis.tag", "docker.io/library/redis:7.2".to_owned()),
        ("spec.rng.image", "quay.io/me/rng:latest".to_owned()),
        ("spec.webui.image", "quay.io/me/webui:v9".to_owned()),
        ("spec.worker.image", format!("quay.io/me/worker@{digest}")),
    ];
    assert_eq!(
        images(spec),
        expected.map(|(field, image)| (field.to_owned(), image))
    );
}

#[test]
fn an_endpoint_applies_to_the_prefix_s_host_alone() {
    let registry = json!({ "prefix": "127.0.0.1:5000", "endpoint": "http://registry:5000" });
    let desired = from(json!({ "registry": registry })).unwrap();
    let endpoint = |component| {
        desired
            .endpoint_for(&desired.component(component).image)
            .map(ToString::to_string)
    };
    assert_eq!(
        endpoint(Component::Rng).as_deref(),
        Some("http://registry:5000")
    );
    assert_eq!(endpoint(Component::Redis), None);
}

#[test]
fn a_component_s_policy_overrides_the_common_one() {
    let spec = json!({ "resolve": { "policy": "BestEffort" }, "worker": { "resolve": { "policy": "Never" } } });
    let desired = from(spec).unwrap();
    let best_effort = ImageSource::Registry { is_required: false };
    for (component, wanted) in desired.components.iter() {
        let expected = match component {
            Component::Worker => &ImageSource::Pinned,
            _ => &best_effort,
        };
        assert_eq!(&wanted.source, expected, "{component}");
    }
}

#[test]
fn an_interval_is_a_go_duration_of_at_least_ten_seconds() {
    let interval = |text: &str| {
        from(json!({ "resolve": { "interval": text } })).map(|desired| desired.interval)
    };
    assert_eq!(interval("10s"), Ok(Some(Duration::from_secs(10))));
    assert_eq!(interval("1h30m"), Ok(Some(Duration::from_secs(5400))));
    for (text, problem) in [
        ("0s", r#""0s" is too short: set at least 10s"#),
        ("9.9s", r#""9.9s" is too short: set at least 10s"#),
        ("-10m", r#""-10m" is too short: set at least 10s"#),
        (
            "often",
            r#""often" is not a duration: set one such as 10m, or remove interval"#,
        ),
    ] {
        let field = "spec.resolve.interval".to_owned();
        let problem = problem.to_owned();
        assert_eq!(
            interval(text),
            Err(vec![Invalid { field, problem }]),
            "{text}"
        );
    }
}

#[test]
fn image_and_tag_exclude_each_other() {
    assert_eq!(
        violations(json!({ "rng": { "image": "a/b", "tag": "v1" } })),
        [
            "spec.rng.image: image and tag exclude each other: put the tag into image, or remove image"
        ]
    );
}

#[test]
fn all_violations_are_reported_at_once() {
    let spec = json!({
        "resolve": { "interval": "0s" },
        "webui": { "service": { "nodePort": 30080 } },
        "rng": { "replicas": -1 },
        "redis": { "replicas": 2 },
        "worker": { "strategy": { "type": "Recreate", "rollingUpdate": { "maxSurge": 1 } } },
    });
    assert_eq!(
        violations(spec),
        [
            r#"spec.resolve.interval: "0s" is too short: set at least 10s"#,
            "spec.webui.service.nodePort: only types NodePort and LoadBalancer have a node port: set spec.webui.service.type, or remove nodePort",
            "spec.redis.replicas: two Redis pods would each keep their own counters: set 0 or 1, or remove replicas",
            "spec.rng.replicas: -1 is negative: set 0 or more, or remove replicas",
            "spec.worker.strategy.rollingUpdate: only type RollingUpdate has rollingUpdate: set that type, or remove rollingUpdate",
        ]
    );
}

#[test]
fn an_invalid_prefix_is_rejected_with_the_fix() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let with_digest = format!("a.example.com/b@{digest}");
    let no_digest = format!(
        "the registry prefix `{with_digest}` has a digest: write `a.example.com/b`; a digest belongs to one image"
    );
    for (prefix, problem) in [
        (
            "https://a.example.com/b",
            "`https://a.example.com/b` has a scheme: write `a.example.com/b`",
        ),
        (
            "",
            "the registry prefix is empty: write a host and path such as `registry.example.com/team`, or a Docker \
             Hub namespace such as `dockercoins`",
        ),
        ("a b", "`a b` has spaces in it: an image name has none"),
        (
            "a.example.com/b:v1",
            "the registry prefix `a.example.com/b:v1` has a tag: write `a.example.com/b`, and the tag in the field \
             for it",
        ),
        (&with_digest, &no_digest),
        (
            "a.example.com/Team",
            "`Team` has uppercase letters, which only a tag may have: write `team`",
        ),
    ] {
        let found = violations(json!({ "registry": { "prefix": prefix } }));
        assert_eq!(found, [format!("spec.registry.prefix: {problem}")]);
    }
}

#[test]
fn an_invalid_endpoint_is_rejected_without_its_password() {
    for (endpoint, problem) in [
        (
            "ftp://a",
            "the endpoint `ftp://a` has the unsupported scheme `ftp`: use https:// or http://",
        ),
        (
            "",
            "the endpoint is empty: write an address such as `https://registry.example.com`, or leave it out",
        ),
        (
            "https://a.example.com/team",
            "the endpoint `https://a.example.com/team` is more than scheme, host and port: write `https://a.example.com`; a \
             path belongs in the registry prefix",
        ),
        (
            "https://me:secret@a.example.com",
            "the endpoint contains a login: write `https://a.example.com`, and keep the login in a pull secret",
        ),
    ] {
        let found = violations(json!({ "registry": { "endpoint": endpoint } }));
        assert_eq!(found, [format!("spec.registry.endpoint: {problem}")]);
    }
}

#[test]
fn an_invalid_image_is_rejected_with_the_fix() {
    for (image, problem) in [
        (
            "quay.io/UPPER",
            "`UPPER` has uppercase letters, which only a tag may have: write `upper`",
        ),
        (
            "https://quay.io/a",
            "`https://quay.io/a` has a scheme: write `quay.io/a`",
        ),
        (
            "",
            "an image name is missing: write one, for example `redis:7`",
        ),
    ] {
        let found = violations(json!({ "rng": { "image": image } }));
        assert_eq!(found, [format!("spec.rng.image: {problem}")]);
    }
}

#[test]
fn an_invalid_tag_is_rejected_once_by_the_field_that_sets_it() {
    let long = "v".repeat(129);
    for (field, tag, spec) in [
        ("spec.tag", long.as_str(), json!({ "tag": long })),
        ("spec.tag", "", json!({ "tag": "" })),
        ("spec.rng.tag", "-v1", json!({ "rng": { "tag": "-v1" } })),
        (
            "spec.redis.tag",
            "a b",
            json!({ "redis": { "tag": "a b" } }),
        ),
        (
            "spec.redis.tag",
            "7@sha256:0",
            json!({ "redis": { "tag": "7@sha256:0" } }),
        ),
    ] {
        let wrong = match tag {
            "" => "an empty string is not".to_owned(),
            tag => format!("`{tag}` is not"),
        };
        let problem = "a tag: write at most 128 letters, digits, `_`, `.` and `-`, the first a letter, a digit \
             or `_`";
        assert_eq!(violations(spec), [format!("{field}: {wrong} {problem}")]);
    }
}

#[test]
fn a_name_too_long_for_a_label_is_rejected() {
    let spec = serde_json::from_value(json!({})).unwrap();
    let coins = DockerCoins::new(&"a".repeat(64), spec);
    let found: Vec<_> = Desired::from_resource(&coins)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        ["metadata.name: the name is also a label value: use at most 63 characters"]
    );
}

/// The startup, readiness and liveness probe of a component, or the violations.
fn probes(component: Component, probes: Value) -> Result<[Option<DesiredProbe>; 3], Vec<String>> {
    let spec = json!({ component.name(): { "probes": probes } });
    match from(spec) {
        Ok(desired) => {
            let probes = desired.component(component).probes.clone();
            Ok([probes.startup, probes.readiness, probes.liveness])
        }
        Err(violations) => Err(violations.iter().map(ToString::to_string).collect()),
    }
}

fn probe(handler: ProbeHandler, period_seconds: i32, timeout_seconds: i32) -> DesiredProbe {
    DesiredProbe {
        handler,
        initial_delay_seconds: None,
        period_seconds,
        timeout_seconds,
        failure_threshold: 3,
    }
}

#[test]
fn each_component_has_its_default_probes() {
    let http = |path: &str| ProbeHandler::HttpGet(path.into(), 80);
    let ping = || ProbeHandler::Exec(vec!["redis-cli".into(), "ping".into()]);
    let both = |handler: ProbeHandler| {
        [
            None,
            Some(probe(handler.clone(), 2, 5)),
            Some(probe(handler, 10, 5)),
        ]
    };
    assert_eq!(probes(Component::Hasher, json!({})), Ok(both(http("/"))));
    assert_eq!(
        probes(Component::Webui, json!({})),
        Ok(both(http("/index.html")))
    );
    assert_eq!(probes(Component::Redis, json!({})), Ok(both(ping())));
    assert_eq!(
        probes(Component::Rng, json!({})),
        Ok([None, Some(probe(ProbeHandler::TcpSocket(80), 2, 5)), None])
    );
    assert_eq!(probes(Component::Worker, json!({})), Ok([None, None, None]));
}

#[test]
fn timings_alone_change_the_default_probe() {
    let spec = json!({ "readiness": { "initialDelaySeconds": 3, "periodSeconds": 7, "failureThreshold": 9 } });
    let [_, readiness, liveness] = probes(Component::Hasher, spec).unwrap();
    assert_eq!(
        readiness,
        Some(DesiredProbe {
            initial_delay_seconds: Some(3),
            period_seconds: 7,
            failure_threshold: 9,
            ..probe(ProbeHandler::HttpGet("/".into(), 80), 0, 5)
        })
    );
    assert_eq!(
        liveness,
        Some(probe(ProbeHandler::HttpGet("/".into(), 80), 10, 5))
    );
}

#[test]
fn a_probe_in_the_spec_replaces_the_default() {
    let spec = json!({
        "startup": { "exec": { "command": ["true"] } },
        "readiness": { "tcpSocket": {} },
        "liveness": { "httpGet": { "path": "/health", "port": 8080 }, "timeoutSeconds": 4 },
    });
    assert_eq!(
        probes(Component::Redis, spec),
        Ok([
            Some(probe(ProbeHandler::Exec(vec!["true".into()]), 10, 1)),
            Some(probe(ProbeHandler::TcpSocket(6379), 10, 1)),
            Some(probe(ProbeHandler::HttpGet("/health".into(), 8080), 10, 4)),
        ])
    );
}

#[test]
fn a_disabled_probe_is_removed() {
    let spec = json!({ "readiness": { "disabled": true }, "liveness": { "disabled": true } });
    assert_eq!(probes(Component::Hasher, spec), Ok([None, None, None]));
}

#[test]
fn an_impossible_probe_is_rejected() {
    assert_eq!(
        probes(
            Component::Worker,
            json!({ "liveness": { "tcpSocket": {} } })
        ),
        Err(vec![
            "spec.worker.probes.liveness: worker listens on no port: set one, or use exec".into()
        ])
    );
    assert_eq!(
        probes(Component::Rng, json!({ "liveness": { "periodSeconds": 1 } })),
        Err(vec![
            "spec.rng.probes.liveness: rng has no default liveness probe: set one of httpGet, tcpSocket and exec".into()
        ])
    );
    let two = json!({ "liveness": { "tcpSocket": {}, "exec": { "command": ["true"] } } });
    assert_eq!(
        probes(Component::Rng, two),
        Err(vec![
            "spec.rng.probes.liveness: httpGet, tcpSocket and exec exclude each other: set only one of them".into()
        ])
    );
}

#[test]
fn the_coins_are_stored_in_one_place() {
    let storage = |redis: Value| from(json!({ "redis": redis })).unwrap().storage;
    assert_eq!(storage(json!({})), Storage::EmptyDir);
    assert_eq!(
        storage(json!({ "storage": { "size": "1Gi" } })),
        Storage::Volume(VolumeClaim {
            size: "1Gi".into(),
            class: None,
            is_retained: false,
        })
    );
    let at = |host: &str, port: u16| match storage(
        json!({ "external": { "host": host, "port": port } }),
    ) {
        Storage::External(redis) => redis.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(at("redis.example.com", 6379), "redis.example.com:6379");
    assert_eq!(at("192.0.2.1", 6380), "192.0.2.1:6380");
    assert_eq!(at("2001:db8::1", 6380), "[2001:db8::1]:6380");
    let both = json!({ "redis": { "external": { "host": "a" }, "storage": { "size": "1Gi" } } });
    assert_eq!(
        violations(both),
        ["spec.redis.external: external and storage exclude each other: remove one of them"]
    );
}

#[test]
fn an_external_redis_has_an_address_of_another_machine() {
    for (host, problem) in [
        (
            "127.0.0.1",
            "pods can't reach another machine at this address",
        ),
        ("::1", "pods can't reach another machine at this address"),
        (
            "0.0.0.0",
            "pods can't reach another machine at this address",
        ),
        (
            "169.254.1.1",
            "pods can't reach another machine at this address",
        ),
        (
            "fe80::1",
            "pods can't reach another machine at this address",
        ),
        ("localhost", "localhost is the pod itself"),
        ("10.0.0", "not an IP address"),
        ("10.0.0.256", "not an IP address"),
        ("redis:6379", "not an IP address"),
    ] {
        let found = violations(json!({ "redis": { "external": { "host": host } } }));
        assert_eq!(found.len(), 1);
        let expected = format!("spec.redis.external.host: {problem}");
        assert!(found[0].starts_with(&expected), "{host}: {found:?}");
    }
    assert_eq!(
        violations(
            json!({ "redis": { "external": { "host": "redis.example.com", "port": 6380 } } })
        ),
        [
            "spec.redis.external.port: a host name is reached at port 6379 only: set 6379, or set host to an IP address"
        ]
    );
}

#[test]
fn invalid_exposure_scaling_and_storage_are_rejected() {
    let scaled = |rest: Value| json!({ "autoscaling": { "maxReplicas": 3 }, "resources": rest });
    let cpu = json!({ "requests": { "cpu": "100m" } });
    let mut with_replicas = scaled(cpu.clone());
    with_replicas["replicas"] = json!(2);
    let mut min_above_max = scaled(cpu.clone());
    min_above_max["autoscaling"]["minReplicas"] = json!(4);
    for (spec, violation) in [
        (
            json!({ "webui": { "ingress": {} } }),
            "spec.webui.ingress.host: an Ingress without a host matches",
        ),
        (
            json!({ "webui": { "httpRoute": { "parentRefs": [] } } }),
            "spec.webui.httpRoute.parentRefs: an HTTPRoute needs a Gateway",
        ),
        (
            json!({ "redis": scaled(cpu) }),
            "spec.redis.autoscaling: two Redis pods",
        ),
        (
            json!({ "rng": with_replicas }),
            "spec.rng.autoscaling: autoscaling and replicas exclude each other",
        ),
        (
            json!({ "rng": scaled(json!({})) }),
            "spec.rng.autoscaling: autoscaling needs a CPU request",
        ),
        (
            json!({ "rng": min_above_max }),
            "spec.rng.autoscaling: minReplicas is greater than maxReplicas",
        ),
        (
            json!({ "redis": { "storage": { "size": "1Gi" }, "strategy": { "type": "RollingUpdate" } } }),
            "spec.redis.strategy: during a rolling update two Redis pods would write",
        ),
    ] {
        let found = violations(spec);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(violation), "{found:?}");
    }
}
