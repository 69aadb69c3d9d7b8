//! Resolves a reference to a digest.
//!
//! The hosts that `hosts.toml` names for a registry are queried in turn, the registry last, as
//! containerd does. Unlike containerd, an invalid response does not end the search.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use ipnet::IpNet;
use tokio::time::Instant;

use crate::address::Networks;
use crate::attempt::{Content, Query};
use crate::authorizer::AuthorizationCache;
use crate::client_pool::ClientPool;
use crate::endpoint::Endpoint;
use crate::error::{Failure, HostFailure, ResolveError};
use crate::host_query::{HostQuery, HostResult};
use crate::hosts::API_PATH;
use crate::http::Deadline;
use crate::keyring::{Credential, CredentialUsed, Keyring};
use crate::names::{Digest, Reference};
use crate::observer::{HostReport, Observer};
use crate::plugins::{PluginFailure, Plugins};
use crate::proxy::{Proxies, ProxyError};
use crate::registry_config::{ConfiguredHost, RegistryConfig};
use crate::response::{Manifest, RateLimit};
use crate::target::Target;
use crate::trust::{Roots, RootsError, Tls, Trust};

/// The options of a [`Resolver`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Networks to which connections are allowed although [`crate::address`] rejects them.
    pub allow: Vec<IpNet>,
    /// Networks to which connections are denied; they take precedence over `allow`.
    pub deny: Vec<IpNet>,
    /// The deadline for all requests of one resolution, with redirects and tokens.
    pub deadline: Duration,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The trusted certificate authorities.
    pub roots: Roots,
    /// The folder of registry hosts in the format of containerd's `certs.d`: see [`crate::hosts`].
    /// Changes need no restart.
    pub registry_config: Option<PathBuf>,
    /// The proxies; `None` reads the environment.
    pub proxies: Option<Proxies>,
    /// Credential provider plugins, tried after the keyring.
    pub plugins: Option<Plugins>,
    /// Receives the result of every query.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Options {
    /// No networks, 30 seconds, `dockercoins-resolver/VERSION`, the system's certificate
    /// authorities, no registry configuration, the environment's proxies, no plugins, no observer.
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

/// Why options are invalid.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The user agent is not a valid header value.
    #[error("invalid user agent {0:?}: write printable ASCII")]
    UserAgent(String),
    /// The certificate authorities cannot be read.
    #[error("the certificate authorities cannot be used")]
    Roots(#[source] RootsError),
    /// The folder of registry hosts cannot be listed.
    #[error("the folder {} of registry hosts cannot be listed", .0.display())]
    RegistryConfig(PathBuf, #[source] std::io::Error),
    /// The environment has an invalid proxy address.
    #[error("invalid proxy in the environment")]
    Proxies(#[source] ProxyError),
}

/// A request to resolve an image.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The image; `latest` if it has neither tag nor digest. One with a digest is checked to exist.
    pub reference: &'a Reference,
    /// The only endpoint to query. `None` uses the hosts that [`Options::registry_config`] names,
    /// or else [`Endpoint::of`].
    pub endpoint: Option<&'a Endpoint>,
    /// The available credentials, matched against the queried address.
    pub keyring: &'a Keyring,
    /// Additional certificate authorities in PEM, for `endpoint` or the registry itself. Mirrors do
    /// not use them: their trust is the administrator's decision.
    pub certificate_authority: Option<&'a [u8]>,
}

/// A resolved image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The requested image, with its tag.
    pub reference: Reference,
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// The media type of the manifest or index.
    pub media_type: String,
    /// The credential that was sent; `None` for an anonymous request.
    pub credential: Option<CredentialUsed>,
    /// The endpoint that answered.
    pub endpoint: Endpoint,
    /// The rate limit of this credential, if the registry reports one.
    pub remaining: Option<RateLimit>,
    /// The credential provider plugins that failed.
    pub plugins: Vec<PluginFailure>,
}

/// The content of the host that answered, with its context.
struct Resolution {
    reference: Reference,
    endpoint: Endpoint,
    credential: Option<CredentialUsed>,
    plugins: Vec<PluginFailure>,
    content: Content,
}

/// Resolves references. Cheap to clone; clones share connections and tokens.
///
/// Dropping the future of a resolution cancels it.
#[derive(Clone)]
pub struct Resolver {
    clients: Arc<ClientPool>,
    authorizations: Arc<AuthorizationCache>,
    registry_config: Option<Arc<RegistryConfig>>,
    plugins: Option<Plugins>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    deadline: Duration,
}

impl<'a> Request<'a> {
    /// The registry's own endpoint, before any configuration of hosts. `None` if the reference's
    /// host has an invalid port.
    pub fn registry(&self) -> Option<Endpoint> {
        self.endpoint
            .cloned()
            .or_else(|| Endpoint::of(self.reference))
    }

