//! Which servers receive which credentials.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resolver::{CredentialUsed, Failure, Keyring};

use crate::support::server::{Answer, Server, header, reply};
use crate::support::{ask, failure, key, keyring, resolver};
use crate::{digest, invalid, manifest, resolved, unauthorized, with_token};

#[tokio::test]
async fn every_matching_login_is_tried_in_turn() {
    // base64("good:right")
    let server = Server::start(|request| match header(request, "authorization") {
        Some("Basic Z29vZDpyaWdodA==") => manifest(request),
        _ => unauthorized(request, &["Negotiate", "Basic realm=\"x\""]),
    })
    .await;
    let at = key(&server.address);
    let logins = keyring(&[
        ("first", at, "bad", "wrong"),
        ("second", at, "good", "right"),
        ("third", at, "more", "unused"),
    ]);
    let resolver = resolver();
    let resolved = ask(&resolver, &server.address, &logins).await.unwrap();
    let used = CredentialUsed {
        source: "second".to_owned(),
        key: at.to_owned(),
        username: "good".to_owned(),
    };
    assert_eq!(resolved.credential, Some(used.clone()));

    let before = server.heard().len();
    let second = keyring(&[("second", at, "good", "right")]);
    assert_eq!(
        ask(&resolver, &server.address, &second)
            .await
            .unwrap()
            .credential,
        Some(used)
    );
    assert_eq!(
        server.heard().len() - before,
        1,
        "a login that was taken is shown at once the next time"
    );

    let error = ask(
        &resolver,
        &server.address,
        &keyring(&[("a", at, "bad", "wrong"), ("b", at, "bad", "too")]),
    )
    .await
    .unwrap_err();
    assert_eq!(error.tried, ["a", "b"]);
    assert_eq!(
        error.failure,
        Failure::AuthenticationFailed {
            by: server.address.clone(),
            server_message: "UNAUTHORIZED: log in".to_owned()
        }
    );
    assert_eq!(
        error.to_string(),
        format!(
            "registry.example.com/team/app:v1 at {0}: {0} rejected the login: UNAUTHORIZED: log in; tried the logins of `a`, `b`: check the usernames and passwords there",
            server.address
        )
    );
}

#[tokio::test]
async fn missing_login_is_reported() {
    let server = Server::start(|request| unauthorized(request, &["Basic realm=\"x\""])).await;
    let elsewhere = keyring(&[("regcred", "registry.example.com", "bob", "hunter2")]);
    let error = ask(&resolver(), &server.address, &elsewhere)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry.example.com/team/app:v1 at {0}: {0} rejected the login: it requires credentials and none match; no pull secret matches this address: add one",
            server.address
        )
    );
    assert!(
        server
            .heard()
            .iter()
            .all(|request| header(request, "authorization").is_none()),
        "the login was for the name's host, not for the one asked"
    );
}

#[tokio::test]
async fn private_image_is_found_by_the_challenge_of_v2() {
    let server = Server::start(|request| {
        match (
            header(request, "authorization"),
            request.starts_with("GET /v2/ "),
        ) {
            (Some(_), _) => manifest(request),
            (None, true) => unauthorized(request, &["Basic realm=\"x\""]),
            (None, false) => reply(request, "404 Not Found", &[], ""),
        }
    })
    .await;
    let logins = keyring(&[("regcred", key(&server.address), "bob", "hunter2")]);
    assert_eq!(
        resolved(&server, &logins).await,
        (digest(), Some("regcred".to_owned()))
    );
    assert_eq!(
        server.lines(),
        [
            "HEAD /v2/team/app/manifests/v1",
            "GET /v2/",
            "HEAD /v2/team/app/manifests/v1"
        ]
    );
}

#[tokio::test]
async fn token_is_cached_per_login() {
    let server = Server::start(with_token(
        |host| format!("Basic realm=\"x\", Bearer realm=\"http://{host}/token\",service=\"s\""),
        r#"{"access_token":"abc","expires_in":300}"#,
    ))
    .await;
    let resolver = resolver();
    let at = key(&server.address);
    let (alice, bob) = (
        keyring(&[("alice", at, "alice", "1")]),
        keyring(&[("bob", at, "bob", "2")]),
    );
    let asks = "HEAD /v2/team/app/manifests/v1";
    let token = "GET /token?service=s&scope=repository%3Ateam%2Fapp%3Apull";
    for (keyring, lines) in [
        (&alice, vec![asks, token, asks]),
        (&alice, vec![asks]),
        (&bob, vec![asks, token, asks]),
        (&Keyring::new(), vec![asks, token, asks]),
    ] {
        let before = server.lines().len();
        ask(&resolver, &server.address, keyring).await.unwrap();
        assert_eq!(server.lines()[before..], lines);
    }
    let shown: Vec<_> = server
        .heard()
        .iter()
        .filter(|request| request.starts_with("GET /token"))
        .map(|request| header(request, "authorization").map(str::to_owned))
        .collect();
    // base64("alice:1"), base64("bob:2")
    assert_eq!(
        shown,
        [
            Some("Basic YWxpY2U6MQ==".to_owned()),
            Some("Basic Ym9iOjI=".to_owned()),
            None
        ]
    );
}

