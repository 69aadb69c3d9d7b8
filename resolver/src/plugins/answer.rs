//! What is said to a plugin and what it answers: `CredentialProviderRequest` and
//! `CredentialProviderResponse` of `credentialprovider.kubelet.k8s.io`.
//!
//! An answer that the kubelet would not use is refused whole. Nothing of it is shown, since it is
//! made of logins.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::duration;
use crate::said::bounded_line;

/// The most characters of a foreign `apiVersion` or `kind` that are shown.
const NAME_MAX: usize = 100;

/// For which images an answer holds, beside being matched by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// For the image that was asked for.
    Image,
    /// For all of its registry, by host and port.
    Registry,
    /// For all that the plugin is asked for.
    Global,
}

/// How long an answer holds, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// As long as the configuration says.
    Default,
    /// So long; not at all, where it is not above zero.
    Nanos(i64),
}

/// A login and the key it stands under, as written.
pub(super) struct Login {
    pub(super) key: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// An answer that may be used.
pub(super) struct Answer {
    pub(super) scope: Scope,
    pub(super) lifetime: Lifetime,
    pub(super) logins: Vec<Login>,
}

/// What is written to a plugin's standard input.
pub(super) fn request(version: &str, image: &str) -> Vec<u8> {
    let request = json!({
        "apiVersion": version,
        "kind": "CredentialProviderRequest",
        "image": image,
    });
    format!("{request}\n").into_bytes()
}

/// Reads what a plugin wrote to its standard output. The error says what is wrong, and what it
/// should be.
pub(super) fn read(output: &[u8], version: &str) -> Result<Answer, String> {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Err("it printed nothing; it must print a CredentialProviderResponse".to_owned());
    }
    let place =
        |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let Head { api_version, kind } = serde_json::from_slice(output).map_err(|error| {
        format!(
            "what it printed is no JSON object ({}); it must print a CredentialProviderResponse and nothing else",
            place(error)
        )
    })?;
    if api_version.as_deref() != Some(version) {
        return Err(format!(
            "it answers in the apiVersion {:?}, and not in `{version}`, in which it is asked; set its apiVersion in the configuration to one that it speaks",
            bounded_line(&api_version.unwrap_or_default(), NAME_MAX)
        ));
    }
    if kind.as_deref() != Some("CredentialProviderResponse") {
        return Err(format!(
            "it answers with a {:?}, where a CredentialProviderResponse is asked for",
            bounded_line(&kind.unwrap_or_default(), NAME_MAX)
        ));
    }
    let body: Body = serde_json::from_slice(output).map_err(|error| {
        format!(
            "its answer is not as {version} has it ({}): a field that there is not, or one of another type",
            place(error)
        )
    })?;
    let scope = match body.cache_key_type.as_deref() {
        Some("Image") => Scope::Image,
        Some("Registry") => Scope::Registry,
        Some("Global") => Scope::Global,
        _ => {
            return Err(
                "its answer has no valid cacheKeyType; it must be Image, Registry or Global"
                    .to_owned(),
            );
        }
    };
    let lifetime = match body.cache_duration.as_deref().map(duration::parse) {
        None => Lifetime::Default,
        Some(Some(nanos)) => Lifetime::Nanos(nanos),
        Some(None) => {
            return Err(
                "its answer has a cacheDuration that is no duration; it must have a unit, such as `12h`"
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
    Ok(Answer {
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

/// Read as strictly as the kubelet does it: no field that it does not know, and none twice.
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

/// Entries by their keys, none of which may stand there twice.
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