    /// The credentials for it in the order of attempts, without those of plugins.
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
    /// Creates a resolver.
    ///
    /// # Errors
    /// An [`OptionsError`] that names the invalid option.
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
            clients: Arc::new(ClientPool::new(
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

    /// Resolves a reference within [`Options::deadline`], without retries. Each host but the last
    /// may use half of the remaining time.
    ///
    /// # Errors
    /// A [`ResolveError`]: the most specific one if several credentials or hosts were tried.
    pub async fn resolve(&self, request: &Request<'_>) -> Result<Resolved, ResolveError> {
        let Resolution {
            reference,
            endpoint,
            credential,
            plugins,
            content,
        } = self.run(request, Query::Digest).await?;
        let Content::Digest(Manifest {
            digest,
            media_type,
            remaining,
        }) = content
        else {
            unreachable!("the query was for a digest");
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

    /// Reads the platforms of an image, such as `linux/amd64`, by its digest; empty if the registry
    /// does not name them. Costs one or two `GET`s, which count as one pull.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub async fn platforms(&self, request: &Request<'_>) -> Result<Vec<String>, ResolveError> {
        match self.run(request, Query::Platforms).await?.content {
            Content::Platforms(platforms) => Ok(platforms),
            Content::Digest(_) => unreachable!("the query was for platforms"),
        }
    }

    async fn run(&self, request: &Request<'_>, query: Query) -> Result<Resolution, ResolveError> {
        let reference = request.reference.clone().or_latest();
        let targets = match self.targets(request, &reference).await {
            Ok(targets) => targets,
            Err(failure) => {
                let endpoint = request.endpoint.cloned();
                return Err(ResolveError::new(reference, endpoint, failure));
            }
        };
        let (plugin_credentials, plugin_failures) =
            self.plugin_credentials(request, &reference).await;
        // The time of plugins does not count.
        let deadline = Deadline::after(self.deadline);
        let mut failures = Vec::new();
        let mut remaining_hosts = targets.len();
        for target in targets {
            remaining_hosts -= 1;
            let query = HostQuery {
                authorizations: &self.authorizations,
                reference: &reference,
                keyring: request.keyring,
                plugin_credentials: &plugin_credentials,
                query,
                deadline: match remaining_hosts {
                    0 => deadline,
                    _ => deadline.half(),
                },
            };
            let began = Instant::now();
            let result = query.run(target).await;
            self.observe(&result, began);
            let HostResult {
                target,
                content,
                credential,
                tried,
            } = result;
            let endpoint = target.endpoint;
            match content {
                Ok(content) => {
                    return Ok(Resolution {
                        reference,
                        endpoint,
                        credential,
                        plugins: plugin_failures,
                        content,
                    });
                }
                Err(failure) => failures.push((HostFailure { endpoint, failure }, tried)),
            }
        }
        Err(ResolveError {
            plugins: plugin_failures,
            ..most_specific(reference, failures)
        })
    }

    fn observe(&self, result: &HostResult, began: Instant) {
        let Some(observer) = &self.observer else {
            return;
        };
        let remaining = match &result.content {
            Ok(Content::Digest(manifest)) => manifest.remaining,
            _ => None,
        };
        observer.host_queried(&HostReport {
            host: &result.target.endpoint,
            failure: result.content.as_ref().err(),
            took: began.elapsed(),
            remaining,
        });
    }

    /// The credentials of plugins for the registry, and the failed plugins. They are the
    /// administrator's: neither a user's endpoint nor a user's certificate authority may receive
    /// them.
    async fn plugin_credentials(
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
                    let problem = format!("it gave no answer within {seconds} s");
                    (
                        Vec::new(),
                        vec![PluginFailure {
                            plugin,
                            image,
                            problem,
                        }],
                    )
                })
            }
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// The hosts to query, in order; at least one.
    async fn targets(
        &self,
        request: &Request<'_>,
        reference: &Reference,
    ) -> Result<Vec<Target>, Failure> {
        let mut extra_trust = Trust::default();
        if let Some(text) = request.certificate_authority {
            extra_trust.add_authorities(text).map_err(|problem| {
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
                http_fallback: false,
                path: API_PATH.to_owned(),
                mirror_of: None,
                headers: Vec::new(),
                client: self.clients.get(&extra_trust, None),
                trust_id: extra_trust.id(),
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
                "no host configured for {} has the capabilities {what}: add them to one",
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
    ) -> Result<Option<Arc<[ConfiguredHost]>>, Failure> {
        let Some(config) = self.registry_config.clone() else {
            return Ok(None);
        };
        let (registry, own) = (registry.to_owned(), own.clone());
        let reading = tokio::task::spawn_blocking(move || config.hosts(&registry, &own));
        let found = reading.await.unwrap_or_else(|error| Err(error.to_string()));
        found.map_err(|detail| Failure::RegistryConfigInvalid { detail })
    }

    fn target(&self, configured: &ConfiguredHost, registry: &str, request: &Request<'_>) -> Target {
        let ConfiguredHost { host, trust } = configured;
        let is_own = host.endpoint.is_registry_of(registry);
        let mut trust = trust.clone();
        if is_own && let Some(text) = request.certificate_authority {
            // `targets` has already validated it.
            trust.add_authorities(text).ok();
        }
        Target {
            endpoint: host.endpoint.clone(),
            http_fallback: host.http_fallback,
            path: host.path.clone(),
            mirror_of: (!is_own).then(|| registry.to_owned()),
            headers: host.settings.headers.clone(),
            client: self.clients.get(&trust, host.settings.dial_timeout),
            trust_id: trust.id(),
        }
    }
}

/// The error of hosts that all failed: the first of the most specific ones.
fn most_specific(image: Reference, mut failures: Vec<(HostFailure, Vec<String>)>) -> ResolveError {
    let most = failures.iter().map(|(asked, _)| rank(&asked.failure)).max();
    let place = failures
        .iter()
        .position(|(asked, _)| Some(rank(&asked.failure)) == most)
        .unwrap_or_default();
    let (HostFailure { endpoint, failure }, tried) = failures.remove(place);
    ResolveError {
        tried,
        also_asked: failures.into_iter().map(|(asked, _)| asked).collect(),
        ..ResolveError::new(image, Some(endpoint), failure)
    }
}

/// How specific a failure is, as in containerd: no response, then not found, then any other
/// response.
fn rank(failure: &Failure) -> u8 {
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
