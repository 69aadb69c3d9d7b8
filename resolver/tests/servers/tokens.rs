//! Token authentication.

use std::path::Path;

use resolver::{Failure, Keyring};

use crate::support::registry::{Program, Registry, Settings};
use crate::support::token::{TokenServer, identity_token};
use crate::support::{ask, keyring, resolver, with_identity_token};
use crate::{answer, plain, start_open, used};

/// The permissions; the empty name is anonymous.
const USERS: [(&str, &str, &str); 3] = [
    ("", "", "public/app"),
    ("alice", "secret", "team/app"),
    ("carol", "secret", "other/app"),
];

async fn start(program: Program, folder: &Path) -> (TokenServer, Registry) {
    let tokens = TokenServer::start(folder, &USERS).await;
    let settings = Settings {
        distribution: &tokens.settings,
        ..Settings::default()
    };
    let registry = Registry::start(program, folder, settings).await;
    (tokens, registry)
}

pub async fn what_its_token_server_granted_is_taken(program: Program) {
    let (folder, open) = start_open(program).await;
    let digest = open.push("team/app", "v1", "x").await;
    let (_tokens, registry) = start(program, folder.path()).await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let logins = keyring(&[
        ("carol", host, "carol", "secret"),
        ("alice", host, "alice", "secret"),
    ]);
    assert_eq!(
        ask(&resolver(), &at, &logins).await.unwrap(),
        answer(&at, &digest, used("alice", host, "alice"))
    );
}

pub async fn a_token_serves_until_it_ends(program: Program) {
    let (folder, open) = start_open(program).await;
    let digest = open.push("team/app", "v1", "x").await;
    let (tokens, registry) = start(program, folder.path()).await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let (resolver, alice) = (resolver(), keyring(&[("alice", host, "alice", "secret")]));
    for _ in 0..3 {
        assert_eq!(
            ask(&resolver, &at, &alice).await.unwrap(),
            answer(&at, &digest, used("alice", host, "alice"))
        );
    }
    assert_eq!(
        tokens.server.lines(),
        ["GET /token?service=test%20registry&scope=repository%3Ateam%2Fapp%3Apull"]
    );
}

pub async fn what_was_not_granted_is_not_found(program: Program) {
    let (folder, open) = start_open(program).await;
    open.push("team/app", "v1", "x").await;
    let (_tokens, registry) = start(program, folder.path()).await;
    let carol = keyring(&[("carol", &registry.host, "carol", "secret")]);
    for logins in [carol, Keyring::new()] {
        let error = ask(&resolver(), &plain(&registry), &logins)
            .await
            .unwrap_err();
        let expected = Failure::NotFoundOrNoAccess {
            status: 401,
            server_message: "UNAUTHORIZED: authentication required".to_owned(),
        };
        assert_eq!(error.failure, expected);
    }
}

pub async fn a_login_that_its_token_server_does_not_know_is_told(program: Program) {
    let (folder, open) = start_open(program).await;
    open.push("team/app", "v1", "x").await;
    let (tokens, registry) = start(program, folder.path()).await;
    let wrong = keyring(&[("regcred", &registry.host, "alice", "wrong")]);
    let error = ask(&resolver(), &plain(&registry), &wrong)
        .await
        .unwrap_err();
    let expected = Failure::AuthenticationFailed {
        by: tokens.server.address.clone(),
        server_message: "incorrect username or password".to_owned(),
    };
    assert_eq!(error.failure, expected);
}

pub async fn an_identity_token_is_exchanged_for_what_it_may(program: Program) {
    let (folder, open) = start_open(program).await;
    let digest = open.push("team/app", "v1", "x").await;
    let (tokens, registry) = start(program, folder.path()).await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let alice = with_identity_token(host, &identity_token("alice", "secret"));
    assert_eq!(
        ask(&resolver(), &at, &alice).await.unwrap(),
        answer(&at, &digest, used("config.json", host, ""))
    );
    assert_eq!(tokens.server.lines(), ["POST /token"]);

    let ended = with_identity_token(host, &identity_token("alice", "old"));
    let error = ask(&resolver(), &at, &ended).await.unwrap_err();
    let expected = Failure::AuthenticationFailed {
        by: tokens.server.address.clone(),
        server_message: "the token has ended".to_owned(),
    };
    assert_eq!(error.failure, expected);
}
