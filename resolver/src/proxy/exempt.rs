//! What goes without a proxy: the entries of `NO_PROXY`.

use std::net::IpAddr;

use ipnet::IpNet;

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exempt {
    /// `*`
    Everything,
    /// `10.0.0.0/8`
    Network(IpNet),
    /// `10.0.0.1`, and with a port only there.
    Address(IpAddr, Option<String>),
    /// `example.com` with all below it, `.example.com` with only those.
    Domain {
        /// The end of the names that are meant, with its dot.
        end: String,
        /// Whether the name without that dot is meant too.
        with_itself: bool,
        port: Option<String>,
    },
}

/// Reads the list. Entries that mean nothing are passed over, as Go does.
pub(super) fn parse(list: &str) -> Vec<Exempt> {
    let mut entries = Vec::new();
    for text in list.split(',') {
        match entry(&text.trim().to_lowercase()) {
            Some(Exempt::Everything) => return vec![Exempt::Everything],
            entry => entries.extend(entry),
        }
    }
    entries
}

fn entry(text: &str) -> Option<Exempt> {
    if text == "*" {
        return Some(Exempt::Everything);
    }
    if text.contains('/')
        && let Ok(network) = text.parse()
    {
        return Some(Exempt::Network(network));
    }
    let (host, port) = split_port(text);
    if host.is_empty() {
        return None;
    }
    let port = port.filter(|port| !port.is_empty()).map(str::to_owned);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Exempt::Address(address.to_canonical(), port));
    }
    let host = match host.strip_prefix('*') {
        Some(end) if end.starts_with('.') => end,
        _ => host,
    };
    let with_itself = !host.starts_with('.');
    Some(Exempt::Domain {
        end: match with_itself {
            true => format!(".{host}"),
            false => host.to_owned(),
        },
        with_itself,
        port,
    })
}

/// Host and port of `host:port` or `[address]:port`; an address of IPv6 without brackets has none.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => {
            (&host[1..host.len() - 1], Some(port))
        }
        Some((host, port)) if !host.contains([':', '[', ']']) => (host, Some(port)),
        _ => (text, None),
    }
}

/// Whether a host is asked without the proxy. This machine always is.
pub(super) fn goes_without(entries: &[Exempt], host: &str, port: u16) -> bool {
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
        (Exempt::Everything, _) => true,
        (Exempt::Network(network), Some(address)) => network.contains(&address),
        (Exempt::Address(exempt, port), Some(address)) => *exempt == address && here(port),
        (
            Exempt::Domain {
                end,
                with_itself,
                port,
            },
            None,
        ) => (host.ends_with(end.as_str()) || (*with_itself && host == end[1..])) && here(port),
        _ => false,
    })
}
