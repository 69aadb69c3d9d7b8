//! Trusted certificate authorities and client certificates.

mod clients;
mod unverified;

use std::env;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use sha2::{Digest as _, Sha256};

use clients::ClientCertificates;
use unverified::Unverified;

/// The trusted certificate authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    #[default]
    System,
    /// Only these, in PEM.
    Pem(Vec<u8>),
}

/// Why certificate authorities are unusable.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// None of the system's can be read, or not all that the environment names.
    #[error("{0}; check SSL_CERT_FILE and SSL_CERT_DIR if they are set")]
    System(String),
    /// The PEM text has no certificates, or an invalid one.
    #[error("the PEM text contains no usable certificates: {0}")]
    Pem(String),
    /// TLS cannot be set up with them.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The TLS settings of one host beside the common trust.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    authorities: Vec<CertificateDer<'static>>,
    clients: Vec<Arc<CertifiedKey>>,
    skips_verification: bool,
    id: TrustId,
}

/// A hash of all settings of a [`Trust`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TrustId([u8; 32]);

impl Trust {
    /// Adds the certificate authorities of a PEM text. Unusable parts are skipped if at least one
    /// certificate is usable, as in Go. The error names the fix.
    pub(crate) fn add_authorities(&mut self, text: &[u8]) -> Result<(), &'static str> {
        let mut usable = RootCertStore::empty();
        let found: Vec<_> = CertificateDer::pem_slice_iter(text)
            .filter_map(Result::ok)
            .filter(|certificate| usable.add(certificate.clone()).is_ok())
            .collect();
        if found.is_empty() {
            return Err("it contains no usable certificate: write CA certificates in PEM");
        }
        self.authorities.extend(found);
        self.mix_in(b"authorities", text);
        Ok(())
    }

    /// Adds a client certificate. The error names the fix.
    pub(crate) fn add_client(&mut self, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("its certificates are not PEM: {error}"))?;
        if chain.is_empty() {
            return Err("it contains no certificate: write one in PEM".to_owned());
        }
        let key_der = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            "it contains no readable private key: write one in PEM, without a password, into it or into a separate file, as in [[\"client.cert\", \"client.key\"]]".to_owned()
        })?;
        let pair = CertifiedKey::from_der(chain, key_der, &ring::default_provider())
            .map_err(|error| format!("its certificate and key are not usable: {error}"))?;
        self.clients.push(Arc::new(pair));
        self.mix_in(b"certificate", certificate);
        self.mix_in(b"key", key);
        Ok(())
    }

    /// Skips the verification of the server's certificate.
    pub(crate) fn skip_verification(&mut self) {
        self.skips_verification = true;
        self.mix_in(b"skip", b"");
    }

    pub(crate) fn id(&self) -> TrustId {
        self.id
    }

    fn mix_in(&mut self, kind: &[u8], text: &[u8]) {
        let digest = Sha256::digest(text);
        self.id.0 = Sha256::new()
            .chain_update(self.id.0)
            .chain_update(kind)
            .chain_update(digest)
            .finalize()
            .into();
    }
}

/// Creates TLS configurations, one per [`Trust`].
#[derive(Clone)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    roots: RootCertStore,
}

impl Tls {
    pub(crate) fn new(roots: Roots) -> Result<Tls, RootsError> {
        let roots = match roots {
            Roots::System => system()?,
            Roots::Pem(text) => pem(&text)?,
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(RootsError::Tls)?;
        Ok(Tls {
            provider,
            builder,
            roots,
        })
    }

    pub(crate) fn config(&self, trust: &Trust) -> ClientConfig {
        let builder = self.verifying(trust);
        match trust.clients.is_empty() {
            true => builder.with_no_client_auth(),
            false => builder.with_client_cert_resolver(Arc::new(ClientCertificates::new(
                trust.clients.clone(),
            ))),
        }
    }

    fn verifying(&self, trust: &Trust) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let builder = self.builder.clone();
        if trust.skips_verification {
            let unverified = Unverified::new(self.provider.clone());
            return builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(unverified));
        }
        let mut roots = self.roots.clone();
        roots.add_parsable_certificates(trust.authorities.iter().cloned());
        builder.with_root_certificates(roots)
    }
}

/// The system's certificate authorities. All that the environment names must be readable; otherwise
/// unreadable ones are skipped.
fn system() -> Result<RootCertStore, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    let is_set_by_env = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    if let (true, Some(error)) = (
        is_set_by_env || found.certs.is_empty(),
        found.errors.first(),
    ) {
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
        true => Err(RootsError::Pem("it is empty".to_owned())),
        false => Ok(store),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_without_certificates_is_refused() {
        let refused = |text: &str| match Tls::new(Roots::Pem(text.into())) {
            Ok(_) => panic!("{text:?} is taken"),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            refused(""),
            "the PEM text contains no usable certificates: it is empty"
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(broken).starts_with("the PEM text contains no usable certificates: "));
    }

    #[test]
    fn trust_ids_differ_by_settings() {
        let authority = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.self_signed(&key).unwrap().pem()
        };
        let (one, other) = (authority("one"), authority("other"));
        let trusting = |texts: &[&str]| {
            let mut trust = Trust::default();
            for text in texts {
                trust.add_authorities(text.as_bytes()).unwrap();
            }
            trust.id()
        };
        let mut careless = Trust::default();
        careless.skip_verification();
        let ids = [
            Trust::default().id(),
            careless.id(),
            trusting(&[&one]),
            trusting(&[&other]),
            trusting(&[&one, &other]),
        ];
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(ids.iter().position(|found| found == id), Some(place));
        }
        assert_eq!(trusting(&[&one]), ids[2]);
    }
}
