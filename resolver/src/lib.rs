//! Resolves container image tags to digests: named as Docker names them, logged in as the kubelet
//! logs in, and connected only to where a registry may be.
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
//! # The rooms
//! Pure ones decide, and know neither network nor clock:
//! - [`names`]: references, prefixes and digests;
//! - [`keyring`]: logins, and which of them are for an address;
//! - [`endpoint`]: where a registry is asked;
//! - [`hosts`]: which hosts are asked for it instead and before, by containerd's configuration;
//! - [`proxy`]: which requests go through a proxy;
//! - [`address`]: which addresses may be connected to;
//! - [`challenge`]: how a registry asks for a login;
//! - `outcome`, `said`, `platforms`: what an answer means, and what it says;
//! - `duration`: durations as Go writes them;
//! - `observer`: what those are told who count.
//!
//! The others act:
//! - `registry_config`: the folder that an administrator keeps of registries' hosts;
//! - `trust`, `connect`, `exchange`: TLS, a checked connection, one bounded request and answer;
//! - `clients`, `target`: who speaks to a host under which trust, and what belongs to asking it;
//! - `login`: a login or a token for it;
//! - [`plugins`]: logins from the kubelet's credential provider plugins;
//! - `attempt`, `visit`, [`resolve`]: the story, with one login, with one host, and with all;
//! - [`shared`]: one question for many askers, and registries left alone where they fail.

pub mod address;
mod attempt;
pub mod challenge;
mod clients;
mod connect;
mod duration;
pub mod endpoint;
pub mod error;
mod exchange;
pub mod hosts;
pub mod keyring;
mod login;
pub mod names;
mod observer;
mod outcome;
mod platforms;
pub mod plugins;
pub mod proxy;
mod registry_config;
pub mod resolve;
mod said;
pub mod shared;
mod target;
mod trust;
mod visit;

pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::{Asked, ConnectFailure, Failure, ResolveError};
pub use ipnet::IpNet;
pub use keyring::{Credential, CredentialUsed, Format, Keyring, KeyringError, Proof, Skipped};
pub use names::{DOCKER_HUB, Digest, NameError, Prefix, Reference};
pub use observer::{Asking, Observer};
pub use outcome::Remaining;
pub use plugins::{PluginFailure, Plugins, PluginsError};
pub use proxy::{Proxies, ProxyError};
pub use resolve::{Options, OptionsError, Request, Resolved, Resolver};
pub use shared::Shared;
pub use trust::{Roots, RootsError};
