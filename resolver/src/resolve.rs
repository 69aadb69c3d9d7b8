//! Reference in, digest out.
//!
//! The hosts that an administrator's configuration names for a registry are asked in turn, the
//! registry itself last, until one gives the digest, as containerd does. It goes on also after an
//! answer that can't be believed, where containerd would end.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use ipnet::IpNet;
use tokio::time::Instant;

use crate::address::Networks;
use crate::attempt::{Got, Wanted};
use crate::clients::Clients;
use crate::endpoint::Endpoint;
use crate::error::{Asked, Failure, ResolveError};
use crate::exchange::Deadline;
use crate::hosts::API_PATH;
use crate::keyring::{Credential, CredentialUsed, Keyring};
use crate::login::Authorizations;
use crate::names::{Digest, Reference};
use crate::observer::{Asking, Observer};
use crate::outcome::{Manifest, Remaining};
use crate::plugins::{PluginFailure, Plugins};
use crate::proxy::{Proxies, ProxyError};
use crate::registry_config::{Configured, RegistryConfig};
use crate::target::Target;
use crate::trust::{Roots, RootsError, Tls, Trust};
use crate::visit::{Told, Visit};

/// How a [`Resolver`] behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Networks to which connections are allowed although [`crate::address`] would refuse them.
    pub allow: Vec<IpNet>,
    /// Networks to which no connections are made, also where `allow` has them.
    pub deny: Vec<IpNet>,
    /// The time that all exchanges for one image have together: every login, redirect and token.
    pub deadline: Duration,
    /// What the resolver calls itself to registries.
    pub user_agent: String,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// The folder with registries' hosts, in the form of containerd's `certs.d`: see
    /// [`crate::hosts`]. Edits are seen without a restart.
    pub registry_config: Option<PathBuf>,
    /// The proxies to go through; those of the environment, if `None`.
    pub proxies: Option<Proxies>,
    /// Plugins that give logins for registries, as the kubelet asks them; after those of the keyring.
    pub plugins: Option<Plugins>,
    /// Who is told what came of each question.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Options {
    /// No networks of its own, 30 seconds, `dockercoins-resolver/VERSION`, the system's authorities,
    /// no configuration of registries, the environment's proxies, no plugins, no observer.
    fn default() -> Options {
        Options {
            allow: Vec::new(),
            deny: Vec::new(),
            deadline: Duration::from_secs(30),
            user_agent: concat!("dockercoins-resolver/", env!("CARGO_PKG_VERSION")).to_owned(),
            roots: Roots::System,
            registry_config: None,
            proxies: None,
            plugins: None,
            observer: None,
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
    /// The folder with registries' hosts can't be listed.
    #[error("the folder {} with registries' hosts cannot be listed", .0.display())]
    RegistryConfig(PathBuf, #[source] std::io::Error),
    /// The environment names a proxy by what is no address.
    #[error("the environment's proxies cannot be used")]
    Proxies(#[source] ProxyError),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The image; `latest` where it has neither tag nor digest. One with a digest is asked for by
    /// it, and the answer is that the registry has it.
    pub reference: &'a Reference,
    /// Where it is asked, and nowhere else. If `None`, it is asked at the hosts that
    /// [`Options::registry_config`] names for its registry, or else where [`Endpoint::of`] says.
    pub endpoint: Option<&'a Endpoint>,
    /// The logins that may be used. They are matched against the address that is asked.
    pub keyring: &'a Keyring,
    /// Authorities in PEM that are trusted beside the common ones, for `endpoint` or the registry
    /// itself. They are not for mirrors: whom those are trusted by is the administrator's to say.
    pub certificate_authority: Option<&'a [u8]>,
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
    /// How many pulls are left there for this login, where the registry says so.
    pub remaining: Option<Remaining>,
    /// The credential provider plugins that could not say which logins there are.
    pub plugins: Vec<PluginFailure>,
}

/// What a host gave, and how it was come by.
struct Given {
    reference: Reference,
    endpoint: Endpoint,
    credential: Option<CredentialUsed>,
    plugins: Vec<PluginFailure>,
    got: Got,
}

/// Resolves references. Cheap to clone; clones share connections and tokens.
///
/// Dropping the future of a resolution ends it at once and leaves nothing half done.
#[derive(Clone)]
pub struct Resolver {
    clients: Arc<Clients>,
    authorizations: Arc<Authorizations>,
    registry_config: Option<Arc<RegistryConfig>>,
    plugins: Option<Plugins>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    deadline: Duration,
}

impl<'a> Request<'a> {
    /// The registry itself: where it is asked, unless an administrator's configuration names others. `None` where
    /// the image's host has a port that cannot be.
    pub fn registry(&self) -> Option<Endpoint> {
        self.endpoint
            .cloned()
            .or_else(|| Endpoint::of(self.reference))
    }

    /// The logins that are tried there, in order, those of plugins aside; with none, it is asked without one.
    pub fn logins(&self) -> Vec<&'a Credential> {
        match self.registry() {
            Some(endpoint) => self
                .keyring
                .lookup(&endpoint.login_target(self.reference.repository())),
            None => Vec::new(),
        }
    }
}

impl Resolver {
    /// A resolver with these options.
    ///
    /// # Errors
    /// An [`OptionsError`] that says which of them can't be used.
    pub fn new(options: Options) -> Result<Resolver, OptionsError> {
        let Options {
            allow,
            deny,
            deadline,
            user_agent,
            roots,
            registry_config,
            proxies,
            plugins,
            observer,
        } = options;
        let tls = Tls::new(roots).map_err(OptionsError::Roots)?;
        let user_agent =
            HeaderValue::try_from(&user_agent).map_err(|_| OptionsError::UserAgent(user_agent))?;
        let proxies = match proxies {
            Some(proxies) => proxies,
            None => Proxies::from_env().map_err(OptionsError::Proxies)?,
        };
        let registry_config = match registry_config {
            Some(path) => match RegistryConfig::open(&path) {
                Ok(config) => Some(Arc::new(config)),
                Err(error) => return Err(OptionsError::RegistryConfig(path, error)),
            },
            None => None,
        };
        Ok(Resolver {
            clients: Arc::new(Clients::new(
                tls,
                Networks { allow, deny },
                proxies,
                user_agent,
            )),
            authorizations: Arc::default(),
            registry_config,
            plugins,
            observer,
            deadline,
        })
    }

    /// Asks the registry, or the hosts that are asked for it, for the digest of a reference, and
    /// gives up when [`Options::deadline`] has passed. Nothing is retried: the caller knows better
    /// when to come back. While others are left to ask, one host may take half of the time.
    ///
    /// # Errors
    /// A [`ResolveError`]: the most telling one where several logins or hosts were tried.
    pub async fn resolve(&self, request: &Request<'_>) -> Result<Resolved, ResolveError> {
        let Given {
            reference,
            endpoint,
            credential,
            plugins,
            got,
        } = self.ask(request, Wanted::Digest).await?;
        let Got::Digest(Manifest {
            digest,
            media_type,
            remaining,
        }) = got
        else {
            unreachable!("a digest was wanted");
        };
        Ok(Resolved {
            reference,
            digest,
            media_type,
            credential,
            endpoint,
            remaining,
            plugins,
        })
    }

    /// Asks for which platforms there is an image under a reference with a digest, such as `linux/amd64`; none
    /// where the registry doesn't say. It costs one or two `GET`s, which registries that count pulls count as one.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub async fn platforms(&self, request: &Request<'_>) -> Result<Vec<String>, ResolveError> {
        match self.ask(request, Wanted::Platforms).await?.got {
            Got::Platforms(platforms) => Ok(platforms),
            Got::Digest(_) => unreachable!("platforms were wanted"),
        }
    }

    async fn ask(&self, request: &Request<'_>, wanted: Wanted) -> Result<Given, ResolveError> {
        let reference = request.reference.clone().or_latest();
        let targets = match self.targets(request, &reference).await {
            Ok(targets) => targets,
            Err(failure) => {
                let endpoint = request.endpoint.cloned();
                return Err(ResolveError::new(reference, endpoint, failure));
            }
        };
        let (provided, failed) = self.provided(request, &reference).await;
        // What plugins take is not taken from the registry.
        let deadline = Deadline::after(self.deadline);
        let mut refusals = Vec::new();
        let mut left = targets.len();
        for target in targets {
            left -= 1;
            let visit = Visit {
                authorizations: &self.authorizations,
                reference: &reference,
                keyring: request.keyring,
                provided: &provided,
                wanted,
                deadline: match left {
                    0 => deadline,
                    _ => deadline.half(),
                },
            };
            let began = Instant::now();
            let told = visit.pay(target).await;
            self.observe(&told, began);
            let Told {
                target,
                outcome,
                credential,
                tried,
            } = told;
            let endpoint = target.endpoint;
            match outcome {
                Ok(got) => {
                    return Ok(Given {
                        reference,
                        endpoint,
                        credential,
                        plugins: failed,
                        got,
                    });
                }
                Err(failure) => refusals.push((Asked { endpoint, failure }, tried)),
            }
        }
        Err(ResolveError {
            plugins: failed,
            ..most_telling(reference, refusals)
        })
    }

    fn observe(&self, told: &Told, began: Instant) {
        let Some(observer) = &self.observer else {
            return;
        };
        let remaining = match &told.outcome {
            Ok(Got::Digest(manifest)) => manifest.remaining,
            _ => None,
        };
        observer.asked(&Asking {
            host: &told.target.endpoint,
            failure: told.outcome.as_ref().err(),
            took: began.elapsed(),
            remaining,
        });
    }

    /// The logins that plugins have for the registry, and those of them that failed. They are the administrator's,
    /// so that they are neither for an endpoint that whoever asks has chosen, nor shown to a server that only their
    /// authority vouches for.
    async fn provided(
        &self,
        request: &Request<'_>,
        reference: &Reference,
    ) -> (Vec<Credential>, Vec<PluginFailure>) {
        let is_own = request.endpoint.is_none() && request.certificate_authority.is_none();
        match (&self.plugins, Endpoint::of(reference)) {
            (Some(plugins), Some(own)) if is_own => {
                let image = own.login_target(reference.repository());
                let asked = tokio::time::timeout(self.deadline, plugins.lookup(&image)).await;
                asked.unwrap_or_else(|_| {
                    let plugin = "that was asked last".to_owned();
                    let seconds = self.deadline.as_secs();
                    let what = format!("it gave no answer within {seconds} s");
                    (
                        Vec::new(),
                        vec![PluginFailure {
                            plugin,
                            image,
                            what,
                        }],
                    )
                })
            }
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// The hosts to ask, in order; there is at least one.
    async fn targets(
        &self,
        request: &Request<'_>,
        reference: &Reference,
    ) -> Result<Vec<Target>, Failure> {
        let mut given = Trust::default();
        if let Some(text) = request.certificate_authority {
            given.add_authorities(text).map_err(|problem| {
                Failure::CertificateAuthorityInvalid {
                    detail: problem.to_owned(),
                }
            })?;
        }
        let endpoint = request
            .registry()
            .ok_or_else(|| Failure::InvalidReference {
                host: reference.host().to_owned(),
            })?;
        let configured = match request.endpoint {
            None => self.configured(reference.host(), &endpoint).await?,
            Some(_) => None,
        };
        let Some(configured) = configured else {
            return Ok(vec![Target {
                endpoint,
                or_http: false,
                path: API_PATH.to_owned(),
                mirrors: None,
                headers: Vec::new(),
                exchange: self.clients.under(&given, None),
                mark: given.as_mark(),
            }]);
        };
        let by_digest = reference.digest().is_some();
        let targets: Vec<_> = configured
            .iter()
            .filter(|configured| configured.host.capabilities.serve(by_digest))
            .map(|configured| self.target(configured, reference.host(), request))
            .collect();
        if targets.is_empty() {
            let what = match by_digest {
                true => "\"pull\"",
                false => "\"pull\" and \"resolve\"",
            };
            let detail = format!(
                "none of the hosts that are configured for {} has the capabilities: give one of them {what}",
                reference.host()
            );
            return Err(Failure::RegistryConfigInvalid { detail });
        }
        Ok(targets)
    }

    async fn configured(
        &self,
        registry: &str,
        own: &Endpoint,
    ) -> Result<Option<Arc<[Configured]>>, Failure> {
        let Some(config) = self.registry_config.clone() else {
            return Ok(None);
        };
        let (registry, own) = (registry.to_owned(), own.clone());
        let reading = tokio::task::spawn_blocking(move || config.hosts(&registry, &own));
        let found = reading.await.unwrap_or_else(|error| Err(error.to_string()));
        found.map_err(|detail| Failure::RegistryConfigInvalid { detail })
    }

    fn target(&self, configured: &Configured, registry: &str, request: &Request<'_>) -> Target {
        let Configured { host, trust } = configured;
        let is_own = host.endpoint.is_own_of(registry);
        let mut trust = trust.clone();
        if is_own && let Some(text) = request.certificate_authority {
            // It was looked at before: what is in it is usable.
            trust.add_authorities(text).ok();
        }
        Target {
            endpoint: host.endpoint.clone(),
            or_http: host.or_http,
            path: host.path.clone(),
            mirrors: (!is_own).then(|| registry.to_owned()),
            headers: host.settings.headers.clone(),
            exchange: self.clients.under(&trust, host.settings.dial_timeout),
            mark: trust.as_mark(),
        }
    }
}

/// The error of hosts that were all asked in vain: the first of those that say most.
fn most_telling(image: Reference, mut refusals: Vec<(Asked, Vec<String>)>) -> ResolveError {
    let most = refusals
        .iter()
        .map(|(asked, _)| weight(&asked.failure))
        .max();
    let place = refusals
        .iter()
        .position(|(asked, _)| Some(weight(&asked.failure)) == most)
        .unwrap_or_default();
    let (Asked { endpoint, failure }, tried) = refusals.remove(place);
    ResolveError {
        tried,
        also_asked: refusals.into_iter().map(|(asked, _)| asked).collect(),
        ..ResolveError::new(image, Some(endpoint), failure)
    }
}

/// How far asking a host came, as containerd weighs it: no answer to the question says least,
/// that there is no such image says more, and any other answer most.
fn weight(failure: &Failure) -> u8 {
    match failure {
        Failure::NotFoundOrNoAccess { status: 404, .. } => 1,
        Failure::NotFoundOrNoAccess { .. }
        | Failure::RateLimited { .. }
        | Failure::RegistryError { .. }
        | Failure::InvalidAnswer { .. } => 2,
        _ => 0,
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Resolver")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
