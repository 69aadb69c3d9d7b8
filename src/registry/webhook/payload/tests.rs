use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

mod limits;
mod matches;

/// What each sender documents, with values of our own.
const FIXTURES: [(&str, &str); 15] = [
    ("azure", include_str!("fixtures/azure.json")),
    ("distribution", include_str!("fixtures/distribution.json")),
    ("docker-hub", include_str!("fixtures/docker-hub.json")),
    ("ecr", include_str!("fixtures/ecr.json")),
    (
        "event-grid-cloudevent",
        include_str!("fixtures/event-grid-cloudevent.json"),
    ),
    (
        "event-grid-validation",
        include_str!("fixtures/event-grid-validation.json"),
    ),
    ("event-grid", include_str!("fixtures/event-grid.json")),
    (
        "github-package",
        include_str!("fixtures/github-package.json"),
    ),
    (
        "github-registry-package",
        include_str!("fixtures/github-registry-package.json"),
    ),
    (
        "google-pubsub-cloudevent",
        include_str!("fixtures/google-pubsub-cloudevent.json"),
    ),
    ("google-pubsub", include_str!("fixtures/google-pubsub.json")),
    ("google", include_str!("fixtures/google.json")),
    (
        "harbor-cloudevent",
        include_str!("fixtures/harbor-cloudevent.json"),
    ),
    ("harbor", include_str!("fixtures/harbor.json")),
    ("quay", include_str!("fixtures/quay.json")),
];

/// The pushes of a notification; none if it can't be parsed.
fn pushed(headers: &HeaderMap, body: &[u8]) -> Vec<Push> {
    match read(headers, body) {
        Ok(Notification::Pushes(pushes)) => pushes,
        Ok(Notification::Validation { .. }) | Err(_) => Vec::new(),
    }
}

