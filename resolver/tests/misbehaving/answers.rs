//! Answers that are odd, too long, too slow, or none.

use std::time::{Duration, Instant};

use resolver::{Digest, Failure, Keyring, Options, Reference, Request, Resolver};

use crate::support::server::{Answer, Server, header, reply};
use crate::support::{ask, failure, options, resolver};
use crate::{BODY, INDEX, digest, invalid, manifest, resolved};

#[tokio::test]
async fn a_head_is_enough_and_asks_for_all_four_types() {
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
async fn a_head_without_a_digest_is_followed_by_a_get_that_is_hashed() {
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
async fn a_body_that_does_not_hash_to_its_digest_is_refused() {
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
async fn digests_that_are_none_or_that_differ_are_refused() {
    let cases: [(&[&str], &str); 3] = [
        (&["sha256:xyz"], "what it gives as the digest is none"),
        (&["md5:0"], "what it gives as the digest is none"),
        (
            &[
                "sha256:0000000000000000000000000000000000000000000000000000000000000000",
                "sha256:1111111111111111111111111111111111111111111111111111111111111111",
            ],
            "it gives two different digests",
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
async fn another_digest_than_the_one_asked_for_is_refused() {
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
            &format!("{asked} was asked for, and {} came", digest())
        )
    );
    assert_eq!(
        server.lines(),
        [format!("HEAD /v2/team/app/manifests/{asked}")]
    );
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
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
            "it is of the type `text/html`, which is no image's; is it a registry that was asked?"
        )
    );
    assert_eq!(
        failure(&schema1.address).await,
        invalid(
            &schema1,
            &format!(
                "it is of the type `{old}`, which is no image's; that form of image is no longer supported: build and push it again"
            )
        )
    );
    assert_eq!(
        failure(&garbled.address).await,
        invalid(&garbled, "the manifest is not JSON")
    );
    assert_eq!(
        failure(&untyped.address).await,
        invalid(&untyped, "it does not say of what type the manifest is")
    );
}

#[tokio::test]
async fn a_manifest_that_is_too_long_is_refused() {
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
async fn headers_without_end_are_refused() {
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
            "it is no HTTP within bounds (message head is too large)"
        )
    );
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server =
        Server::start(|_| Answer::Bytes(b"220 mail.example.com ESMTP\r\n\r\n".to_vec())).await;
    assert_eq!(
        failure(&server.address).await,
        invalid(
            &server,
            "it is no HTTP within bounds (invalid HTTP version parsed)"
        )
    );
}

#[tokio::test]
async fn a_drip_ends_with_the_deadline_of_the_whole() {
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
async fn being_sent_away_is_told_with_how_long() {
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
                said: String::new()
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
async fn a_registry_that_fails_is_told_by_its_status() {
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
                said: String::new()
            }
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_asked_again_by_get_for_the_words_to_tell() {
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
            said: "MANIFEST_UNKNOWN: no such [31m tag".to_owned()
        }
    );
    let chatty = Server::start(move |request| reply(request, "403 Forbidden", &[], &long)).await;
    assert_eq!(
        failure(&chatty.address).await,
        Failure::NotFoundOrNoAccess {
            status: 403,
            said: format!("{}…", "x".repeat(300))
        }
    );
}

#[tokio::test]
async fn a_registry_that_knows_no_head_for_missing_things_is_believed_by_its_get() {
    let server = Server::start(|request| match request.starts_with("HEAD") {
        true => reply(request, "404 Not Found", &[], ""),
        false => manifest(request),
    })
    .await;
    assert_eq!(resolved(&server, &Keyring::new()).await, (digest(), None));
}
