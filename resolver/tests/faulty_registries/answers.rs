//! Invalid, oversized, slow and missing responses.

use std::time::{Duration, Instant};

use resolver::{Digest, Failure, Keyring, Options, Reference, Request, Resolver};

use crate::support::server::{Answer, Server, header, reply};
use crate::support::{ask, failure, options, resolver};
use crate::{BODY, INDEX, digest, invalid, manifest, resolved};

#[tokio::test]
async fn head_suffices_and_accepts_all_manifest_types() {
    let server = Server::start(manifest).await;
    assert_eq!(resolved(&server, &Keyring::new()).await, (digest(), None));
    assert_eq!(server.lines(), ["HEAD /v2/team/app/manifests/v1"]);
    assert_eq!(
        header(&server.heard()[0], "accept"),
        Some(
            "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        )
    );
}

#[tokio::test]
async fn get_follows_a_head_without_digest() {
    let server =
        Server::start(|request| reply(request, "200 OK", &[("Content-Type", INDEX)], BODY)).await;
    assert_eq!(resolved(&server, &Keyring::new()).await, (digest(), None));
    assert_eq!(
        server.lines(),
        [
            "HEAD /v2/team/app/manifests/v1",
            "GET /v2/team/app/manifests/v1"
        ]
    );
}

#[tokio::test]
async fn body_with_another_digest_is_refused() {
    let wrong = format!("sha256:{}", "0".repeat(64));
    let told = wrong.clone();
    let server = Server::start(move |request| {
        // HEAD lacks the type, so that the manifest is fetched.
        match request.starts_with("HEAD") {
            true => reply(request, "200 OK", &[("Docker-Content-Digest", &told)], BODY),
            false => reply(
                request,
                "200 OK",
                &[("Content-Type", INDEX), ("Docker-Content-Digest", &told)],
                BODY,
            ),
        }
    })
    .await;
    assert_eq!(
        failure(&server.address).await,
        invalid(
            &server,
            &format!("the manifest does not hash to its digest {wrong}")
        )
    );
}

#[tokio::test]
async fn invalid_or_differing_digests_are_refused() {
    let cases: [(&[&str], &str); 3] = [
        (&["sha256:xyz"], "its Docker-Content-Digest is not a digest"),
        (&["md5:0"], "its Docker-Content-Digest is not a digest"),
        (
            &[
                "sha256:0000000000000000000000000000000000000000000000000000000000000000",
                "sha256:1111111111111111111111111111111111111111111111111111111111111111",
            ],
            "it has two different Docker-Content-Digest headers",
        ),
    ];
    for (digests, detail) in cases {
        let server = Server::start(move |request| {
            let mut headers = vec![("Content-Type", INDEX)];
            headers.extend(
                digests
                    .iter()
                    .map(|digest| ("Docker-Content-Digest", *digest)),
            );
            reply(request, "200 OK", &headers, BODY)
        })
        .await;
        assert_eq!(failure(&server.address).await, invalid(&server, detail));
    }
}

#[tokio::test]
async fn digest_other_than_the_requested_one_is_refused() {
    let server = Server::start(manifest).await;
    let asked = Digest::of(b"another");
    let reference = Reference::parse("a.example/team/app")
        .unwrap()
        .with_digest(&asked);
    let endpoint = server.address.parse().unwrap();
    let request = Request {
        reference: &reference,
        endpoint: Some(&endpoint),
        keyring: &Keyring::new(),
        certificate_authority: None,
    };
    let error = resolver().resolve(&request).await.unwrap_err();
    assert_eq!(
        error.failure,
        invalid(
            &server,
            &format!("{asked} was requested, and {} was returned", digest())
        )
    );
    assert_eq!(
        server.lines(),
        [format!("HEAD /v2/team/app/manifests/{asked}")]
    );
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let page = Server::start(|request| {
        reply(
            request,
            "200 OK",
            &[("Content-Type", "text/html; charset=utf-8")],
            "<html>",
        )
    })
    .await;
    let schema1 =
        Server::start(move |request| reply(request, "200 OK", &[("Content-Type", old)], BODY))
            .await;
    let garbled =
        Server::start(|request| reply(request, "200 OK", &[("Content-Type", INDEX)], "{")).await;
    let untyped = Server::start(|request| reply(request, "200 OK", &[], BODY)).await;
    assert_eq!(
        failure(&page.address).await,
        invalid(
            &page,
            "its media type `text/html` is not an image's; is the server a registry?"
        )
    );
    assert_eq!(
        failure(&schema1.address).await,
        invalid(
            &schema1,
            &format!(
                "its media type `{old}` is not an image's; that manifest format is no longer supported: build and push the image again"
            )
        )
    );
    assert_eq!(
        failure(&garbled.address).await,
        invalid(&garbled, "the manifest is not JSON")
    );
    assert_eq!(
        failure(&untyped.address).await,
        invalid(&untyped, "it has no Content-Type")
    );
}

#[tokio::test]
async fn oversized_manifest_is_refused() {
    let server = Server::start(|request| match request.starts_with("HEAD") {
        true => reply(request, "200 OK", &[("Content-Type", INDEX)], ""),
        false => Answer::Endless(
            format!("HTTP/1.1 200 OK\r\nContent-Type: {INDEX}\r\n\r\n").into_bytes(),
            vec![b' '; 1 << 16],
            Duration::ZERO,
        ),
    })
    .await;
    assert_eq!(
        failure(&server.address).await,
        invalid(&server, "it is longer than 4194304 bytes")
    );
}

#[tokio::test]
async fn oversized_headers_are_refused() {
    let server = Server::start(|_| {
        Answer::Endless(
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            b"X-More: and more\r\n".repeat(100),
            Duration::ZERO,
        )
    })
    .await;
    assert_eq!(
        failure(&server.address).await,
        invalid(
            &server,
            "it is not valid HTTP, or its headers are too large (message head is too large)"
        )
    );
}

#[tokio::test]
async fn invalid_http_is_refused() {
    let server =
        Server::start(|_| Answer::Bytes(b"220 mail.example.com ESMTP\r\n\r\n".to_vec())).await;
    assert_eq!(
        failure(&server.address).await,
        invalid(
            &server,
            "it is not valid HTTP, or its headers are too large (invalid HTTP version parsed)"
        )
    );
}

#[tokio::test]
async fn slow_body_ends_at_the_deadline() {
    let deadline = Duration::from_millis(300);
    let resolver = Resolver::new(Options {
        deadline,
        ..options()
    })
    .unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {INDEX}\r\nContent-Length: 1000\r\n\r\n");
    let dripping_body = Server::start(move |request| match request.starts_with("HEAD") {
        true => reply(request, "200 OK", &[("Content-Type", INDEX)], ""),
        false => Answer::Endless(
            head.clone().into_bytes(),
            b" ".to_vec(),
            Duration::from_millis(20),
        ),
    })
    .await;
    let dripping_head = Server::start(|_| {
        Answer::Endless(
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            b"X".to_vec(),
            Duration::from_millis(20),
        )
    })
    .await;
    for server in [dripping_body, dripping_head] {
        let start = Instant::now();
        let error = ask(&resolver, &server.address, &Keyring::new())
            .await
            .unwrap_err();
        assert_eq!(
            error.failure,
            Failure::Timeout {
                by: server.address.clone(),
                deadline
            }
        );
        assert!(start.elapsed() >= deadline);
    }
}

#[tokio::test]
async fn rate_limit_is_reported_with_retry_after() {
    for (value, expected) in [
        ("120", Some(120)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86400)),
        ("soon", None),
    ] {
        let server = Server::start(move |request| {
            reply(
                request,
                "429 Too Many Requests",
                &[("Retry-After", value)],
                "",
            )
        })
        .await;
        assert_eq!(
            failure(&server.address).await,
            Failure::RateLimited {
                by: server.address.clone(),
                retry_after: expected.map(Duration::from_secs),
                server_message: String::new()
            }
        );
        assert_eq!(
            server.lines().len(),
            1,
            "a registry that sends us away is not asked again"
        );
    }
}

