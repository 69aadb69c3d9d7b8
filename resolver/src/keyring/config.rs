//! The documents that hold registry logins.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::Format;

/// What one entry of a document says.
#[derive(PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) username: String,
    pub(super) password: String,
}

/// The entries of a document by their keys; each is read by itself, so that one that can't be
/// does not take the others with it.
type Entries = BTreeMap<String, Result<Entry, &'static str>>;

/// Reads a document. The error says what it should have been and holds none of it, since it may
/// be a secret in the wrong place.
pub(super) fn read(payload: &[u8], format: Format) -> Result<Entries, String> {
    let document: Value = serde_json::from_slice(payload).map_err(|error| {
        format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    let Value::Object(mut document) = document else {
        return Err("it is not a JSON object".to_owned());
    };
    let auths = match format {
        Format::DockerCfg => document,
        Format::DockerConfigJson => match take(&mut document, "auths") {
            Some(Value::Object(auths)) => auths,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err("its `auths` is not an object".to_owned()),
        },
    };
    Ok(auths
        .into_iter()
        .map(|(key, value)| (key, read_entry(value)))
        .collect())
}

fn read_entry(value: Value) -> Result<Entry, &'static str> {
    let mut fields = match value {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return Err("it is not an object with `username` and `password`, or `auth`"),
    };
    let mut text = |name| match take(&mut fields, name) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Ok(String::new()),
        Some(_) => Err("its `username`, `password` and `auth` must be strings"),
    };
    let (username, password, auth) = (text("username")?, text("password")?, text("auth")?);
    if auth.is_empty() {
        Ok(Entry { username, password })
    } else {
        read_auth(&auth)
    }
}

/// Reads `base64(username:password)`, padded or not.
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
        password: password.to_owned(),
    })
}

/// Takes a field by its name, which may be written in any case, as Go reads it.
fn take(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let written = match fields.contains_key(name) {
        true => name.to_owned(),
        false => fields
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))?
            .clone(),
    };
    fields.remove(&written)
}
