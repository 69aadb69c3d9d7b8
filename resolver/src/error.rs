//! Errors of a resolution, with texts that name the fix.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::Forbidden;
use crate::endpoint::Endpoint;
use crate::names::Reference;
use crate::plugins::PluginFailure;

/// The error of a resolution: the image, the endpoint and the failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    /// The requested image.
    pub image: Reference,
    /// The endpoint that was queried; `None` if the reference has no valid one.
    pub endpoint: Option<Endpoint>,
    /// The sources of the credentials that were tried, in order.
    pub tried: Vec<String>,
    /// The failure.
    pub failure: Failure,
    /// The other hosts that were queried, in order: mirrors, or the registry behind them.
    pub also_asked: Vec<HostFailure>,
    /// The credential provider plugins that failed.
    pub plugins: Vec<PluginFailure>,
    /// How long the circuit breaker still blocks requests to the registry, if it blocked this one.
    pub circuit_open_for: Option<Duration>,
}

/// A host whose query failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFailure {
    /// The host.
    pub endpoint: Endpoint,
    /// The failure.
    pub failure: Failure,
}

/// The cause of a failed resolution.
///
/// A `server_message` is bounded, on one line, without control characters and without the
/// credentials that were sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The reference's host has an invalid port.
    #[error("`{host}` has an invalid port: write one from 1 to 65535")]
    InvalidReference {
        /// The host with its port, as in the reference.
        host: String,
    },
    /// DNS has no address for the host.
    #[error(
        "the host `{host}` has no address ({detail}): check the spelling and the cluster's DNS"
    )]
    NameNotResolved {
        /// The host.
        host: String,
        /// The error of the DNS lookup.
        detail: String,
    },
    /// The connection was not established, or it broke.
    #[error("the connection to `{host}` failed: {cause}")]
    ConnectionFailed {
        /// The host and port that were dialled.
        host: String,
        /// The cause.
        cause: ConnectFailure,
    },
    /// The server's certificate was not accepted.
    #[error("the certificate of `{host}` is not trusted: {detail}")]
    CertificateNotTrusted {
        /// The host and port that were dialled.
        host: String,
        /// The certificate's fault and its fix.
        detail: String,
    },
    /// The host resolves to an address that may not be connected to.
    #[error(
        "`{host}` is at {address}, {forbidden}: connections to it are not allowed{}", network_hint(.forbidden)
    )]
    AddressNotAllowed {
        /// The host and port that were dialled.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// The kind of address, or the denied network that contains it.
        forbidden: Forbidden,
    },
    /// No credential was accepted, or none could be sent.
    #[error("{by} rejected the login{}", quoted(.server_message))]
    AuthenticationFailed {
        /// The server that rejected it.
        by: String,
        /// The server's message, or why no credential was sent.
        server_message: String,
    },
    /// The image does not exist, or the credential may not read it: registries do not distinguish.
    #[error("not found, or no access (HTTP {status}){}", quoted(.server_message))]
    NotFoundOrNoAccess {
        /// The HTTP status: 401, 403 or 404.
        status: u16,
        /// The registry's message.
        server_message: String,
    },
    /// The server's rate limit is exceeded.
    #[error("{by} is limiting the rate of requests{}{}", quoted(.server_message), retry_hint(.retry_after))]
    RateLimited {
        /// The server.
        by: String,
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
        /// The server's message.
        server_message: String,
    },
    /// The server failed, or its status is unexpected.
    #[error("{by} answered HTTP {status}{}{}", quoted(.server_message), retry_hint(.retry_after))]
    RegistryError {
        /// The server that answered.
        by: String,
        /// The HTTP status.
        status: u16,
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
        /// The server's message.
        server_message: String,
    },
    /// The response is invalid.
    #[error("the answer of {by} cannot be used: {detail}")]
    InvalidAnswer {
        /// The server that answered.
        by: String,
        /// The fault.
        detail: String,
    },
    /// The deadline passed.
    #[error("{by} did not answer in time: the deadline for all requests is {}s", .deadline.as_secs_f32())]
    Timeout {
        /// The server that did not answer.
        by: String,
        /// The deadline for all requests of one resolution.
        deadline: Duration,
    },
    /// The configuration of the registry's hosts is invalid.
    #[error("invalid configuration of this registry's hosts: {detail}")]
    RegistryConfigInvalid {
        /// The file, its fault and the fix.
        detail: String,
    },
    /// The request's certificate authorities are invalid.
    #[error("invalid certificate authority: {detail}")]
    CertificateAuthorityInvalid {
        /// The fault and the fix.
        detail: String,
    },
}