#[tokio::test]
async fn rejected_token_is_fetched_again() {
    let server = Server::start({
        let asked = AtomicUsize::new(0);
        let good = with_token(
            |host| format!("Bearer realm=\"http://{host}/token\""),
            r#"{"token":"abc"}"#,
        );
        move |request| match request.starts_with("HEAD")
            && asked.fetch_add(1, Ordering::SeqCst) == 2
        {
            true => unauthorized(
                request,
                &[&format!(
                    "Bearer realm=\"http://{}/token\"",
                    header(request, "host").unwrap()
                )],
            ),
            false => good(request),
        }
    })
    .await;
    let resolver = resolver();
    for _ in 0..2 {
        ask(&resolver, &server.address, &Keyring::new())
            .await
            .unwrap();
    }
    let verbs: Vec<_> = server
        .lines()
        .iter()
        .map(|line| line[..8].to_owned())
        .collect();
    assert_eq!(
        verbs,
        [
            "HEAD /v2", "GET /tok", "HEAD /v2", "HEAD /v2", "GET /tok", "HEAD /v2"
        ]
    );
}

#[tokio::test]
async fn short_lived_token_is_not_cached() {
    let server = Server::start(with_token(
        |host| format!("Bearer realm=\"http://{host}/token\""),
        r#"{"token":"abc","expires_in":10}"#,
    ))
    .await;
    let resolver = resolver();
    for _ in 0..2 {
        ask(&resolver, &server.address, &Keyring::new())
            .await
            .unwrap();
    }
    let tokens = server
        .lines()
        .iter()
        .filter(|line| line.starts_with("GET /token"))
        .count();
    assert_eq!(tokens, 2);
}

