//! Image references: `[host[:port]/]path[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use super::grammar::{is_host, is_path, is_tag, looks_like_host};
use super::{DOCKER_HUB, Digest, NameError};

/// The older host of Docker Hub.
pub(super) const DOCKER_INDEX: &str = "index.docker.io";

/// The default namespace of Docker Hub.
const OFFICIAL: &str = "library/";

/// The longest repository path, without the host.
const PATH_MAX: usize = 255;

/// A normalised image reference: host, path, and optional tag and digest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses and normalises a reference: the default host is Docker Hub, its default namespace
    /// `library/`. White space is not trimmed, and no tag is added (see [`Reference::or_latest`]).
    ///
    /// # Errors
    /// A [`NameError`] that names the part and the fix.
    pub fn parse(text: &str) -> Result<Reference, NameError> {
        if text.is_empty() {
            return Err(NameError::EmptyReference);
        }
        refuse_scheme_and_spaces(text)?;
        if is_image_id(text) {
            return Err(NameError::ImageId {
                name: text.to_owned(),
            });
        }
        let (host, rest) = match text.split_once('/') {
            Some((DOCKER_INDEX, rest)) => (DOCKER_HUB, rest),
            Some((first, rest)) if looks_like_host(first) => (first, rest),
            _ => (DOCKER_HUB, text),
        };
        if !is_host(host) {
            return Err(NameError::Host {
                host: host.to_owned(),
            });
        }
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (rest, None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        Reference::from_parts(host, path, tag, digest)
    }

    /// Creates a reference from a valid host and unchecked other parts.
    pub(super) fn from_parts(
        host: &str,
        path: &str,
        tag: Option<&str>,
        digest: Option<Digest>,
    ) -> Result<Reference, NameError> {
        let path = match host {
            DOCKER_HUB if !path.contains('/') => format!("{OFFICIAL}{path}"),
            _ => path.to_owned(),
        };
        Reference::check_path(&path)?;
        if let Some(tag) = tag {
            Reference::check_tag(tag)?;
        }
        Ok(Reference {
            host: host.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    pub(super) fn check_path(path: &str) -> Result<(), NameError> {
        if is_path(path) {
            return match path.len() {
                0..=PATH_MAX => Ok(()),
                length => Err(NameError::PathTooLong { length }),
            };
        }
        let written = path
            .strip_prefix(OFFICIAL)
            .filter(|rest| !rest.contains('/'))
            .unwrap_or(path);
        let lowercase = written.to_ascii_lowercase();
        if lowercase != written && is_path(&lowercase) {
            return Err(NameError::Uppercase {
                name: written.to_owned(),
                lowercase,
            });
        }
        Err(NameError::Path {
            path: written.to_owned(),
        })
    }

    fn check_tag(tag: &str) -> Result<(), NameError> {
        if is_tag(tag) {
            Ok(())
        } else {
            Err(NameError::Tag {
                tag: tag.to_owned(),
            })
        }
    }

    /// Adds the tag `latest` if there is neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The registry's host and port: `docker.io`, `registry.example.com:5000`,
    /// `[2001:db8::1]:5000`. Its address is [`Endpoint::of`](crate::Endpoint::of).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository's path: `library/redis`.
    pub fn repository(&self) -> &str {
        &self.path
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The reference with this digest; its tag stays.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Reference {
        Reference {
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }

    /// The reference without its digest; its tag stays.
    #[must_use]
    pub fn without_digest(&self) -> Reference {
        Reference {
            digest: None,
            ..self.clone()
        }
    }

    /// The familiar form: `redis:7` for `docker.io/library/redis:7`.
    pub fn familiar(&self) -> String {
        let mut short = self.to_string();
        if self.host == DOCKER_HUB {
            short.drain(..=DOCKER_HUB.len());
            if self
                .path
                .strip_prefix(OFFICIAL)
                .is_some_and(|rest| !rest.contains('/'))
            {
                short.drain(..OFFICIAL.len());
            }
        }
        short
    }
}

/// Rejects common mistakes with an error of their own.
pub(super) fn refuse_scheme_and_spaces(text: &str) -> Result<(), NameError> {
    if text.contains(char::is_whitespace) {
        return Err(NameError::Spaces {
            text: text.to_owned(),
        });
    }
    match text.split_once("://") {
        Some((_, without)) => Err(NameError::Scheme {
            text: text.to_owned(),
            without: without.to_owned(),
        }),
        None => Ok(()),
    }
}

fn is_image_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Reference, NameError> {
        Reference::parse(text)
    }
}

/// The normalised form: `docker.io/library/redis:7`.
impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.host, self.path)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
