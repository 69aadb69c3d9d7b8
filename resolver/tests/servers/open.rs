//! Anonymous access by plain HTTP.

use hyper::StatusCode;
use resolver::{Digest, Endpoint, Failure, Keyring, Reference, Request, Resolved};

use crate::support::registry::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Program};
use crate::support::{ask, resolver, tell};
use crate::{answer, plain, start_open};

pub async fn it_tells_its_version(program: Program) {
    let version = program.version();
    let generation = match program {
        Program::Registry2 => "2.",
        Program::Registry3 => "v3.",
        Program::Olareg | Program::Crane => "v0.",
    };
    assert!(version.starts_with(generation), "{program:?} {version}");
    tell(&format!("the resolver is held to {program:?}, {version}"));
}

pub async fn a_head_tells_the_digest_and_the_type(program: Program) {
    let (_folder, registry) = start_open(program).await;
    let digest = registry.push("team/app", "v1", "x").await;
    let (status, headers) = registry.head("team/app", "v1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["docker-content-digest"], digest.to_string());
    assert_eq!(headers["content-type"], OCI_INDEX);
}

pub async fn tag_resolves_to_the_digest_of_its_index_also_after_a_move(program: Program) {
    let (_folder, registry) = start_open(program).await;
    let (resolver, none) = (resolver(), Keyring::new());
    let at = plain(&registry);
    let first = registry.push("team/app", "v1", "first").await;
    assert_eq!(
        ask(&resolver, &at, &none).await.unwrap(),
        answer(&at, &first, None)
    );
    let second = registry.push("team/app", "v1", "second").await;
    assert_eq!(
        ask(&resolver, &at, &none).await.unwrap(),
        answer(&at, &second, None)
    );
    assert_ne!(first, second);
}

pub async fn a_digest_stays_where_its_tag_has_moved(program: Program) {
    let (_folder, registry) = start_open(program).await;
    let first = registry.push("team/app", "v1", "first").await;
    registry.push("team/app", "v1", "second").await;
    let tagged = format!("{}/team/app:v1@{first}", registry.host);
    let resolved = resolve(&tagged).await.unwrap();
    assert_eq!(
        (resolved.reference.to_string(), resolved.digest),
        (tagged, first)
    );
}

pub async fn a_reference_is_asked_at_its_own_address_by_tag_and_by_digest(program: Program) {
    let (_folder, registry) = start_open(program).await;
    let digest = registry.push("team/app", "latest", "x").await;
    let tagless = Reference::parse(&format!("{}/team/app", registry.host)).unwrap();
    for reference in [tagless.clone(), tagless.with_digest(&digest)] {
        let expected = Resolved {
            reference: reference.clone().or_latest(),
            digest: digest.clone(),
            media_type: OCI_INDEX.to_owned(),
            credential: None,
            endpoint: Endpoint::parse(&plain(&registry)).unwrap(),
            remaining: None,
            plugins: Vec::new(),
        };
        assert_eq!(resolve(&reference.to_string()).await, Ok(expected));
    }
}

pub async fn all_four_types_of_manifest_are_resolved(program: Program) {
    let (_folder, registry) = start_open(program).await;
    let types = [
        ("oci-index", OCI_INDEX),
        ("oci", OCI_MANIFEST),
        ("docker-list", DOCKER_INDEX),
        ("docker", DOCKER_MANIFEST),
    ];
    for (tag, media_type) in types {
        let digest = registry.push_as(media_type, "team/app", tag, "x").await;
        for name in [format!(":{tag}"), format!("@{digest}")] {
            let resolved = resolve(&format!("{}/team/app{name}", registry.host))
                .await
                .unwrap();
            assert_eq!(
                (resolved.digest, resolved.media_type.as_str()),
                (digest.clone(), media_type)
            );
        }
    }
}

/// Only a `GET` has a message: `HEAD` has no body.
pub async fn what_is_not_there_is_told_in_its_words(program: Program) {
    let (_folder, registry) = start_open(program).await;
    registry.push("team/app", "v1", "x").await;
    let (no_tag, no_digest, no_repository) = match program {
        Program::Registry2 | Program::Registry3 => (
            "MANIFEST_UNKNOWN: manifest unknown",
            "MANIFEST_UNKNOWN: manifest unknown",
            "MANIFEST_UNKNOWN: manifest unknown",
        ),
        Program::Olareg => (
            "MANIFEST_UNKNOWN: manifest unknown to registry",
            "MANIFEST_UNKNOWN: manifest unknown to registry",
            "MANIFEST_UNKNOWN: manifest unknown to registry",
        ),
        Program::Crane => (
            "MANIFEST_UNKNOWN: Unknown manifest",
            "MANIFEST_UNKNOWN: Unknown manifest",
            "NAME_UNKNOWN: Unknown name",
        ),
    };
    let absent = Digest::of(b"absent");
    for (name, said) in [
        ("team/app:v2".to_owned(), no_tag),
        (format!("team/app@{absent}"), no_digest),
        ("team/none:v1".to_owned(), no_repository),
    ] {
        let image = format!("{}/{name}", registry.host);
        let error = resolve(&image).await.unwrap_err();
        let expected = Failure::NotFoundOrNoAccess {
            status: 404,
            server_message: said.to_owned(),
        };
        assert_eq!(error.failure, expected, "{name}");
        assert_eq!(
            error.to_string(),
            format!(
                "{image} at {}: not found, or no access (HTTP 404): {said}; no pull secret matches this address and the request was anonymous: check the name and the tag, or add a pull secret",
                plain(&registry)
            )
        );
    }
}

/// Resolves an image at its own registry.
async fn resolve(image: &str) -> Result<Resolved, resolver::ResolveError> {
    let request = Request {
        reference: &Reference::parse(image).unwrap(),
        endpoint: None,
        keyring: &Keyring::new(),
        certificate_authority: None,
    };
    resolver().resolve(&request).await
}
