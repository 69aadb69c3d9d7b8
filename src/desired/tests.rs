use serde_json::{Value, json};

use super::*;

fn from(spec: Value) -> Result<Desired, Vec<Invalid>> {
    let mut coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
    coins.metadata.namespace = Some("demo".into());
    Desired::from_resource(&coins)
}

/// The five images, by the field that sets each.
fn images(spec: Value) -> Vec<(String, String)> {
    let desired = from(spec).unwrap();
    desired
        .components
        .iter()
        .map(|c| (c.image_field.clone(), c.image.to_string()))
        .collect()
}

/// What is refused, as people read it.
fn refused(spec: Value) -> Vec<String> {
    from(spec)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn nothing_written_means_upstream_s_images_and_the_official_redis() {
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
fn redis_is_exempt_from_the_prefix_and_the_common_tag() {
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
fn a_prefix_is_a_host_a_port_a_path_or_a_namespace_of_docker_hub() {
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
fn a_component_s_own_tag_or_image_wins_and_is_the_field_to_edit() {
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
fn an_endpoint_speaks_only_for_the_prefix_s_host() {
    let registry = json!({ "prefix": "127.0.0.1:5000", "endpoint": "http://registry:5000" });
    let desired = from(json!({ "registry": registry })).unwrap();
    let asked = |component| {
        desired
            .endpoint_for(&desired.component(component).image)
            .map(ToString::to_string)
    };
    assert_eq!(
        asked(Component::Rng).as_deref(),
        Some("http://registry:5000")
    );
    assert_eq!(asked(Component::Redis), None);
}

#[test]
fn a_component_s_policy_wins_over_the_common_one() {
    let spec = json!({ "resolve": { "policy": "BestEffort" }, "worker": { "resolve": { "policy": "Never" } } });
    let desired = from(spec).unwrap();
    assert_eq!(
        desired.components.map(|c| c.policy),
        [
            ResolvePolicy::BestEffort,
            ResolvePolicy::BestEffort,
            ResolvePolicy::BestEffort,
            ResolvePolicy::BestEffort,
            ResolvePolicy::Never,
        ]
    );
}

#[test]
fn an_interval_is_a_duration_of_go_s_and_at_least_ten_seconds() {
    let interval = |text: &str| {
        from(json!({ "resolve": { "interval": text } })).map(|desired| desired.interval)
    };
    assert_eq!(interval("10s"), Ok(Some(Duration::from_secs(10))));
    assert_eq!(interval("1h30m"), Ok(Some(Duration::from_secs(5400))));
    for (text, problem) in [
        ("0s", r#""0s" is too short: write at least 10s"#),
        ("9.9s", r#""9.9s" is too short: write at least 10s"#),
        ("-10m", r#""-10m" is too short: write at least 10s"#),
        (
            "often",
            r#""often" is no interval: write a number and a unit, such as 10m, or leave the field out"#,
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
        refused(json!({ "rng": { "image": "a/b", "tag": "v1" } })),
        [
            "spec.rng.image: it excludes spec.rng.tag: write the whole reference in image, or only a tag in tag"
        ]
    );
}

#[test]
fn every_contradiction_is_told_at_once() {
    let spec = json!({
        "resolve": { "interval": "0s" },
        "webui": { "service": { "nodePort": 30080 } },
        "rng": { "replicas": -1 },
        "redis": { "replicas": 2 },
        "worker": { "strategy": { "type": "Recreate", "rollingUpdate": { "maxSurge": 1 } } },
    });
    assert_eq!(
        refused(spec),
        [
            r#"spec.resolve.interval: "0s" is too short: write at least 10s"#,
            "spec.webui.service.nodePort: only NodePort and LoadBalancer have one: write type: NodePort beside it, or leave it out",
            "spec.redis.replicas: two Redis pods would split the counters between them: write 1, 0, or leave it out",
            "spec.rng.replicas: -1 is negative: write 0 or more, or leave it out",
            "spec.worker.strategy.rollingUpdate: it belongs to type RollingUpdate: write that type, or leave it out",
        ]
    );
}

#[test]
fn what_is_no_prefix_is_refused_with_what_to_write() {
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
        let told = refused(json!({ "registry": { "prefix": prefix } }));
        assert_eq!(told, [format!("spec.registry.prefix: {problem}")]);
    }
}

#[test]
fn what_is_no_endpoint_is_refused_with_what_to_write_and_without_its_password() {
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
            "the endpoint `https://a.example.com/team` has more than an address: write `https://a.example.com`; a \
             path belongs in the registry prefix",
        ),
        (
            "https://me:secret@a.example.com",
            "the endpoint contains a login: write `https://a.example.com`, and keep the login in a pull secret",
        ),
    ] {
        let told = refused(json!({ "registry": { "endpoint": endpoint } }));
        assert_eq!(told, [format!("spec.registry.endpoint: {problem}")]);
    }
}

#[test]
fn what_is_no_image_is_refused_with_what_to_write() {
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
        let told = refused(json!({ "rng": { "image": image } }));
        assert_eq!(told, [format!("spec.rng.image: {problem}")]);
    }
}

#[test]
fn what_is_no_tag_is_refused_once_by_the_field_that_sets_it() {
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
        assert_eq!(refused(spec), [format!("{field}: {wrong} {problem}")]);
    }
}

#[test]
fn a_name_too_long_for_a_label_is_refused() {
    let nothing_said = serde_json::from_value(json!({})).unwrap();
    let coins = DockerCoins::new(&"a".repeat(64), nothing_said);
    let told: Vec<_> = Desired::from_resource(&coins)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        ["metadata.name: it becomes a label's value: use a name of at most 63 characters"]
    );
}

/// The checks of a component, each as it is written in YAML, roughly.
fn checks(component: Component, probes: Value) -> Result<[Option<Check>; 3], Vec<String>> {
    let spec = json!({ component.name(): { "probes": probes } });
    match from(spec) {
        Ok(desired) => {
            let checks = desired.component(component).checks.clone();
            Ok([checks.startup, checks.readiness, checks.liveness])
        }
        Err(faults) => Err(faults.iter().map(ToString::to_string).collect()),
    }
}

fn check(kind: CheckKind, period_seconds: i32, timeout_seconds: i32) -> Check {
    Check {
        kind,
        initial_delay_seconds: None,
        period_seconds,
        timeout_seconds,
        failure_threshold: 3,
    }
}

#[test]
fn each_component_has_the_default_checks_that_suit_it() {
    let http = |path: &str| CheckKind::Http(path.into(), 80);
    let ping = || CheckKind::Exec(vec!["redis-cli".into(), "ping".into()]);
    let both = |kind: CheckKind| {
        [
            None,
            Some(check(kind.clone(), 2, 5)),
            Some(check(kind, 10, 5)),
        ]
    };
    assert_eq!(checks(Component::Hasher, json!({})), Ok(both(http("/"))));
    assert_eq!(
        checks(Component::Webui, json!({})),
        Ok(both(http("/index.html")))
    );
    assert_eq!(checks(Component::Redis, json!({})), Ok(both(ping())));
    assert_eq!(
        checks(Component::Rng, json!({})),
        Ok([None, Some(check(CheckKind::Tcp(80), 2, 5)), None])
    );
    assert_eq!(checks(Component::Worker, json!({})), Ok([None, None, None]));
}

#[test]
fn timings_alone_change_those_of_the_default_check() {
    let probes = json!({ "readiness": { "initialDelaySeconds": 3, "periodSeconds": 7, "failureThreshold": 9 } });
    let [_, readiness, liveness] = checks(Component::Hasher, probes).unwrap();
    assert_eq!(
        readiness,
        Some(Check {
            initial_delay_seconds: Some(3),
            period_seconds: 7,
            failure_threshold: 9,
            ..check(CheckKind::Http("/".into(), 80), 0, 5)
        })
    );
    assert_eq!(
        liveness,
        Some(check(CheckKind::Http("/".into(), 80), 10, 5))
    );
}

#[test]
fn one_s_own_check_replaces_the_default_and_takes_the_component_s_port() {
    let probes = json!({
        "startup": { "exec": { "command": ["true"] } },
        "readiness": { "tcpSocket": {} },
        "liveness": { "httpGet": { "path": "/health", "port": 8080 }, "timeoutSeconds": 4 },
    });
    assert_eq!(
        checks(Component::Redis, probes),
        Ok([
            Some(check(CheckKind::Exec(vec!["true".into()]), 10, 1)),
            Some(check(CheckKind::Tcp(6379), 10, 1)),
            Some(check(CheckKind::Http("/health".into(), 8080), 10, 4)),
        ])
    );
}

#[test]
fn a_disabled_check_is_none_at_all() {
    let probes = json!({ "readiness": { "disabled": true }, "liveness": { "disabled": true } });
    assert_eq!(checks(Component::Hasher, probes), Ok([None, None, None]));
}

#[test]
fn a_check_that_can_t_be_made_is_refused() {
    assert_eq!(
        checks(Component::Worker, json!({ "liveness": { "tcpSocket": {} } })),
        Err(vec!["spec.worker.probes.liveness: the worker listens on nothing: name a port, or write exec".into()])
    );
    assert_eq!(
        checks(Component::Rng, json!({ "liveness": { "periodSeconds": 1 } })),
        Err(vec![
            "spec.rng.probes.liveness: rng has no default check: write one of httpGet, tcpSocket or exec".into()
        ])
    );
    let two = json!({ "liveness": { "tcpSocket": {}, "exec": { "command": ["true"] } } });
    assert_eq!(
        checks(Component::Rng, two),
        Err(vec![
            "spec.rng.probes.liveness: a probe checks in one way: write only one of httpGet, tcpSocket and exec".into()
        ])
    );
}

#[test]
fn the_coins_are_kept_in_one_place() {
    let store = |redis: Value| from(json!({ "redis": redis })).unwrap().store;
    assert_eq!(store(json!({})), Store::Memory);
    assert_eq!(
        store(json!({ "storage": { "size": "1Gi" } })),
        Store::Volume(Claim {
            size: "1Gi".into(),
            class: None,
            is_retained: false,
        })
    );
    let at = |host: &str, port: u16| match store(
        json!({ "external": { "host": host, "port": port } }),
    ) {
        Store::Elsewhere(redis) => redis.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(at("redis.example.com", 6379), "redis.example.com:6379");
    assert_eq!(at("192.0.2.1", 6380), "192.0.2.1:6380");
    assert_eq!(at("2001:db8::1", 6380), "[2001:db8::1]:6380");
    let both = json!({ "redis": { "external": { "host": "a" }, "storage": { "size": "1Gi" } } });
    assert_eq!(
        refused(both),
        [
            "spec.redis.external: it excludes spec.redis.storage, since a Redis elsewhere keeps its coins there: write one of them"
        ]
    );
}

#[test]
fn a_redis_elsewhere_is_at_an_address_that_pods_can_reach() {
    for (host, problem) in [
        ("127.0.0.1", "a pod can't reach this address"),
        ("::1", "a pod can't reach this address"),
        ("0.0.0.0", "a pod can't reach this address"),
        ("169.254.1.1", "a pod can't reach this address"),
        ("fe80::1", "a pod can't reach this address"),
        ("localhost", "in a pod that is the pod itself"),
        ("10.0.0", "it is no IP address"),
        ("10.0.0.256", "it is no IP address"),
        ("redis:6379", "it is no IP address"),
    ] {
        let faults = refused(json!({ "redis": { "external": { "host": host } } }));
        assert_eq!(faults.len(), 1);
        let told = format!("spec.redis.external.host: {problem}");
        assert!(faults[0].starts_with(&told), "{host}: {faults:?}");
    }
    assert_eq!(
        refused(json!({ "redis": { "external": { "host": "redis.example.com", "port": 6380 } } })),
        [
            "spec.redis.external.port: a name leads to another name, and can't lead to another port: write 6379, or the address in place of the host's name"
        ]
    );
}

#[test]
fn what_contradicts_itself_in_how_the_page_is_reached_and_scaled_is_refused() {
    let scaled = |rest: Value| json!({ "autoscaling": { "maxReplicas": 3 }, "resources": rest });
    let cpu = json!({ "requests": { "cpu": "100m" } });
    let mut with_replicas = scaled(cpu.clone());
    with_replicas["replicas"] = json!(2);
    let mut upside_down = scaled(cpu.clone());
    upside_down["autoscaling"]["minReplicas"] = json!(4);
    for (spec, fault) in [
        (
            json!({ "webui": { "ingress": {} } }),
            "spec.webui.ingress.host: without a host it would take every request",
        ),
        (
            json!({ "webui": { "httpRoute": { "parentRefs": [] } } }),
            "spec.webui.httpRoute.parentRefs: a route needs a Gateway",
        ),
        (
            json!({ "redis": scaled(cpu) }),
            "spec.redis.autoscaling: two Redis pods",
        ),
        (
            json!({ "rng": with_replicas }),
            "spec.rng.autoscaling: it excludes replicas",
        ),
        (
            json!({ "rng": scaled(json!({})) }),
            "spec.rng.autoscaling: it goes by the share of what is asked for",
        ),
        (
            json!({ "rng": upside_down }),
            "spec.rng.autoscaling: minReplicas is above maxReplicas",
        ),
        (
            json!({ "redis": { "storage": { "size": "1Gi" }, "strategy": { "type": "RollingUpdate" } } }),
            "spec.redis.strategy: two Redis pods would write to the same files",
        ),
    ] {
        let faults = refused(spec);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?}");
    }
}
