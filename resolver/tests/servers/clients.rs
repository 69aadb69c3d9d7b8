//! Mutual TLS.

use std::fs;
use std::path::Path;

use resolver::{ConnectFailure, Digest, Failure, Keyring, ResolveError, Resolved};
use tempfile::TempDir;

use crate::support::certificates::{Authority, Pair};
use crate::support::registry::{Certificate, Program, Registry, Settings};
use crate::support::{ask_for, configure, resolver_of};
use crate::{answer, start_open};

const REGISTRY: &str = "registry.example.com";

struct Guarded {
    _images: TempDir,
    /// The folder with registries' hosts.
    config: TempDir,
    registry: Registry,
    digest: Digest,
    /// The authority of its clients.
    clients: Authority,
}

fn write(folder: &Path, name: &str, pair: &Pair) -> Certificate {
    let files = Certificate {
        certificate: folder.join(format!("{name}.cert")),
        key: folder.join(format!("{name}.key")),
    };
    fs::write(&files.certificate, &pair.certificate).unwrap();
    fs::write(&files.key, &pair.key).unwrap();
    files
}

async fn start(program: Program) -> Guarded {
    let (images, open) = start_open(program).await;
    let digest = open.push("team/app", "v1", "x").await;
    let (own, clients) = (Authority::new("own"), Authority::new("clients"));
    let config = TempDir::new().unwrap();
    let ca = config.path().join("clients.pem");
    fs::write(&ca, &clients.pem).unwrap();
    let tls = write(config.path(), "server", &own.sign(&["127.0.0.1"]));
    let settings = Settings {
        tls: Some(&tls),
        clients: Some(&ca),
        ..Settings::default()
    };
    let registry = Registry::start(program, images.path(), settings).await;
    fs::create_dir(config.path().join(REGISTRY)).unwrap();
    fs::write(config.path().join(REGISTRY).join("ca.crt"), &own.pem).unwrap();
    Guarded {
        _images: images,
        config,
        registry,
        digest,
        clients,
    }
}

impl Guarded {
    fn at(&self) -> String {
        format!("https://{}", self.registry.host)
    }

    /// Resolves with this client certificate, or with none.
    async fn ask(&self, client: Option<&Pair>) -> Result<Resolved, ResolveError> {
        let mut text = format!("server = \"{}\"\nca = \"ca.crt\"\n", self.at());
        if let Some(pair) = client {
            write(&self.config.path().join(REGISTRY), "client", pair);
            text.push_str("client = [[\"client.cert\", \"client.key\"]]\n");
        }
        configure(self.config.path(), REGISTRY, &text);
        let resolver = resolver_of(self.config.path());
        let image = format!("{REGISTRY}/team/app:v1");
        ask_for(&resolver, &image, &Keyring::new()).await
    }
}

pub async fn one_is_let_in_by_the_certificate_that_is_named_for_it(program: Program) {
    let guarded = start(program).await;
    let client = guarded.clients.sign(&["client"]);
    assert_eq!(
        guarded.ask(Some(&client)).await.unwrap(),
        answer(&guarded.at(), &guarded.digest, None)
    );
}

pub async fn missing_client_certificate_is_reported_with_its_fix(program: Program) {
    let guarded = start(program).await;
    // The Go that the older one was built with calls each of them a bad one.
    let [missing, ended] = match program {
        Program::Registry2 => ["BadCertificate", "BadCertificate"],
        _ => ["CertificateRequired", "CertificateExpired"],
    };
    let foreign = Authority::new("foreign").sign(&["client"]);
    let old = guarded.clients.sign_until(&["client"], 2020);
    for (client, alert) in [
        (None, missing),
        // It says whom it knows, so that another's is not shown.
        (Some(&foreign), missing),
        (Some(&old), ended),
    ] {
        let error = guarded.ask(client).await.unwrap_err();
        let expected = Failure::ConnectionFailed {
            host: guarded.registry.host.clone(),
            cause: ConnectFailure::ClientCertificateRequired {
                alert: alert.to_owned(),
            },
        };
        assert_eq!(error.failure, expected);
    }
}
