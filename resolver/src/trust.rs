//! Whose certificates are trusted, and which are shown.

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

/// What one host is trusted by beside the common authorities, and shown.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    authorities: Vec<CertificateDer<'static>>,
    clients: Vec<Arc<CertifiedKey>>,
    skips_verification: bool,
    mark: Mark,
}

/// Tells one [`Trust`] from another, by all that is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mark([u8; 32]);

impl Trust {
    /// Trusts the authorities in a PEM text too. Parts of it that are no usable certificates are
    /// passed over, as long as there is one that is, as Go does. The error says what is wrong.
    pub(crate) fn add_authorities(&mut self, text: &[u8]) -> Result<(), &'static str> {
        let mut usable = RootCertStore::empty();
        let found: Vec<_> = CertificateDer::pem_slice_iter(text)
            .filter_map(Result::ok)
            .filter(|certificate| usable.add(certificate.clone()).is_ok())
            .collect();
        if found.is_empty() {
            return Err("it holds no usable certificate: write certificates of authorities in PEM");
        }
        self.authorities.extend(found);
        self.mark(b"authorities", text);
        Ok(())
    }

    /// Shows this certificate to a server that asks for one. The error says what is wrong.
    pub(crate) fn add_client(&mut self, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("its certificates are no PEM: {error}"))?;
        if chain.is_empty() {
            return Err("it holds no certificate: write it in PEM".to_owned());
        }
        let key_der = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            "it holds no private key that can be read: write one in PEM, without a password, into it or into a file of its own, as in [[\"client.cert\", \"client.key\"]]".to_owned()
        })?;
        let pair = CertifiedKey::from_der(chain, key_der, &ring::default_provider())
            .map_err(|error| format!("its certificate and its key can't be used: {error}"))?;
        self.clients.push(Arc::new(pair));
        self.mark(b"certificate", certificate);
        self.mark(b"key", key);
        Ok(())
    }

    /// Looks at no certificate of the server's.
    pub(crate) fn skip_verification(&mut self) {
        self.skips_verification = true;
        self.mark(b"skip", b"");
    }

    pub(crate) fn as_mark(&self) -> Mark {
        self.mark
    }

    fn mark(&mut self, kind: &[u8], text: &[u8]) {
        let digest = Sha256::digest(text);
        self.mark.0 = Sha256::new()
            .chain_update(self.mark.0)
            .chain_update(kind)
            .chain_update(digest)
            .finalize()
            .into();
    }
}

/// Makes TLS settings, one for each [`Trust`].
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
        let refused = |text: &str| match Tls::new(Roots::Pem(text.into())) {
            Ok(_) => panic!("{text:?} is taken"),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            refused(""),
            "the PEM text holds no usable certificates: there is none in it"
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(broken).starts_with("the PEM text holds no usable certificates: "));
    }

    #[test]
    fn marks_tell_one_trust_from_another() {
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
            trust.as_mark()
        };
        let mut careless = Trust::default();
        careless.skip_verification();
        let marks = [
            Trust::default().as_mark(),
            careless.as_mark(),
            trusting(&[&one]),
            trusting(&[&other]),
            trusting(&[&one, &other]),
        ];
        for (place, mark) in marks.iter().enumerate() {
            assert_eq!(marks.iter().position(|found| found == mark), Some(place));
        }
        assert_eq!(trusting(&[&one]), marks[2]);
    }
}
