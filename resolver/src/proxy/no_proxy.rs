//! The entries of `NO_PROXY`.

use std::net::IpAddr;

use ipnet::IpNet;

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoProxyEntry {
    /// `*`
    Everything,
    /// `10.0.0.0/8`
    Network(IpNet),
    /// `10.0.0.1`, with an optional port.
    Address(IpAddr, Option<String>),
    /// `example.com` with its subdomains, `.example.com` with only those.
    Domain {
        /// The suffix, with its dot.
        suffix: String,
        /// Whether the domain itself is included.
        includes_apex: bool,
        port: Option<String>,
    },
}

/// Parses the list. Invalid entries are skipped, as in Go.
pub(super) fn parse(list: &str) -> Vec<NoProxyEntry> {
    let mut entries = Vec::new();
    for text in list.split(',') {
        match entry(&text.trim().to_lowercase()) {
            Some(NoProxyEntry::Everything) => return vec![NoProxyEntry::Everything],
            entry => entries.extend(entry),
        }
    }
    entries
}

fn entry(text: &str) -> Option<NoProxyEntry> {
    if text == "*" {
        return Some(NoProxyEntry::Everything);
    }
    if text.contains('/')
        && let Ok(network) = text.parse()
    {
        return Some(NoProxyEntry::Network(network));
    }
    let (host, port) = split_port(text);
    if host.is_empty() {
        return None;
    }
    let port = port.filter(|port| !port.is_empty()).map(str::to_owned);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(NoProxyEntry::Address(address.to_canonical(), port));
    }
    let host = match host.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => suffix,
        _ => host,
    };
    let includes_apex = !host.starts_with('.');
    Some(NoProxyEntry::Domain {
        suffix: match includes_apex {
            true => format!(".{host}"),
            false => host.to_owned(),
        },
        includes_apex,
        port,
    })
}

/// Splits `host:port` or `[address]:port`; a bare IPv6 address has no port.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => {
            (&host[1..host.len() - 1], Some(port))
        }
        Some((host, port)) if !host.contains([':', '[', ']']) => (host, Some(port)),
        _ => (text, None),
    }
}

/// Whether requests to a host are direct. Loopback hosts always are.
pub(super) fn is_bypassed(entries: &[NoProxyEntry], host: &str, port: u16) -> bool {
    if host == "localhost" {
        return true;
    }
    let host = host.to_lowercase();
    let address = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let here = |wanted: &Option<String>| match wanted {
        Some(wanted) => *wanted == port.to_string(),
        None => true,
    };
    entries.iter().any(|entry| match (entry, address) {
        (NoProxyEntry::Everything, _) => true,
        (NoProxyEntry::Network(network), Some(address)) => network.contains(&address),
        (NoProxyEntry::Address(exempt, port), Some(address)) => *exempt == address && here(port),
        (
            NoProxyEntry::Domain {
                suffix,
                includes_apex,
                port,
            },
            None,
        ) => {
            (host.ends_with(suffix.as_str()) || (*includes_apex && host == suffix[1..]))
                && here(port)
        }
        _ => false,
    })
}
