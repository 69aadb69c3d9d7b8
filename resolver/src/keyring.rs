//! Credentials, read from pull secrets and matched as the kubelet does it.
//!
//! The judge of every rule is Kubernetes' own `pkg/credentialprovider`. What follows from it and
//! surprises people:
//! - every matching credential is tried, one after the other, the lexically greatest key first;
//! - a key's host is matched label by label, with globs, and its port must be equal;
//! - a key's path is a plain string prefix: `quay.io/core` matches `quay.io/coreos/etcd`;
//! - `https://index.docker.io/v1/` serves Docker Hub only where nothing else matched.
//!
//! It is held to that code, answer by answer: `tests/keyring_against_go.rs`.
//!
//! Identity tokens, which a user's own file may hold, are read from that alone: the kubelet knows
//! none in Secrets.
//!
//! In two things this keyring is milder. The kubelet rejects every pull secret where one entry of
//! one of them cannot be read: here that entry is skipped and told. Among keys of one secret that
//! mean the same, the kubelet's order is left to chance: here they stand in lexical order.

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

/// The key under which Docker Hub's login has always been kept.
const DOCKER_HUB_KEY: &[u8] = b"index.docker.io";

/// The forms in which registry logins are kept: two in Secrets of Kubernetes, one in a user's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `kubernetes.io/dockerconfigjson`: the entries are below `auths`.
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`, the older one: the entries are the document.
    DockerCfg,
    /// A user's own `config.json`, as `docker login` writes it: as the first, and an entry may hold
    /// an `identitytoken`. An entry that holds nothing is none: its login is kept elsewhere.
    DockerConfig,
}

/// What a login proves itself with. It shows nowhere.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A password, or what stands for one.
    Password(String),
    /// A token that is exchanged for others by OAuth2, and shown to no registry.
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
    /// The format of a Secret by its `type`; `None` where it is not one of registry logins.
    pub fn of_secret_type(secret_type: &str) -> Option<Format> {
        match secret_type {
            "kubernetes.io/dockerconfigjson" => Some(Format::DockerConfigJson),
            "kubernetes.io/dockercfg" => Some(Format::DockerCfg),
            _ => None,
        }
    }

    /// The key of the Secret's `data` that holds the logins; the name of the file where it is a
    /// user's own.
    pub fn data_key(self) -> &'static str {
        match self {
            Format::DockerConfigJson => ".dockerconfigjson",
            Format::DockerCfg => ".dockercfg",
            Format::DockerConfig => "config.json",
        }
    }
}

/// One login that matched.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    source: String,
    key: String,
    username: String,
    proof: Proof,
}

impl Credential {
    /// Where it comes from, as it was told to [`Keyring::add`]: the name of the Secret.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The key it stands under, normalised: without scheme, and without a `/v1` or `/v2`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The name it logs in with; may be empty beside an identity token.
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

/// The login that a registry was asked with.
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

/// An entry that was left out, and why; the others of its Secret serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry `{key}` of {source_name} is skipped: {problem}")]
pub struct Skipped {
    /// Where it stands, as it was told to [`Keyring::add`].
    pub source_name: String,
    /// Its key as written.
    pub key: String,
    /// What is wrong with it, and what it should be. Never holds a value.
    pub problem: &'static str,
}

/// A payload that holds no logins at all, because it is not the document it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name} holds no registry logins: {problem}")]
pub struct KeyringError {
    /// Where it stands, as it was told to [`Keyring::add`].
    pub source_name: String,
    /// What is wrong with it, and what it should be. Never holds a value.
    pub problem: String,
}

/// The logins of all pull secrets that may be used for an image.
#[derive(Clone, Default)]
pub struct Keyring {
    by_key: BTreeMap<Vec<u8>, Vec<Credential>>,
}

impl Keyring {
    /// A keyring without logins: everything is asked anonymously.
    pub fn new() -> Keyring {
        Keyring::default()
    }

    /// Adds the logins of one Secret. Secrets are added in the order in which they are listed:
    /// under one key, the earlier is tried first. `source_name` is what [`Credential::source`]
    /// and the messages name it by.
    ///
    /// Gives the entries that were skipped.
    ///
    /// # Errors
    /// A [`KeyringError`] where the payload is not JSON of the [`Format`]; the keyring is then as
    /// it was.
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

    /// Adds one login under its key as written, as one is added that stands in a Secret.
    ///
    /// # Errors
    /// What is wrong with the key, and what it should be.
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

    /// The logins for what is asked at `host[:port]/repository`, in the order in which they are
    /// tried. For Docker Hub the host is `docker.io`, wherever it is asked.
    ///
    /// Empty where none matches; only then may the registry be asked anonymously.
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

    /// All logins in it, in an order that follows from them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Credential> {
        self.by_key.values().flatten()
    }

    /// Whether there are no logins in it.
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
