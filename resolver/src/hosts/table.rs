//! The tables of a `hosts.toml`, and the types that their keys have.

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

/// What stands in the table of a host.
const OF_A_HOST: [&str; 7] = [
    "capabilities",
    "ca",
    "client",
    "skip_verify",
    "header",
    "override_path",
    "dial_timeout",
];

/// What stands at the top level beside that.
const OF_THE_TOP: [&str; 2] = ["server", "host"];

/// Headers that belong to the connection: a request has its own.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    TE,
    TRAILER,
    UPGRADE,
];

/// A table, with what is needed to say where something is wrong.
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
        let known = [&OF_THE_TOP[..], &OF_A_HOST].concat();
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
        // containerd takes keys in whatever case, but not the one that holds the hosts.
        let is_known = |key: &str| {
            known.iter().any(|known| match *known {
                "host" => key == "host",
                known => key.eq_ignore_ascii_case(known),
            })
        };
        match items.iter().find(|(key, _)| !is_known(key)) {
            Some((key, _)) => {
                let known = known.join("`, `");
                Err(table.wrong(key, format!("there is no such key: write one of `{known}`")))
            }
            None => Ok(table),
        }
    }

    fn wrong(&self, key: &str, problem: impl Into<String>) -> HostsError {
        HostsError {
            file: self.file.to_owned(),
            table: self.header.clone(),
            key: Some(key.escape_debug().to_string()).filter(|key| !key.is_empty()),
            problem: problem.into(),
        }
    }

    /// The tables of the hosts, with the address that each is named by, in the file's order.
    pub(super) fn hosts(&self) -> Result<Vec<(&'a str, Table<'a>)>, HostsError> {
        let Some(hosts) = self.items.get("host") else {
            return Ok(Vec::new());
        };
        let as_tables = || {
            self.wrong(
                "host",
                "only tables with a header of their own are followed: write [host.\"https://mirror.example.com\"], and the host's keys below it",
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
                Table::of(self.file, Some(header), items, &OF_A_HOST)?,
            ));
        }
        Ok(found)
    }

    /// The address of the registry itself; an empty one counts as none.
    pub(super) fn server(&self) -> Result<Option<&'a str>, HostsError> {
        Ok(self.text("server")?.filter(|server| !server.is_empty()))
    }

    /// The host at an address with the settings of this table. `key` is where the address stands,
    /// unless it is in the table's header.
    pub(super) fn host(&self, address: &str, key: Option<&str>) -> Result<Host, HostsError> {
        let overrides_path = self.truth("override_path")?.unwrap_or(false);
        let (endpoint, path) = address::parse(address, overrides_path)
            .map_err(|problem| self.wrong(key.unwrap_or_default(), problem))?;
        let settings = self.settings()?;
        let sets_tls = self.get("ca").is_some()
            || self.get("skip_verify").is_some()
            || !settings.clients.is_empty();
        let or_http = sets_tls
            && endpoint.scheme() == Scheme::Http
            && endpoint.written_port() != Some(Scheme::Http.port());
        Ok(Host {
            endpoint: match or_http {
                true => endpoint.by(Scheme::Https),
                false => endpoint,
            },
            or_http,
            path,
            capabilities: self.capabilities()?,
            settings,
        })
    }

    pub(super) fn settings(&self) -> Result<Settings, HostsError> {
        Ok(Settings {
            authorities: self.authorities()?,
            clients: self.clients()?,
            skip_verify: self.truth("skip_verify")?.unwrap_or(false),
            headers: self.headers()?,
            dial_timeout: match self.text("dial_timeout")? {
                Some(text) if !text.is_empty() => {
                    timeout(text).map_err(|problem| self.wrong("dial_timeout", problem))?
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
            Some(None) => Err(self.wrong(key, "it is no text: write it in quotes")),
            Some(text) => Ok(text),
            None => Ok(None),
        }
    }

    fn truth(&self, key: &str) -> Result<Option<bool>, HostsError> {
        match self.get(key).map(|item| item.as_bool()) {
            Some(None) => Err(self.wrong(key, "write true or false, without quotes")),
            Some(truth) => Ok(truth),
            None => Ok(None),
        }
    }

    pub(super) fn capabilities(&self) -> Result<Capabilities, HostsError> {
        let Some(item) = self.get("capabilities") else {
            return Ok(Capabilities::ALL);
        };
        let wrong = || {
            self.wrong(
                "capabilities",
                "write a list of \"pull\", \"resolve\", \"push\" and \"referrers\"",
            )
        };
        let list = item.as_array().ok_or_else(wrong)?;
        if list.is_empty() {
            return Ok(Capabilities::ALL);
        }
        let mut capabilities = Capabilities {
            pull: false,
            resolve: false,
        };
        for value in list {
            let name = value.as_str().ok_or_else(wrong)?;
            match name.to_lowercase().as_str() {
                "pull" => capabilities.pull = true,
                "resolve" => capabilities.resolve = true,
                "push" | "referrers" => {}
                _ => return Err(wrong()),
            }
        }
        Ok(capabilities)
    }

    fn authorities(&self) -> Result<Vec<PathBuf>, HostsError> {
        let wrong = || self.wrong("ca", "write a path, or a list of paths");
        match self.get("ca").map(Item::as_value) {
            None => Ok(Vec::new()),
            Some(Some(Value::String(path))) => Ok(vec![self.path(path.value()).ok_or_else(wrong)?]),
            Some(Some(Value::Array(paths))) => paths
                .iter()
                .map(|path| self.path(path.as_str()?))
                .collect::<Option<_>>()
                .ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }

    fn clients(&self) -> Result<Vec<ClientPair>, HostsError> {
        let wrong = || {
            self.wrong(
                "client",
                "write a path, a list of paths, or a list of pairs such as [[\"client.cert\", \"client.key\"]]",
            )
        };
        let of_one = |path: &str| {
            Some(ClientPair {
                certificate: self.path(path)?,
                key: None,
            })
        };
        let of_two = |pair: &toml_edit::Array| {
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
            Some(Some(Value::String(path))) => Ok(vec![of_one(path.value()).ok_or_else(wrong)?]),
            Some(Some(Value::Array(pairs))) => pairs
                .iter()
                .map(|pair| match pair {
                    Value::String(path) => of_one(path.value()),
                    Value::Array(pair) => of_two(pair),
                    _ => None,
                })
                .collect::<Option<_>>()
                .ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }

    /// A path as written, from the file's folder if it is a relative one; `None` if it is empty.
    fn path(&self, text: &str) -> Option<PathBuf> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        (!text.is_empty()).then(|| folder.join(text))
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, HostsError> {
        let wrong = |problem: String| self.wrong("header", problem);
        let Some(item) = self.get("header") else {
            return Ok(Vec::new());
        };
        let table = item.as_table_like().ok_or_else(|| {
            wrong("write a table, with the headers' names as its keys".to_owned())
        })?;
        let mut headers = Vec::new();
        for (key, item) in table.iter() {
            let name = HeaderName::from_bytes(key.as_bytes())
                .map_err(|_| wrong(format!("{key:?} can't be a header's name")))?;
            if OF_THE_CONNECTION.contains(&name) {
                let problem = format!("`{name}` belongs to the connection: leave it out");
                return Err(wrong(problem));
            }
            let texts: Option<Vec<&str>> = match item.as_value() {
                Some(Value::String(text)) => Some(vec![text.value()]),
                Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
                _ => None,
            };
            let texts = texts
                .ok_or_else(|| wrong(format!("`{name}` is neither a text nor a list of texts")))?;
            for text in texts {
                let mut value = HeaderValue::from_str(text).map_err(|_| {
                    wrong(format!("`{name}` has characters that no header may have"))
                })?;
                value.set_sensitive(true);
                headers.push((name.clone(), value));
            }
        }
        Ok(headers)
    }
}

/// Reads a time to wait; `None` for nothing, which Go takes for no limit. The error says what to write.
fn timeout(text: &str) -> Result<Option<Duration>, String> {
    let nanoseconds = duration::parse(text)
        .filter(|_| !text.starts_with('-'))
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .ok_or_else(|| format!("{text:?} is no duration: write one such as \"1s\" or \"500ms\""))?;
    Ok((nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds)))
}
