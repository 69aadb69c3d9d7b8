//! The resolver against faulty registries.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod identity_tokens;
mod limits;
mod logins;
mod routes;

use resolver::{Digest, Failure, Keyring};
use support::server::{Answer, Server, header, reply};
use support::{ask, resolver};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BODY: &str = r#"{"schemaVersion":2}"#;

fn digest() -> String {
    Digest::of(BODY.as_bytes()).to_string()
}

/// A correct response with the manifest.
fn manifest(request: &str) -> Answer {
    reply(
        request,
        "200 OK",
        &[
            ("Content-Type", INDEX),
            ("Docker-Content-Digest", &digest()),
        ],
        BODY,
    )
}

fn unauthorized(request: &str, challenges: &[&str]) -> Answer {
    let headers: Vec<_> = challenges
        .iter()
        .map(|challenge| ("WWW-Authenticate", *challenge))
        .collect();
    reply(
        request,
        "401 Unauthorized",
        &headers,
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}"#,
    )
}

fn invalid(server: &Server, detail: &str) -> Failure {
    Failure::InvalidAnswer {
        by: server.address.clone(),
        detail: detail.to_owned(),
    }
}

/// The parts of a result that do not depend on the server's port.
async fn resolved(server: &Server, keyring: &Keyring) -> (String, Option<String>) {
    let resolved = ask(&resolver(), &server.address, keyring).await.unwrap();
    (
        resolved.digest.to_string(),
        resolved.credential.map(|credential| credential.source),
    )
}

/// A registry with a token server at `/token` on the same address, named by the request's `Host`.
fn with_token(
    challenge: impl Fn(&str) -> String + Send + Sync + 'static,
    token: &'static str,
) -> impl Fn(&str) -> Answer + Send + Sync {
    move |request| match header(request, "authorization") {
        _ if request.starts_with("GET /token") => reply(request, "200 OK", &[], token),
        Some("Bearer abc") => manifest(request),
        _ => unauthorized(request, &[&challenge(header(request, "host").unwrap())]),
    }
}
