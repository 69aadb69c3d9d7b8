//! Shared by the resolver's tests; each test file uses a part.
#![allow(dead_code)]

pub mod certificates;
pub mod judge;
pub mod proxy;
pub mod registry;
pub mod server;
pub mod token;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use resolver::{
    Endpoint, Failure, Format, Keyring, Options, Reference, Request, ResolveError, Resolved,
    Resolver,
};

/// A resolver that may connect to loopback addresses.
pub fn resolver() -> Resolver {
    Resolver::new(options()).unwrap()
}

/// Options that allow loopback addresses, with a generous deadline.
pub fn options() -> Options {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    Options {
        allow,
        deadline: Duration::from_secs(20),
        ..Options::default()
    }
}

/// Resolves `team/app:v1` at an address.
pub async fn ask(
    resolver: &Resolver,
    endpoint: &str,
    keyring: &Keyring,
) -> Result<Resolved, ResolveError> {
    let reference = Reference::parse("registry.example.com/team/app:v1").unwrap();
    let endpoint = Endpoint::parse(endpoint).unwrap();
    resolver
        .resolve(&Request {
            reference: &reference,
            endpoint: Some(&endpoint),
            keyring,
            certificate_authority: None,
        })
        .await
}

/// A resolver with the configuration of this folder.
pub fn resolver_of(folder: &Path) -> Resolver {
    Resolver::new(Options {
        registry_config: Some(folder.to_owned()),
        ..options()
    })
    .unwrap()
}

/// Writes a registry's `hosts.toml`.
pub fn configure(folder: &Path, registry: &str, text: &str) {
    let folder = folder.join(registry);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hosts.toml"), text).unwrap();
}

/// Resolves an image by its name and the configuration.
pub async fn ask_for(
    resolver: &Resolver,
    image: &str,
    keyring: &Keyring,
) -> Result<Resolved, ResolveError> {
    let reference = Reference::parse(image).unwrap();
    resolver
        .resolve(&Request {
            reference: &reference,
            endpoint: None,
            keyring,
            certificate_authority: None,
        })
        .await
}

/// The failure of an anonymous resolution of `team/app:v1` at an address.
pub async fn failure(endpoint: &str) -> Failure {
    ask(&resolver(), endpoint, &Keyring::new())
        .await
        .unwrap_err()
        .failure
}

/// A keyring of Secrets, each with one login: its name, the key, the user and the password.
pub fn keyring(secrets: &[(&str, &str, &str, &str)]) -> Keyring {
    let mut keyring = Keyring::new();
    for (secret, key, username, password) in secrets {
        let payload = serde_json::json!({ "auths": { *key: { "username": username, "password": password } } });
        let skipped = keyring
            .add(
                secret,
                payload.to_string().as_bytes(),
                Format::DockerConfigJson,
            )
            .unwrap();
        assert_eq!(skipped, []);
    }
    keyring
}

/// A user's own file with an identity token for one key.
pub fn with_identity_token(key: &str, token: &str) -> Keyring {
    let payload = serde_json::json!({ "auths": { key: { "identitytoken": token } } });
    let payload = payload.to_string();
    let mut keyring = Keyring::new();
    let skipped = keyring.add("config.json", payload.as_bytes(), Format::DockerConfig);
    assert_eq!(skipped, Ok(Vec::new()));
    keyring
}

/// The address without its scheme: the key of a login.
pub fn key(endpoint: &str) -> &str {
    endpoint.split_once("://").unwrap().1
}

/// Prints a line that a run is to show even where the test passes and its output is captured.
pub fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}
