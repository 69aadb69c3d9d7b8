//! Reference in, digest out.
//!
//! Each login that matches is tried in turn, and no login only where none matches, as the kubelet
//! does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use ipnet::IpNet;

use crate::attempt::{Attempt, Got, Wanted};
use crate::endpoint::Endpoint;
use crate::error::{Failure, ResolveError};
use crate::exchange::{Deadline, Exchange};
use crate::keyring::{Credential, Keyring};
use crate::login::Authorizations;
use crate::names::{Digest, Reference};
use crate::outcome::Manifest;
use crate::trust::{self, Roots, RootsError};

/// How a [`Resolver`] behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Networks to which connections are allowed although [`crate::address`] would refuse them.
    pub allow: Vec<IpNet>,
    /// The time that all exchanges for one image have together: every login, redirect and token.
    pub deadline: Duration,
    /// What the resolver calls itself to registries.
    pub user_agent: String,
    /// Whose certificates are trusted.
    pub roots: Roots,
}

impl Default for Options {
    /// No further networks, 30 seconds, `dockercoins-resolver/VERSION`, the system's authorities.
    fn default() -> Options {
        Options {
            allow: Vec::new(),
            deadline: Duration::from_secs(30),
            user_agent: concat!("dockercoins-resolver/", env!("CARGO_PKG_VERSION")).to_owned(),
            roots: Roots::System,
        }
    }
}

/// Options that no resolver can be made of.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The user agent has characters that no header may have.
    #[error("the user agent {0:?} cannot stand in a header: write printable ASCII")]
    UserAgent(String),
    /// The certificate authorities can't be read.
    #[error("the certificate authorities cannot be used")]
    Roots(#[source] RootsError),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The image; `latest` where it has neither tag nor digest. One with a digest is asked for by
    /// it, and the answer is that the registry has it.
    pub reference: &'a Reference,
    /// Where it is asked; where [`Endpoint::of`] says, if `None`.
    pub endpoint: Option<&'a Endpoint>,
    /// The logins that may be used. They are matched against the address that is asked.
    pub keyring: &'a Keyring,
}

impl<'a> Request<'a> {
    /// Where it is asked. `None` where the image's host has a port that cannot be.
    pub fn asked_at(&self) -> Option<Endpoint> {
        self.endpoint
            .cloned()
            .or_else(|| Endpoint::of(self.reference))
    }

    /// The logins that are tried there, in order; with none, it is asked without one.
    pub fn logins(&self) -> Vec<&'a Credential> {
        match self.asked_at() {
            Some(endpoint) => self
                .keyring
                .lookup(&endpoint.login_target(self.reference.repository())),
            None => Vec::new(),
        }
    }
}

/// What a registry answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What was asked for, with its tag.
    pub reference: Reference,
    /// The digest of what the tag stands for: of the index, where it is one.
    pub digest: Digest,
    /// The media type of what the digest is of.
    pub media_type: String,
    /// The login that was used; `None` where the registry asked for none, or none matched.
    pub credential: Option<CredentialUsed>,
    /// Where it was asked.
    pub endpoint: Endpoint,
}

/// Which login was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialUsed {
    /// Where it comes from: the name of the Secret.
    pub source: String,
    /// The key it stands under there.
    pub key: String,
    /// The name it logs in with.
    pub username: String,
}

/// Resolves references. Cheap to clone; clones share connections and tokens.
///
/// Dropping the future of a resolution ends it at once and leaves nothing half done.
#[derive(Clone)]
pub struct Resolver {
    pub(crate) exchange: Exchange,
    pub(crate) authorizations: Arc<Authorizations>,
    deadline: Duration,
}

