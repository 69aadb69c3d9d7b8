//! Which hosts are asked for a registry's images, and how: containerd's host configuration.
//!
//! The judge of every rule is containerd's own `core/remotes/docker/config`, described in its
//! `docs/hosts.md`. What follows from it and surprises people:
//! - the registry itself is asked last, even if nobody wrote a `server`;
//! - a host without `capabilities`, or with none in them, has them all;
//! - `/v2` is added to a path unless it ends so, or `override_path` is set;
//! - where there is no `server`, only the settings of TLS, headers and time at the top level hold:
//!   the registry itself has every capability;
//! - a host by `http://` that has any setting of TLS is asked by HTTPS first.
//!
//! Where containerd leaves out in silence what it does not understand, this refuses the file: a
//! mirror that was meant to be asked, or a capability that was meant to be missing, matters here.
//! So unknown keys, hosts that are no tables with a header of their own, addresses with a login, a
//! query or another scheme, and headers of the connection itself are errors. A host that is named twice is asked once. And an
//! empty key file in a pair means what containerd's documentation says: that the key is in the
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

/// The folder that serves the registries which have none of their own.
pub const DEFAULT_FOLDER: &str = "_default";

/// The file in a registry's folder.
pub const FILE: &str = "hosts.toml";

/// The path below which registries are asked by the distribution specification.
pub(crate) const API_PATH: &str = "/v2";

/// A host that is asked for a registry's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it is asked.
    pub endpoint: Endpoint,
    /// Whether it is asked by plain HTTP where `endpoint`, by HTTPS, does not speak TLS.
    pub or_http: bool,
    /// What stands before an image's name in its address: `/v2`, or nothing.
    pub path: String,
    /// What it may be asked for.
    pub capabilities: Capabilities,
    /// How it is spoken to.
    pub settings: Settings,
}

/// What a host may be asked for, as far as resolving goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Images by their digest.
    pub pull: bool,
    /// With `pull`: the digest of a tag.
    pub resolve: bool,
}

/// How a host is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Files in PEM with authorities that are trusted beside the system's.
    pub authorities: Vec<PathBuf>,
    /// The certificates that may be shown to the host.
    pub clients: Vec<ClientPair>,
    /// Whether the host's certificate is not looked at, nor those of the servers it leads to.
    pub skip_verify: bool,
    /// Headers that every request to the host has. Their values are taken for secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long a connection may take to come about.
    pub dial_timeout: Option<Duration>,
}

/// A certificate of a client's, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPair {
    /// The certificate's file, in PEM.
    pub certificate: PathBuf,
    /// The key's file; `None` where it stands in the certificate's.
    pub key: Option<PathBuf>,
}

/// What in a `hosts.toml` can't be followed. It holds no values of headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}{}{problem}", .file.display(), part(.table), part(.key))]
pub struct HostsError {
    /// The file.
    pub file: PathBuf,
    /// The header of the table in it; `None` at the top level.
    pub table: Option<String>,
    /// The key there; `None` where the whole table is meant.
    pub key: Option<String>,
    /// What is wrong, and what to write.
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

    /// Whether a host with these may be asked for an image, by a tag or by a digest.
    pub fn serve(self, by_digest: bool) -> bool {
        self.pull && (self.resolve || by_digest)
    }
}

/// The folders in which a registry's configuration may be, the first that is there holds:
/// `host_port_`, `host:port`, `_default`.
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

/// Reads the text of a `hosts.toml`: the hosts to ask, in order. `file` is for messages, and its
/// folder is what relative paths in it start from; `registry` is where the registry itself is
/// asked, as [`Endpoint::of`] says.
///
/// # Errors
/// A [`HostsError`] that names the table and the key, and says what to write.
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
            // What has no meaning here is still looked at, as containerd does.
            top.capabilities()?;
            own(registry, top.settings()?)
        }
    });
    Ok(hosts)
}

/// Docker's older form, a folder with certificates and without a `hosts.toml`: what ends in `.crt`
/// is an authority, what ends in `.cert` a client's certificate, with its key beside it in `.key`.
/// `names` are those of the folder's files.
pub fn of_certificates(folder: &Path, names: &[String], registry: &Endpoint) -> Host {
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
    own(registry, settings)
}

/// The registry itself. On this machine containerd looks at no certificate, and takes plain HTTP
/// where there is no TLS.
fn own(registry: &Endpoint, mut settings: Settings) -> Host {
    let mut or_http = false;
    if registry.is_loopback() && registry.port() != Scheme::Http.port() {
        settings.skip_verify = true;
        or_http = registry.scheme() == Scheme::Http;
    }
    Host {
        endpoint: match or_http {
            true => registry.by(Scheme::Https),
            false => registry.clone(),
        },
        or_http,
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
        // The error's own display would show the line, and with it what may be a secret.
        problem: format!("{place}it is not TOML: {}", error.message()),
    }
}
