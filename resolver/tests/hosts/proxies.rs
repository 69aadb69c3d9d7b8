//! Requests through proxies, and their address checks.

use resolver::{ConnectFailure, Failure, Keyring, Options, OptionsError, Proxies, Resolver, Roots};

use crate::support::certificates::{self, Authority, tls};
use crate::support::proxy::Tunnels;
use crate::support::server::Server;
use crate::support::{ask, ask_for, key, options};
use crate::{IMAGE, MANIFEST, digest, manifest};

/// base64 of `bob:hunter2`.
const LOGIN: &str = "Basic Ym9iOmh1bnRlcjI=";

fn resolver(http: &str, https: &str, no: &str, authority: Option<&Authority>) -> Resolver {
    Resolver::new(Options {
        proxies: Some(Proxies::new(http, https, no).unwrap()),
        roots: authority.map_or(Roots::System, |authority| {
            Roots::Pem(authority.pem.clone().into_bytes())
        }),
        ..options()
    })
    .unwrap()
}

/// A TLS registry whose name only the proxy resolves.
async fn registry(authority: &Authority) -> Server {
    let pair = authority.sign(&["registry.example.com"]);
    certificates::start(tls(&pair, None), manifest).await
}

#[tokio::test]
async fn tls_uses_a_tunnel_of_the_proxy() {
    let authority = Authority::new("private");
    let server = registry(&authority).await;
    let names = [("registry.example.com:443", key(&server.address))];
    let proxy = Tunnels::start(&names, None).await;
    let address = format!("http://bob:hunter2@{}", proxy.host);
    let resolver = resolver("", &address, "", Some(&authority));
    let resolved = ask_for(&resolver, IMAGE, &Keyring::new()).await.unwrap();
    assert_eq!(resolved.digest, digest());
    assert_eq!(server.lines(), [MANIFEST]);
    let heard = proxy.heard();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with("CONNECT registry.example.com:443 HTTP/1.1\r\n"));
    assert!(heard[0].contains(&format!("Proxy-Authorization: {LOGIN}\r\n")));
    assert!(!server.heard()[0].to_lowercase().contains("proxy-"));
}

#[tokio::test]
async fn https_proxy_address_uses_tls() {
    let authority = Authority::new("private");
    let server = registry(&authority).await;
    let names = [("registry.example.com:443", key(&server.address))];
    let pair = authority.sign(&["127.0.0.1"]);
    let proxy = Tunnels::start(&names, Some(tls(&pair, None))).await;
    let address = format!("https://{}", proxy.host);
    let resolver = resolver("", &address, "", Some(&authority));
    let resolved = ask_for(&resolver, IMAGE, &Keyring::new()).await.unwrap();
    assert_eq!(resolved.digest, digest());
    assert_eq!(proxy.heard().len(), 1);
}

#[tokio::test]
async fn plain_http_is_forwarded_by_the_proxy() {
    let proxy = Server::start(manifest).await;
    let address = proxy.address.replace("http://", "http://bob:hunter2@");
    let resolver = resolver(&address, "", "", None);
    let resolved = ask(&resolver, "http://registry.example.com", &Keyring::new())
        .await
        .unwrap();
    assert_eq!(resolved.digest, digest());
    assert_eq!(
        proxy.lines(),
        ["HEAD http://registry.example.com/v2/team/app/manifests/v1"]
    );
    let head = proxy.heard()[0].to_lowercase();
    assert!(head.contains(&format!(
        "proxy-authorization: {}\r\n",
        LOGIN.to_lowercase()
    )));
    assert!(head.contains("host: registry.example.com\r\n"));
}

#[tokio::test]
async fn ip_literals_are_checked_behind_a_proxy() {
    let proxy = Server::start(manifest).await;
    let resolver = resolver(&proxy.address, &proxy.address, "", None);
    for endpoint in [
        "http://169.254.169.254",
        "https://169.254.169.254",
        "http://0xa9fea9fe",
        "http://0251.0376.0251.0376",
        "http://[::ffff:a9fe:a9fe]",
        "http://0",
    ] {
        let error = ask(&resolver, endpoint, &Keyring::new()).await.unwrap_err();
        assert_eq!(error.reason(), "AddressNotAllowed", "{endpoint}");
    }
    assert_eq!(proxy.lines(), [] as [&str; 0]);
    // One that may be connected to is the proxy's to dial.
    ask(&resolver, "http://10.255.0.1", &Keyring::new())
        .await
        .unwrap();
    assert_eq!(proxy.lines().len(), 1);
}

#[tokio::test]
async fn loopback_and_no_proxy_hosts_are_direct() {
    let server = Server::start(manifest).await;
    let proxy = Server::start(manifest).await;
    let resolver = resolver(&proxy.address, &proxy.address, "10.255.0.0/16", None);
    ask(&resolver, &server.address, &Keyring::new())
        .await
        .unwrap();
    assert_eq!(server.lines(), [MANIFEST]);
    assert_eq!(proxy.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn failed_proxy_is_reported_without_its_login() {
    let proxy = Tunnels::start(&[], None).await;
    let at = proxy.host.clone();
    let refusing = resolver("", &format!("http://bob:hunter2@{at}"), "", None);
    let error = ask_for(&refusing, IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    let host = "registry.example.com:443".to_owned();
    let failed = |at: &str, detail: &str| Failure::ConnectionFailed {
        host: host.clone(),
        cause: ConnectFailure::Proxy {
            proxy: format!("http://{at}"),
            detail: detail.to_owned(),
        },
    };
    assert_eq!(error.failure, failed(&at, "tunnel error: unsuccessful"));
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = deaf.local_addr().unwrap().to_string();
    drop(deaf);
    let missing = resolver("", &format!("http://bob:hunter2@{at}"), "", None);
    let error = ask_for(&missing, IMAGE, &Keyring::new()).await.unwrap_err();
    let detail = format!(
        "tunnel error: failed to create underlying connection: cannot connect to {at}: Connection refused (os error 111)"
    );
    assert_eq!(error.failure, failed(&at, &detail));
}

#[test]
fn invalid_proxy_is_refused() {
    let error = Proxies::new("", "socks5://bob:hunter2@proxy", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "HTTPS_PROXY is not a proxy's address: only http:// and https:// proxies are supported"
    );
    assert_eq!(
        OptionsError::Proxies(error).to_string(),
        "invalid proxy in the environment"
    );
}
