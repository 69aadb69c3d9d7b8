//! Identity tokens: their exchange, caching and errors.

use resolver::Failure;

use crate::support::server::{Server, header, reply};
use crate::support::{ask, key, resolver, with_identity_token};
use crate::{digest, invalid, manifest, unauthorized};

const TOKEN: &str = "hunter2+/= &x";
/// Encoded for a form.
const ENCODED: &str = "hunter2%2B%2F%3D%20%26x";

/// A registry with a token server at `/token` that answers exchanges like this.
async fn with_exchange(status: &'static str, body: &'static str) -> Server {
    Server::start(move |request| match header(request, "authorization") {
        _ if request.starts_with("POST /token") => reply(request, status, &[], body),
        Some("Bearer abc") => manifest(request),
        _ => {
            let host = header(request, "host").unwrap();
            let scope = "scope=\"repository:team/app:pull repository:a:pull\"";
            let realm = format!("Bearer realm=\"http://{host}/token?x=1\",service=\"s t\",{scope}");
            unauthorized(request, &[&realm])
        }
    })
    .await
}

/// The failure with this token server.
async fn refused(server: &Server) -> Failure {
    let logins = with_identity_token(key(&server.address), TOKEN);
    let error = ask(&resolver(), &server.address, &logins)
        .await
        .unwrap_err();
    let shown = format!("{error} {error:?} {logins:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    error.failure
}

#[tokio::test]
async fn identity_token_is_exchanged_and_the_token_cached() {
    let server = with_exchange("200 OK", r#"{"access_token":"abc","expires_in":300}"#).await;
    let resolver = resolver();
    let logins = with_identity_token(key(&server.address), TOKEN);
    for _ in 0..2 {
        let resolved = ask(&resolver, &server.address, &logins).await.unwrap();
        assert_eq!(resolved.digest.to_string(), digest());
        assert_eq!(resolved.credential.unwrap().source, "config.json");
    }
    let asks = "HEAD /v2/team/app/manifests/v1";
    assert_eq!(server.lines(), [asks, "POST /token?x=1", asks, asks]);
    let sent = &server.heard()[1];
    assert_eq!(header(sent, "authorization"), None);
    assert_eq!(
        header(sent, "content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let form = format!(
        "grant_type=refresh_token&service=s%20t&client_id=dockercoins-resolver&scope=repository%3Ateam%2Fapp%3Apull%20repository%3Aa%3Apull&refresh_token={ENCODED}"
    );
    assert_eq!(sent.split_once("\r\n\r\n").unwrap().1, form);
    let others = server.heard();
    let others = others.iter().filter(|request| !request.starts_with("POST"));
    assert!(
        others
            .into_iter()
            .all(|request| !request.contains("hunter2"))
    );
}

#[tokio::test]
async fn rejected_identity_token_is_reported_and_hidden() {
    let said = "the token [hidden] has ended ([hidden])";
    let words = r#"{"error":"invalid_grant","error_description":"the token hunter2+/= &x has ended (hunter2%2B%2F%3D%20%26x)"}"#;
    let old = "it does not support identity tokens: log in again with a password";
    for (status, said) in [
        ("400 Bad Request", said),
        ("401 Unauthorized", said),
        ("404 Not Found", old),
        ("405 Method Not Allowed", old),
    ] {
        let server = with_exchange(status, words).await;
        let by = server.address.clone();
        let said = said.to_owned();
        let expected = Failure::AuthenticationFailed {
            by,
            server_message: said,
        };
        assert_eq!(refused(&server).await, expected, "{status}");
    }
}

#[tokio::test]
async fn invalid_access_token_is_refused() {
    for (body, detail) in [
        (r#"{"token":"abc"}"#, "it has no token"),
        (r#"{"access_token":""}"#, "it has no token"),
        ("hunter2+/= &x", "it is not JSON with a token"),
    ] {
        let server = with_exchange("200 OK", body).await;
        assert_eq!(refused(&server).await, invalid(&server, detail), "{body}");
    }
}

#[tokio::test]
async fn identity_token_is_not_sent_to_foreign_token_servers() {
    let basic = Server::start(|request| unauthorized(request, &["Basic realm=\"x\""])).await;
    let said = "it requires a password, and the credential has an identity token";
    let expected = |by: &Server, said: String| Failure::AuthenticationFailed {
        by: by.address.clone(),
        server_message: said,
    };
    assert_eq!(refused(&basic).await, expected(&basic, said.to_owned()));
    assert!(
        basic
            .heard()
            .iter()
            .all(|request| !request.contains("uthorization"))
    );

    let foreign = Server::start_on("127.0.0.2", manifest).await;
    let realm = format!("Bearer realm=\"{}/token\"", foreign.address);
    let server = Server::start(move |request| unauthorized(request, &[&realm])).await;
    let said = format!(
        "its token server {} is neither its own host nor a parent domain, so no credential was sent",
        foreign.address
    );
    assert_eq!(refused(&server).await, expected(&server, said));
    assert_eq!(foreign.lines(), [] as [&str; 0]);
}
