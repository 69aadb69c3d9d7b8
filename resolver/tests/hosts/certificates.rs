//! Certificate authorities and client certificates per host.

use std::fs;
use std::path::Path;

use resolver::{ConnectFailure, Endpoint, Failure, Keyring, Reference, Request};
use resolver::{ResolveError, Resolved, Resolver};
use tempfile::TempDir;

use crate::support::certificates::{self, Authority, Pair, tls};
use crate::support::server::{Server, header, reply};
use crate::support::{ask, ask_for, configure, key, options, resolver_of};
use crate::{IMAGE, REGISTRY, digest, manifest};

/// A TLS server with a certificate of this authority, which requires one of `clients`.
async fn serve(authority: &Authority, clients: Option<&Authority>) -> Server {
    let pair = authority.sign(&["127.0.0.1"]);
    certificates::start(tls(&pair, clients), manifest).await
}

fn write(folder: &Path, name: &str, text: &str) {
    let folder = folder.join(REGISTRY);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

fn write_pair(folder: &Path, name: &str, pair: &Pair) {
    write(folder, &format!("{name}.cert"), &pair.certificate);
    write(folder, &format!("{name}.key"), &pair.key);
}

async fn reason(resolver: &Resolver) -> Result<(), &'static str> {
    match ask_for(resolver, IMAGE, &Keyring::new()).await {
        Ok(resolved) => {
            assert_eq!(resolved.digest, digest());
            Ok(())
        }
        Err(error) => Err(error.reason()),
    }
}

/// Resolves at an address with an additional authority.
async fn ask_trusting(
    resolver: &Resolver,
    address: &str,
    authority: &str,
) -> Result<Resolved, ResolveError> {
    let reference = Reference::parse(IMAGE).unwrap();
    let endpoint = Endpoint::parse(address).unwrap();
    let request = Request {
        reference: &reference,
        endpoint: Some(&endpoint),
        keyring: &Keyring::new(),
        certificate_authority: Some(authority.as_bytes()),
    };
    resolver.resolve(&request).await
}

#[tokio::test]
async fn an_authority_counts_for_its_host_only() {
    let authority = Authority::new("private");
    let server = serve(&authority, None).await;
    let folder = TempDir::new().unwrap();
    let text = format!("server = \"{}\"\nca = \"private.crt\"", server.address);
    configure(folder.path(), REGISTRY, &text);
    write(folder.path(), "private.crt", &authority.pem);
    let resolver = resolver_of(folder.path());
    assert_eq!(reason(&resolver).await, Ok(()));
    // Neither the connection that is open now nor the trust is another's.
    let error = ask(&resolver, &server.address, &Keyring::new()).await;
    assert_eq!(error.unwrap_err().reason(), "CertificateNotTrusted");
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn changed_authority_file_is_read_again() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = serve(&new, None).await;
    let folder = TempDir::new().unwrap();
    let text = format!("server = \"{}\"\nca = [\"private.crt\"]", server.address);
    configure(folder.path(), REGISTRY, &text);
    let resolver = resolver_of(folder.path());
    let file = folder.path().join(REGISTRY).join("private.crt");
    let error = ask_for(&resolver, IMAGE, &Keyring::new()).await;
    assert_eq!(
        error.unwrap_err().failure,
        Failure::RegistryConfigInvalid {
            detail: format!(
                "{}: it cannot be read: No such file or directory (os error 2)",
                file.display()
            )
        }
    );
    write(folder.path(), "private.crt", "hunter2");
    let error = ask_for(&resolver, IMAGE, &Keyring::new()).await;
    assert_eq!(
        error.unwrap_err().failure,
        Failure::RegistryConfigInvalid {
            detail: format!(
                "{}: it contains no usable certificate: write CA certificates in PEM",
                file.display()
            )
        }
    );
    write(folder.path(), "private.crt", &old.pem);
    assert_eq!(reason(&resolver).await, Err("CertificateNotTrusted"));
    write(folder.path(), "private.crt", &new.pem);
    assert_eq!(reason(&resolver).await, Ok(()));
}

#[tokio::test]
async fn client_certificate_of_a_known_authority_is_accepted() {
    let authority = Authority::new("private");
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let server = serve(&authority, Some(&known)).await;
    let folder = TempDir::new().unwrap();
    write(folder.path(), "private.crt", &authority.pem);
    write_pair(folder.path(), "right", &known.sign(&["client"]));
    write_pair(folder.path(), "wrong", &unknown.sign(&["client"]));
    let both = known.sign(&["client"]);
    let together = format!("{}{}", both.certificate, both.key);
    write(folder.path(), "both.pem", &together);
    let resolver = resolver_of(folder.path());
    let right = "[\"right.cert\", \"right.key\"]";
    let wrong = "[\"wrong.cert\", \"wrong.key\"]";
    let cases = [
        ("[]".to_owned(), Err("ConnectionFailed")),
        (format!("[{wrong}]"), Err("ConnectionFailed")),
        (format!("[{right}]"), Ok(())),
        (format!("[{wrong}, {right}]"), Ok(())),
        ("\"both.pem\"".to_owned(), Ok(())),
        ("[\"both.pem\"]".to_owned(), Ok(())),
        ("[[\"both.pem\", \"\"]]".to_owned(), Ok(())),
        ("[\"right.cert\"]".to_owned(), Err("RegistryConfigInvalid")),
        (
            "[[\"right.cert\", \"wrong.key\"]]".to_owned(),
            Err("RegistryConfigInvalid"),
        ),
    ];
    for (client, expected) in cases {
        let text = format!(
            "server = \"{}\"\nca = \"private.crt\"\nclient = {client}",
            server.address
        );
        configure(folder.path(), REGISTRY, &text);
        assert_eq!(reason(&resolver).await, expected, "{client}");
    }
}

