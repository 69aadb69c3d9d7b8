//! Why an image could not be resolved, in words that lead to the fix.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::Forbidden;
use crate::endpoint::Endpoint;
use crate::names::Reference;
use crate::plugins::PluginFailure;

/// An image that was not resolved: which, where it was asked, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    /// The image as it was asked for.
    pub image: Reference,
    /// Where it was asked; `None` where the name gives no address to ask.
    pub endpoint: Option<Endpoint>,
    /// The sources of the logins that were tried, in order; none where none matched.
    pub tried: Vec<String>,
    /// What happened.
    pub failure: Failure,
    /// The other hosts that were asked for it, in order: mirrors that a registry's configuration
    /// names, or the registry behind them.
    pub also_asked: Vec<Asked>,
    /// The credential provider plugins that could not say which logins there are.
    pub plugins: Vec<PluginFailure>,
    /// How long the registry is left alone yet, because this happened lately: it was not asked again.
    pub rests: Option<Duration>,
}

/// A host that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub endpoint: Endpoint,
    /// What happened.
    pub failure: Failure,
}

/// What happened when an image was asked for.
///
/// Texts of the registry's own (`said`) are bounded, on one line, without control characters, and
/// without the credentials that were sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name has a host that can't be asked.
    #[error("`{host}` has a port that cannot be: write one from 1 to 65535")]
    InvalidReference {
        /// The host with its port, as it stands in the name.
        host: String,
    },
    /// The host's name is not known.
    #[error(
        "the host `{host}` has no address ({detail}): check its spelling, and that the cluster's DNS knows it"
    )]
    NameNotResolved {
        /// The host.
        host: String,
        /// What the resolver of names said.
        detail: String,
    },
    /// No connection came about, or it broke.
    #[error("the connection to `{host}` failed: {cause}")]
    ConnectionFailed {
        /// The host and port that were dialled.
        host: String,
        /// Why.
        cause: ConnectFailure,
    },
    /// The server's certificate was not accepted.
    #[error("the certificate of `{host}` is not trusted: {detail}")]
    CertificateNotTrusted {
        /// The host and port that were dialled.
        host: String,
        /// What is wrong with the certificate, and what helps.
        detail: String,
    },
    /// The host's addresses are not ones that may be connected to.
    #[error(
        "`{host}` is at {address}, {forbidden}: no connection is made there{}", unless(.forbidden)
    )]
    AddressNotAllowed {
        /// The host and port that were asked.
        host: String,
        /// The address it has, the first where it has several.
        address: IpAddr,
        /// What kind of address that is, or which network closes it.
        forbidden: Forbidden,
    },
    /// No login was accepted, or none could be sent.
    #[error("{by} accepted no login{}", quoted(.said))]
    AuthenticationFailed {
        /// The server that refused.
        by: String,
        /// What it said, or why no login was sent.
        said: String,
    },
    /// There is no such image, or whoever asks may not see it: registries tell neither apart.
    #[error("not found, or no access (HTTP {status}){}", quoted(.said))]
    NotFoundOrNoAccess {
        /// The HTTP status: 401, 403 or 404.
        status: u16,
        /// What the registry said.
        said: String,
    },
    /// Too many requests.
    #[error("{by} allows no more requests for now{}{}", quoted(.said), wait(.retry_after))]
    RateLimited {
        /// The server that said so.
        by: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// What it said.
        said: String,
    },
    /// The server failed, or answered with a status that has no meaning here.
    #[error("{by} answered HTTP {status}{}{}", quoted(.said), wait(.retry_after))]
    RegistryError {
        /// The server that answered.
        by: String,
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// What it said.
        said: String,
    },
    /// The answer is not one that can be believed.
    #[error("the answer of {by} cannot be used: {detail}")]
    InvalidAnswer {
        /// The server that answered.
        by: String,
        /// What is wrong with it.
        detail: String,
    },
    /// It took too long.
    #[error("{by} did not answer in time: the whole exchange may take {}s", .deadline.as_secs_f32())]
    Timeout {
        /// The server that was being waited for.
        by: String,
        /// The time that all exchanges for one image have together.
        deadline: Duration,
    },
    /// What an administrator has written about a registry's hosts can't be followed.
    #[error("the hosts of this registry are not known: {detail}")]
    RegistryConfigInvalid {
        /// The file, what is wrong with it, and what to write.
        detail: String,
    },
    /// The certificates of authorities that came with the request are none.
    #[error("the certificate authority that was given cannot be used: {detail}")]
    CertificateAuthorityInvalid {
        /// What is wrong with it, and what to write.
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

/// Who keeps a connection from being made, and who may change it.
fn unless(forbidden: &Forbidden) -> &'static str {
    match forbidden {
        Forbidden::Denied(_) => ", since an administrator has denied that network to registries",
        _ => " unless an administrator allows its network for registries",
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

fn wait(retry_after: &Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!(" (it asks to wait {}s)", wait.as_secs()),
        None => String::new(),
    }
}

impl Failure {
    /// The stable word for what happened, for conditions, events and metrics.
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

    /// How long the server asks to be left alone, if it says so; at most a day.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::RateLimited { retry_after, .. }
            | Failure::RegistryError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl ResolveError {
    /// That an image was not resolved, where it was asked, and why; nothing more is known of it.
    pub fn new(image: Reference, endpoint: Option<Endpoint>, failure: Failure) -> ResolveError {
        ResolveError {
            image,
            endpoint,
            tried: Vec::new(),
            failure,
            also_asked: Vec::new(),
            plugins: Vec::new(),
            rests: None,
        }
    }

    fn tell_logins(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let was_refused = matches!(self.failure, Failure::AuthenticationFailed { .. });
        let check = match (was_refused, self.tried.len()) {
            (true, 0) => {
                return out.write_str(
                    "; no login for this address was at hand: add a pull secret for it",
                );
            }
            (false, 0) => {
                return out.write_str(
                    "; no login for this address was at hand, so it was asked without one: check the name and the tag, or add a pull secret for it",
                );
            }
            (true, 1) => "the user and the password there",
            (true, _) => "the users and the passwords there",
            (false, 1) => "the name and the tag, and what that login may read",
            (false, _) => "the name and the tag, and what those logins may read",
        };
        let logins = if self.tried.len() == 1 {
            "login"
        } else {
            "logins"
        };
        let tried = self.tried.join("`, `");
        write!(out, "; asked with the {logins} of `{tried}`: check {check}")
    }

    /// The stable word for what happened: [`Failure::reason`], or `CredentialProviderFailed` where a plugin that
    /// failed may have had the login that was missing.
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

    /// How long the server is to be left alone, because it asks for that ([`Failure::retry_after`]) or is being
    /// left alone already.
    pub fn retry_after(&self) -> Option<Duration> {
        self.rests.or_else(|| self.failure.retry_after())
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.image)?;
        if let Some(endpoint) = &self.endpoint {
            write!(out, ", asked at {endpoint}")?;
        }
        write!(out, ": {}", self.failure)?;
        if let Some(rests) = self.rests {
            let seconds = rests.as_secs() + 1;
            write!(
                out,
                "; it was not asked again, and is not for another {seconds} s"
            )?;
        }
        if matches!(
            self.failure,
            Failure::AuthenticationFailed { .. } | Failure::NotFoundOrNoAccess { .. }
        ) {
            self.tell_logins(out)?;
        }
        for Asked { endpoint, failure } in &self.also_asked {
            write!(out, "; {endpoint} was asked too: {failure}")?;
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
