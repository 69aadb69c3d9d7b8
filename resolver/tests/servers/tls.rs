//! TLS with a private certificate authority.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use resolver::{ConnectFailure, Digest, Failure, Keyring, Options, Resolver, Roots};
use tempfile::TempDir;

use crate::support::certificates::{Authority, Pair};
use crate::support::registry::{Certificate, OCI_INDEX, Program, Registry, Settings};
use crate::support::server::{Server, reply};
use crate::support::{ask, options, resolver};
use crate::{answer, plain, start_open};

/// A certificate for 127.0.0.1, and its key, in files of a folder.
pub fn certificate(authority: &Authority, folder: &Path) -> Certificate {
    let pair = authority.sign(&["127.0.0.1"]);
    in_files(folder, &pair)
}

fn in_files(folder: &Path, pair: &Pair) -> Certificate {
    let files = Certificate {
        certificate: folder.join("tls.pem"),
        key: folder.join("tls.key"),
    };
    fs::write(&files.certificate, &pair.certificate).unwrap();
    fs::write(&files.key, &pair.key).unwrap();
    files
}

/// A resolver that trusts only this authority.
pub fn trusting(authority: &Authority) -> Resolver {
    with_roots(&authority.pem)
}

fn with_roots(pem: &str) -> Resolver {
    let roots = Roots::Pem(pem.as_bytes().to_vec());
    Resolver::new(Options { roots, ..options() }).unwrap()
}

async fn start(program: Program, folder: &Path, certificate: &Certificate) -> Registry {
    let settings = Settings {
        tls: Some(certificate),
        ..Settings::default()
    };
    Registry::start(program, folder, settings).await
}

/// A registry on the same images, with a certificate.
async fn start_beside(program: Program, folder: &TempDir) -> (Registry, Authority) {
    let authority = Authority::new("tls");
    let certificate = certificate(&authority, folder.path());
    (start(program, folder.path(), &certificate).await, authority)
}

/// A registry with a certificate, and the digest of its image.
async fn start_with_image(program: Program) -> (TempDir, Digest, Registry, Authority) {
    let (folder, open) = start_open(program).await;
    let digest = open.push("team/app", "v1", "x").await;
    let (registry, authority) = start_beside(program, &folder).await;
    (folder, digest, registry, authority)
}

fn secure(registry: &Registry) -> String {
    format!("https://{}", registry.host)
}

pub async fn a_certificate_counts_only_if_its_authority_and_its_name_do(program: Program) {
    let (_folder, digest, registry, authority) = start_with_image(program).await;
    let (at, none) = (secure(&registry), Keyring::new());
    let trusting = trusting(&authority);
    assert_eq!(
        ask(&trusting, &at, &none).await.unwrap(),
        answer(&at, &digest, None)
    );

    let unknown = ask(&resolver(), &at, &none).await.unwrap_err().failure;
    let expected = Failure::CertificateNotTrusted {
        host: registry.host.clone(),
        detail: "no trusted certificate authority signed it: add the private one to the trusted authorities".to_owned(),
    };
    assert_eq!(unknown, expected);

    let by_name = at.replace("127.0.0.1", "localhost");
    assert_eq!(
        ask(&trusting, &by_name, &none).await.unwrap_err().reason(),
        "CertificateNotTrusted"
    );
}

pub async fn a_certificate_for_many_other_names_is_told_in_few_words(program: Program) {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("tls");
    let names: Vec<String> = (0..1000).map(|n| format!("n{n}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let certificate = in_files(folder.path(), &authority.sign(&names));
    let registry = start(program, folder.path(), &certificate).await;
    let error = ask(&trusting(&authority), &secure(&registry), &Keyring::new())
        .await
        .unwrap_err();
    let told = error.to_string();
    assert_eq!(error.reason(), "CertificateNotTrusted", "{told}");
    assert!(told.len() < 700, "{} bytes: {told}", told.len());
    assert!(told.contains("it is for another name ("), "{told}");
    assert!(
        told.ends_with("use a host name that the certificate lists"),
        "{told}"
    );
}

pub async fn an_authoritys_own_certificate_is_told_apart(program: Program) {
    let folder = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let pair = Pair {
        certificate: pem.clone(),
        key: key.serialize_pem(),
    };
    let certificate = in_files(folder.path(), &pair);
    let registry = start(program, folder.path(), &certificate).await;
    let error = ask(&with_roots(&pem), &secure(&registry), &Keyring::new())
        .await
        .unwrap_err();
    let expected = Failure::CertificateNotTrusted {
        host: registry.host.clone(),
        detail: "it is a CA certificate (CA:TRUE): configure the registry with a server certificate signed by that CA".to_owned(),
    };
    assert_eq!(error.failure, expected);
}

pub async fn wrong_scheme_is_reported_with_the_right_one(program: Program) {
    let (folder, open) = start_open(program).await;
    let (registry, _) = start_beside(program, &folder).await;
    let none = Keyring::new();
    let spoken_plain = ask(&resolver(), &plain(&registry), &none)
        .await
        .unwrap_err()
        .failure;
    let expected = Failure::RegistryError {
        by: plain(&registry),
        status: 400,
        retry_after: None,
        server_message: format!("if it speaks TLS, write {}", secure(&registry)),
    };
    assert_eq!(spoken_plain, expected);

    let spoken_tls = ask(&resolver(), &secure(&open), &none)
        .await
        .unwrap_err()
        .failure;
    let expected = Failure::ConnectionFailed {
        host: open.host.clone(),
        cause: ConnectFailure::NotTls {
            authority: open.host.clone(),
        },
    };
    assert_eq!(spoken_tls, expected);
}

pub async fn a_redirect_to_it_is_followed(program: Program) {
    let (_folder, digest, registry, authority) = start_with_image(program).await;
    let location = format!("{}/v2/team/app/manifests/v1", secure(&registry));
    let redirecting = Server::start(move |request| {
        reply(
            request,
            "307 Temporary Redirect",
            &[("Location", &location)],
            "",
        )
    })
    .await;
    assert_eq!(
        ask(&trusting(&authority), &redirecting.address, &Keyring::new())
            .await
            .unwrap(),
        answer(&redirecting.address, &digest, None)
    );
}

/// The server behind a proxy that removes the headers of `HEAD` responses.
pub async fn get_follows_a_head_with_missing_headers(program: Program) {
    let (_folder, digest, registry, authority) = start_with_image(program).await;
    let location = format!("{}/v2/team/app/manifests/v1", secure(&registry));
    let front = Server::start(move |request| match request.starts_with("HEAD ") {
        true => reply(request, "200 OK", &[("Content-Type", OCI_INDEX)], ""),
        false => reply(request, "302 Found", &[("Location", &location)], ""),
    })
    .await;
    assert_eq!(
        ask(&trusting(&authority), &front.address, &Keyring::new())
            .await
            .unwrap(),
        answer(&front.address, &digest, None)
    );
    assert_eq!(
        front.lines(),
        [
            "HEAD /v2/team/app/manifests/v1",
            "GET /v2/team/app/manifests/v1"
        ]
    );
}
