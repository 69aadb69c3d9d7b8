//! Logins: which are shown to whom, and what comes of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resolver::{CredentialUsed, Failure, Keyring};

use crate::support::server::{Answer, Server, header, reply};
use crate::support::{ask, failure, key, keyring, resolver};
use crate::{digest, invalid, manifest, resolved, unauthorized, with_token};

#[tokio::test]
async fn one_login_is_tried_after_the_other_and_none_is_left_out() {
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
            said: "UNAUTHORIZED: log in".to_owned()
        }
    );
    assert_eq!(
        error.to_string(),
        format!(
            "registry.example.com/team/app:v1, asked at {0}: {0} accepted no login: UNAUTHORIZED: log in; asked with the logins of `a`, `b`: check the users and the passwords there",
            server.address
        )
    );
}

#[tokio::test]
async fn without_a_login_one_is_asked_for_in_words() {
    let server = Server::start(|request| unauthorized(request, &["Basic realm=\"x\""])).await;
    let elsewhere = keyring(&[("regcred", "registry.example.com", "bob", "hunter2")]);
    let error = ask(&resolver(), &server.address, &elsewhere)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry.example.com/team/app:v1, asked at {0}: {0} accepted no login: it asks for a login, and there is none for it; no login for this address was at hand: add a pull secret for it",
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
async fn what_hides_from_the_nameless_is_found_by_the_front_door() {
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
async fn a_token_is_fetched_kept_and_never_shared_between_logins() {
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
async fn a_token_that_is_no_longer_taken_is_fetched_anew() {
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
async fn a_token_that_ends_within_seconds_is_not_kept() {
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
async fn tokens_that_are_none_are_refused() {
    let cases = [
        (
            r#"{"token":"a\r\nX-Evil: 1"}"#,
            "its token has characters that no header may have",
        ),
        (r#"{"token":""}"#, "it holds no token"),
        (r#"{"token":7}"#, "it holds no token"),
        ("[]", "it holds no token"),
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
async fn a_token_server_that_refuses_or_fails_is_named() {
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
            said: said.clone()
        }
    );
    assert_eq!(
        failure(&busy.address).await,
        Failure::RateLimited {
            by: busy.address.clone(),
            retry_after: wait,
            said: said.clone()
        }
    );
    assert_eq!(
        failure(&failing.address).await,
        Failure::RegistryError {
            by: failing.address.clone(),
            status: 502,
            retry_after: wait,
            said
        }
    );
}

#[tokio::test]
async fn a_login_is_not_sent_to_a_foreign_token_server() {
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
            said: format!(
                "it sends logins on to {}, which is neither its own host nor the domain above it, so none was sent",
                foreign.address
            )
        }
    );
    assert_eq!(foreign.lines(), [] as [&str; 0]);
    // Whoever has no login has nothing to lose there.
    assert_eq!(resolved(&server, &Keyring::new()).await, (digest(), None));
}

#[tokio::test]
async fn what_a_registry_puts_into_realm_and_scope_stays_there() {
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
        let detail = "the token server that it names is no address by https:// or http://";
        assert_eq!(
            failure(&server.address).await,
            invalid(&server, detail),
            "{realm}"
        );
    }
}

#[tokio::test]
async fn a_login_that_is_sent_back_does_not_show() {
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
            said: "X: bad [hidden], Basic [hidden]".to_owned()
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
async fn a_login_that_comes_back_as_a_media_type_is_not_shown() {
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
            "it is of the type `basic [hidden] [hidden]`, which is no image's; is it a registry that was asked?"
        )
    );
}

#[tokio::test]
async fn a_token_servers_answer_that_is_too_long_is_refused() {
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
