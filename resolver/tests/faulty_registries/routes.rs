//! Redirects, forbidden addresses and failed connections.

use std::net::IpAddr;

use resolver::address::Forbidden;
use resolver::{ConnectFailure, Failure, Keyring, Options, Resolver};

use crate::support::server::{Answer, Server, header, reply};
use crate::support::{ask, failure, key, keyring, options};
use crate::{digest, invalid, manifest, resolved, unauthorized, with_token};

#[tokio::test]
async fn redirects_on_the_same_server_keep_the_login() {
    let server = Server::start(|request| {
        match (
            header(request, "authorization"),
            request.contains("/moved/"),
        ) {
            (None, _) => unauthorized(request, &["Basic realm=\"x\""]),
            (Some(_), false) => reply(
                request,
                "307 Temporary Redirect",
                &[("Location", "/moved/to?a=b")],
                "",
            ),
            (Some(_), true) => manifest(request),
        }
    })
    .await;
    let logins = keyring(&[("regcred", key(&server.address), "bob", "hunter2")]);
    assert_eq!(
        resolved(&server, &logins).await,
        (digest(), Some("regcred".to_owned()))
    );
    assert_eq!(server.lines().last().unwrap(), "HEAD /moved/to?a=b");
}

#[tokio::test]
async fn invalid_redirects_are_refused() {
    let other = Server::start_on("127.0.0.2", manifest).await;
    let to_other = format!("{}/x", other.address);
    let cases = [
        (
            "/again".to_owned(),
            "it redirects more than 5 times".to_owned(),
        ),
        (
            String::new(),
            "it redirects to an invalid address: `Location` must be an https:// or http:// URL"
                .to_owned(),
        ),
        (
            "ftp://a/b".to_owned(),
            "it redirects to an invalid address: `Location` must be an https:// or http:// URL"
                .to_owned(),
        ),
        (
            "http://u:p@a/b".to_owned(),
            "it redirects to an invalid address: `Location` must be an https:// or http:// URL"
                .to_owned(),
        ),
        (
            to_other,
            format!(
                "it redirects to {}, another server, by plain HTTP",
                other.address
            ),
        ),
    ];
    for (location, detail) in cases {
        let server = Server::start(move |request| {
            reply(request, "302 Found", &[("Location", &location)], "")
        })
        .await;
        assert_eq!(failure(&server.address).await, invalid(&server, &detail));
    }
    assert_eq!(other.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn broken_connection_is_reported() {
    let server = Server::start(|_| Answer::Bytes(Vec::new())).await;
    let host = key(&server.address).to_owned();
    assert_eq!(
        failure(&server.address).await,
        Failure::ConnectionFailed {
            host,
            cause: ConnectFailure::Broken("connection closed before message completed".to_owned())
        }
    );
}

#[tokio::test]
async fn forbidden_addresses_are_refused_in_every_spelling() {
    let server = Server::start(manifest).await;
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    let resolver = Resolver::new(Options::default()).unwrap();
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
    ] {
        let error = ask(&resolver, &format!("http://{host}:{port}"), &Keyring::new())
            .await
            .unwrap_err();
        let Failure::AddressNotAllowed {
            host: named,
            address,
            forbidden,
        } = error.failure
        else {
            panic!("{host}: {error}")
        };
        assert_eq!(named, format!("{host}:{port}"));
        assert_eq!(forbidden, Forbidden::Loopback);
        assert!(address == loopback || host == "localhost");
    }
    for (host, forbidden) in [
        ("[::ffff:7f00:1]", Forbidden::Loopback),
        ("169.254.169.254", Forbidden::Metadata),
        ("0.0.0.0", Forbidden::Unspecified),
        ("0", Forbidden::Unspecified),
        ("[ff02::1]", Forbidden::Multicast),
    ] {
        let error = ask(&resolver, &format!("http://{host}:{port}"), &Keyring::new())
            .await
            .unwrap_err();
        assert!(
            matches!(error.failure, Failure::AddressNotAllowed { forbidden: found, .. } if found == forbidden),
            "{host}: {error}"
        );
    }
    assert_eq!(server.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn forbidden_address_of_redirect_or_realm_is_refused() {
    let inner = Server::start_on("127.0.0.2", manifest).await;
    let at = inner.address.clone();
    let redirecting = Server::start({
        let at = at.replace("http://", "https://");
        move |request| {
            reply(
                request,
                "307 Temporary Redirect",
                &[("Location", &format!("{at}/x"))],
                "",
            )
        }
    })
    .await;
    let challenging = Server::start(with_token(
        move |_| format!("Bearer realm=\"{at}/token\""),
        "",
    ))
    .await;
    let allow = vec!["127.0.0.1/32".parse().unwrap()];
    let resolver = Resolver::new(Options { allow, ..options() }).unwrap();
    for server in [redirecting, challenging] {
        let error = ask(&resolver, &server.address, &Keyring::new())
            .await
            .unwrap_err();
        let expected = Failure::AddressNotAllowed {
            host: key(&inner.address).to_owned(),
            address: "127.0.0.2".parse().unwrap(),
            forbidden: Forbidden::Loopback,
        };
        assert_eq!(error.failure, expected);
    }
    assert_eq!(inner.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn denied_network_wins_over_allowed_network() {
    let outer = Server::start(manifest).await;
    let inner = Server::start_on("127.0.0.2", manifest).await;
    let at = inner.address.replace("http://", "https://");
    let redirecting = Server::start(move |request| {
        let location = format!("{at}/x");
        let headers = [("Location", location.as_str())];
        reply(request, "307 Temporary Redirect", &headers, "")
    })
    .await;
    let deny = vec!["127.0.0.2/32".parse().unwrap()];
    let resolver = Resolver::new(Options { deny, ..options() }).unwrap();
    let none = Keyring::new();
    let port = inner.address.rsplit_once(':').unwrap().1;
    let mapped = format!("http://[::ffff:7f00:2]:{port}");
    for (address, host, named) in [
        (&inner.address, key(&inner.address), "127.0.0.2"),
        (&mapped, key(&mapped), "::ffff:7f00:2"),
        (&redirecting.address, key(&inner.address), "127.0.0.2"),
    ] {
        let error = ask(&resolver, address, &none).await.unwrap_err();
        let expected = Failure::AddressNotAllowed {
            host: host.to_owned(),
            address: named.parse().unwrap(),
            forbidden: Forbidden::Denied("127.0.0.2/32".parse().unwrap()),
        };
        assert_eq!(error.failure, expected);
    }
    assert_eq!(inner.lines(), [] as [&str; 0]);
    let allowed = ask(&resolver, &outer.address, &none).await.unwrap();
    assert_eq!(allowed.digest.to_string(), digest());
}

#[tokio::test]
async fn unreachable_and_unknown_hosts_are_distinguished() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(
        failure(&format!("http://{free}")).await,
        Failure::ConnectionFailed {
            host: free.to_string(),
            cause: ConnectFailure::Unreachable {
                address: free,
                detail: "Connection refused (os error 111)".to_owned()
            }
        }
    );
    let found = failure("http://no-such-host.invalid").await;
    assert!(
        matches!(&found, Failure::NameNotResolved { host, .. } if host == "no-such-host.invalid"),
        "{found:?}"
    );
}
