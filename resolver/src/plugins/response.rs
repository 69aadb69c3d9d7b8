//! `CredentialProviderRequest` and `CredentialProviderResponse` of
//! `credentialprovider.kubelet.k8s.io`.
//!
//! An answer that the kubelet would reject is rejected as a whole. Messages contain nothing of it:
//! it consists of credentials.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::duration;
use crate::server_message::bounded_line;

/// The most characters of an `apiVersion` or `kind` in a message.
const NAME_MAX: usize = 100;

/// The `cacheKeyType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The requested image.
    Image,
    /// All images of its registry.
    Registry,
    /// All images.
    Global,
}

/// The `cacheDuration`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The configuration's default.
    Default,
    /// This long; not cached unless positive.
    Nanos(i64),
}

/// A credential and its key, as written.
pub(super) struct Login {
    pub(super) key: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// A valid answer.
pub(super) struct Response {
    pub(super) scope: Scope,
    pub(super) lifetime: Lifetime,
    pub(super) logins: Vec<Login>,
}

/// The standard input of a plugin.
pub(super) fn request(version: &str, image: &str) -> Vec<u8> {
    let request = json!({
        "apiVersion": version,
        "kind": "CredentialProviderRequest",
        "image": image,
    });
    format!("{request}\n").into_bytes()
}

/// Parses the standard output of a plugin. The error names the fix.
pub(super) fn read(output: &[u8], version: &str) -> Result<Response, String> {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Err("it printed nothing: it must print a CredentialProviderResponse".to_owned());
    }
    let place =
        |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let Head { api_version, kind } = serde_json::from_slice(output).map_err(|error| {
        format!(
            "its output is not a JSON object ({}): it must print a CredentialProviderResponse and nothing else",
            place(error)
        )
    })?;
    if api_version.as_deref() != Some(version) {
        return Err(format!(
            "it answered with apiVersion {:?} instead of `{version}`: set `apiVersion` in its configuration to one that it supports",
            bounded_line(&api_version.unwrap_or_default(), NAME_MAX)
        ));
    }
    if kind.as_deref() != Some("CredentialProviderResponse") {
        return Err(format!(
            "it answered with kind {:?} instead of CredentialProviderResponse",
            bounded_line(&kind.unwrap_or_default(), NAME_MAX)
        ));
    }
    let body: Body = serde_json::from_slice(output).map_err(|error| {
        format!(
            "its answer does not match {version} ({}): an unknown field, or one of another type",
            place(error)
        )
    })?;
    let scope = match body.cache_key_type.as_deref() {
        Some("Image") => Scope::Image,
        Some("Registry") => Scope::Registry,
        Some("Global") => Scope::Global,
        _ => {
            return Err(
                "its answer has an invalid cacheKeyType: it must be Image, Registry or Global"
                    .to_owned(),
            );
        }
    };
    let lifetime = match body.cache_duration.as_deref().map(duration::parse) {
        None => Lifetime::Default,
        Some(Some(nanos)) => Lifetime::Nanos(nanos),
        Some(None) => {
            return Err(
                "its answer has an invalid cacheDuration: it must have a unit, such as `12h`"
                    .to_owned(),
            );
        }
    };
    let logins = body
        .auth
        .unwrap_or_default()
        .0
        .into_iter()
        .map(|(key, entry)| {
            let Entry { username, password } = entry.unwrap_or_default();
            Login {
                key,
                username: username.unwrap_or_default(),
                password: password.unwrap_or_default(),
            }
        })
        .collect();
    Ok(Response {
        scope,
        lifetime,
        logins,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
}

/// As strict as in the kubelet: no unknown and no duplicate fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    #[serde(rename = "apiVersion")]
    _api_version: Option<String>,
    #[serde(rename = "kind")]
    _kind: Option<String>,
    cache_key_type: Option<String>,
    cache_duration: Option<String>,
    auth: Option<Auth>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
}

/// The entries by key, without duplicates.
#[derive(Default)]
struct Auth(BTreeMap<String, Option<Entry>>);

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Auth, D::Error> {
        deserializer.deserialize_map(AuthVisitor)
    }
}

struct AuthVisitor;

impl<'de> Visitor<'de> for AuthVisitor {
    type Value = Auth;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of logins")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Auth, A::Error> {
        let mut auth = BTreeMap::new();
        while let Some((key, entry)) = entries.next_entry()? {
            if auth.insert(key, entry).is_some() {
                return Err(A::Error::custom("a key stands there twice"));
            }
        }
        Ok(Auth(auth))
    }
}
