//! The resolver against Debian's `docker-registry`: open, with passwords, with tokens, with TLS.

mod support;

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use resolver::{
    CredentialUsed, Digest, Endpoint, Failure, Keyring, Options, Reference, Request, Resolved,
    Resolver, Roots,
};
use support::registry::Registry;
use support::server::{Server, header, reply};
use support::token::TokenServer;
use support::{ask, key, keyring, options, resolver};
use tempfile::TempDir;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// alice:secret, by bcrypt at its lowest cost, as `htpasswd -nbB -C 4` writes it.
const HTPASSWD: &str = "alice:$2y$04$uRxQXzlyO7ZIuKj9tiR1tOnS.a47sqIgT5IC9sQaIzzUoyW59XJsS\n";

/// A registry open to all, whose images others serve too.
async fn open() -> (TempDir, Registry) {
    let folder = TempDir::new().unwrap();
    let registry = Registry::start(folder.path(), "", "").await;
    (folder, registry)
}

/// A certificate for 127.0.0.1 by an authority of our own: the authority in PEM, and the settings
/// of a registry that uses the certificate.
fn private_tls(folder: &Path) -> (Vec<u8>, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(authority, &authority_key))
        .unwrap();
    (
        authority_pem.into_bytes(),
        tls(folder, &certificate.pem(), &key),
    )
}

/// The settings below `http` of a registry with this certificate and key.
fn tls(folder: &Path, certificate: &str, key: &KeyPair) -> String {
    let (certificate_path, key_path) = (folder.join("tls.pem"), folder.join("tls.key"));
    fs::write(&certificate_path, certificate).unwrap();
    fs::write(&key_path, key.serialize_pem()).unwrap();
    format!(
        "  tls:\n    certificate: {}\n    key: {}",
        certificate_path.display(),
        key_path.display()
    )
}

/// The settings of a registry that lets alice in.
fn passwords(folder: &Path) -> String {
    let path = folder.join("htpasswd");
    fs::write(&path, HTPASSWD).unwrap();
    format!(
        "auth:\n  htpasswd:\n    realm: test\n    path: {}",
        path.display()
    )
}

fn plain(registry: &Registry) -> String {
    format!("http://{}", registry.host)
}

/// The answer for `team/app:v1`.
fn answer(endpoint: &str, digest: &Digest, credential: Option<CredentialUsed>) -> Resolved {
    Resolved {
        reference: Reference::parse("registry.example.com/team/app:v1").unwrap(),
        digest: digest.clone(),
        media_type: INDEX.to_owned(),
        credential,
        endpoint: Endpoint::parse(endpoint).unwrap(),
    }
}