fn fixture(name: &str) -> Value {
    let (_, text) = FIXTURES.iter().find(|(n, _)| *n == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// JSON pointers, and what stands there instead.
type Changes<'a> = &'a [(&'a str, Value)];

/// The fixture with other values at these JSON pointers.
fn changed(name: &str, changes: Changes) -> Value {
    let mut fixture = fixture(name);
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = fixture.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            parent => parent[key] = value.clone(),
        }
    }
    fixture
}

/// What is pushed, as `host|repository|tag`, with `?` for what is not said.
fn said(headers: &HeaderMap, body: &[u8]) -> Vec<String> {
    let or = |part: Option<String>| part.unwrap_or_else(|| "?".to_owned());
    pushed(headers, body)
        .into_iter()
        .map(|pushed| {
            format!(
                "{}|{}|{}",
                or(pushed.host),
                pushed.repository,
                or(pushed.tag)
            )
        })
        .collect()
}

fn said_by(body: &Value) -> Vec<String> {
    said(&HeaderMap::new(), body.to_string().as_bytes())
}

#[test]
fn every_senders_format_is_parsed() {
    let cases: [(&str, &[&str]); 14] = [
        ("azure", &["dockercoins.azurecr.io|team/rng|v0.1"]),
        (
            "distribution",
            // The image for each platform was pushed by its digest.
            &["registry.example.com|team/rng|v0.1"],
        ),
        ("docker-hub", &["docker.io|dockercoins/rng|v0.1"]),
        (
            "ecr",
            &["123456789012.dkr.ecr.eu-central-1.amazonaws.com|team/rng|v0.1"],
        ),
        ("event-grid", &["dockercoins.azurecr.io|team/rng|v0.1"]),
        (
            "event-grid-cloudevent",
            &["dockercoins.azurecr.io|team/rng|v0.1"],
        ),
        ("github-package", &["ghcr.io|octo-org/coins/rng|v0.1"]),
        (
            "github-registry-package",
            &["ghcr.io|octo-org/coins/rng|v0.1"],
        ),
        (
            "google",
            &["europe-west1-docker.pkg.dev|coins-prod/team/rng|v0.1"],
        ),
        (
            "google-pubsub",
            &["europe-west1-docker.pkg.dev|coins-prod/team/rng|v0.1"],
        ),
        (
            "google-pubsub-cloudevent",
            &["europe-west1-docker.pkg.dev|coins-prod/team/rng|v0.1"],
        ),
        ("harbor", &["harbor.example.com|team/rng|v0.1"]),
        (
            "harbor-cloudevent",
            &[
                "harbor.example.com|team/rng|?",
                "harbor.example.com|team/rng|v0.1",
            ],
        ),
        (
            "quay",
            &["quay.io|team/rng|v0.1", "quay.io|team/rng|latest"],
        ),
    ];
    for (name, expected) in cases {
        assert_eq!(said_by(&fixture(name)), expected, "{name}");
    }
}

#[test]
fn optional_fields_and_variants_are_parsed() {
    let package = "/package/package_version";
    let (url, tag) = (
        format!("{package}/package_url"),
        format!("{package}/container_metadata/tag/name"),
    );
    let rng = "/data/target";
    let cases: [(&str, Changes, &[&str]); 16] = [
        ("azure", &[("/request", json!(null))], &["?|team/rng|v0.1"]),
        (
            "azure",
            &[(
                "/target/url",
                json!("https://inner:5000/v2/team/rng/manifests/v0.1"),
            )],
            &[
                "dockercoins.azurecr.io|team/rng|v0.1",
                "inner:5000|team/rng|v0.1",
            ],
        ),
        (
            "azure",
            &[("/target/mediaType", json!(null))],
            &["dockercoins.azurecr.io|team/rng|v0.1"],
        ),
        (
            "event-grid-cloudevent",
            &[(&format!("{rng}/tag"), json!(""))],
            &[],
        ),
        (
            "docker-hub",
            &[("/repository/repo_name", json!("redis"))],
            &["docker.io|library/redis|v0.1"],
        ),
        (
            "quay",
            &[("/updated_tags", json!({"v0.1": "b750fe79269d"}))],
            &["quay.io|team/rng|v0.1"],
        ),
        (
            "quay",
            &[("/docker_url", json!("Quay.example.com:8443/team/rng"))],
            &[
                "quay.example.com:8443|team/rng|v0.1",
                "quay.example.com:8443|team/rng|latest",
            ],
        ),
        (
            "harbor",
            &[("/event_data/resources/0", json!({"tag": "v0.2"}))],
            &["?|team/rng|v0.2"],
        ),
        (
            "harbor",
            &[(
                "/event_data/resources/0/resource_url",
                json!("harbor/team/rng:v0.1"),
            )],
            &["harbor|team/rng|v0.1"],
        ),
        (
            "github-package",
            &[(&url, json!(null))],
            &["ghcr.io|octo-org/coins/rng|v0.1"],
        ),
        (
            "github-package",
            &[
                (&url, json!("ghcr.io/octo-org/coins/rng:")),
                (&tag, json!("")),
            ],
            &["ghcr.io|octo-org/coins/rng|?"],
        ),
        (
            "github-package",
            &[(
                &url,
                json!("containers.github.example.com/Octo-Org/rng:v0.1"),
            )],
            &["containers.github.example.com|octo-org/rng|v0.1"],
        ),
        (
            "google",
            &[("/tag", json!(null))],
            &["europe-west1-docker.pkg.dev|coins-prod/team/rng|?"],
        ),
        (
            "ecr",
            &[("/region", json!("cn-north-1"))],
            &["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn|team/rng|v0.1"],
        ),
        ("ecr", &[("/account", json!(null))], &["?|team/rng|v0.1"]),
        (
            "ecr",
            &[("/detail/image-tag", json!(null))],
            &["123456789012.dkr.ecr.eu-central-1.amazonaws.com|team/rng|?"],
        ),
    ];
    for (name, changes, expected) in cases {
        assert_eq!(
            said_by(&changed(name, changes)),
            expected,
            "{name} {changes:?}"
        );
    }
}

#[test]
fn other_events_yield_no_push() {
    let cases: [(&str, &str, Value); 13] = [
        ("azure", "/action", json!("delete")),
        ("azure", "/action", json!("chart_push")),
        (
            "azure",
            "/target/mediaType",
            json!("application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ),
        ("quay", "/updated_tags", json!(null)),
        ("harbor", "/type", json!("PULL_ARTIFACT")),
        ("harbor", "/type", json!("SCANNING_COMPLETED")),
        (
            "harbor-cloudevent",
            "/type",
            json!("harbor.artifact.deleted"),
        ),
        ("github-package", "/package/package_type", json!("npm")),
        ("github-package", "/action", json!("deleted")),
        ("google", "/action", json!("DELETE")),
        ("ecr", "/detail/action-type", json!("DELETE")),
        ("ecr", "/detail/result", json!("FAILURE")),
        ("ecr", "/detail-type", json!("ECR Image Scan")),
    ];
    for (name, pointer, value) in cases {
        let body = changed(name, &[(pointer, value)]);
        assert_eq!(said_by(&body), [""; 0], "{name} {pointer}");
    }
    for body in [
        json!({"zen": "Keep it logically awesome.", "hook_id": 1, "hook": {"type": "Repository"}}),
        json!({"action": "ping"}),
        json!({"image": {"name": "rng"}}),
        json!({}),
        json!([]),
        json!(null),
        json!("registry.example.com/team/rng:v0.1"),
    ] {
        assert_eq!(said_by(&body), [""; 0], "{body}");
    }
}

#[test]
fn names_that_break_the_grammar_are_dropped() {
    let dots = "../".repeat(10);
    let cases = [
        ("/target/repository", json!("Team/Rng")),
        ("/target/repository", json!("team/rng:v9")),
        ("/target/repository", json!("team/rng@sha256:0")),
        ("/target/repository", json!("/team/rng")),
        ("/target/repository", json!("team//rng")),
        ("/target/repository", json!(format!("{dots}etc/passwd"))),
        ("/target/repository", json!("team/rng\n")),
        ("/target/repository", json!("x".repeat(256))),
        ("/target/repository", json!(7)),
        ("/target/repository", json!("")),
        ("/target/tag", json!("-v0.1")),
        ("/target/tag", json!("v0.1 ")),
        ("/target/tag", json!("x".repeat(129))),
        ("/request/host", json!("registry example com")),
        ("/request/host", json!("registry.example.com/team")),
        ("/request/host", json!("ci:password@registry.example.com")),
        ("/request/host", json!("https://registry.example.com")),
        ("/request/host", json!("registry.example.com:0")),
        ("/request/host", json!("h".repeat(260))),
    ];
    for (pointer, value) in cases {
        let body = changed("azure", &[(pointer, value.clone())]);
        assert_eq!(said_by(&body), [""; 0], "{pointer} {value}");
    }
    // Where no tag is told, one that hides in the repository is not taken for it.
    let digest = format!("sha256:{}", "0af9".repeat(16));
    for repository in ["team/rng:v9".to_owned(), format!("team/rng@{digest}")] {
        let changes = [
            ("/target/repository", json!(repository)),
            ("/target/tag", json!(null)),
        ];
        assert_eq!(
            said_by(&changed("azure", &changes)),
            [""; 0],
            "{repository}"
        );
    }
}

#[test]
fn a_script_sends_an_image_reference() {
    let digest = format!("sha256:{}", "0af9".repeat(16));
    let pinned = format!("registry.example.com/team/rng@{digest}");
    let cases: [(&str, &[&str]); 8] = [
        (
            "registry.example.com/team/rng:v0.1",
            &["registry.example.com|team/rng|v0.1"],
        ),
        ("registry:5000/rng", &["registry:5000|rng|?"]),
        ("dockercoins/rng:v0.1", &["docker.io|dockercoins/rng|v0.1"]),
        (
            "index.docker.io/library/redis:7",
            &["docker.io|library/redis|7"],
        ),
        ("redis", &["docker.io|library/redis|?"]),
        (&pinned, &["registry.example.com|team/rng|?"]),
        ("https://registry.example.com/team/rng", &[]),
        ("Team/Rng", &[]),
    ];
    for (image, expected) in cases {
        assert_eq!(said_by(&json!({ "image": image })), expected, "{image}");
    }
}

#[test]
fn cloudevents_are_parsed_in_both_modes() {
    let structured = fixture("harbor-cloudevent");
    let data = structured["data"].to_string();
    let expected = [
        "harbor.example.com|team/rng|?",
        "harbor.example.com|team/rng|v0.1",
    ];
    let binary: HeaderMap = [
        ("ce-specversion", "1.0"),
        ("ce-type", "harbor.artifact.pushed"),
        ("ce-source", "/projects/4/webhook/policies/2"),
        ("ce-id", "0e7e8b7c-7f2c-4cbb-9d5f-2f64ffad0001"),
    ]
    .map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    })
    .into_iter()
    .collect();
    assert_eq!(said(&binary, data.as_bytes()), expected);
    assert_eq!(said(&HeaderMap::new(), data.as_bytes()), [""; 0]);

    let batch = json!([structured, fixture("event-grid-cloudevent")]);
    assert_eq!(
        said_by(&batch),
        [&expected[..], &["dockercoins.azurecr.io|team/rng|v0.1"]].concat()
    );

    let image = BASE64_STANDARD.encode(r#"{"image": "redis:7"}"#);
    let encoded = json!({"specversion": "1.0", "type": "com.example.pushed", "source": "/ci", "id": "1", "data_base64": image});
    assert_eq!(said_by(&encoded), ["docker.io|library/redis|7"]);
}

#[test]
fn event_grid_is_given_its_code() {
    let body = fixture("event-grid-validation").to_string();
    assert_eq!(
        read(&HeaderMap::new(), body.as_bytes()),
        Ok(Notification::Validation {
            code: "512d38b6-c7b8-40c8-89fe-f46f9e9622b6".to_owned()
        })
    );
    assert_eq!(pushed(&HeaderMap::new(), body.as_bytes()), []);
    let long = changed(
        "event-grid-validation",
        &[("/0/data/validationCode", json!("x".repeat(257)))],
    );
    assert_eq!(
        read(&HeaderMap::new(), long.to_string().as_bytes()),
        Ok(Notification::Pushes(Vec::new()))
    );
}
