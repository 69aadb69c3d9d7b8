use http::header::ACCEPT;
use http_body_util::BodyExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::runtime::watch::state::{Need, WatchEvent};

async fn ask(
    telemetry: &Telemetry,
    method: Method,
    path: &str,
    accept: &str,
) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(ACCEPT, accept).body(()).unwrap();
    let response = telemetry.answer(&request);
    let content_type = response.headers()[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        content_type,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn probe(telemetry: &Telemetry, path: &str) -> (u16, String) {
    let (status, _, body) = ask(telemetry, Method::GET, path, "*/*").await;
    (status, body)
}

#[tokio::test]
async fn probes_say_in_a_line_what_is_amiss() {
    let telemetry = Telemetry::new(1);
    assert_eq!(probe(&telemetry, "/healthz").await, (200, "ok\n".into()));
    let starting = "the operator is starting\n".to_owned();
    assert_eq!(probe(&telemetry, "/readyz").await, (503, starting));
    let watches = telemetry.health.watches(None, |_| String::new());
    let services = watches.add("Service", Need::Required);
    services.observe(WatchEvent::Listed);
    assert_eq!(probe(&telemetry, "/readyz").await, (200, "ok\n".into()));
    telemetry.health.deserts();
    let deserted = "a namespace is no longer looked after: its watches have ended\n".to_owned();
    assert_eq!(probe(&telemetry, "/healthz").await, (503, deserted));
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let telemetry = Telemetry::new(1);
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let cases = [
        (
            Method::GET,
            "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
            open,
        ),
        (Method::GET, "*/*", text),
        (Method::HEAD, "*/*", text),
    ];
    for (method, accept, expected) in cases {
        let (status, content_type, body) = ask(&telemetry, method, "/metrics", accept).await;
        assert_eq!((status, content_type.as_str()), (200, expected));
        assert_eq!(body.ends_with("# EOF\n"), expected == open, "{body}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_rejected() {
    let telemetry = Telemetry::new(1);
    let there = "not found: the paths are /metrics, /healthz and /readyz\n".to_owned();
    for path in ["/", "/metrics/", "/healthz/ping"] {
        assert_eq!(
            probe(&telemetry, path).await,
            (404, there.clone()),
            "{path}"
        );
    }
    let request = Request::post("/healthz").body(()).unwrap();
    let response = telemetry.answer(&request);
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[ALLOW], "GET, HEAD");
}

/// A resource as the watch brings it.
fn coins(name: &str, spec: Value, status: Value) -> Guarded {
    let resource = json!({
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "metadata": { "name": name, "namespace": "demo" },
        "spec": spec,
        "status": status,
    });
    serde_json::from_value::<DeserializeGuard<DockerCoins>>(resource).unwrap()
}

fn told(status: &str, reason: &str) -> Value {
    json!({ "conditions": [{
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-11-24T08:00:00Z",
    }] })
}

#[tokio::test]
async fn resources_are_counted_as_the_watch_last_brought_them() {
    let telemetry = Telemetry::new(1);
    let (store, mut writer) = reflector::store();
    telemetry.report_resources(store);
    let counted = || {
        let text = telemetry
            .metrics
            .render(&telemetry.snapshot(), Format::Text);
        let lines = text.lines();
        let lines = lines.filter_map(|line| line.strip_prefix("dockercoins_resources"));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let ready = |count: u32| format!(r#"{{ready="True",reason="Ready"}} {count}"#);
    let names_held = r#"{ready="False",reason="NamesHeld"} 1"#.to_owned();
    let invalid = r#"{ready="False",reason="InvalidSpec"} 1"#.to_owned();
    let pending = r#"{ready="Unknown",reason="Pending"} 1"#.to_owned();
    assert_eq!(counted(), [ready(0)]);

    writer.apply_watcher_event(&Event::Init);
    for there in [
        coins("a", json!({}), told("True", "Ready")),
        coins("b", json!({}), told("False", "NamesHeld")),
        coins("c", json!({}), Value::Null),
        coins(
            "d",
            json!({ "worker": { "replicas": "many" } }),
            told("True", "Ready"),
        ),
    ] {
        writer.apply_watcher_event(&Event::InitApply(there));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let expected = [invalid.clone(), names_held, ready(1), pending.clone()];
    assert_eq!(counted(), expected);

    let mended = coins("b", json!({}), told("True", "Ready"));
    writer.apply_watcher_event(&Event::Apply(mended));
    assert_eq!(counted(), [invalid.clone(), ready(2), pending.clone()]);
    let gone = coins("a", json!({}), told("True", "Ready"));
    writer.apply_watcher_event(&Event::Delete(gone));
    assert_eq!(counted(), [invalid, ready(1), pending]);
}
