//! Where a credential is for: the keys of a Docker configuration, read as Go's `net/url` reads
//! them.

use std::fmt;

use crate::names::split_port;

/// A host with its port, and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    host: String,
    path: String,
}

impl Location {
    /// Reads `[http[s]://]host[:port][/path]`. A login, a query and a fragment in it are dropped,
    /// and the path's percent-encoding is undone.
    pub(super) fn parse(text: &str) -> Result<Location, &'static str> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(
                "its key has control characters; write a host, such as `registry.example.com:5000`",
            );
        }
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        if !is_host(host) {
            return Err("its key names no host; write one, such as `registry.example.com:5000`");
        }
        let path = percent_decode(path)
            .ok_or("its key's path has a `%` that encodes nothing; write the path as it is")?;
        Ok(Location {
            host: host.to_owned(),
            path,
        })
    }

    /// The same without the version of Docker's protocol that stands at the head of many keys.
    /// Only with a slash after it: `/v1` alone is a path like any other.
    pub(super) fn without_version(mut self) -> Location {
        if self.path.starts_with("/v1/") || self.path.starts_with("/v2/") {
            self.path.drain(..3);
        }
        if self.path == "/" {
            self.path.clear();
        }
        self
    }

    /// Whether a credential kept here is for that target.
    pub(super) fn matches(&self, target: &Location) -> bool {
        let (host, port) = self.labels_and_port();
        let (target_host, target_port) = target.labels_and_port();
        port == target_port
            && target.path.starts_with(&self.path)
            && host.split('.').count() == target_host.split('.').count()
            && host
                .split('.')
                .zip(target_host.split('.'))
                .all(|(glob, label)| glob_matches(glob.as_bytes(), label.as_bytes()))
    }

    /// Whether an image of this name is pulled from Docker Hub.
    pub(super) fn is_docker_hub(&self) -> bool {
        !self.host.is_empty()
            && (matches!(self.host.as_str(), "docker.io" | "index.docker.io")
                || self.path.is_empty()
                || !self.host.contains(['.', ':']))
    }

    fn labels_and_port(&self) -> (&str, &str) {
        match split_port(&self.host) {
            (host, Some(port)) => (
                host.strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'))
                    .unwrap_or(host),
                port,
            ),
            (host, None) => (host, ""),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.host, self.path)
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = split_port(text);
    let port_is_number = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name_is_host = match name.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => name.chars().all(|letter| {
            !letter.is_ascii()
                || letter.is_ascii_alphanumeric()
                || "-_.~!$&'()*+,;=<>\"".contains(letter)
        }),
    };
    port_is_number && name_is_host
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let digits = str::from_utf8(tail.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Go's `filepath.Match` over what can stand in a host: `*` is any text. A host without a port
/// keeps its brackets, which are then a set of characters, so that an IPv6 address matches only
/// where a port is given.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| glob_matches(rest, &text[skip..])),
        Some((b'[', _)) => false,
        Some((letter, rest)) => text
            .split_first()
            .is_some_and(|(first, text)| first == letter && glob_matches(rest, text)),
    }
}
