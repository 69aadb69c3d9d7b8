//! Resolves container image tags to digests, with Docker's names, the kubelet's credentials, and
//! connections to allowed addresses only.
//!
//! ```no_run
//! use resolver::{Format, Keyring, Options, Reference, Request, Resolver};
//!
//! # async fn example(secret: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let resolver = Resolver::new(Options::default())?;
//! let reference = Reference::parse("redis:7")?;
//! let mut keyring = Keyring::new();
//! keyring.add("regcred", secret, Format::DockerConfigJson)?;
//! let request = Request {
//!     reference: &reference,
//!     endpoint: None,
//!     keyring: &keyring,
//!     certificate_authority: None,
//! };
//! let resolved = resolver.resolve(&request).await?;
//! println!("{}", reference.with_digest(&resolved.digest));
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//! Without I/O:
//! - [`names`]: references, prefixes and digests;
//! - [`keyring`]: credentials, and the match with an address;
//! - [`endpoint`]: the address of a registry;
//! - [`hosts`]: the mirrors of a registry, from containerd's `hosts.toml`;
//! - [`proxy`]: which requests use a proxy;
//! - [`address`]: which IP addresses may be connected to;
//! - [`challenge`]: the `WWW-Authenticate` header;
//! - `response`, `server_message`, `platforms`: the meaning of a response;
//! - `lock`: locking of mutexes;
//! - `duration`: durations in Go's syntax;
//! - [`Observer`]: callbacks for metrics.
//!
//! With I/O:
//! - `registry_config`: the `certs.d` folder;
//! - `trust`, `connect`, `http`, `client_pool`: TLS, checked connections, bounded requests;
//! - `authorizer`: tokens and the `Authorization` header;
//! - [`plugins`]: the kubelet's credential provider plugins;
//! - `attempt`, `host_query`, [`resolve`]: a query with one credential, of one host, of all hosts;
//! - [`shared`]: deduplication of requests, and a circuit breaker per registry.
//!
//! No module imports another that imports it: `tests/rooms.rs`.

pub mod address;
mod attempt;
mod authorizer;
pub mod challenge;
mod client_pool;
mod connect;
mod duration;
pub mod endpoint;
pub mod error;
mod host_query;
pub mod hosts;
mod http;
pub mod keyring;
mod lock;
pub mod names;
mod observer;
mod platforms;
pub mod plugins;
pub mod proxy;
mod registry_config;
pub mod resolve;
mod response;
mod server_message;
pub mod shared;
mod target;
mod trust;

pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::{ConnectFailure, Failure, HostFailure, ResolveError};
pub use ipnet::IpNet;
pub use keyring::{Credential, CredentialUsed, Format, Keyring, KeyringError, Proof, Skipped};
pub use names::{DOCKER_HUB, Digest, NameError, Prefix, Reference};
pub use observer::{HostReport, Observer};
pub use plugins::{PluginFailure, Plugins, PluginsError};
pub use proxy::{Proxies, ProxyError};
pub use resolve::{Options, OptionsError, Request, Resolved, Resolver};
pub use response::RateLimit;
pub use shared::Shared;
pub use trust::{Roots, RootsError};
