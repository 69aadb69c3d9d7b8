//! Digests of content.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::NameError;

/// The hash of a manifest, as `sha256:` (or `sha384:`, `sha512:`) and lowercase hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        }
    }
}

impl Digest {
    /// Parses `algorithm:hex` by the rules of `github.com/opencontainers/go-digest`.
    ///
    /// # Errors
    /// [`NameError::DigestAlgorithm`] for algorithms other than sha256, sha384 and sha512,
    /// [`NameError::DigestHex`] for other than lowercase hexadecimal of the exact length.
    pub fn parse(text: &str) -> Result<Digest, NameError> {
        let (algorithm, hex) = match text.split_once(':') {
            Some(("sha256", hex)) => (Algorithm::Sha256, hex),
            Some(("sha384", hex)) => (Algorithm::Sha384, hex),
            Some(("sha512", hex)) => (Algorithm::Sha512, hex),
            _ => {
                return Err(NameError::DigestAlgorithm {
                    digest: text.to_owned(),
                });
            }
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != algorithm.hex_length() || !hex.bytes().all(is_hex) {
            return Err(NameError::DigestHex {
                digest: text.to_owned(),
                algorithm: algorithm.name(),
                length: algorithm.hex_length(),
            });
        }
        Ok(Digest {
            algorithm,
            hex: hex.to_owned(),
        })
    }

    /// The sha256 digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::compute(Algorithm::Sha256, bytes)
    }

    /// The algorithm's name: `sha256`, `sha384` or `sha512`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// Whether these bytes have this digest.
    pub fn verify(&self, bytes: &[u8]) -> bool {
        Digest::compute(self.algorithm, bytes) == *self
    }

    fn compute(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let hash = match algorithm {
            Algorithm::Sha256 => Sha256::digest(bytes).to_vec(),
            Algorithm::Sha384 => Sha384::digest(bytes).to_vec(),
            Algorithm::Sha512 => Sha512::digest(bytes).to_vec(),
        };
        let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Digest { algorithm, hex }
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Digest, NameError> {
        Digest::parse(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
    }

    #[test]
    fn digest_round_trips_and_verifies_its_content() {
        let abc = [
            (
                "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "sha384",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (algorithm, hex) in abc {
            let digest = Digest::parse(&format!("{algorithm}:{hex}")).unwrap();
            assert_eq!(digest.to_string(), format!("{algorithm}:{hex}"));
            assert_eq!(digest.algorithm(), algorithm);
            assert!(digest.verify(b"abc"));
            assert!(!digest.verify(b"abd"));
        }
    }

    #[test]
    fn unknown_algorithms_are_refused() {
        for text in [
            "",
            "sha256",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "SHA256:ab",
            ":",
            "sha256+b64:ab",
        ] {
            assert_eq!(
                Digest::parse(text),
                Err(NameError::DigestAlgorithm {
                    digest: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn digest_of_wrong_length_or_case_is_refused() {
        for text in [
            EMPTY.to_uppercase().replace("SHA", "sha"),
            EMPTY[..70].to_owned(),
            format!("{EMPTY}0"),
            "sha256:".to_owned(),
        ] {
            assert_eq!(
                Digest::parse(&text),
                Err(NameError::DigestHex {
                    digest: text,
                    algorithm: "sha256",
                    length: 64
                })
            );
        }
    }
}
