//! Proxies: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
//!
//! The rules are those of Go's `golang.org/x/net/http/httpproxy`, like those of the cluster's own
//! programs. hyper-util's matcher differs: it has no ports in `NO_PROXY`, uses the proxy for
//! loopback hosts, and takes `.example.com` for `example.com`.
//!
//! Unlike in Go, invalid and SOCKS addresses are errors. Names must be ASCII, as in DNS.

mod no_proxy;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;

use no_proxy::NoProxyEntry;

/// The proxies and their exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    no_proxy: Vec<NoProxyEntry>,
}

/// A proxy's address. `Debug` and `Display` hide its login.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// An invalid proxy address. The message omits it, since it may contain a login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is not a proxy's address: {problem}")]
pub struct ProxyError {
    /// The environment variable.
    pub variable: &'static str,
    /// The fault and the fix.
    pub problem: &'static str,
}

impl Proxies {
    /// No proxies.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// Reads the environment. Lowercase variables take precedence; empty ones count as unset.
    ///
    /// # Errors
    /// A [`ProxyError`] for an invalid address.
    pub fn from_env() -> Result<Proxies, ProxyError> {
        let first = |names: [&str; 2]| {
            let values = names.iter().filter_map(|name| std::env::var(name).ok());
            values
                .into_iter()
                .find(|value| !value.is_empty())
                .unwrap_or_default()
        };
        Proxies::new(
            &first(["http_proxy", "HTTP_PROXY"]),
            &first(["https_proxy", "HTTPS_PROXY"]),
            &first(["no_proxy", "NO_PROXY"]),
        )
    }

    /// Parses the values of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`; each may be empty.
    ///
    /// # Errors
    /// A [`ProxyError`] for an invalid address.
    pub fn new(http: &str, https: &str, no: &str) -> Result<Proxies, ProxyError> {
        let named = |variable| move |problem| ProxyError { variable, problem };
        Ok(Proxies {
            http: Proxy::parse(http).map_err(named("HTTP_PROXY"))?,
            https: Proxy::parse(https).map_err(named("HTTPS_PROXY"))?,
            no_proxy: no_proxy::parse(no),
        })
    }

    /// The proxy for a request; `None` if it is direct.
    pub(crate) fn proxy_for(&self, target: &Uri) -> Option<&Proxy> {
        let (proxy, port) = match target.scheme_str()? {
            "https" => (self.https.as_ref()?, 443),
            "http" => (self.http.as_ref()?, 80),
            _ => return None,
        };
        let host = target.host()?.trim_matches(['[', ']']);
        let port = target.port_u16().unwrap_or(port);
        (!no_proxy::is_bypassed(&self.no_proxy, host, port)).then_some(proxy)
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Option<Proxy>, &'static str> {
        if text.is_empty() {
            return Ok(None);
        }
        let (scheme, rest) = match text.split_once("://") {
            None => ("http", text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            Some(_) => return Err("only http:// and https:// proxies are supported"),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        let uri: Option<Uri> = format!("{scheme}://{host}/").parse().ok();
        let has_port = host.rfind(':') > host.rfind(']');
        let uri = uri
            .filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
            .filter(|uri| !has_port || uri.port_u16().is_some_and(|port| port > 0))
            .ok_or("write one such as http://proxy.example.com:3128")?;
        let authorization = match login {
            Some(login) => Some(basic(login)?),
            None => None,
        };
        Ok(Some(Proxy { uri, authorization }))
    }

    /// The proxy's address.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The `Proxy-Authorization` header.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

fn basic(login: &str) -> Result<HeaderValue, &'static str> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut text: Vec<u8> = percent_decode_str(user).collect();
    text.push(b':');
    text.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(text)))
        .map_err(|_| "its login has characters that are not allowed in a header")?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Display for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
