//! Parses host addresses of a `hosts.toml`.

use crate::endpoint::{Endpoint, Scheme};

use super::API_PATH;

/// Parses `https://host[:port][/path]`, `http://…`, or without a scheme as HTTPS, into endpoint and
/// path. The error names the fix.
pub(super) fn parse(text: &str, overrides_path: bool) -> Result<(Endpoint, String), String> {
    let (scheme, rest) = match text.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(_) => return Err("write an address by https:// or http://".to_owned()),
        // containerd takes this for a scheme.
        None if text.starts_with("http") => {
            return Err(format!("write the scheme: {:?}", format!("https://{text}")));
        }
        None => (Scheme::Https, text),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(format!(
            "the address contains a login: write {:?}, and keep the login in a pull secret",
            without_login(text)
        ));
    }
    if let Some(letter) = path.chars().find(|letter| !is_plain(*letter)) {
        return Err(format!(
            "the path has the character {letter:?}: write only letters, digits and -._~!$&'()*+,;=:@/"
        ));
    }
    let endpoint = Endpoint::from_authority(scheme, authority).ok_or_else(|| {
        "the host is invalid: write a DNS name or an IP address (IPv6 in brackets), and a port from 1 to 65535 if there is one, such as https://mirror.example.com:5000".to_owned()
    })?;
    let mut path = clean(path);
    if !overrides_path && !path.ends_with(API_PATH) {
        path.push_str(API_PATH);
    }
    Ok((endpoint, path))
}

/// The address without its login, for messages.
pub(super) fn without_login(text: &str) -> String {
    let start = text.find("://").map_or(0, |place| place + 3);
    let (scheme, rest) = text.split_at(start);
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{host}{after}"),
        None => text.to_owned(),
    }
}

/// Whether a character needs no encoding in a path.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/".contains(letter)
}

/// The path without empty parts, `.` and `..`; empty for `/`.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().map(|part| format!("/{part}")).collect()
}
