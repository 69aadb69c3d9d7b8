//! Changes and faults of the `certs.d` folder.

use std::fs;

use resolver::{Failure, Keyring, Options, Reference, Request, Resolver};
use tempfile::TempDir;

use crate::support::server::Server;
use crate::support::{ask_for, configure, options, resolver_of};
use crate::{IMAGE, REGISTRY, folder, manifest};

#[tokio::test]
async fn edit_is_noticed_and_invalid_file_fails_its_registry_only() {
    let first = Server::start(manifest).await;
    let second = Server::start(manifest).await;
    let folder = folder(&[(&first.address, "")]);
    configure(
        folder.path(),
        "_default",
        &format!("server = \"{}\"", second.address),
    );
    let (resolver, none) = (resolver_of(folder.path()), Keyring::new());
    let other = "other.example.com/team/app:v1";
    ask_for(&resolver, IMAGE, &none).await.unwrap();
    ask_for(&resolver, other, &none).await.unwrap();
    assert_eq!((first.lines().len(), second.lines().len()), (1, 1));
    assert_eq!(
        second.lines(),
        ["HEAD /v2/team/app/manifests/v1?ns=other.example.com"]
    );

    configure(folder.path(), REGISTRY, "server = 1");
    let error = ask_for(&resolver, IMAGE, &none).await.unwrap_err();
    let file = folder.path().join(REGISTRY).join("hosts.toml");
    let detail = format!(
        "{}: server: it must be a string: write it in quotes",
        file.display()
    );
    assert_eq!(error.failure, Failure::RegistryConfigInvalid { detail });
    ask_for(&resolver, other, &none).await.unwrap();

    let to_second = format!("server = \"{}\"", second.address);
    configure(folder.path(), REGISTRY, &to_second);
    ask_for(&resolver, IMAGE, &none).await.unwrap();
    assert_eq!((first.lines().len(), second.lines().len()), (1, 3));

    fs::remove_dir_all(folder.path().join(REGISTRY)).unwrap();
    fs::write(folder.path().join(REGISTRY), "").unwrap();
    let error = ask_for(&resolver, IMAGE, &none).await.unwrap_err();
    let detail = format!(
        "{}: it cannot be read: Not a directory (os error 20)",
        file.display()
    );
    assert_eq!(error.failure, Failure::RegistryConfigInvalid { detail });
    fs::remove_file(folder.path().join(REGISTRY)).unwrap();
    ask_for(&resolver, IMAGE, &none).await.unwrap();
    assert_eq!(second.lines().len(), 4);
}

#[tokio::test]
async fn missing_folder_is_an_error_at_startup() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("certs.d");
    let error = Resolver::new(Options {
        registry_config: Some(path.clone()),
        ..options()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the folder {} of registry hosts cannot be listed",
            path.display()
        )
    );
}

#[tokio::test]
async fn invalid_authority_is_reported() {
    let reference = Reference::parse(IMAGE).unwrap();
    let resolver = Resolver::new(options()).unwrap();
    let request = Request {
        reference: &reference,
        endpoint: None,
        keyring: &Keyring::new(),
        certificate_authority: Some(b"hunter2"),
    };
    let error = resolver.resolve(&request).await.unwrap_err();
    let detail = "it contains no usable certificate: write CA certificates in PEM".to_owned();
    assert_eq!(
        error.failure,
        Failure::CertificateAuthorityInvalid { detail }
    );
    assert_eq!(error.reason(), "CertificateAuthorityInvalid");
}