#[tokio::test]
async fn invalid_tokens_are_refused() {
    let cases = [
        (
            r#"{"token":"a\r\nX-Evil: 1"}"#,
            "its token has characters that are not allowed in a header",
        ),
        (r#"{"token":""}"#, "it has no token"),
        (r#"{"token":7}"#, "it has no token"),
        ("[]", "it has no token"),
        ("<html>", "it is not JSON with a token"),
    ];
    for (token, detail) in cases {
        let server = Server::start(with_token(
            |host| format!("Bearer realm=\"http://{host}/token\""),
            token,
        ))
        .await;
        assert_eq!(failure(&server.address).await, invalid(&server, detail));
    }
}

#[tokio::test]
async fn failing_token_server_is_named() {
    let token_server = |status: &'static str| {
        move |request: &str| match request.starts_with("GET /token") {
            true => reply(
                request,
                status,
                &[("Retry-After", "9")],
                r#"{"details":"incorrect username or password"}"#,
            ),
            false => unauthorized(
                request,
                &[&format!(
                    "Bearer realm=\"http://{}/token\"",
                    header(request, "host").unwrap()
                )],
            ),
        }
    };
    let said = "incorrect username or password".to_owned();
    let wait = Some(Duration::from_secs(9));
    let refusing = Server::start(token_server("401 Unauthorized")).await;
    let busy = Server::start(token_server("429 Too Many Requests")).await;
    let failing = Server::start(token_server("502 Bad Gateway")).await;
    assert_eq!(
        failure(&refusing.address).await,
        Failure::AuthenticationFailed {
            by: refusing.address.clone(),
            server_message: said.clone()
        }
    );
    assert_eq!(
        failure(&busy.address).await,
        Failure::RateLimited {
            by: busy.address.clone(),
            retry_after: wait,
            server_message: said.clone()
        }
    );
    assert_eq!(
        failure(&failing.address).await,
        Failure::RegistryError {
            by: failing.address.clone(),
            status: 502,
            retry_after: wait,
            server_message: said,
        }
    );
}

#[tokio::test]
async fn login_is_not_sent_to_a_foreign_token_server() {
    let foreign = Server::start_on("127.0.0.2", |request| {
        reply(request, "200 OK", &[], r#"{"token":"abc"}"#)
    })
    .await;
    let realm = format!("Bearer realm=\"{}/token\"", foreign.address);
    let server = Server::start(with_token(move |_| realm.clone(), "")).await;
    let logins = keyring(&[("regcred", key(&server.address), "bob", "hunter2")]);
    let error = ask(&resolver(), &server.address, &logins)
        .await
        .unwrap_err();
    assert_eq!(
        error.failure,
        Failure::AuthenticationFailed {
            by: server.address.clone(),
            server_message: format!(
                "its token server {} is neither its own host nor a parent domain, so no credential was sent",
                foreign.address
            )
        }
    );
    assert_eq!(foreign.lines(), [] as [&str; 0]);
    // Whoever has no login has nothing to lose there.
    assert_eq!(resolved(&server, &Keyring::new()).await, (digest(), None));
}

#[tokio::test]
async fn realm_and_scope_are_encoded() {
    let scope = "repository:a/b:pull&service=evil HTTP/1.1";
    let server = Server::start(with_token(
        move |host| format!("Bearer realm=\"http://{host}/token?x=1\",scope=\"{scope}\""),
        r#"{"token":"abc"}"#,
    ))
    .await;
    ask(&resolver(), &server.address, &Keyring::new())
        .await
        .unwrap();
    assert_eq!(
        server.lines()[1],
        "GET /token?x=1&scope=repository%3Aa%2Fb%3Apull%26service%3Devil&scope=HTTP%2F1.1"
    );
    for realm in [
        "ftp://a/token",
        "http://bob:pw@a/token",
        "/token",
        "http://a b/",
    ] {
        let server =
            Server::start(with_token(move |_| format!("Bearer realm=\"{realm}\""), "")).await;
        let detail = "its token server is not an https:// or http:// URL";
        assert_eq!(
            failure(&server.address).await,
            invalid(&server, detail),
            "{realm}"
        );
    }
}

#[tokio::test]
async fn echoed_login_is_hidden() {
    let server = Server::start(|request| match header(request, "authorization") {
        Some(sent) => reply(
            request,
            "401 Unauthorized",
            &[],
            &format!(r#"{{"errors":[{{"code":"X","message":"bad hunter2, {sent}"}}]}}"#),
        ),
        None => unauthorized(request, &["Basic realm=\"x\""]),
    })
    .await;
    let logins = keyring(&[("regcred", key(&server.address), "bob", "hunter2")]);
    let error = ask(&resolver(), &server.address, &logins)
        .await
        .unwrap_err();
    assert_eq!(
        error.failure,
        Failure::AuthenticationFailed {
            by: server.address.clone(),
            server_message: "X: bad [hidden], Basic [hidden]".to_owned()
        }
    );
    // base64("bob:hunter2")
    let shown = format!("{error} {error:?} {logins:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("Ym9iOmh1bnRlcjI="),
        "{shown}"
    );
}

#[tokio::test]
async fn login_in_a_media_type_is_hidden() {
    let server = Server::start(|request| match header(request, "authorization") {
        None => unauthorized(request, &["Basic realm=\"x\""]),
        Some(login) => {
            let media_type = format!("{login} hunter;2");
            reply(request, "200 OK", &[("Content-Type", &media_type)], "{}")
        }
    })
    .await;
    let logins = keyring(&[("regcred", key(&server.address), "bob", "hunter;2")]);
    let error = ask(&resolver(), &server.address, &logins)
        .await
        .unwrap_err();
    assert_eq!(
        error.failure,
        invalid(
            &server,
            "its media type `basic [hidden] [hidden]` is not an image's; is the server a registry?"
        )
    );
}

#[tokio::test]
async fn oversized_token_response_is_refused() {
    let server = Server::start(|request| match request.starts_with("GET /token") {
        true => Answer::Endless(
            b"HTTP/1.1 200 OK\r\n\r\n{\"token\":\"".to_vec(),
            vec![b'x'; 1 << 16],
            Duration::ZERO,
        ),
        false => {
            let host = header(request, "host").unwrap();
            unauthorized(request, &[&format!("Bearer realm=\"http://{host}/token\"")])
        }
    })
    .await;
    assert_eq!(
        failure(&server.address).await,
        invalid(&server, "it is longer than 131072 bytes")
    );
}
