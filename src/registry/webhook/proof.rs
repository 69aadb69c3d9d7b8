//! Whether a request comes from someone who knows the secret. Pure.
//!
//! Senders can show it in different ways, and any one of these is enough:
//!
//! - in the path, `/hooks/SECRET`: for Docker Hub, Quay, ACR, Event Grid and Pub/Sub, which take an address and
//!   little else;
//! - in the header `Authorization: SECRET` or `Authorization: Bearer SECRET`: for Harbor, which sends what it is
//!   given as it is, for CNCF distribution, and as the [CloudEvents webhook][ce] specification has it;
//! - by signing the body, `X-Hub-Signature-256: sha256=HEX`, with HMAC-SHA256, for [GitHub][].
//!
//! Something wrong beside something right does not harm: Pub/Sub, for one, has a token of its own in
//! `Authorization`. All is compared in constant time, and what was shown is never told, nor how it was wrong.
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

/// The path of notifications, which the secret may follow after a slash.
pub const PATH: &str = "/hooks";

/// The header in which GitHub signs.
const SIGNATURE: &str = "x-hub-signature-256";

/// The fewest characters of a secret: 16 random ones can't be guessed at ten a second.
const LENGTH_MIN: usize = 16;

/// The most: it has to stand in a path.
const LENGTH_MAX: usize = 256;

/// What senders share with the operator.
pub struct Secret {
    key: String,
    /// Compared instead of the key, so that not even its length shows in the time that takes.
    hash: [u8; 32],
}

/// Why a text can't be the secret. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has too few characters, or none.
    #[error(
        "the webhook secret has {length} characters: 16 are the fewest; make one with `openssl rand -hex 32`"
    )]
    TooShort {
        /// How many it has.
        length: usize,
    },
    /// It has too many.
    #[error(
        "the webhook secret has {length} characters: 256 are the most; make one with `openssl rand -hex 32`"
    )]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// It has characters that a path has to write in another way.
    #[error(
        "the webhook secret has characters other than letters, digits, `-`, `.`, `_` and `~`, which can't stand in an address as they are: make one with `openssl rand -hex 32`"
    )]
    Characters,
}

/// What the head of a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The secret itself.
    Secret,
    /// A signature, which holds or not once there is a body: [`Secret::signed`].
    Signature(Signature),
}

/// A signature that was shown, right or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature([u8; 32]);

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It shows nothing: 401.
    Missing,
    /// It shows something else: 403.
    Wrong,
}

impl Secret {
    /// Reads a secret as a file has it: line ends after it are not part of it.
    ///
    /// # Errors
    /// A [`SecretError`], where it is too short, too long, or could not stand in a path.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        let key = text.trim_end_matches(['\r', '\n']);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        let length = key.chars().count();
        if length < LENGTH_MIN {
            return Err(SecretError::TooShort { length });
        }
        if length > LENGTH_MAX {
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

    /// Looks at the head of a request, before there is a body.
    ///
    /// # Errors
    /// [`Refused`], where nothing of it could be right whatever the body is.
    pub fn look(&self, path: &str, headers: &HeaderMap) -> Result<Proof, Refused> {
        let in_path = path
            .strip_prefix(PATH)
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|shown| !shown.is_empty());
        let in_header = headers
            .get(AUTHORIZATION)
            .map(|value| without_scheme(value.as_bytes()));
        let shown = [in_path.map(str::as_bytes), in_header];
        if shown.iter().flatten().any(|shown| self.is(shown)) {
            return Ok(Proof::Secret);
        }
        match headers.get(SIGNATURE) {
            Some(signature) => Signature::parse(signature.as_bytes())
                .map(Proof::Signature)
                .ok_or(Refused::Wrong),
            None if shown == [None, None] => Err(Refused::Missing),
            None => Err(Refused::Wrong),
        }
    }

    /// Whether this is the signature of this body.
    pub fn signed(&self, body: &[u8], signature: &Signature) -> bool {
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

/// What follows `Bearer`, whose case does not matter (RFC 9110, 11.1), or all of it.
fn without_scheme(value: &[u8]) -> &[u8] {
    match value.split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token.trim_ascii(),
        _ => value.trim_ascii(),
    }
}
