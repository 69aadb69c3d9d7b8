//! Which certificate is shown to a server that asks for one.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// Certificates to choose from, as Go chooses: the first that the server can check, and that is
/// of an authority which the server names, if it names any. Where none is, none is shown.
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

/// Whether a certificate of the chain has one of these names. A name stands in a certificate as
/// the server writes it, in DER; that it may be the subject's own does no harm, since the server
/// checks what it is shown.
fn is_of_one(pair: &CertifiedKey, authorities: &[&[u8]]) -> bool {
    pair.cert.iter().any(|certificate| {
        authorities.iter().any(|name| {
            !name.is_empty() && certificate.windows(name.len()).any(|part| part == *name)
        })
    })
}
