//! The resolver with mirrors, certificates and proxies.

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod folders;
mod mirrors;
mod proxies;
mod timeouts;

use resolver::Digest;
use support::configure;
use support::server::{Answer, reply};
use tempfile::TempDir;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BODY: &str = r#"{"schemaVersion":2}"#;
const REGISTRY: &str = "registry.example.com";
const IMAGE: &str = "registry.example.com/team/app:v1";
const MANIFEST: &str = "HEAD /v2/team/app/manifests/v1";

/// The request to a mirror.
const MIRRORED: &str = "HEAD /v2/team/app/manifests/v1?ns=registry.example.com";

fn digest() -> Digest {
    Digest::of(BODY.as_bytes())
}

/// A correct response with the manifest.
fn manifest(request: &str) -> Answer {
    let headers = [
        ("Content-Type", INDEX),
        ("Docker-Content-Digest", &digest().to_string()),
    ];
    reply(request, "200 OK", &headers, BODY)
}

fn nothing(request: &str) -> Answer {
    reply(request, "404 Not Found", &[], "")
}

/// A `certs.d` folder with these hosts in order, each with further lines; the last is the registry.
fn folder(hosts: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (server, mirrors) = hosts.split_last().unwrap();
    let mut text = format!("server = \"{}\"\n{}\n", server.0, server.1);
    for (address, lines) in mirrors {
        text.push_str(&format!("[host.\"{address}\"]\n{lines}\n"));
    }
    configure(folder.path(), REGISTRY, &text);
    folder
}
