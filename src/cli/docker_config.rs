//! Docker's configuration file: its credentials, and those of the credential helpers that it names.
//!
//! As in Docker's `cli/config`, `credHelpers` names the helper of a server, else `credsStore`. The helper's credential is
//! tried before those in the file, which Docker would ignore.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use resolver::{DOCKER_HUB, Endpoint, Format, Keyring};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::{CliError, credential_helper};
use crate::runtime::sync::lock;

/// Docker Hub's key in the configuration file.
const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// A configuration file.
pub(super) struct DockerConfig {
    name: String,
    payload: Vec<u8>,
    file: Arc<Keyring>,
    helpers: Helpers,
    /// The credentials for each server whose helper was asked.
    known: Mutex<HashMap<String, Arc<OnceCell<Arc<Keyring>>>>>,
}

#[derive(Deserialize)]
struct Helpers {
    #[serde(default, rename = "credHelpers")]
    by_server: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

impl Helpers {
    /// The helper's name for a server.
    fn of(&self, server: &str) -> Option<&str> {
        let by_server = self.by_server.as_ref().and_then(|all| all.get(server));
        let name = by_server.or(self.store.as_ref())?;
        (!name.is_empty()).then_some(name)
    }
}

impl DockerConfig {
    /// Reads a file, or the user's own if it exists. Skipped entries are printed.
    ///
    /// `as_secret` reads the file as the kubelet reads a pull secret: without identity tokens and credential helpers.
    pub(super) fn read(
        named: Option<&Path>,
        as_secret: bool,
    ) -> Result<Option<DockerConfig>, CliError> {
        let Some(path) = named.map(Path::to_owned).or_else(own_file) else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let payload = match std::fs::read(&path) {
            Ok(payload) => payload,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(CliError::File(name, error)),
        };
        let mut file = Keyring::new();
        let format = match as_secret {
            true if path.ends_with(".dockercfg") => Format::DockerCfg,
            true => Format::DockerConfigJson,
            false => Format::DockerConfig,
        };
        let skipped = file
            .add(&name, &payload, format)
            .map_err(|error| CliError::DockerConfig(error.to_string()))?;
        for skipped in skipped {
            tell(&skipped.to_string());
        }
        // A file may be `null`.
        let helpers: Option<Helpers> = match as_secret {
            true => None,
            false => serde_json::from_slice(&payload).map_err(|_| {
                CliError::DockerConfig(format!(
                    "{name}: `credHelpers` must be an object of strings, and `credsStore` a string"
                ))
            })?,
        };
        let none = Helpers {
            by_server: None,
            store: None,
        };
        Ok(Some(DockerConfig {
            name,
            payload,
            file: Arc::new(file),
            helpers: helpers.unwrap_or(none),
            known: Mutex::default(),
        }))
    }

    /// The credentials in the file.
    pub(super) fn of_file(&self) -> Arc<Keyring> {
        Arc::clone(&self.file)
    }

    /// The credentials for an endpoint. Each server's helper runs once; a failure is printed.
    pub(super) async fn at(&self, endpoint: &Endpoint) -> Arc<Keyring> {
        let server = server(endpoint);
        let Some(helper) = self.helpers.of(&server) else {
            return self.of_file();
        };
        let known = {
            let mut known = lock(&self.known);
            Arc::clone(known.entry(server.clone()).or_default())
        };
        let keyring = known.get_or_init(|| self.ask(helper, &server)).await;
        Arc::clone(keyring)
    }

    async fn ask(&self, name: &str, server: &str) -> Arc<Keyring> {
        let program = format!("docker-credential-{name}");
        let (username, proof) =
            match credential_helper::get(name, server, credential_helper::DEADLINE).await {
                Ok(Some(login)) => login,
                Ok(None) => return self.of_file(),
                Err(what) => {
                    tell(&format!("{program} gave no login for {server}: {what}"));
                    return self.of_file();
                }
            };
        let mut keyring = Keyring::new();
        if let Err(problem) = keyring.add_login(&program, server, username, proof) {
            tell(&format!(
                "the login of {program} for {server} is skipped: {problem}"
            ));
        }
        // Skipped entries were printed when the file was first read.
        let _ = keyring.add(&self.name, &self.payload, Format::DockerConfig);
        Arc::new(keyring)
    }
}

/// The server's name by which Docker asks a helper.
fn server(endpoint: &Endpoint) -> String {
    let target = endpoint.login_target("");
    match target.trim_end_matches('/') {
        DOCKER_HUB => DOCKER_HUB_SERVER.to_owned(),
        host => host.to_owned(),
    }
}

/// The path of the user's configuration file.
fn own_file() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".docker")));
    Some(folder?.join("config.json"))
}

fn tell(what: &str) {
    eprintln!("dockercoins-operator: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_helper_is_in_cred_helpers_else_creds_store() {
        let helpers: Helpers = serde_json::from_str(
            r#"{"credsStore":"desktop","credHelpers":{"quay.io":"own","plain.io":"","https://index.docker.io/v1/":"hub"}}"#,
        )
        .unwrap();
        let of = |endpoint: &str| helpers.of(&server(&Endpoint::parse(endpoint).unwrap()));
        assert_eq!(of("https://quay.io"), Some("own"));
        assert_eq!(of("https://plain.io"), None);
        assert_eq!(of("https://registry-1.docker.io"), Some("hub"));
        assert_eq!(of("https://docker.io"), Some("hub"));
        assert_eq!(of("https://quay.io:5000"), Some("desktop"));
        assert_eq!(of("http://quay.io"), Some("desktop"));
    }
}
