//! Which requests go through a proxy: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
//!
//! The rules are those of Go's `golang.org/x/net/http/httpproxy`, since the cluster's own programs
//! follow them, and an administrator writes these variables once for all. hyper-util's matcher has
//! others: it knows no ports in `NO_PROXY`, asks this machine through the proxy too, and takes
//! `.example.com` for `example.com` itself.
//!
//! In two things this is stricter: an address that is none is refused, where Go would go without
//! the proxy; and proxies by SOCKS are refused, since they are not spoken here. Names that are not
//! in ASCII have to be written as they stand in DNS.

mod exempt;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;

use exempt::Exempt;

/// The proxies, and what does not go through them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exempt: Vec<Exempt>,
}

/// A proxy's address. Its login shows nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// A proxy's address that is none. It is not shown, since there may be a login in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is no address of a proxy: {problem}")]
pub struct ProxyError {
    /// The environment's variable.
    pub variable: &'static str,
    /// What is wrong, and what to write.
    pub problem: &'static str,
}

impl Proxies {
    /// No proxy for anything.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// Those that the environment names. Where both are set, `https_proxy` counts more than
    /// `HTTPS_PROXY`, and so for the others; what is empty counts as not set.
    ///
    /// # Errors
    /// A [`ProxyError`] where an address is none.
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

    /// The proxy for what is asked by `http://`, the one for what is asked by `https://`, and the
    /// list of what goes without, as the environment's variables have them; each may be empty.
    ///
    /// # Errors
    /// A [`ProxyError`] where an address is none.
    pub fn new(http: &str, https: &str, no: &str) -> Result<Proxies, ProxyError> {
        let named = |variable| move |problem| ProxyError { variable, problem };
        Ok(Proxies {
            http: Proxy::parse(http).map_err(named("HTTP_PROXY"))?,
            https: Proxy::parse(https).map_err(named("HTTPS_PROXY"))?,
            exempt: exempt::parse(no),
        })
    }

    /// The proxy through which an address is asked; `None` where it is asked itself.
    pub(crate) fn of(&self, target: &Uri) -> Option<&Proxy> {
        let (proxy, port) = match target.scheme_str()? {
            "https" => (self.https.as_ref()?, 443),
            "http" => (self.http.as_ref()?, 80),
            _ => return None,
        };
        let host = target.host()?.trim_matches(['[', ']']);
        let port = target.port_u16().unwrap_or(port);
        (!exempt::goes_without(&self.exempt, host, port)).then_some(proxy)
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
            Some(_) => return Err("only proxies by http:// and https:// are spoken to"),
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

    /// Where the proxy is.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What is sent to it as `Proxy-Authorization`.
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
        .map_err(|_| "its login can't stand in a header")?;
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