fn used(source: &str, key: &str, username: &str) -> Option<CredentialUsed> {
    Some(CredentialUsed {
        source: source.to_owned(),
        key: key.to_owned(),
        username: username.to_owned(),
    })
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_tag_resolves_to_the_digest_of_its_index_and_follows_it_when_it_moves() {
    let (_folder, registry) = open().await;
    let (resolver, none) = (resolver(), Keyring::new());
    let at = plain(&registry);
    let first = registry.push("team/app", &["v1"], "first").await;
    assert_eq!(
        ask(&resolver, &at, &none).await.unwrap(),
        answer(&at, &first, None)
    );
    let second = registry.push("team/app", &["v1"], "second").await;
    assert_eq!(
        ask(&resolver, &at, &none).await.unwrap(),
        answer(&at, &second, None)
    );
    assert_ne!(first, second);
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_reference_is_asked_at_its_own_address_by_tag_and_by_digest() {
    let (_folder, registry) = open().await;
    let digest = registry.push("team/app", &["latest"], "x").await;
    let tagless = Reference::parse(&format!("{}/team/app", registry.host)).unwrap();
    for reference in [tagless.clone(), tagless.with_digest(&digest)] {
        let request = Request {
            reference: &reference,
            endpoint: None,
            keyring: &Keyring::new(),
        };
        let resolved = resolver().resolve(&request).await.unwrap();
        let expected = Resolved {
            reference: reference.or_latest(),
            digest: digest.clone(),
            media_type: INDEX.to_owned(),
            credential: None,
            endpoint: Endpoint::parse(&plain(&registry)).unwrap(),
        };
        assert_eq!(resolved, expected);
    }
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn what_is_not_there_is_told_in_the_registrys_words() {
    let (_folder, registry) = open().await;
    let at = plain(&registry);
    let error = ask(&resolver(), &at, &Keyring::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry.example.com/team/app:v1, asked at {at}: not found, or no access (HTTP 404): MANIFEST_UNKNOWN: manifest unknown; no login for this address was at hand, so it was asked without one: check the name and the tag, or add a pull secret for it"
        )
    );
    assert_eq!(error.reason(), "NotFoundOrNoAccess");
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_registry_with_passwords_takes_the_login_that_is_for_it() {
    let (folder, open) = open().await;
    let digest = open.push("team/app", &["v1"], "x").await;
    let registry = Registry::start(folder.path(), &passwords(folder.path()), "").await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let resolver = resolver();

    let alice = keyring(&[
        ("stale", host, "alice", "old"),
        ("fresh", host, "alice", "secret"),
    ]);
    assert_eq!(
        ask(&resolver, &at, &alice).await.unwrap(),
        answer(&at, &digest, used("fresh", host, "alice"))
    );

    let wrong = ask(
        &resolver,
        &at,
        &keyring(&[("regcred", host, "alice", "old")]),
    )
    .await
    .unwrap_err();
    let said = "UNAUTHORIZED: authentication required".to_owned();
    assert_eq!(
        wrong.failure,
        Failure::AuthenticationFailed {
            by: at.clone(),
            said
        }
    );

    let foreign = keyring(&[("regcred", "registry.example.com", "alice", "secret")]);
    let error = ask(&resolver, &at, &foreign).await.unwrap_err();
    let said = "it asks for a login, and there is none for it".to_owned();
    assert_eq!(
        (error.failure, error.tried),
        (Failure::AuthenticationFailed { by: at, said }, Vec::new())
    );
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_registry_with_tokens_takes_what_its_token_server_granted() {
    let (folder, open) = open().await;
    let digest = open.push("team/app", &["v1"], "x").await;
    let users = [
        ("", "", "public/app"),
        ("alice", "secret", "team/app"),
        ("carol", "secret", "other/app"),
    ];
    let tokens = TokenServer::start(folder.path(), &users).await;
    let registry = Registry::start(folder.path(), &tokens.settings, "").await;
    let (at, host) = (plain(&registry), registry.host.as_str());
    let resolver = resolver();

    let alice = keyring(&[
        ("carol", host, "carol", "secret"),
        ("alice", host, "alice", "secret"),
    ]);
    assert_eq!(
        ask(&resolver, &at, &alice).await.unwrap(),
        answer(&at, &digest, used("alice", host, "alice"))
    );
    let asked = tokens.server.lines().len();
    let only_alice = keyring(&[("alice", host, "alice", "secret")]);
    assert_eq!(
        ask(&resolver, &at, &only_alice).await.unwrap(),
        answer(&at, &digest, used("alice", host, "alice"))
    );
    assert_eq!(
        tokens.server.lines().len(),
        asked,
        "a token serves until it ends"
    );

    let said = "UNAUTHORIZED: authentication required".to_owned();
    for keyring in [
        keyring(&[("carol", host, "carol", "secret")]),
        Keyring::new(),
    ] {
        let error = ask(&resolver, &at, &keyring).await.unwrap_err();
        assert_eq!(
            error.failure,
            Failure::NotFoundOrNoAccess {
                status: 401,
                said: said.clone()
            }
        );
    }
    let error = ask(
        &resolver,
        &at,
        &keyring(&[("regcred", host, "alice", "wrong")]),
    )
    .await
    .unwrap_err();
    let by = tokens.server.address.clone();
    assert_eq!(
        error.failure,
        Failure::AuthenticationFailed {
            by,
            said: "incorrect username or password".to_owned()
        }
    );
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_certificate_counts_only_if_its_authority_and_its_name_do() {
    let (folder, open) = open().await;
    let digest = open.push("team/app", &["v1"], "x").await;
    let (authority, tls) = private_tls(folder.path());
    let registry = Registry::start(folder.path(), "", &tls).await;
    let (host, none) = (registry.host.clone(), Keyring::new());
    let at = format!("https://{host}");

    let trusting = Resolver::new(Options {
        roots: Roots::Pem(authority),
        ..options()
    })
    .unwrap();
    assert_eq!(
        ask(&trusting, &at, &none).await.unwrap(),
        answer(&at, &digest, None)
    );

    let unknown = ask(&resolver(), &at, &none).await.unwrap_err().failure;
    let detail = "it is signed by none of the certificate authorities known here; a private one has to be added to them".to_owned();
    assert_eq!(
        unknown,
        Failure::CertificateNotTrusted {
            host: host.clone(),
            detail
        }
    );

    let by_name = at.replace("127.0.0.1", "localhost");
    assert_eq!(
        ask(&trusting, &by_name, &none).await.unwrap_err().reason(),
        "CertificateNotTrusted"
    );

    let spoken_plain = ask(&resolver(), &plain(&registry), &none)
        .await
        .unwrap_err()
        .failure;
    let said = format!("if it speaks TLS, write {at}");
    assert_eq!(
        spoken_plain,
        Failure::RegistryError {
            by: plain(&registry),
            status: 400,
            retry_after: None,
            said
        }
    );

    let spoken_tls = ask(&resolver(), &format!("https://{}", open.host), &none)
        .await
        .unwrap_err()
        .failure;
    let detail = format!(
        "it does not speak TLS; if it speaks plain HTTP, and is meant to, say so by the endpoint `http://{}`",
        open.host
    );
    assert_eq!(
        spoken_tls,
        Failure::ConnectionFailed {
            host: open.host.clone(),
            detail
        }
    );
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_server_with_an_authoritys_own_certificate_is_told_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().pem();
    let registry =
        Registry::start(folder.path(), "", &tls(folder.path(), &certificate, &key)).await;
    let roots = Roots::Pem(certificate.into_bytes());
    let resolver = Resolver::new(Options { roots, ..options() }).unwrap();
    let error = ask(
        &resolver,
        &format!("https://{}", registry.host),
        &Keyring::new(),
    )
    .await
    .unwrap_err();
    let detail = "it is an authority's own certificate (CA:TRUE), which no server may use; give the registry one that the authority signed".to_owned();
    assert_eq!(
        error.failure,
        Failure::CertificateNotTrusted {
            host: registry.host.clone(),
            detail
        }
    );
}

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn a_redirect_to_another_server_is_followed_by_https_and_without_the_login() {
    let (folder, open) = open().await;
    let digest = open.push("team/app", &["v1"], "x").await;
    let (authority, tls) = private_tls(folder.path());
    let free = Registry::start(folder.path(), "", &tls).await;
    let locked = Registry::start(folder.path(), &passwords(folder.path()), &tls).await;
    let resolver = Resolver::new(Options {
        roots: Roots::Pem(authority),
        ..options()
    })
    .unwrap();
    let redirect_to = |target: &Registry| {
        let location = format!("https://{}/v2/team/app/manifests/v1", target.host);
        Server::start(move |request| match header(request, "authorization") {
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
    };
    let to_free = redirect_to(&free).await;
    let to_locked = redirect_to(&locked).await;
    let login = |server: &Server| keyring(&[("regcred", key(&server.address), "alice", "secret")]);

    let resolved = ask(&resolver, &to_free.address, &login(&to_free))
        .await
        .unwrap();
    assert_eq!(
        resolved,
        answer(
            &to_free.address,
            &digest,
            used("regcred", key(&to_free.address), "alice")
        )
    );

    // It would let alice in.
    let error = ask(&resolver, &to_locked.address, &login(&to_locked))
        .await
        .unwrap_err();
    let by = format!("https://{}", locked.host);
    let said = format!(
        "it was reached by a redirect of {}, and logins are not sent along",
        to_locked.address
    );
    assert_eq!(error.failure, Failure::AuthenticationFailed { by, said });
}
