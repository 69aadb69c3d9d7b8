//! Reads the tables of a `hosts.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use toml_edit::{Item, Value};

use super::{Capabilities, ClientPair, Host, HostsError, Settings, address};
use crate::duration;
use crate::endpoint::Scheme;

/// The keys of a host's table.
const HOST_KEYS: [&str; 7] = [
    "capabilities",
    "ca",
    "client",
    "skip_verify",
    "header",
    "override_path",
    "dial_timeout",
];

/// Further keys of the top level.
const TOP_LEVEL_KEYS: [&str; 2] = ["server", "host"];

/// Headers that only the connection may set.
const CONNECTION_HEADERS: [HeaderName; 7] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    TE,
    TRAILER,
    UPGRADE,
];

/// A table with its position, for errors.
pub(super) struct Table<'a> {
    file: &'a Path,
    header: Option<String>,
    items: &'a toml_edit::Table,
}

impl<'a> Table<'a> {
    pub(super) fn top(
        file: &'a Path,
        items: &'a toml_edit::Table,
    ) -> Result<Table<'a>, HostsError> {
        let known = [&TOP_LEVEL_KEYS[..], &HOST_KEYS].concat();
        Table::of(file, None, items, &known)
    }

    fn of(
        file: &'a Path,
        header: Option<String>,
        items: &'a toml_edit::Table,
        known: &[&str],
    ) -> Result<Table<'a>, HostsError> {
        let table = Table {
            file,
            header,
            items,
        };
        // containerd ignores the case of all keys but `host`.
        let is_known = |key: &str| {
            known.iter().any(|known| match *known {
                "host" => key == "host",
                known => key.eq_ignore_ascii_case(known),
            })
        };
        match items.iter().find(|(key, _)| !is_known(key)) {
            Some((key, _)) => {
                let known = known.join("`, `");
                Err(table.error(key, format!("unknown key: write one of `{known}`")))
            }
            None => Ok(table),
        }
    }

    fn error(&self, key: &str, problem: impl Into<String>) -> HostsError {
        HostsError {
            file: self.file.to_owned(),
            table: self.header.clone(),
            key: Some(key.escape_debug().to_string()).filter(|key| !key.is_empty()),
            problem: problem.into(),
        }
    }

    /// The hosts' addresses and tables, in order.
    pub(super) fn hosts(&self) -> Result<Vec<(&'a str, Table<'a>)>, HostsError> {
        let Some(hosts) = self.items.get("host") else {
            return Ok(Vec::new());
        };
        let as_tables = || {
            self.error(
                "host",
                "hosts must be tables with a header of their own: write [host.\"https://mirror.example.com\"], and the host's keys below it",
            )
        };
        let hosts = hosts.as_table().filter(|hosts| !hosts.is_dotted());
        let mut found = Vec::new();
        for (address, item) in hosts.ok_or_else(as_tables)? {
            let items = item.as_table().filter(|items| !items.is_dotted());
            let items = items.ok_or_else(as_tables)?;
            let header = format!("[host.{:?}]", address::without_login(address));
            found.push((
                address,
                Table::of(self.file, Some(header), items, &HOST_KEYS)?,
            ));
        }
        Ok(found)
    }

    /// The `server`; an empty one counts as unset.
    pub(super) fn server(&self) -> Result<Option<&'a str>, HostsError> {
        Ok(self.text("server")?.filter(|server| !server.is_empty()))
    }

    /// The host at an address, with this table's settings. `key` is the address's key, unless it is
    /// in the header.
    pub(super) fn host(&self, address: &str, key: Option<&str>) -> Result<Host, HostsError> {
        let overrides_path = self.boolean("override_path")?.unwrap_or(false);
        let (endpoint, path) = address::parse(address, overrides_path)
            .map_err(|problem| self.error(key.unwrap_or_default(), problem))?;
        let settings = self.settings()?;
        let sets_tls = self.get("ca").is_some()
            || self.get("skip_verify").is_some()
            || !settings.clients.is_empty();
        let http_fallback = sets_tls
            && endpoint.scheme() == Scheme::Http
            && endpoint.explicit_port() != Some(Scheme::Http.port());
        Ok(Host {
            endpoint: match http_fallback {
                true => endpoint.with_scheme(Scheme::Https),
                false => endpoint,
            },
            http_fallback,
            path,
            capabilities: self.capabilities()?,
            settings,
        })
    }

    pub(super) fn settings(&self) -> Result<Settings, HostsError> {
        Ok(Settings {
            authorities: self.authorities()?,
            clients: self.clients()?,
            skip_verify: self.boolean("skip_verify")?.unwrap_or(false),
            headers: self.headers()?,
            dial_timeout: match self.text("dial_timeout")? {
                Some(text) if !text.is_empty() => {
                    timeout(text).map_err(|problem| self.error("dial_timeout", problem))?
                }
                _ => None,
            },
        })
    }

    fn get(&self, key: &str) -> Option<&'a Item> {
        let mut items = self.items.iter();
        items.find_map(|(name, item)| name.eq_ignore_ascii_case(key).then_some(item))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, HostsError> {
        match self.get(key).map(|item| item.as_str()) {
            Some(None) => Err(self.error(key, "it must be a string: write it in quotes")),
            Some(text) => Ok(text),
            None => Ok(None),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, HostsError> {
        match self.get(key).map(|item| item.as_bool()) {
            Some(None) => Err(self.error(key, "write true or false, without quotes")),
            Some(boolean) => Ok(boolean),
            None => Ok(None),
        }
    }

    pub(super) fn capabilities(&self) -> Result<Capabilities, HostsError> {
        let Some(item) = self.get("capabilities") else {
            return Ok(Capabilities::ALL);
        };
        let error = || {
            self.error(
                "capabilities",
                "write a list of \"pull\", \"resolve\", \"push\" and \"referrers\"",
            )
        };
        let list = item.as_array().ok_or_else(error)?;
        if list.is_empty() {
            return Ok(Capabilities::ALL);
        }
        let mut capabilities = Capabilities {
            pull: false,
            resolve: false,
        };
        for value in list {
            let name = value.as_str().ok_or_else(error)?;
            match name.to_lowercase().as_str() {
                "pull" => capabilities.pull = true,
                "resolve" => capabilities.resolve = true,
                "push" | "referrers" => {}
                _ => return Err(error()),
            }
        }
        Ok(capabilities)
    }

    fn authorities(&self) -> Result<Vec<PathBuf>, HostsError> {
        let error = || self.error("ca", "write a path, or a list of paths");
        match self.get("ca").map(Item::as_value) {
            None => Ok(Vec::new()),
            Some(Some(Value::String(path))) => Ok(vec![self.path(path.value()).ok_or_else(error)?]),
            Some(Some(Value::Array(paths))) => paths
                .iter()
                .map(|path| self.path(path.as_str()?))
                .collect::<Option<_>>()
                .ok_or_else(error),
            Some(_) => Err(error()),
        }
    }

    fn clients(&self) -> Result<Vec<ClientPair>, HostsError> {
        let error = || {
            self.error(
                "client",
                "write a path, a list of paths, or a list of pairs such as [[\"client.cert\", \"client.key\"]]",
            )
        };
        let single = |path: &str| {
            Some(ClientPair {
                certificate: self.path(path)?,
                key: None,
            })
        };
        let pair_of = |pair: &toml_edit::Array| {
            let [certificate, key] = pair.iter().collect::<Vec<_>>()[..] else {
                return None;
            };
            let key = key.as_str()?;
            Some(ClientPair {
                certificate: self.path(certificate.as_str()?)?,
                key: match key.is_empty() {
                    true => None,
                    false => Some(self.path(key)?),
                },
            })
        };
        match self.get("client").map(Item::as_value) {
            None => Ok(Vec::new()),
            Some(Some(Value::String(path))) => Ok(vec![single(path.value()).ok_or_else(error)?]),
            Some(Some(Value::Array(pairs))) => pairs
                .iter()
                .map(|pair| match pair {
                    Value::String(path) => single(path.value()),
                    Value::Array(pair) => pair_of(pair),
                    _ => None,
                })
                .collect::<Option<_>>()
                .ok_or_else(error),
            Some(_) => Err(error()),
        }
    }

    /// A path relative to the file's folder; `None` if empty.
    fn path(&self, text: &str) -> Option<PathBuf> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        (!text.is_empty()).then(|| folder.join(text))
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, HostsError> {
        let error = |problem: String| self.error("header", problem);
        let Some(item) = self.get("header") else {
            return Ok(Vec::new());
        };
        let table = item.as_table_like().ok_or_else(|| {
            error("write a table, with the headers' names as its keys".to_owned())
        })?;
        let mut headers = Vec::new();
        for (key, item) in table.iter() {
            let name = HeaderName::from_bytes(key.as_bytes())
                .map_err(|_| error(format!("{key:?} can't be a header's name")))?;
            if CONNECTION_HEADERS.contains(&name) {
                let problem = format!("`{name}` belongs to the connection: leave it out");
                return Err(error(problem));
            }
            let texts: Option<Vec<&str>> = match item.as_value() {
                Some(Value::String(text)) => Some(vec![text.value()]),
                Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
                _ => None,
            };
            let texts = texts
                .ok_or_else(|| error(format!("`{name}` must be a string or a list of strings")))?;
            for text in texts {
                let mut value = HeaderValue::from_str(text).map_err(|_| {
                    error(format!(
                        "`{name}` has characters that are not allowed in a header"
                    ))
                })?;
                value.set_sensitive(true);
                headers.push((name.clone(), value));
            }
        }
        Ok(headers)
    }
}

/// Parses a timeout; zero is `None`, no limit, as in Go. The error names the fix.
fn timeout(text: &str) -> Result<Option<Duration>, String> {
    let nanoseconds = duration::parse(text)
        .filter(|_| !text.starts_with('-'))
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .ok_or_else(|| {
            format!("{text:?} is not a duration: write one such as \"1s\" or \"500ms\"")
        })?;
    Ok((nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds)))
}
