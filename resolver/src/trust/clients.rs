//! Selects the client certificate.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// Selects as Go does: the first certificate with a supported signature scheme, whose authority the
/// server names if it names any.
#[derive(Debug)]
pub(super) struct ClientCertificates(Vec<Arc<CertifiedKey>>);

impl ClientCertificates {
    pub(super) fn new(pairs: Vec<Arc<CertifiedKey>>) -> ClientCertificates {
        ClientCertificates(pairs)
    }
}

impl ResolvesClientCert for ClientCertificates {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0
            .iter()
            .find(|pair| {
                pair.key.choose_scheme(schemes).is_some()
                    && (authorities.is_empty() || is_of_one(pair, authorities))
            })
            .cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Whether a certificate of the chain contains one of these names in DER. A match with the subject
/// instead of the issuer is harmless: the server verifies.
fn is_of_one(pair: &CertifiedKey, authorities: &[&[u8]]) -> bool {
    pair.cert.iter().any(|certificate| {
        authorities.iter().any(|name| {
            !name.is_empty() && certificate.windows(name.len()).any(|part| part == *name)
        })
    })
}
