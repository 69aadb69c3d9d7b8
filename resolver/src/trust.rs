//! Whose certificates are trusted.

use std::env;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The system's authorities, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[default]
    System,
    /// These and no others: certificates in PEM.
    Pem(Vec<u8>),
}

/// Authorities that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// None of the system's could be read, or not all that the environment names.
    #[error("{0}; check SSL_CERT_FILE and SSL_CERT_DIR if they are set")]
    System(String),
    /// The PEM holds something else than certificates, or none.
    #[error("the PEM text holds no usable certificates: {0}")]
    Pem(String),
    /// TLS can't be set up with them.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// TLS as a client, trusting these.
pub(crate) fn client_config(roots: Roots) -> Result<ClientConfig, RootsError> {
    let store = match roots {
        Roots::System => system()?,
        Roots::Pem(text) => pem(&text)?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(RootsError::Tls)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(config)
}

/// The system's. What the environment names must be readable, all of it. Otherwise one that can't
/// be read does not stop the others; a system without any serves registries by plain HTTP, and
/// the message of a certificate that is not trusted says the rest.
fn system() -> Result<RootCertStore, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    let are_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    if let (true, Some(error)) = (are_named || found.certs.is_empty(), found.errors.first()) {
        return Err(RootsError::System(error.to_string()));
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    Ok(store)
}

fn pem(text: &[u8]) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| RootsError::Pem(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| RootsError::Pem(error.to_string()))?;
    }
    match store.is_empty() {
        true => Err(RootsError::Pem("there is none in it".to_owned())),
        false => Ok(store),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_certificates_is_refused() {
        let refused = |text: &str| {
            client_config(Roots::Pem(text.into()))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(""),
            "the PEM text holds no usable certificates: there is none in it"
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(broken).starts_with("the PEM text holds no usable certificates: "));
    }
}