#[tokio::test]
async fn failing_registry_is_reported_by_status() {
    for (status, code) in [
        ("500 Internal Server Error", 500),
        ("503 Service Unavailable", 503),
        ("408 Request Timeout", 408),
        ("418 I'm a teapot", 418),
    ] {
        let server =
            Server::start(move |request| reply(request, status, &[("Retry-After", "7")], "")).await;
        assert_eq!(
            failure(&server.address).await,
            Failure::RegistryError {
                by: server.address.clone(),
                status: code,
                retry_after: Some(Duration::from_secs(7)),
                server_message: String::new()
            }
        );
    }
}

#[tokio::test]
async fn not_found_is_repeated_by_get_for_its_message() {
    let long = "x".repeat(200_000);
    let server = Server::start(move |request| {
        let body = format!(r#"{{"errors":[{{"code":"MANIFEST_UNKNOWN","message":"no\r\nsuch\u001b[31m tag"}}]}}{}"#, " ".repeat(10));
        reply(request, "404 Not Found", &[], &body)
    })
    .await;
    assert_eq!(
        failure(&server.address).await,
        Failure::NotFoundOrNoAccess {
            status: 404,
            server_message: "MANIFEST_UNKNOWN: no such [31m tag".to_owned()
        }
    );
    let chatty = Server::start(move |request| reply(request, "403 Forbidden", &[], &long)).await;
    assert_eq!(
        failure(&chatty.address).await,
        Failure::NotFoundOrNoAccess {
            status: 403,
            server_message: format!("{}…", "x".repeat(300))
        }
    );
}

#[tokio::test]
async fn get_decides_if_head_says_not_found() {
    let server = Server::start(|request| match request.starts_with("HEAD") {
        true => reply(request, "404 Not Found", &[], ""),
        false => manifest(request),
    })
    .await;
    assert_eq!(resolved(&server, &Keyring::new()).await, (digest(), None));
}