#[tokio::test]
async fn missing_client_certificate_is_a_cause_of_its_own() {
    let authority = Authority::new("private");
    let server = serve(&authority, Some(&Authority::new("known"))).await;
    let folder = TempDir::new().unwrap();
    let text = format!("server = \"{}\"\nca = \"private.crt\"", server.address);
    configure(folder.path(), REGISTRY, &text);
    write(folder.path(), "private.crt", &authority.pem);
    let resolver = resolver_of(folder.path());
    let error = ask_for(&resolver, IMAGE, &Keyring::new()).await;
    let expected = Failure::ConnectionFailed {
        host: key(&server.address).to_owned(),
        cause: ConnectFailure::ClientCertificateRequired {
            alert: "CertificateRequired".to_owned(),
        },
    };
    assert_eq!(error.unwrap_err().failure, expected);
    assert_eq!(server.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn certificate_folder_is_read_as_dockers() {
    let authority = Authority::new("private");
    let known = Authority::new("known");
    let server = serve(&authority, Some(&known)).await;
    let folder = TempDir::new().unwrap();
    let host = key(&server.address);
    let own = folder.path().join(host);
    fs::create_dir(&own).unwrap();
    let resolver = resolver_of(folder.path());
    let image = format!("{host}/team/app:v1");
    let error = ask_for(&resolver, &image, &Keyring::new()).await;
    assert_eq!(error.unwrap_err().reason(), "ConnectionFailed");
    let pair = known.sign(&["client"]);
    fs::write(own.join("ca.crt"), &authority.pem).unwrap();
    fs::write(own.join("client.cert"), &pair.certificate).unwrap();
    fs::write(own.join("client.key"), &pair.key).unwrap();
    let resolved = ask_for(&resolver, &image, &Keyring::new()).await.unwrap();
    assert_eq!(resolved.endpoint.to_string(), server.address);
    assert_eq!(server.lines(), [crate::MANIFEST]);
}

#[tokio::test]
async fn skip_verify_accepts_any_certificate() {
    let pair = Authority::new("nobody's").sign(&["elsewhere.example.com"]);
    let server = certificates::start(tls(&pair, None), manifest).await;
    let folder = TempDir::new().unwrap();
    let resolver = resolver_of(folder.path());
    for (line, expected) in [
        ("", Err("CertificateNotTrusted")),
        ("skip_verify = false", Err("CertificateNotTrusted")),
        ("skip_verify = true", Ok(())),
        ("", Err("CertificateNotTrusted")),
    ] {
        let text = format!("server = \"{}\"\n{line}", server.address);
        configure(folder.path(), REGISTRY, &text);
        assert_eq!(reason(&resolver).await, expected, "{line}");
    }
}

#[tokio::test]
async fn request_authority_does_not_apply_to_mirrors() {
    let authority = Authority::new("private");
    let (mirror, own) = (serve(&authority, None).await, serve(&authority, None).await);
    let resolver = Resolver::new(options()).unwrap();
    let trusting = ask_trusting(&resolver, &own.address, &authority.pem).await;
    assert_eq!(trusting.unwrap().digest, digest());
    let error = ask(&resolver, &own.address, &Keyring::new()).await;
    assert_eq!(error.unwrap_err().reason(), "CertificateNotTrusted");

    // Where a `server` is written, the registry's certificate is looked at on this machine too.
    let folder = TempDir::new().unwrap();
    let host = key(&own.address);
    let text = format!(
        "server = \"https://{host}\"\n[host.\"{}\"]\n",
        mirror.address
    );
    configure(folder.path(), host, &text);
    let reference = Reference::parse(&format!("{host}/team/app:v1")).unwrap();
    let request = Request {
        reference: &reference,
        endpoint: None,
        keyring: &Keyring::new(),
        certificate_authority: Some(authority.pem.as_bytes()),
    };
    let resolved = resolver_of(folder.path()).resolve(&request).await.unwrap();
    assert_eq!(resolved.endpoint.to_string(), own.address);
    assert_eq!(mirror.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn token_is_not_reused_under_another_trust() {
    let authority = Authority::new("private");
    let pair = authority.sign(&["127.0.0.1"]);
    let server = certificates::start(tls(&pair, None), |request| {
        if request.starts_with("GET /token") {
            return reply(
                request,
                "200 OK",
                &[],
                r#"{"token":"abc","expires_in":300}"#,
            );
        }
        if header(request, "authorization").is_some() {
            return manifest(request);
        }
        let host = header(request, "host").unwrap();
        let challenge = format!("Bearer realm=\"https://{host}/token\"");
        reply(
            request,
            "401 Unauthorized",
            &[("WWW-Authenticate", &challenge)],
            "",
        )
    })
    .await;
    let resolver = Resolver::new(options()).unwrap();
    let tokens = || {
        let lines = server.lines();
        lines
            .iter()
            .filter(|line| line.starts_with("GET /token"))
            .count()
    };
    let (one, other) = (
        authority.pem.clone(),
        format!("{}{}", authority.pem, Authority::new("other").pem),
    );
    for (authorities, fetched) in [(&one, 1), (&one, 1), (&other, 2), (&one, 2)] {
        ask_trusting(&resolver, &server.address, authorities)
            .await
            .unwrap();
        assert_eq!(tokens(), fetched);
    }
}
