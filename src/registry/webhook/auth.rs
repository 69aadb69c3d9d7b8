//! Authentication of webhook requests by a shared secret. Pure.
//!
//! Any one of these is enough:
//!
//! - the path `/hooks/SECRET`: for Docker Hub, Quay, ACR, Event Grid and Pub/Sub, which take little but a URL;
//! - the header `Authorization: SECRET` or `Authorization: Bearer SECRET`: for Harbor, CNCF distribution and
//!   [CloudEvents webhooks][ce];
//! - the header `X-Hub-Signature-256: sha256=HEX`, an HMAC-SHA256 of the body: for [GitHub][].
//!
//! A wrong credential beside a right one is ignored: Pub/Sub puts a token of its own into `Authorization`. Comparisons
//! take constant time, and credentials are never logged or echoed.
//!
//! [ce]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md
//! [GitHub]: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries

#[cfg(test)]
mod tests;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The path of notifications, optionally followed by `/SECRET`.
pub const PATH: &str = "/hooks";

/// GitHub's signature header.
const SIGNATURE: &str = "x-hub-signature-256";

/// The minimum length of a secret: 16 random characters can't be guessed at ten requests a second.
const MIN_LENGTH: usize = 16;

/// The maximum length of a secret, which must fit into a path.
const MAX_LENGTH: usize = 256;

/// The secret that senders share with the operator.
pub struct Secret {
    key: String,
    /// Compared instead of the key, so that timing does not reveal the key's length.
    hash: [u8; 32],
}

/// Why a text can't be the secret. The text itself is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Fewer than 16 characters.
    #[error(
        "the webhook secret has {length} characters: 16 are the fewest; make one with `openssl rand -hex 32`"
    )]
    TooShort {
        /// The number of characters.
        length: usize,
    },
    /// More than 256 characters.
    #[error(
        "the webhook secret has {length} characters: 256 are the most; make one with `openssl rand -hex 32`"
    )]
    TooLong {
        /// The number of characters.
        length: usize,
    },
    /// Characters that a path must escape.
    #[error(
        "the webhook secret has characters other than letters, digits, `-`, `.`, `_` and `~`, which can't stand in an address as they are: make one with `openssl rand -hex 32`"
    )]
    Characters,
}

/// The credential in a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The secret itself.
    Secret,
    /// A signature, to be checked against the body by [`Secret::verify`].
    Signature(Signature),
}

/// A signature that is not verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature([u8; 32]);

/// Why a request is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No credential: 401.
    Missing,
    /// A wrong credential: 403.
    Wrong,
}

impl Secret {
    /// Parses a secret from a file's text, without trailing line ends.
    ///
    /// # Errors
    /// [`SecretError`] if the secret is too short, too long, or needs escaping in a path.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        let key = text.trim_end_matches(['\r', '\n']);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        let length = key.chars().count();
        if length < MIN_LENGTH {
            return Err(SecretError::TooShort { length });
        }
        if length > MAX_LENGTH {
            return Err(SecretError::TooLong { length });
        }
        if !key.chars().all(is_plain) {
            return Err(SecretError::Characters);
        }
        Ok(Secret {
            key: key.to_owned(),
            hash: Sha256::digest(key).into(),
        })
    }

    /// Authenticates a request by its head, before the body is read.
    ///
    /// # Errors
    /// [`AuthError`] if no body could make the request valid.
    pub fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Credential, AuthError> {
        let in_path = path
            .strip_prefix(PATH)
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|shown| !shown.is_empty());
        let in_header = headers
            .get(AUTHORIZATION)
            .map(|value| without_scheme(value.as_bytes()));
        let shown = [in_path.map(str::as_bytes), in_header];
        if shown.iter().flatten().any(|shown| self.is(shown)) {
            return Ok(Credential::Secret);
        }
        match headers.get(SIGNATURE) {
            Some(signature) => Signature::parse(signature.as_bytes())
                .map(Credential::Signature)
                .ok_or(AuthError::Wrong),
            None if shown == [None, None] => Err(AuthError::Missing),
            None => Err(AuthError::Wrong),
        }
    }

    /// Whether `signature` is the body's.
    pub fn verify(&self, body: &[u8], signature: &Signature) -> bool {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()) else {
            return false;
        };
        mac.update(body);
        mac.verify_slice(&signature.0).is_ok()
    }

    fn is(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        shown[..].ct_eq(&self.hash[..]).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl Signature {
    /// Reads `sha256=` and 64 hexadecimal digits.
    fn parse(value: &[u8]) -> Option<Signature> {
        let digits = value.strip_prefix(b"sha256=")?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Signature(bytes))
    }
}

/// The value without the scheme `Bearer`, which is case-insensitive (RFC 9110, 11.1).
fn without_scheme(value: &[u8]) -> &[u8] {
    match value.split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token.trim_ascii(),
        _ => value.trim_ascii(),
    }
}
