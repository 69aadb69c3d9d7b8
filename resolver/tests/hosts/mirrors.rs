//! The order and the requests of hosts.

use resolver::{
    ConnectFailure, Digest, Endpoint, Failure, HostFailure, Keyring, Options, Resolver,
};
use tokio::net::TcpListener;

use crate::support::certificates::{self, Authority, tls};
use crate::support::server::{Answer, Server, header, reply};
use crate::support::{ask, ask_for, key, keyring, resolver_of};
use crate::{IMAGE, MANIFEST, MIRRORED, REGISTRY, digest, folder, manifest, nothing};

/// A local address without a listener.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn not_found() -> Failure {
    Failure::NotFoundOrNoAccess {
        status: 404,
        server_message: String::new(),
    }
}

#[tokio::test]
async fn mirrors_are_queried_in_order_before_the_registry() {
    let deaf = nowhere().await;
    let missing = Server::start(nothing).await;
    let failing = Server::start(|request| reply(request, "503 Oops", &[], "")).await;
    let forbidding = Server::start(|request| reply(request, "403 Forbidden", &[], "")).await;
    let garbled = Server::start(|_| Answer::Bytes(b"who are you\r\n\r\n".to_vec())).await;
    let good = Server::start(manifest).await;
    let never = Server::start(manifest).await;
    let folder = folder(&[
        (&deaf, ""),
        (&missing.address, ""),
        (&failing.address, ""),
        (&forbidding.address, ""),
        (&garbled.address, ""),
        (&good.address, ""),
        (&never.address, ""),
    ]);
    let resolver = resolver_of(folder.path());
    let resolved = ask_for(&resolver, IMAGE, &Keyring::new()).await.unwrap();
    assert_eq!(
        (resolved.digest, resolved.endpoint),
        (digest(), Endpoint::parse(&good.address).unwrap())
    );
    for server in [&missing, &failing, &forbidding, &garbled, &good] {
        assert_eq!(server.lines()[0], MIRRORED);
    }
    assert_eq!(never.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn most_specific_failure_is_reported_with_all_hosts() {
    let deaf = nowhere().await;
    let missing = Server::start(nothing).await;
    let failing = Server::start(|request| reply(request, "500 Oops", &[], "")).await;
    let failing_too = Server::start(|request| reply(request, "502 Oops", &[], "")).await;
    let folder = folder(&[
        (&deaf, ""),
        (&missing.address, ""),
        (&failing.address, ""),
        (&failing_too.address, ""),
    ]);
    let error = ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    let answered = |server: &Server, status| Failure::RegistryError {
        by: server.address.clone(),
        status,
        retry_after: None,
        server_message: String::new(),
    };
    let asked = |endpoint: &str, failure| HostFailure {
        endpoint: Endpoint::parse(endpoint).unwrap(),
        failure,
    };
    let refused = Failure::ConnectionFailed {
        host: key(&deaf).to_owned(),
        cause: ConnectFailure::Unreachable {
            address: key(&deaf).parse().unwrap(),
            detail: "Connection refused (os error 111)".to_owned(),
        },
    };
    assert_eq!(error.endpoint, Endpoint::parse(&failing.address).ok());
    assert_eq!(error.failure, answered(&failing, 500));
    assert_eq!(
        error.also_asked,
        [
            asked(&deaf, refused),
            asked(&missing.address, not_found()),
            asked(&failing_too.address, answered(&failing_too, 502)),
        ]
    );
    let (failing, missing, failing_too) =
        (&failing.address, &missing.address, &failing_too.address);
    let address = key(&deaf);
    assert_eq!(
        error.to_string(),
        format!(
            "{IMAGE} at {failing}: {failing} answered HTTP 500; also tried {deaf}: the connection to `{address}` failed: Connection refused (os error 111) (at {address}); also tried {missing}: not found, or no access (HTTP 404); also tried {failing_too}: {failing_too} answered HTTP 502"
        )
    );
}

#[tokio::test]
async fn mirror_without_resolve_serves_digests_only() {
    let mirror = Server::start(manifest).await;
    let registry = Server::start(manifest).await;
    let folder = folder(&[
        (&mirror.address, "capabilities = [\"pull\"]"),
        (&registry.address, ""),
    ]);
    let (resolver, none) = (resolver_of(folder.path()), Keyring::new());
    ask_for(&resolver, IMAGE, &none).await.unwrap();
    assert_eq!(mirror.lines(), [] as [&str; 0]);
    assert_eq!(registry.lines(), [MIRRORED]);
    let by_digest = format!("{REGISTRY}/team/app@{}", digest());
    ask_for(&resolver, &by_digest, &none).await.unwrap();
    assert_eq!(
        mirror.lines(),
        [format!(
            "HEAD /v2/team/app/manifests/{}?ns={REGISTRY}",
            digest()
        )]
    );
}

#[tokio::test]
async fn missing_resolve_capability_is_an_error_with_a_fix() {
    let folder = folder(&[("http://127.0.0.1:1", "capabilities = [\"pull\"]")]);
    let error = ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    let detail = format!(
        "no host configured for {REGISTRY} has the capabilities \"pull\" and \"resolve\": add them to one"
    );
    assert_eq!(error.failure, Failure::RegistryConfigInvalid { detail });
    assert_eq!(error.reason(), "RegistryConfigInvalid");
}

#[tokio::test]
async fn logins_are_sent_to_their_host_only() {
    let locked = |request: &str| match header(request, "authorization") {
        None => reply(
            request,
            "401 Unauthorized",
            &[("WWW-Authenticate", "Basic realm=\"x\"")],
            "",
        ),
        Some(_) => reply(request, "404 Not Found", &[], ""),
    };
    let mirror = Server::start(locked).await;
    let project = Server::start(locked).await;
    let registry = Server::start(locked).await;
    let at_project = format!("{}/v2/proxy", project.address);
    let folder = folder(&[
        (&mirror.address, ""),
        (&at_project, "override_path = true"),
        (&registry.address, ""),
    ]);
    let project_key = format!("{}/proxy/team", key(&project.address));
    let logins = keyring(&[
        ("for-name", REGISTRY, "name", "hunter1"),
        ("for-project", &project_key, "project", "hunter2"),
        (
            "for-registry",
            key(&registry.address),
            "registry",
            "hunter3",
        ),
    ]);
    ask_for(&resolver_of(folder.path()), IMAGE, &logins)
        .await
        .unwrap_err();
    let shown = |server: &Server| -> Vec<String> {
        let heard = server.heard();
        let logins = heard
            .iter()
            .filter_map(|head| header(head, "authorization"));
        let mut logins: Vec<_> = logins.map(str::to_owned).collect();
        logins.dedup();
        logins
    };
    assert_eq!(shown(&mirror), [] as [&str; 0]);
    // base64 of `project:hunter2` and of `registry:hunter3`.
    assert_eq!(shown(&project), ["Basic cHJvamVjdDpodW50ZXIy"]);
    assert_eq!(shown(&registry), ["Basic cmVnaXN0cnk6aHVudGVyMw=="]);
}

#[tokio::test]
async fn paths_are_as_the_mirror_has_them() {
    let mirror = Server::start(nothing).await;
    let (prefix, whole) = (
        format!("{}/us", mirror.address),
        format!("{}/v2/proxy", mirror.address),
    );
    let root = format!("{}/", mirror.address);
    let folder = folder(&[
        (&prefix, ""),
        (&whole, "override_path = true"),
        (&root, "override_path = true"),
    ]);
    ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    let mut lines = mirror.lines();
    lines.retain(|line| line.starts_with("HEAD "));
    assert_eq!(
        lines,
        [
            format!("HEAD /us/v2/team/app/manifests/v1?ns={REGISTRY}"),
            format!("HEAD /v2/proxy/team/app/manifests/v1?ns={REGISTRY}"),
            format!("HEAD /team/app/manifests/v1?ns={REGISTRY}"),
        ]
    );
}

#[tokio::test]
async fn explicit_endpoint_bypasses_the_configuration() {
    let mirror = Server::start(manifest).await;
    let registry = Server::start(manifest).await;
    let folder = folder(&[(&mirror.address, ""), (&mirror.address, "")]);
    let resolver = resolver_of(folder.path());
    ask(&resolver, &registry.address, &Keyring::new())
        .await
        .unwrap();
    assert_eq!(mirror.lines(), [] as [&str; 0]);
    assert_eq!(registry.lines(), [MANIFEST]);
}

#[tokio::test]
async fn host_headers_are_sent_to_its_token_server() {
    let other = Server::start(nothing).await;
    let at = format!("{}/token", other.address);
    let mirror = Server::start(move |request| {
        let challenge = format!("Bearer realm=\"{at}\"");
        reply(
            request,
            "401 Unauthorized",
            &[("WWW-Authenticate", &challenge)],
            "no hunter2hunter2 here",
        )
    })
    .await;
    let registry = Server::start(nothing).await;
    let headers = "header = { x-key = [\"hunter2hunter2\", \"b\"], User-Agent = \"me\" }";
    let folder = folder(&[(&mirror.address, headers), (&registry.address, "")]);
    ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    let values = |head: &str, wanted: &str| -> Vec<String> {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
            .collect()
    };
    let first = &mirror.heard()[0];
    assert_eq!(values(first, "x-key"), ["hunter2hunter2", "b"]);
    assert_eq!(values(first, "user-agent"), ["me"]);
    let to_registry = &registry.heard()[0];
    assert_eq!(values(to_registry, "x-key"), [] as [&str; 0]);
    // The token server is the mirror's own host at another port, so it is one of the mirror's.
    assert_eq!(values(&other.heard()[0], "x-key").len(), 2);
}

#[tokio::test]
async fn host_headers_are_not_sent_after_a_redirect() {
    let pair = Authority::new("nobody's").sign(&["127.0.0.1"]);
    let other = certificates::start(tls(&pair, None), manifest).await;
    let at = format!("{}/elsewhere", other.address);
    let mirror = certificates::start(tls(&pair, None), move |request| {
        match request.contains("/moved ") {
            false if request.contains("/v2/") => {
                reply(request, "307 Moved", &[("Location", "/moved")], "")
            }
            _ => reply(request, "307 Moved", &[("Location", &at)], ""),
        }
    })
    .await;
    let lines = "skip_verify = true\nheader = { x-key = \"hunter2\" }";
    let folder = folder(&[(&mirror.address, lines)]);
    ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap();
    let keys = |server: &Server| -> Vec<bool> {
        let heard = server.heard();
        heard
            .iter()
            .map(|head| header(head, "x-key").is_some())
            .collect()
    };
    assert_eq!(
        (keys(&mirror), keys(&other)),
        (vec![true, true], vec![false])
    );
}

#[tokio::test]
async fn host_headers_are_hidden_in_messages() {
    let mirror = Server::start(|request| match request.starts_with("HEAD ") {
        true => nothing(request),
        false => reply(request, "404 Not Found", &[], "what is hunter2hunter2?"),
    })
    .await;
    let headers = "header = { authorization = \"Bearer hunter2hunter2\" }";
    let folder = folder(&[(&mirror.address, headers)]);
    let error = ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.failure,
        Failure::NotFoundOrNoAccess {
            status: 404,
            server_message: "what is [hidden]?".to_owned()
        }
    );
    assert!(mirror.heard()[0].contains("authorization: Bearer hunter2hunter2"));
}

#[tokio::test]
async fn loopback_mirror_must_be_allowed() {
    let mirror = Server::start(manifest).await;
    let folder = folder(&[(&mirror.address, "")]);
    let resolver = Resolver::new(Options {
        registry_config: Some(folder.path().to_owned()),
        ..Options::default()
    })
    .unwrap();
    let error = ask_for(&resolver, IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "AddressNotAllowed");
    assert_eq!(mirror.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn digest_of_a_mirror_is_checked() {
    let wrong = Digest::of(b"something else");
    let mirror = Server::start(manifest).await;
    let folder = folder(&[(&mirror.address, "")]);
    let image = format!("{REGISTRY}/team/app@{wrong}");
    let error = ask_for(&resolver_of(folder.path()), &image, &Keyring::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.failure,
        Failure::InvalidAnswer {
            by: mirror.address.clone(),
            detail: format!("{wrong} was requested, and {} was returned", digest())
        }
    );
}
