//! Compares the hosts of a `hosts.toml` with containerd's: see `judges/README.md`.

use std::path::Path;

use resolver::hosts::{self, Host};
use resolver::{Endpoint, Reference};
use serde_json::{Value, json};

/// The host in the format of the recorded cases.
fn as_judged(host: &Host) -> Value {
    let settings = &host.settings;
    let mut headers = serde_json::Map::new();
    for (name, value) in &settings.headers {
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        let value = value.to_str().unwrap().into();
        values.as_array_mut().unwrap().push(value);
    }
    let clients: Vec<_> = settings
        .clients
        .iter()
        .map(|pair| (&pair.certificate, pair.key.clone().unwrap_or_default()))
        .collect();
    json!({
        "endpoint": host.endpoint.to_string(),
        "or_http": host.http_fallback,
        "path": host.path,
        "pull": host.capabilities.pull,
        "resolve": host.capabilities.resolve,
        "authorities": settings.authorities,
        "clients": clients,
        "skip_verify": settings.skip_verify,
        "headers": headers,
        "dial_timeout": settings.dial_timeout.map_or(0, |timeout| timeout.as_nanos() as u64),
    })
}

#[test]
fn hosts_are_those_of_containerd() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("judges/hosts/cases.json")).unwrap();
    for case in &cases {
        let image = format!("{}/a/b", case["registry"].as_str().unwrap());
        let registry = Endpoint::of(&Reference::parse(&image).unwrap()).unwrap();
        let found = match case["text"].as_str() {
            // An empty file counts as none, before it is read as TOML.
            Some(text) if !text.is_empty() => {
                hosts::parse(Path::new("hosts.toml"), text, &registry).ok()
            }
            _ => {
                let names: Vec<String> =
                    serde_json::from_value(case["files"].clone()).unwrap_or_default();
                Some(vec![hosts::from_certificates(
                    Path::new(""),
                    &names,
                    &registry,
                )])
            }
        };
        let found = found.map(|hosts| hosts.iter().map(as_judged).collect::<Vec<_>>());
        assert_eq!(json!(found), case["hosts"], "{case}");
    }
    let refused = cases.iter().filter(|case| case["hosts"].is_null()).count();
    assert!(refused > 40 && cases.len() - refused > 80);
}