impl Resolver {
    /// A resolver with these options.
    ///
    /// # Errors
    /// An [`OptionsError`] where the user agent or the certificate authorities can't be used.
    pub fn new(options: Options) -> Result<Resolver, OptionsError> {
        let Options {
            allow,
            deadline,
            user_agent,
            roots,
        } = options;
        let tls = trust::client_config(roots).map_err(OptionsError::Roots)?;
        let user_agent =
            HeaderValue::try_from(&user_agent).map_err(|_| OptionsError::UserAgent(user_agent))?;
        let exchange = Exchange::new(tls, &allow, user_agent);
        Ok(Resolver {
            exchange,
            authorizations: Arc::default(),
            deadline,
        })
    }

    /// Asks the registry for the digest of a reference, and gives up when [`Options::deadline`]
    /// has passed. Nothing is retried: the caller knows better when to come back.
    ///
    /// # Errors
    /// A [`ResolveError`]: the most telling one where several logins were tried.
    pub async fn resolve(&self, request: &Request<'_>) -> Result<Resolved, ResolveError> {
        let (reference, endpoint, credential, got) = self.ask(request, Wanted::Digest).await?;
        let Got::Digest(Manifest { digest, media_type }) = got else {
            unreachable!("a digest was wanted");
        };
        Ok(Resolved {
            reference,
            digest,
            media_type,
            credential,
            endpoint,
        })
    }

    /// Asks the registry for which platforms there is an image under a reference with a digest, such as
    /// `linux/amd64`; none where the registry doesn't say. It costs one or two `GET`s, which registries that count
    /// pulls count as one.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub async fn platforms(&self, request: &Request<'_>) -> Result<Vec<String>, ResolveError> {
        match self.ask(request, Wanted::Platforms).await?.3 {
            Got::Platforms(platforms) => Ok(platforms),
            Got::Digest(_) => unreachable!("platforms were wanted"),
        }
    }

    async fn ask(
        &self,
        request: &Request<'_>,
        wanted: Wanted,
    ) -> Result<(Reference, Endpoint, Option<CredentialUsed>, Got), ResolveError> {
        let reference = request.reference.clone().or_latest();
        let Some(endpoint) = request.asked_at() else {
            let failure = Failure::InvalidReference {
                host: reference.host().to_owned(),
            };
            return Err(ResolveError {
                image: reference,
                endpoint: None,
                tried: Vec::new(),
                failure,
                rests: None,
            });
        };
        let logins = request.logins();
        let mut attempt = Attempt {
            resolver: self,
            reference: &reference,
            endpoint: &endpoint,
            credential: logins.first().copied(),
            deadline: Deadline::after(self.deadline),
            sent: None,
        };
        let mut outcome = attempt.get(wanted).await;
        let mut tried = 1;
        for login in logins.iter().copied().skip(1) {
            let Err(failure) = &outcome else { break };
            let Some(told) = weight(failure) else { break };
            (attempt.credential, attempt.sent, tried) = (Some(login), None, tried + 1);
            outcome = match attempt.get(wanted).await {
                Err(failure) if weight(&failure).is_some_and(|weight| weight <= told) => outcome,
                better_or_final => better_or_final,
            };
        }
        let credential = attempt
            .credential
            .filter(|_| attempt.sent.is_some())
            .map(CredentialUsed::of);
        match outcome {
            Ok(got) => Ok((reference, endpoint, credential, got)),
            Err(failure) => {
                let tried = logins
                    .iter()
                    .take(tried)
                    .map(|login| login.source().to_owned())
                    .collect();
                Err(ResolveError {
                    image: reference,
                    endpoint: Some(endpoint),
                    tried,
                    failure,
                    rests: None,
                })
            }
        }
    }
}

/// How much a failure says that another login may not meet; `None` where none would help.
fn weight(failure: &Failure) -> Option<u8> {
    match failure {
        Failure::AuthenticationFailed { .. } => Some(0),
        Failure::NotFoundOrNoAccess { .. } => Some(1),
        Failure::RateLimited { .. } => Some(2),
        _ => None,
    }
}

impl CredentialUsed {
    fn of(credential: &Credential) -> CredentialUsed {
        CredentialUsed {
            source: credential.source().to_owned(),
            key: credential.key().to_owned(),
            username: credential.username().to_owned(),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Resolver")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
