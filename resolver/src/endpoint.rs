//! Where a registry is asked.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::names::{DOCKER_HUB, Reference, is_host, split_port};

/// The most characters of a host that a server gives: what DNS allows (RFC 1035, 2.3.4).
const HOST_MAX: usize = 253;

/// The host that serves Docker Hub's images.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// Where a registry is asked: HTTPS or plain HTTP, a host and a port.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// TLS, with the server's certificate checked.
    Https,
    /// Plain HTTP: only where someone wrote `http://`, or on a loopback host.
    Http,
}

/// Why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing was written.
    #[error(
        "the endpoint is empty: write an address such as `https://registry.example.com`, or leave it out"
    )]
    Empty,
    /// Its scheme is neither `https` nor `http`.
    #[error(
        "the endpoint `{text}` has the scheme `{scheme}`: only https:// and http:// are spoken"
    )]
    Scheme {
        /// The endpoint as written.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// There is a login in it.
    #[error(
        "the endpoint has a login in it: write `{without}`, and keep the login in a pull secret"
    )]
    Login {
        /// The endpoint without it; the login itself is not kept.
        without: String,
    },
    /// There is a path, a query or a fragment in it.
    #[error(
        "the endpoint `{text}` has more than an address: write `{without}`; a path belongs in the registry prefix"
    )]
    Rest {
        /// The endpoint as written.
        text: String,
        /// The same without it.
        without: String,
    },
    /// What it names is no host.
    #[error(
        "the endpoint `{text}` names no host: write a DNS name or an IP address (IPv6 in brackets), and a port from 1 to 65535 if there is one, such as `http://registry:5000`"
    )]
    Host {
        /// The endpoint as written.
        text: String,
    },
}

impl Endpoint {
    /// Reads `https://host[:port]`, `http://host[:port]`, or `host[:port]`, which is HTTPS. A
    /// single trailing slash is dropped.
    ///
    /// # Errors
    /// An [`EndpointError`] that says what to write instead.
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

    /// Where the images of this reference's host are asked: the host itself, by HTTPS. Docker
    /// Hub is asked at the host that serves it, and a loopback host by plain HTTP where it has a
    /// port other than 443, as containerd does.
    ///
    /// `None` where the host has a port that cannot be, which the grammar of names lets through.
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

    /// The endpoint at `host[:port]`; `None` where that is none.
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

    /// The server of an absolute address that a server gave, beside the address itself. `None`
    /// where it is no address by HTTPS or HTTP, has a login in it, or a host that is too long to
    /// be one.
    pub(crate) fn of_address(address: &str) -> Option<(Endpoint, Uri)> {
        let uri: Uri = address.parse().ok()?;
        let scheme = match uri.scheme_str()? {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return None,
        };
        let endpoint = Endpoint::from_authority(scheme, uri.authority()?.as_str())?;
        (endpoint.host.len() <= HOST_MAX).then_some((endpoint, uri))
    }

    /// Whether both are the same server, however their port is written.
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

    /// The host without its port; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// The port that was written, if one was.
    pub(crate) fn written_port(&self) -> Option<u16> {
        self.port
    }

    /// The same host and port as written, by another scheme.
    pub(crate) fn by(&self, scheme: Scheme) -> Endpoint {
        Endpoint {
            scheme,
            ..self.clone()
        }
    }

    /// Whether its host is this machine, as it is written; nothing is looked up.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Whether this is a registry's own host, rather than another that is asked about it.
    pub(crate) fn is_own_of(&self, registry: &str) -> bool {
        self.authority().eq_ignore_ascii_case(registry)
            || (registry == DOCKER_HUB && self.authority() == DOCKER_HUB_SERVER)
    }

    /// Host and port as they are dialled, for messages.
    pub(crate) fn dialled(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// Host and port as written, for an address below this one; the scheme's port is not written.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// What the keyring is asked for when a repository is asked here: **the address asked, never
    /// the reference's host**, or whoever may write an endpoint could send a login anywhere.
    ///
    /// Docker Hub's hosts go by its canonical name. A login that names no port is for HTTPS, so
    /// plain HTTP at its own port asks for `host:80`.
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

/// What is encoded in a value of an address's query: all but what RFC 3986 calls unreserved.
const NOT_PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A value as it stands in an address's query.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NOT_PLAIN).to_string()
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, DOCKER_HUB_SERVER | DOCKER_HUB | "index.docker.io")
}

/// `localhost`, 127.0.0.0/8 and ::1, as they are written; nothing is looked up.
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
    fn a_registry_is_asked_by_https_at_its_own_address() {
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
    fn plain_http_is_spoken_unasked_on_loopback_ports_only() {
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
        let given = |length| Endpoint::of_address(&address(length)).map(|(server, _)| server);
        assert_eq!(given(253).map(|server| server.host().len()), Some(253));
        assert_eq!(given(255), None);
    }

    #[test]
    fn endpoints_with_more_or_less_than_an_address_are_refused() {
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
