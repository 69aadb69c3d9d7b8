//! Registry prefixes.

use std::fmt;
use std::str::FromStr;

use super::grammar::{is_host, is_tag, looks_like_host};
use super::reference::{DOCKER_INDEX, refuse_scheme_and_spaces};
use super::{DOCKER_HUB, NameError, Reference};

/// A registry prefix: `host[:port][/path]`, or a Docker Hub namespace.
///
/// `docker.io/dockercoins`, `dockercoins` and `dockercoins/` are equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    host: String,
    path: Option<String>,
}

impl Prefix {
    /// Parses a prefix and normalises its host like [`Reference::parse`].
    ///
    /// # Errors
    /// A [`NameError`] that names the fix.
    pub fn parse(text: &str) -> Result<Prefix, NameError> {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if trimmed.trim().is_empty() {
            return Err(NameError::EmptyPrefix);
        }
        refuse_scheme_and_spaces(trimmed)?;
        if let Some((without, _)) = trimmed.split_once('@') {
            return Err(NameError::PrefixDigest {
                prefix: text.to_owned(),
                without: without.to_owned(),
            });
        }
        let (host, path) = match trimmed.split_once('/') {
            Some((DOCKER_INDEX, path)) => (DOCKER_HUB, Some(path)),
            Some((first, path)) if looks_like_host(first) => (first, Some(path)),
            None if trimmed == DOCKER_INDEX => (DOCKER_HUB, None),
            // A single word with a capital letter is a host by the grammar, but is meant as a
            // namespace.
            None if trimmed == "localhost" || trimmed.contains(['.', ':']) => (trimmed, None),
            _ => (DOCKER_HUB, Some(trimmed)),
        };
        // After the last slash a colon starts a tag; in a host alone, a port.
        let last_slash = trimmed.rfind('/').map_or(0, |slash| slash + 1);
        if let Some((without, after)) = trimmed.rsplit_once(':')
            && without.len() >= last_slash
            && (path.is_some()
                || (is_tag(after) && !after.bytes().all(|byte| byte.is_ascii_digit())))
        {
            let (prefix, without) = (text.to_owned(), without.to_owned());
            return Err(NameError::PrefixTag { prefix, without });
        }
        if !is_host(host) {
            return Err(NameError::Host {
                host: host.to_owned(),
            });
        }
        if let Some(path) = path {
            // Not `library/`: on Docker Hub a single name is a namespace here.
            Reference::check_path(path)?;
        }
        Ok(Prefix {
            host: host.to_owned(),
            path: path.map(str::to_owned),
        })
    }

    /// The registry's host with its port, as [`Reference::host`] of every image below it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The image of this name and tag.
    ///
    /// # Errors
    /// A [`NameError`] if name, tag or the length of the path is invalid.
    pub fn image(&self, name: &str, tag: &str) -> Result<Reference, NameError> {
        let path = match &self.path {
            Some(path) => format!("{path}/{name}"),
            None => name.to_owned(),
        };
        Reference::from_parts(&self.host, &path, Some(tag), None)
    }
}

impl FromStr for Prefix {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Prefix, NameError> {
        Prefix::parse(text)
    }
}

/// The normalised form: `docker.io/dockercoins`.
impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.host)?;
        match &self.path {
            Some(path) => write!(out, "/{path}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
