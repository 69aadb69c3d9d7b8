//! Parses documents with registry credentials.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::members::{Members, Value};
use super::{Format, Proof};

/// An entry of a document.
#[derive(PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) username: String,
    pub(super) proof: Proof,
}

/// The entries by key. An invalid entry does not affect the others.
type Entries = BTreeMap<String, Result<Entry, &'static str>>;

/// Parses a document. The error contains none of it: it may be a secret in the wrong place. `null`
/// is an empty document, as for the kubelet.
pub(super) fn read(payload: &[u8], format: Format) -> Result<Entries, String> {
    let document: Value = serde_json::from_slice(payload).map_err(|error| {
        format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    let mut entries = Entries::new();
    match (document, format) {
        (Value::Null, _) => {}
        (Value::Object(document), Format::DockerCfg) => add(&mut entries, document, format),
        (Value::Object(document), Format::DockerConfigJson | Format::DockerConfig) => {
            check_headers(&document)?;
            for auths in document.into_named("auths") {
                match auths {
                    Value::Object(auths) => add(&mut entries, auths, format),
                    Value::Null => entries.clear(),
                    _ => return Err("its `auths` is not an object".to_owned()),
                }
            }
        }
        _ => return Err("it is not a JSON object".to_owned()),
    }
    Ok(entries)
}

/// `HttpHeaders` are not sent, but the kubelet rejects a document with invalid ones.
fn check_headers(document: &Members) -> Result<(), String> {
    let is_text = |value: &Value| matches!(value, Value::Text(_) | Value::Null);
    let are_good = document.named("HttpHeaders").all(|headers| match headers {
        Value::Object(headers) => headers.values().all(is_text),
        Value::Null => true,
        _ => false,
    });
    match are_good {
        true => Ok(()),
        false => Err("its `HttpHeaders` is not an object of strings".to_owned()),
    }
}

/// Adds the entries of an object; the last of equal keys wins.
fn add(entries: &mut Entries, auths: Members, format: Format) {
    for (key, value) in auths {
        match read_entry(&value, format).transpose() {
            Some(entry) => entries.insert(key, entry),
            None => entries.remove(&key),
        };
    }
}

/// Parses an entry; `None` if it may be empty and is.
fn read_entry(value: &Value, format: Format) -> Result<Option<Entry>, &'static str> {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null => &Members::default(),
        _ => return Err("it is not an object with `username` and `password`, or `auth`"),
    };
    // The last of equal names wins, and `null` is ignored.
    let text = |name| {
        fields.named(name).try_fold("", |text, value| match value {
            Value::Text(text) => Ok(text.as_str()),
            Value::Null => Ok(text),
            _ => Err("its `username`, `password` and `auth` must be strings"),
        })
    };
    // The kubelet rejects an entry with an invalid `email`.
    text("email").map_err(|_| "its `email` must be a string")?;
    let (username, password, auth) = (text("username")?, text("password")?, text("auth")?);
    let entry = match auth {
        "" => Entry {
            username: username.to_owned(),
            proof: Proof::Password(password.to_owned()),
        },
        _ => read_auth(auth)?,
    };
    if format != Format::DockerConfig {
        return Ok(Some(entry));
    }
    let nothing = Proof::Password(String::new());
    match text("identitytoken").map_err(|_| "its `identitytoken` must be a string")? {
        "" if entry.username.is_empty() && entry.proof == nothing => Ok(None),
        "" => Ok(Some(entry)),
        token => Ok(Some(Entry {
            proof: Proof::IdentityToken(token.to_owned()),
            ..entry
        })),
    }
}

/// Decodes `base64(username:password)`, padded or not.
fn read_auth(auth: &str) -> Result<Entry, &'static str> {
    let padding = match auth.trim().ends_with('=') {
        true => DecodePaddingMode::RequireCanonical,
        false => DecodePaddingMode::RequireNone,
    };
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(padding)
        .with_decode_allow_trailing_bits(true);
    let one_line = auth.replace(['\r', '\n'], "");
    let bytes = GeneralPurpose::new(&STANDARD, lenient)
        .decode(one_line)
        .map_err(|_| "its `auth` is not base64; it should be base64(username:password)")?;
    let text = String::from_utf8(bytes)
        .map_err(|_| "its `auth` is not UTF-8 text; it should be base64(username:password)")?;
    let (username, password) = text
        .split_once(':')
        .ok_or("its `auth` has no colon; it should be base64(username:password)")?;
    Ok(Entry {
        username: username.to_owned(),
        proof: Proof::Password(password.to_owned()),
    })
}
