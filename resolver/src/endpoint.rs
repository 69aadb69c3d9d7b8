//! The address of a registry.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::names::{DOCKER_HUB, Reference, is_host, split_port};

/// The longest host that a server may name: DNS's limit (RFC 1035, 2.3.4).
const HOST_MAX: usize = 253;

/// The host of Docker Hub's registry.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// A registry's scheme, host and port.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
}

/// HTTPS or plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP: only if written as `http://`, or on a loopback host.
    Http,
}

/// Why an endpoint is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is empty.
    #[error(
        "the endpoint is empty: write an address such as `https://registry.example.com`, or leave it out"
    )]
    Empty,
    /// Its scheme is neither `https` nor `http`.
    #[error("the endpoint `{text}` has the unsupported scheme `{scheme}`: use https:// or http://")]
    Scheme {
        /// The endpoint as written.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// It contains a login.
    #[error(
        "the endpoint contains a login: write `{without}`, and keep the login in a pull secret"
    )]
    Login {
        /// The endpoint without the login.
        without: String,
    },
    /// It has a path, a query or a fragment.
    #[error(
        "the endpoint `{text}` is more than scheme, host and port: write `{without}`; a path belongs in the registry prefix"
    )]
    Rest {
        /// The endpoint as written.
        text: String,
        /// The endpoint without it.
        without: String,
    },
    /// Its host or port is invalid.
    #[error(
        "the endpoint `{text}` has an invalid host: write a DNS name or an IP address (IPv6 in brackets), and a port from 1 to 65535 if there is one, such as `http://registry:5000`"
    )]
    Host {
        /// The endpoint as written.
        text: String,
    },
}

impl Endpoint {
    /// Parses `https://host[:port]`, `http://host[:port]`, or `host[:port]` as HTTPS, each with an
    /// optional trailing slash.
    ///
    /// # Errors
    /// An [`EndpointError`] that names the fix.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Https, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, _)) => {
                return Err(EndpointError::Scheme {
                    text: text.to_owned(),
                    scheme: scheme.to_owned(),
                });
            }
        };
        if rest.trim().is_empty() {
            return Err(EndpointError::Empty);
        }
        let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if let Some((_, host)) = authority.rsplit_once('@') {
            return Err(EndpointError::Login {
                without: format!("{}://{host}", scheme.name()),
            });
        }
        if !matches!(after, "" | "/") {
            let without = format!("{}://{authority}", scheme.name());
            return Err(EndpointError::Rest {
                text: text.to_owned(),
                without,
            });
        }
        Endpoint::from_authority(scheme, authority).ok_or_else(|| EndpointError::Host {
            text: text.to_owned(),
        })
    }

    /// The endpoint of a reference's registry: its host by HTTPS; for Docker Hub, its registry
    /// host; for a loopback host with a port other than 443, plain HTTP, as in containerd.
    ///
    /// `None` if the port is invalid, which the grammar of references permits.
    pub fn of(reference: &Reference) -> Option<Endpoint> {
        let host = reference.host();
        if host == DOCKER_HUB {
            return Endpoint::from_authority(Scheme::Https, DOCKER_HUB_SERVER);
        }
        let endpoint = Endpoint::from_authority(Scheme::Https, host)?;
        let scheme = match endpoint.port {
            Some(port) if port != 443 && is_loopback(&endpoint.host) => Scheme::Http,
            _ => Scheme::Https,
        };
        Some(Endpoint { scheme, ..endpoint })
    }

    /// Parses `host[:port]`.
    pub(crate) fn from_authority(scheme: Scheme, authority: &str) -> Option<Endpoint> {
        if !is_host(authority) {
            return None;
        }
        let (host, port) = split_port(authority);
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
            None => None,
        };
        Some(Endpoint {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// The server of a URL that a server named, and the URL itself. `None` if it is not HTTPS or
    /// HTTP, contains a login, or its host is too long.
    pub(crate) fn from_uri(address: &str) -> Option<(Endpoint, Uri)> {
        let uri: Uri = address.parse().ok()?;
        let scheme = match uri.scheme_str()? {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return None,
        };
        let endpoint = Endpoint::from_authority(scheme, uri.authority()?.as_str())?;
        (endpoint.host.len() <= HOST_MAX).then_some((endpoint, uri))
    }

    /// Whether both are the same server, with default ports.
    pub(crate) fn same_as(&self, other: &Endpoint) -> bool {
        (self.scheme, &self.host, self.port()) == (other.scheme, &other.host, other.port())
    }

    /// Whether this is Docker Hub's registry.
    pub(crate) fn is_docker_hub(&self) -> bool {
        self.same_as(&Endpoint {
            scheme: Scheme::Https,
            host: DOCKER_HUB_SERVER.to_owned(),
            port: None,
        })
    }

    /// HTTPS or plain HTTP.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host without its port; IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, or the scheme's default.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// The explicit port.
    pub(crate) fn explicit_port(&self) -> Option<u16> {
        self.port
    }

    /// The same host and port with another scheme.
    pub(crate) fn with_scheme(&self, scheme: Scheme) -> Endpoint {
        Endpoint {
            scheme,
            ..self.clone()
        }
    }

    /// Whether its host is a loopback literal or `localhost`.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Whether this is the registry's own host rather than a mirror.
    pub(crate) fn is_registry_of(&self, registry: &str) -> bool {
        self.authority().eq_ignore_ascii_case(registry)
            || (registry == DOCKER_HUB && self.authority() == DOCKER_HUB_SERVER)
    }

    /// Host and port, for messages.
    pub(crate) fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// Host and explicit port.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The keyring's lookup target: **the queried address, never the reference's host**, or a
    /// user-defined endpoint could receive any credential.
    ///
    /// Docker Hub's hosts use its canonical name. A key without a port is for HTTPS, so plain HTTP
    /// looks up `host:80`.
    pub fn login_target(&self, repository: &str) -> String {
        let host = &self.host;
        match (self.scheme, self.port) {
            (Scheme::Https, None | Some(443)) if is_docker_hub(host) => {
                format!("{DOCKER_HUB}/{repository}")
            }
            (Scheme::Https, None) => format!("{host}/{repository}"),
            (_, port) => format!("{host}:{}/{repository}", port.unwrap_or(self.scheme.port())),
        }
    }
}

/// All but the unreserved characters of RFC 3986.
const QUERY_RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a value for a query.
pub(crate) fn query_encoded(value: &str) -> String {
    utf8_percent_encode(value, QUERY_RESERVED).to_string()
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, DOCKER_HUB_SERVER | DOCKER_HUB | "index.docker.io")
}

