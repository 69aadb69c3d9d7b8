//! Basic authentication (htpasswd).

use std::fs;
use std::path::Path;

use resolver::{Failure, Keyring};

use crate::support::certificates::Authority;
use crate::support::registry::{Program, Registry, Settings};
use crate::support::server::{Server, header, reply};
use crate::support::{ask, key, keyring, resolver};
use crate::tls::{certificate, trusting};
use crate::{answer, plain, start_open, used};

/// alice:secret, by bcrypt at its lowest cost, as `htpasswd -nbB -C 4` writes it.
const HTPASSWD: &str = "alice:$2y$04$uRxQXzlyO7ZIuKj9tiR1tOnS.a47sqIgT5IC9sQaIzzUoyW59XJsS\n";

/// The configuration of a registry with the user alice.
fn passwords(folder: &Path) -> String {
    let path = folder.join("htpasswd");
    fs::write(&path, HTPASSWD).unwrap();
    format!(
        "auth:\n  htpasswd:\n    realm: test\n    path: {}",
        path.display()
    )
}

async fn start(program: Program, folder: &Path) -> Registry {
    let settings = Settings {
        distribution: &passwords(folder),
        ..Settings::default()
    };
    Registry::start(program, folder, settings).await
}

pub async fn the_login_that_is_for_it_is_taken(program: Program) {
    let (folder, open) = start_open(program).await;
    let digest = open.push("team/app", "v1", "x").await;
    let registry = start(program, folder.path()).await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let logins = keyring(&[
        ("stale", host, "alice", "old"),
        ("fresh", host, "alice", "secret"),
    ]);
    assert_eq!(
        ask(&resolver(), &at, &logins).await.unwrap(),
        answer(&at, &digest, used("fresh", host, "alice"))
    );
}

pub async fn a_wrong_login_and_a_missing_one_are_told_apart(program: Program) {
    let (folder, open) = start_open(program).await;
    open.push("team/app", "v1", "x").await;
    let registry = start(program, folder.path()).await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let cases = [
        (
            keyring(&[("regcred", host, "alice", "old")]),
            vec!["regcred"],
            "UNAUTHORIZED: authentication required",
        ),
        (
            keyring(&[("regcred", "registry.example.com", "alice", "secret")]),
            vec![],
            "it requires credentials and none match",
        ),
        (
            Keyring::new(),
            vec![],
            "it requires credentials and none match",
        ),
    ];
    for (logins, tried, said) in cases {
        let error = ask(&resolver(), &at, &logins).await.unwrap_err();
        let expected = Failure::AuthenticationFailed {
            by: at.clone(),
            server_message: said.to_owned(),
        };
        assert_eq!((error.failure, error.tried), (expected, strings(&tried)));
    }
}

pub async fn a_redirect_takes_no_login_along(program: Program) {
    let (folder, open) = start_open(program).await;
    open.push("team/app", "v1", "x").await;
    let authority = Authority::new("tls");
    let certificate = certificate(&authority, folder.path());
    let settings = Settings {
        distribution: &passwords(folder.path()),
        tls: Some(&certificate),
        ..Settings::default()
    };
    let registry = Registry::start(program, folder.path(), settings).await;
    let location = format!("https://{}/v2/team/app/manifests/v1", registry.host);
    let redirecting = Server::start(move |request| match header(request, "authorization") {
        None => reply(
            request,
            "401 Unauthorized",
            &[("WWW-Authenticate", "Basic realm=\"x\"")],
            "",
        ),
        Some(_) => reply(
            request,
            "307 Temporary Redirect",
            &[("Location", &location)],
            "",
        ),
    })
    .await;
    // It would let alice in.
    let logins = keyring(&[("regcred", key(&redirecting.address), "alice", "secret")]);
    let error = ask(&trusting(&authority), &redirecting.address, &logins)
        .await
        .unwrap_err();
    let said = format!(
        "{} redirected to it, and credentials are not forwarded",
        redirecting.address
    );
    let by = format!("https://{}", registry.host);
    assert_eq!(
        error.failure,
        Failure::AuthenticationFailed {
            by,
            server_message: said
        }
    );
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
