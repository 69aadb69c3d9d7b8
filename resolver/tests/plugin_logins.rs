//! Credentials of plugins in resolutions.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use resolver::{
    Endpoint, Keyring, Options, Plugins, Reference, Request, ResolveError, Resolved, Resolver,
};
use support::options;
use support::server::{Server, header, reply};
use tempfile::TempDir;

/// The `Authorization` header of `me:word`.
const BASIC: &str = "Basic bWU6d29yZA==";

/// A registry that accepts only this login.
async fn registry() -> Server {
    Server::start(|request| match header(request, "authorization") {
        Some(BASIC) => {
            let digest = format!("sha256:{}", "a".repeat(64));
            let type_ = "application/vnd.oci.image.index.v1+json";
            let headers = [
                ("content-type", type_),
                ("docker-content-digest", digest.as_str()),
            ];
            reply(request, "200 OK", &headers, "")
        }
        _ => reply(
            request,
            "401 Unauthorized",
            &[("www-authenticate", "Basic realm=\"x\"")],
            "",
        ),
    })
    .await
}

/// A resolver with one plugin for 127.0.0.1, this shell script.
fn resolver(folder: &Path, script: &str) -> Resolver {
    let program = folder.join("own");
    // Written by another process: what is open for writing here could be inherited by one that another test begins, and
    // then not be executed.
    let write = Command::new("sh")
        .args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#,
        ])
        .arg(&program)
        .arg(script)
        .status();
    assert!(write.unwrap().success());
    let config = folder.join("plugins.yaml");
    let text = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n- name: own\n  \
                apiVersion: credentialprovider.kubelet.k8s.io/v1\n  matchImages: [\"127.0.0.1\"]\n  defaultCacheDuration: 1m\n";
    let port = fs::read_to_string(folder.join("port")).unwrap();
    let text = text.replace("\"127.0.0.1\"", &format!("\"127.0.0.1:{port}\""));
    fs::write(&config, text).unwrap();
    let plugins = Some(Plugins::open(&config, folder).unwrap());
    Resolver::new(Options {
        plugins,
        ..options()
    })
    .unwrap()
}

/// The output of a plugin with the login.
fn knows(registry: &Server) -> String {
    let host = registry.address.trim_start_matches("http://");
    let answer = format!(
        r#"{{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Image","auth":{{"{host}":{{"username":"me","password":"word"}}}}}}"#
    );
    format!("cat >/dev/null; echo '{answer}'")
}

async fn folder(registry: &Server) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (_, port) = registry.address.rsplit_once(':').unwrap();
    fs::write(folder.path().join("port"), port).unwrap();
    folder
}

async fn ask(
    resolver: &Resolver,
    registry: &Server,
    endpoint: Option<&Endpoint>,
    authority: Option<&[u8]>,
) -> Result<Resolved, ResolveError> {
    let host = registry.address.trim_start_matches("http://");
    let request = Request {
        reference: &Reference::parse(&format!("{host}/team/app:v1")).unwrap(),
        endpoint,
        keyring: &Keyring::new(),
        certificate_authority: authority,
    };
    resolver.resolve(&request).await
}

#[tokio::test]
async fn a_plugin_s_login_opens_its_registry() {
    let registry = registry().await;
    let folder = folder(&registry).await;
    let resolver = resolver(folder.path(), &knows(&registry));
    let resolved = ask(&resolver, &registry, None, None).await.unwrap();
    let login = resolved.credential.unwrap();
    assert_eq!(
        (login.source.as_str(), login.username.as_str()),
        ("credential provider own", "me")
    );
}

#[tokio::test]
async fn plugin_login_is_not_sent_to_a_user_endpoint_or_authority() {
    let registry = registry().await;
    let folder = folder(&registry).await;
    let resolver = resolver(folder.path(), &knows(&registry));
    let endpoint = Endpoint::parse(&registry.address).unwrap();
    let authority = support::certificates::Authority::new("one").pem;
    for (endpoint, authority) in [(Some(&endpoint), None), (None, Some(authority.as_bytes()))] {
        let error = ask(&resolver, &registry, endpoint, authority)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "AuthenticationFailed", "{error}");
    }
    let shown = registry
        .heard()
        .iter()
        .filter(|head| head.contains(BASIC))
        .count();
    assert_eq!(shown, 0);
}

#[tokio::test]
async fn failed_plugin_is_the_reason_if_no_login_is_accepted() {
    let registry = registry().await;
    let folder = folder(&registry).await;
    let resolver = resolver(folder.path(), "echo no network >&2; exit 1");
    let error = ask(&resolver, &registry, None, None).await.unwrap_err();
    assert_eq!(error.reason(), "CredentialProviderFailed");
    let told = error.to_string();
    assert!(
        told.contains("the credential provider own failed for "),
        "{told}"
    );
    assert!(told.contains("no network"), "{told}");
}