/// `localhost`, 127.0.0.0/8 and ::1, without a DNS lookup.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    pub(crate) fn port(self) -> u16 {
        match self {
            Scheme::Https => 443,
            Scheme::Http => 80,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme.name(), self.authority())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &str) -> Option<String> {
        Endpoint::of(&Reference::parse(image).unwrap()).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn registry_endpoint_is_its_host_by_https() {
        let cases = [
            ("redis", Some("https://registry-1.docker.io")),
            ("quay.io/a", Some("https://quay.io")),
            ("Quay.IO/a", Some("https://quay.io")),
            ("registry:5000/a", Some("https://registry:5000")),
            ("[2001:db8::1]:5000/a", Some("https://[2001:db8::1]:5000")),
            ("docker.io:443/a", Some("https://docker.io:443")),
            ("quay.io:0/a", None),
            ("quay.io:65536/a", None),
        ];
        for (image, expected) in cases {
            assert_eq!(of(image).as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn plain_http_is_the_default_on_loopback_ports_only() {
        let cases = [
            ("localhost:5000/a", "http://localhost:5000"),
            ("127.0.0.1:5000/a", "http://127.0.0.1:5000"),
            ("127.9.9.9:80/a", "http://127.9.9.9:80"),
            ("[::1]:5000/a", "http://[::1]:5000"),
            ("localhost/a", "https://localhost"),
            ("localhost:443/a", "https://localhost:443"),
            (
                "localhost.example.com:5000/a",
                "https://localhost.example.com:5000",
            ),
            ("10.0.0.1:5000/a", "https://10.0.0.1:5000"),
        ];
        for (image, expected) in cases {
            assert_eq!(of(image).as_deref(), Some(expected), "{image}");
        }
    }

    #[test]
    fn endpoints_are_read() {
        let cases = [
            (
                "https://registry.example.com",
                "https://registry.example.com",
            ),
            ("registry.example.com", "https://registry.example.com"),
            ("HTTP://Registry:5000/", "http://registry:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Endpoint::parse(text).map(|endpoint| endpoint.to_string()),
                Ok(expected.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_host_that_a_server_gives_is_no_longer_than_dns_allows() {
        let address = |length: usize| format!("https://{}/x", "a.".repeat(length / 2) + "b");
        let given = |length| Endpoint::from_uri(&address(length)).map(|(server, _)| server);
        assert_eq!(given(253).map(|server| server.host().len()), Some(253));
        assert_eq!(given(255), None);
    }

    #[test]
    fn endpoints_other_than_host_and_port_are_refused() {
        let rest = |text: &str, without: &str| EndpointError::Rest {
            text: text.to_owned(),
            without: without.to_owned(),
        };
        let host = |text: &str| EndpointError::Host {
            text: text.to_owned(),
        };
        let cases = [
            ("", EndpointError::Empty),
            ("https://", EndpointError::Empty),
            (
                "ftp://a",
                EndpointError::Scheme {
                    text: "ftp://a".to_owned(),
                    scheme: "ftp".to_owned(),
                },
            ),
            (
                "https://bob:hunter2@a",
                EndpointError::Login {
                    without: "https://a".to_owned(),
                },
            ),
            ("http://a/v2", rest("http://a/v2", "http://a")),
            ("a?b", rest("a?b", "https://a")),
            ("a#b", rest("a#b", "https://a")),
            ("http://a:0", host("http://a:0")),
            ("http://a:65536", host("http://a:65536")),
            ("http://a:", host("http://a:")),
            ("http://a b", host("http://a b")),
            ("http://a_b", host("http://a_b")),
            ("http://::1", host("http://::1")),
            ("http://a\r\nX: y", host("http://a\r\nX: y")),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn logins_are_looked_up_by_the_address_that_is_asked() {
        let cases = [
            ("https://registry-1.docker.io", "docker.io/a/b"),
            ("https://index.docker.io:443", "docker.io/a/b"),
            ("http://registry-1.docker.io", "registry-1.docker.io:80/a/b"),
            ("https://evil.example", "evil.example/a/b"),
            ("https://quay.io:443", "quay.io:443/a/b"),
            ("http://quay.io", "quay.io:80/a/b"),
            ("http://registry:5000", "registry:5000/a/b"),
        ];
        for (endpoint, expected) in cases {
            assert_eq!(
                Endpoint::parse(endpoint).unwrap().login_target("a/b"),
                expected
            );
        }
    }
}
