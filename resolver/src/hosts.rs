//! The hosts of a registry, from containerd's host configuration.
//!
//! The rules are those of containerd's `core/remotes/docker/config`, described in its
//! `docs/hosts.md`. The less obvious ones:
//! - the registry itself comes last, even without a `server`;
//! - a host without `capabilities`, or with an empty list, has all;
//! - `/v2` is appended to a path that does not end in it, unless `override_path` is set;
//! - without a `server`, only TLS, header and timeout settings of the top level apply to the
//!   registry;
//! - a host by `http://` with any TLS setting is tried by HTTPS first.
//!
//! Unlike containerd, what is not understood is an error rather than ignored: unknown keys, hosts
//! that are not tables with a header, addresses with a login, a query or another scheme, and
//! connection headers. An empty key file in a pair means, as documented, that the key is in the
//! certificate's file.

mod address;
mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use toml_edit::{DocumentMut, TomlError};

use crate::endpoint::{Endpoint, Scheme};
use table::Table;

/// The folder for registries without one of their own.
pub const DEFAULT_FOLDER: &str = "_default";

/// The file in a registry's folder.
pub const FILE: &str = "hosts.toml";

/// The API's root in the distribution specification.
pub(crate) const API_PATH: &str = "/v2";

/// A host that serves a registry's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its address.
    pub endpoint: Endpoint,
    /// Whether to fall back to plain HTTP if `endpoint` does not speak TLS.
    pub http_fallback: bool,
    /// The path before the repository: `/v2`, or empty.
    pub path: String,
    /// Its capabilities.
    pub capabilities: Capabilities,
    /// Its settings.
    pub settings: Settings,
}

/// The capabilities of a host that matter for resolving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Serves digests.
    pub pull: bool,
    /// Resolves tags, together with `pull`.
    pub resolve: bool,
}

/// The connection settings of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Files of additional certificate authorities, in PEM.
    pub authorities: Vec<PathBuf>,
    /// The client certificates.
    pub clients: Vec<ClientPair>,
    /// Whether to skip the verification of certificates, also of servers that it redirects to.
    pub skip_verify: bool,
    /// Headers of every request to the host. Their values count as secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The timeout of a connection.
    pub dial_timeout: Option<Duration>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPair {
    /// The certificate's file, in PEM.
    pub certificate: PathBuf,
    /// The key's file; `None` if the certificate's file contains it.
    pub key: Option<PathBuf>,
}

/// An error in a `hosts.toml`, without header values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}{}{problem}", .file.display(), part(.table), part(.key))]
pub struct HostsError {
    /// The file.
    pub file: PathBuf,
    /// The table's header; `None` at the top level.
    pub table: Option<String>,
    /// The key; `None` for the whole table.
    pub key: Option<String>,
    /// The fault and the fix.
    pub problem: String,
}

fn part(name: &Option<String>) -> String {
    match name {
        Some(name) => format!("{name}: "),
        None => String::new(),
    }
}

impl Capabilities {
    /// All of them.
    pub const ALL: Capabilities = Capabilities {
        pull: true,
        resolve: true,
    };

    /// Whether such a host can serve a reference by tag or by digest.
    pub fn serve(self, by_digest: bool) -> bool {
        self.pull && (self.resolve || by_digest)
    }
}

/// The candidate folders of a registry, in order: `host_port_`, `host:port`, `_default`.
pub fn folders(registry: &str) -> Vec<String> {
    let mut folders = Vec::new();
    if let Some((host, port)) = registry.rsplit_once(':')
        && !host.is_empty()
    {
        folders.push(format!("{host}_{port}_"));
    }
    folders.push(registry.to_owned());
    folders.push(DEFAULT_FOLDER.to_owned());
    folders
}

/// Parses a `hosts.toml` into hosts in order. Relative paths start at the folder of `file`;
/// `registry` is the result of [`Endpoint::of`].
///
/// # Errors
/// A [`HostsError`] with table, key and fix.
pub fn parse(file: &Path, text: &str, registry: &Endpoint) -> Result<Vec<Host>, HostsError> {
    let document: DocumentMut = text.parse().map_err(|error| syntax(file, text, &error))?;
    let top = Table::top(file, document.as_table())?;
    let mut hosts = top
        .hosts()?
        .into_iter()
        .map(|(address, table)| table.host(address, None))
        .collect::<Result<Vec<_>, _>>()?;
    hosts.push(match top.server()? {
        Some(server) => top.host(server, Some("server"))?,
        None => {
            // What is not an expected status is still looked at, as containerd does.
            top.capabilities()?;
            registry_host(registry, top.settings()?)
        }
    });
    Ok(hosts)
}

/// Docker's older layout, a folder of certificates without `hosts.toml`: `.crt` is a certificate
/// authority, `.cert` a client certificate with its key in `.key`. `names` are the folder's files.
pub fn from_certificates(folder: &Path, names: &[String], registry: &Endpoint) -> Host {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let mut settings = Settings::default();
    for name in &names {
        if name.ends_with(".crt") {
            settings.authorities.push(folder.join(name));
        }
        if let Some(stem) = name.strip_suffix(".cert") {
            let key = format!("{stem}.key");
            settings.clients.push(ClientPair {
                certificate: folder.join(name),
                key: names.contains(&key.as_str()).then(|| folder.join(&key)),
            });
        }
    }
    registry_host(registry, settings)
}

/// The registry itself. Like containerd, a loopback registry is not verified and may fall back to
/// plain HTTP.
fn registry_host(registry: &Endpoint, mut settings: Settings) -> Host {
    let mut http_fallback = false;
    if registry.is_loopback() && registry.port() != Scheme::Http.port() {
        settings.skip_verify = true;
        http_fallback = registry.scheme() == Scheme::Http;
    }
    Host {
        endpoint: match http_fallback {
            true => registry.with_scheme(Scheme::Https),
            false => registry.clone(),
        },
        http_fallback,
        path: API_PATH.to_owned(),
        capabilities: Capabilities::ALL,
        settings,
    }
}

fn syntax(file: &Path, text: &str, error: &TomlError) -> HostsError {
    let place = error.span().map_or_else(String::new, |span| {
        let before = text.get(..span.start).unwrap_or(text);
        format!("line {}: ", before.matches('\n').count() + 1)
    });
    HostsError {
        file: file.to_owned(),
        table: None,
        key: None,
        // The error's `Display` would quote the line, which may hold a secret.
        problem: format!("{place}it is not TOML: {}", error.message()),
    }
}
