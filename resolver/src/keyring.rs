//! Credentials of pull secrets, matched as the kubelet does.
//!
//! The rules are those of Kubernetes' `pkg/credentialprovider`; `tests/keyring_against_go.rs`
//! compares. The less obvious ones:
//! - every matching credential is tried, the lexically greatest key first;
//! - a host is matched label by label with globs, and its port must be equal;
//! - a path is a plain string prefix: `quay.io/core` matches `quay.io/coreos/etcd`;
//! - `https://index.docker.io/v1/` serves Docker Hub only if nothing else matches.
//!
//! Identity tokens are read only from a user's own file: the kubelet has none in Secrets.
//!
//! Two rules are more lenient: the kubelet rejects all pull secrets for one unreadable entry, which
//! is skipped and reported here; and equivalent keys of one Secret, in random order there, are in
//! lexical order here.

mod config;
mod location;
mod members;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use config::Entry;
pub(crate) use location::Location;
use location::is_on_docker_hub;

/// The traditional key of Docker Hub.
const DOCKER_HUB_KEY: &[u8] = b"index.docker.io";

/// The formats of registry credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `kubernetes.io/dockerconfigjson`: the entries are below `auths`.
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`: the entries are the document.
    DockerCfg,
    /// A user's `config.json`, as written by `docker login`: like the first, with `identitytoken`.
    /// Empty entries, of credential helpers, are ignored.
    DockerConfig,
}

/// The secret of a credential. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A password or access token.
    Password(String),
    /// An OAuth2 refresh token; only token servers receive it.
    IdentityToken(String),
}

impl Proof {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Proof::Password(_) => "Password",
            Proof::IdentityToken(_) => "IdentityToken",
        }
    }

    pub(crate) fn value(&self) -> &str {
        match self {
            Proof::Password(value) | Proof::IdentityToken(value) => value,
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind())
    }
}

impl Format {
    /// The format of a Secret's `type`; `None` for other types.
    pub fn of_secret_type(secret_type: &str) -> Option<Format> {
        match secret_type {
            "kubernetes.io/dockerconfigjson" => Some(Format::DockerConfigJson),
            "kubernetes.io/dockercfg" => Some(Format::DockerCfg),
            _ => None,
        }
    }

    /// The key in the Secret's `data`, or the name of a user's file.
    pub fn data_key(self) -> &'static str {
        match self {
            Format::DockerConfigJson => ".dockerconfigjson",
            Format::DockerCfg => ".dockercfg",
            Format::DockerConfig => "config.json",
        }
    }
}

/// A credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    source: String,
    key: String,
    username: String,
    proof: Proof,
}

impl Credential {
    /// Its source, as given to [`Keyring::add`]: the name of the Secret.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its key, normalised: without scheme and `/v1` or `/v2`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its username; may be empty with an identity token.
    pub fn username(&self) -> &str {
        &self.username
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credential")
            .field("source", &self.source)
            .field("key", &self.key)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The credential that a registry received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialUsed {
    /// Its source: the name of the Secret.
    pub source: String,
    /// Its key there.
    pub key: String,
    /// Its username.
    pub username: String,
}

impl From<&Credential> for CredentialUsed {
    fn from(credential: &Credential) -> CredentialUsed {
        CredentialUsed {
            source: credential.source.clone(),
            key: credential.key.clone(),
            username: credential.username.clone(),
        }
    }
}

/// An invalid entry that was skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry `{key}` of {source_name} is skipped: {problem}")]
pub struct Skipped {
    /// Its source, as given to [`Keyring::add`].
    pub source_name: String,
    /// Its key as written.
    pub key: String,
    /// The fault and the fix, without values.
    pub problem: &'static str,
}

/// An invalid document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name} holds no registry logins: {problem}")]
pub struct KeyringError {
    /// Its source, as given to [`Keyring::add`].
    pub source_name: String,
    /// The fault and the fix, without values.
    pub problem: String,
}

/// The credentials that may be used for an image.
#[derive(Clone, Default)]
pub struct Keyring {
    by_key: BTreeMap<Vec<u8>, Vec<Credential>>,
}

impl Keyring {
    /// An empty keyring: all requests are anonymous.
    pub fn new() -> Keyring {
        Keyring::default()
    }

    /// Adds the credentials of one Secret and returns the skipped entries. Under one key, the
    /// Secret added first is tried first.
    ///
    /// # Errors
    /// A [`KeyringError`] if the payload is not valid JSON of the [`Format`]; the keyring is
    /// unchanged.
    pub fn add(
        &mut self,
        source_name: &str,
        payload: &[u8],
        format: Format,
    ) -> Result<Vec<Skipped>, KeyringError> {
        let entries = config::read(payload, format).map_err(|problem| KeyringError {
            source_name: source_name.to_owned(),
            problem,
        })?;
        let mut skipped = Vec::new();
        for (key, entry) in entries {
            let added = entry.and_then(|Entry { username, proof }| {
                self.add_login(source_name, &key, username, proof)
            });
            if let Err(problem) = added {
                skipped.push(Skipped {
                    source_name: source_name.to_owned(),
                    key,
                    problem,
                });
            }
        }
        Ok(skipped)
    }

    /// Adds one credential under its key as written.
    ///
    /// # Errors
    /// The fault of the key and its fix.
    pub fn add_login(
        &mut self,
        source_name: &str,
        key: &str,
        username: String,
        proof: Proof,
    ) -> Result<(), &'static str> {
        let key = Location::of_key(key)?.to_bytes();
        let credential = Credential {
            source: source_name.to_owned(),
            key: String::from_utf8_lossy(&key).into_owned(),
            username,
            proof,
        };
        self.by_key.entry(key).or_default().push(credential);
        Ok(())
    }

    /// The credentials for `host[:port]/repository`, in the order of attempts. Docker Hub's host is
    /// `docker.io`.
    ///
    /// Only if it is empty may a request be anonymous.
    pub fn lookup(&self, target: &str) -> Vec<&Credential> {
        let location = Location::parse(target.as_bytes());
        let is_for = |key: &[u8]| match (Location::parse(key), &location) {
            (Ok(key), Ok(target)) => key.matches(target),
            _ => false,
        };
        let matching: Vec<_> = self
            .by_key
            .iter()
            .rev()
            .filter(|(key, _)| is_for(key))
            .flat_map(|(_, credentials)| credentials)
            .collect();
        if matching.is_empty() && is_on_docker_hub(target) {
            return self
                .by_key
                .get(DOCKER_HUB_KEY)
                .into_iter()
                .flatten()
                .collect();
        }
        matching
    }

    /// All credentials in a stable order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Credential> {
        self.by_key.values().flatten()
    }

    /// Whether it has no credentials.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.by_key.values().flatten())
            .finish()
    }
}
