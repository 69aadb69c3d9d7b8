//! Which images a push concerns.

use serde_json::json;

use super::*;

#[test]
fn a_push_matches_repository_and_tag_at_any_host() {
    let cases = [
        (
            "registry.example.com/team/rng:v0.1",
            "registry.example.com/team/rng:v0.1",
            true,
        ),
        (
            "registry.example.com/team/rng:v0.1",
            "registry.example.com/team/rng:v0.2",
            false,
        ),
        (
            "registry.example.com/team/rng:v0.1",
            "registry.example.com/team/rng",
            false,
        ),
        (
            "registry.example.com/team/rng:latest",
            "registry.example.com/team/rng",
            true,
        ),
        (
            "registry.example.com/team/rng",
            "registry.example.com/team/rng:v0.2",
            true,
        ),
        (
            "registry.example.com/team/rng:v0.1",
            "registry.example.com/other/rng:v0.1",
            false,
        ),
        (
            "registry.example.com/team/rng:v0.1",
            "registry.example.org/team/rng:v0.1",
            true,
        ),
        (
            "registry.example.com/team/rng:v0.1",
            "Registry.Example.com/team/rng:v0.1",
            true,
        ),
        (
            "registry.example.com:443/a:1",
            "registry.example.com/a:1",
            true,
        ),
        ("registry:5000/a:1", "registry:80/a:1", true),
        ("redis:7", "index.docker.io/library/redis:7", true),
        ("redis:7", "registry-1.docker.io/library/redis:7", true),
        ("redis:7", "quay.io/library/redis:7", true),
    ];
    for (image, reference, expected) in cases {
        let body = json!({ "image": image }).to_string();
        let pushed = pushed(&HeaderMap::new(), body.as_bytes()).remove(0);
        let reference = Reference::parse(reference).unwrap();
        assert_eq!(pushed.matches(&reference), expected, "{image} {reference}");
    }
}

#[test]
fn a_push_without_a_host_matches_at_any_host() {
    let pushed = Push::named(None, "team/rng", Some("v0.1")).unwrap();
    for (reference, expected) in [
        ("registry.example.com/team/rng:v0.1", true),
        ("team/rng:v0.1", true),
        ("other/rng:v0.1", false),
    ] {
        let reference = Reference::parse(reference).unwrap();
        assert_eq!(pushed.matches(&reference), expected, "{reference}");
    }
}

#[test]
fn a_digest_is_not_moved_by_a_push() {
    let digest = format!("sha256:{}", "0af9".repeat(16));
    let pushed = Push::named(Some("quay.io"), "team/rng", None).unwrap();
    for (reference, expected) in [
        (format!("quay.io/team/rng@{digest}"), false),
        (format!("quay.io/team/rng:v0.1@{digest}"), true),
    ] {
        let reference = Reference::parse(&reference).unwrap();
        assert_eq!(pushed.matches(&reference), expected, "{reference}");
    }
}
