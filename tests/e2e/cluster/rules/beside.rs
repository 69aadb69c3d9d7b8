//! The rules of the fields that ask for optional kinds.

use serde_json::json;

use super::Rule;

pub fn rules() -> Vec<Rule> {
    let cpu = json!({ "requests": { "cpu": "100m" } });
    let names = |at: fn(&str) -> serde_json::Value| -> [Vec<serde_json::Value>; 2] {
        [
            ["coins.example.com", "*.example.com", "coins", "1a.example"]
                .map(at)
                .into(),
            [
                "Coins.example.com",
                "https://coins.example.com",
                "coins.example.com:80",
                "coins.example.com/x",
                "a.*.com",
                "192.0.2.1",
                "-a.com",
                "a..com",
            ]
            .map(at)
            .into(),
        ]
    };
    let [good_hosts, bad_hosts] = names(|name| json!(name));
    let [good_names, bad_names] = names(|name| json!([name]));
    let host = "a host must be a lowercase DNS name without a scheme, a port and a path, and not an IP address: write a host such as coins.example.com";
    vec![
        Rule {
            path: "rng",
            good: vec![
                json!({ "replicas": 2 }),
                json!({ "autoscaling": { "maxReplicas": 3 }, "resources": cpu }),
            ],
            bad: vec![
                json!({ "replicas": 2, "autoscaling": { "maxReplicas": 3 }, "resources": cpu }),
            ],
            message: "replicas and autoscaling are mutually exclusive: write one of them",
        },
        Rule {
            path: "rng",
            good: vec![json!({
                "autoscaling": { "maxReplicas": 3 },
                "resources": { "limits": { "cpu": 1 } },
            })],
            bad: vec![
                json!({ "autoscaling": { "maxReplicas": 3 } }),
                json!({ "autoscaling": { "maxReplicas": 3 }, "resources": {} }),
                json!({
                    "autoscaling": { "maxReplicas": 3 },
                    "resources": { "requests": { "memory": "1Gi" } },
                }),
            ],
            message: "autoscaling requires resources.requests.cpu: write an amount such as 100m there",
        },
        Rule {
            path: "worker",
            good: vec![
                json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 3 }, "resources": cpu }),
            ],
            bad: vec![
                json!({ "autoscaling": { "minReplicas": 4, "maxReplicas": 3 }, "resources": cpu }),
            ],
            message: "minReplicas must not exceed maxReplicas: write a smaller minReplicas, or a greater maxReplicas",
        },
        Rule {
            path: "redis",
            good: vec![json!({ "resources": cpu })],
            bad: vec![json!({ "autoscaling": { "maxReplicas": 1 }, "resources": cpu })],
            message: "redis must have at most one pod, because two would split the counters: leave autoscaling out",
        },
        Rule {
            path: "redis",
            good: vec![
                json!({ "external": { "host": "redis.example.com" } }),
                json!({ "storage": { "size": "1Gi" } }),
            ],
            bad: vec![
                json!({ "external": { "host": "redis.example.com" }, "storage": { "size": "1Gi" } }),
            ],
            message: "external and storage are mutually exclusive, because an external Redis has its own storage: write one of them",
        },
        Rule {
            path: "redis",
            good: vec![
                json!({ "storage": { "size": "1Gi" }, "strategy": { "type": "Recreate" } }),
                json!({ "storage": { "size": "1Gi" }, "strategy": {} }),
                json!({ "strategy": { "type": "RollingUpdate" } }),
            ],
            bad: vec![
                json!({ "storage": { "size": "1Gi" }, "strategy": { "type": "RollingUpdate" } }),
                json!({ "storage": { "size": "1Gi" }, "strategy": { "rollingUpdate": { "maxSurge": 1 } } }),
            ],
            message: "storage requires strategy.type Recreate, because two Redis pods must not write to one volume: write that type, or leave strategy out",
        },
        Rule {
            path: "redis.storage.size",
            good: vec![json!("1Gi"), json!("0.5Ti"), json!("500M"), json!("1")],
            bad: vec![
                json!("0"),
                json!("0Gi"),
                json!("-1Gi"),
                json!("much"),
                json!("1 Gi"),
            ],
            message: "size must be an amount above 0: write a size such as 1Gi",
        },
        Rule {
            path: "redis.external",
            good: vec![
                json!({ "host": "redis.example.com", "port": 6379 }),
                json!({ "host": "192.0.2.10", "port": 6380 }),
                json!({ "host": "2001:db8::6", "port": 6380 }),
            ],
            bad: vec![
                json!({ "host": "redis.example.com", "port": 6380 }),
                json!({ "host": "redis", "port": 80 }),
            ],
            message: "port must be 6379 if host is a DNS name: write port 6379, or an IP address in host",
        },
        Rule {
            path: "redis.external.host",
            good: vec![
                json!("redis"),
                json!("redis.data.svc.cluster.local"),
                json!("10.0.0.1"),
                json!("::ffff:10.0.0.1"),
            ],
            bad: vec![
                json!("redis://redis.example.com"),
                json!("Redis"),
                json!("redis_1"),
                json!("redis:6379"),
                json!("10.0.0"),
                json!("a b"),
            ],
            message: "host must be a lowercase DNS name or an IP address, without a scheme and a port: write a host such as redis.example.com, and the port in port",
        },
        Rule {
            path: "webui.ingress",
            good: vec![json!({ "host": "coins.example.com" })],
            bad: vec![json!({}), json!({ "ingressClassName": "nginx" })],
            message: "host is required, because an Ingress without one receives all requests of its controller: write a host such as coins.example.com",
        },
        Rule {
            path: "webui.ingress.host",
            good: good_hosts,
            bad: bad_hosts,
            message: host,
        },
        Rule {
            path: "webui.httpRoute",
            good: good_names
                .into_iter()
                .map(|names| json!({ "parentRefs": [{ "name": "a" }], "hostnames": names }))
                .collect(),
            bad: bad_names
                .into_iter()
                .map(|names| json!({ "parentRefs": [{ "name": "a" }], "hostnames": names }))
                .collect(),
            message: host,
        },
    ]
}