/// Why a connection was not established, or broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// No address of the host accepted a TCP connection.
    #[error("{detail} (at {address})")]
    Unreachable {
        /// The last address that was dialled.
        address: SocketAddr,
        /// The error of the system.
        detail: String,
    },
    /// The host's `dial_timeout` of `hosts.toml` passed.
    #[error("no connection within {}s", .0.as_secs_f32())]
    DialTimeout(Duration),
    /// The proxy was not reached, or did not open a tunnel.
    #[error("the proxy {proxy} opened no connection: {detail}")]
    Proxy {
        /// The proxy's address, without its login.
        proxy: String,
        /// The error of the connection or the tunnel.
        detail: String,
    },
    /// The server answered the TLS handshake with something else.
    #[error(
        "the server does not speak TLS: if plain HTTP is intended, write the endpoint `http://{authority}`"
    )]
    NotTls {
        /// The host and port as written.
        authority: String,
    },
    /// The server requires a client certificate, and rejected what it was sent.
    #[error(
        "the server requires a client certificate and accepted none ({alert}): set `client` in the registry's hosts.toml"
    )]
    ClientCertificateRequired {
        /// The name of the TLS alert.
        alert: String,
    },
    /// Another error of TLS.
    #[error("{0}")]
    Tls(String),
    /// The connection broke, or the exchange on it failed below HTTP.
    #[error("{0}")]
    Broken(String),
}

/// The part of the message that says how the address can be allowed.
fn network_hint(forbidden: &Forbidden) -> &'static str {
    match forbidden {
        Forbidden::Denied(_) => ": an administrator denied that network",
        _ => " unless an administrator allows its network",
    }
}

fn quoted(server_message: &str) -> String {
    if server_message.is_empty() {
        String::new()
    } else {
        format!(": {server_message}")
    }
}

fn retry_hint(retry_after: &Option<Duration>) -> String {
    match retry_after {
        Some(retry_hint) => format!(" (retry after {}s)", retry_hint.as_secs()),
        None => String::new(),
    }
}

impl Failure {
    /// The stable reason, for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::InvalidReference { .. } => "InvalidReference",
            Failure::NameNotResolved { .. } => "NameNotResolved",
            Failure::ConnectionFailed { .. } => "ConnectionFailed",
            Failure::CertificateNotTrusted { .. } => "CertificateNotTrusted",
            Failure::AddressNotAllowed { .. } => "AddressNotAllowed",
            Failure::AuthenticationFailed { .. } => "AuthenticationFailed",
            Failure::NotFoundOrNoAccess { .. } => "NotFoundOrNoAccess",
            Failure::RateLimited { .. } => "RateLimited",
            Failure::RegistryError { .. } => "RegistryError",
            Failure::InvalidAnswer { .. } => "InvalidAnswer",
            Failure::Timeout { .. } => "Timeout",
            Failure::RegistryConfigInvalid { .. } => "RegistryConfigInvalid",
            Failure::CertificateAuthorityInvalid { .. } => "CertificateAuthorityInvalid",
        }
    }

    /// The server's `Retry-After`, at most a day.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::RateLimited { retry_after, .. }
            | Failure::RegistryError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl ResolveError {
    /// An error with these values and nothing else.
    pub fn new(image: Reference, endpoint: Option<Endpoint>, failure: Failure) -> ResolveError {
        ResolveError {
            image,
            endpoint,
            tried: Vec::new(),
            failure,
            also_asked: Vec::new(),
            plugins: Vec::new(),
            circuit_open_for: None,
        }
    }

    fn write_credentials(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let was_refused = matches!(self.failure, Failure::AuthenticationFailed { .. });
        let check = match (was_refused, self.tried.len()) {
            (true, 0) => {
                return out.write_str("; no pull secret matches this address: add one");
            }
            (false, 0) => {
                return out.write_str(
                    "; no pull secret matches this address and the request was anonymous: check the name and the tag, or add a pull secret",
                );
            }
            (true, 1) => "the username and password there",
            (true, _) => "the usernames and passwords there",
            (false, 1) => "the name, the tag, and the permissions of that login",
            (false, _) => "the name, the tag, and the permissions of those logins",
        };
        let logins = if self.tried.len() == 1 {
            "login"
        } else {
            "logins"
        };
        let tried = self.tried.join("`, `");
        write!(out, "; tried the {logins} of `{tried}`: check {check}")
    }

    /// [`Failure::reason`], or `CredentialProviderFailed` if a failed plugin may have had the
    /// credential.
    pub fn reason(&self) -> &'static str {
        match self.failure {
            Failure::AuthenticationFailed { .. } | Failure::NotFoundOrNoAccess { .. }
                if !self.plugins.is_empty() =>
            {
                "CredentialProviderFailed"
            }
            _ => self.failure.reason(),
        }
    }

    /// How long to wait before the next attempt: the rest of an open circuit, or
    /// [`Failure::retry_after`].
    pub fn retry_after(&self) -> Option<Duration> {
        self.circuit_open_for.or_else(|| self.failure.retry_after())
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.image)?;
        if let Some(endpoint) = &self.endpoint {
            write!(out, " at {endpoint}")?;
        }
        write!(out, ": {}", self.failure)?;
        if let Some(circuit_open_for) = self.circuit_open_for {
            let seconds = circuit_open_for.as_secs() + 1;
            write!(
                out,
                "; requests to this registry are paused for another {seconds} s"
            )?;
        }
        if matches!(
            self.failure,
            Failure::AuthenticationFailed { .. } | Failure::NotFoundOrNoAccess { .. }
        ) {
            self.write_credentials(out)?;
        }
        for HostFailure { endpoint, failure } in &self.also_asked {
            write!(out, "; also tried {endpoint}: {failure}")?;
        }
        for failure in &self.plugins {
            write!(out, "; {failure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ResolveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}
