//! Connects to hosts: every IP address is checked where it is dialled.
//!
//! The check is between the DNS lookup and the connection, for registries, token servers and
//! redirects alike. So it covers DNS names of forbidden addresses, DNS rebinding, and odd spellings
//! (`0x7f.1`, `2130706433`).
//!
//! A proxy does its own lookup, so behind one only IP literals can be checked. The proxy's own
//! address is the administrator's and is not checked.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use crate::address::{self, Forbidden, Networks};
use crate::proxy::{Proxies, Proxy};

/// The timeout of one address while others remain.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a connection was not established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the host has no address")]
    NameNotResolved(#[source] io::Error),
    #[error("{0} may not be connected to")]
    Forbidden(SocketAddr, Forbidden),
    #[error("cannot connect to {0}")]
    Unreachable(SocketAddr, #[source] io::Error),
    #[error("no connection within {}s", .0.as_secs_f32())]
    DialTimeout(Duration),
    #[error("the proxy {proxy} opened no connection: {detail}")]
    Proxy { proxy: String, detail: String },
}

type TcpIo = TokioIo<TcpStream>;
type ProxyStream = MaybeHttpsStream<TcpIo>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send>>;

/// Dials the allowed addresses of a host.
#[derive(Clone)]
struct Dialer {
    /// The allowed and denied networks; `None` disables the check.
    networks: Option<Arc<Networks>>,
    timeout: Option<Duration>,
}

impl Dialer {
    fn check(&self, address: SocketAddr) -> Result<(), ConnectError> {
        match &self.networks {
            Some(networks) => address::check(address.ip(), networks)
                .map_err(|why| ConnectError::Forbidden(address, why)),
            None => Ok(()),
        }
    }

    async fn connect(self, host: String, port: u16) -> Result<TcpIo, ConnectError> {
        let stream = match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, self.connect_in_time(&host, port))
                .await
                .unwrap_or(Err(ConnectError::DialTimeout(timeout))),
            None => self.connect_in_time(&host, port).await,
        }?;
        // Requests are small, and each waits for its response.
        stream.set_nodelay(true).ok();
        Ok(TokioIo::new(stream))
    }

    async fn connect_in_time(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let found: Vec<SocketAddr> = lookup_host((host, port))
            .await
            .map_err(ConnectError::NameNotResolved)?
            .collect();
        let no_address = || ConnectError::NameNotResolved(io::Error::other("the answer is empty"));
        let forbidden = found.iter().find_map(|found| self.check(*found).err());
        let mut allowed: Vec<_> = found
            .into_iter()
            .filter(|found| self.check(*found).is_ok())
            .collect();
        let Some(last) = allowed.pop() else {
            return Err(forbidden.unwrap_or_else(no_address));
        };
        for candidate in allowed {
            if let Ok(Ok(stream)) =
                tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect(candidate)).await
            {
                return Ok(stream);
            }
        }
        TcpStream::connect(last)
            .await
            .map_err(|error| ConnectError::Unreachable(last, error))
    }
}

impl Service<Uri> for Dialer {
    type Response = TcpIo;
    type Error = ConnectError;
    type Future = Connecting<TcpIo>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (host, port) = host_and_port(&uri);
        Box::pin(self.clone().connect(host, port))
    }
}

/// Connects to hosts directly or through their proxy.
#[derive(Clone)]
pub(crate) struct Connector {
    networks: Arc<Networks>,
    proxies: Arc<Proxies>,
    direct: Dialer,
    to_proxy: HttpsConnector<Dialer>,
}

impl Connector {
    /// Creates a connector. `tls` is for connections to proxies.
    pub(crate) fn new(
        networks: Arc<Networks>,
        proxies: Arc<Proxies>,
        tls: Arc<rustls::ClientConfig>,
        timeout: Option<Duration>,
    ) -> Connector {
        let dialer = |networks| Dialer { networks, timeout };
        Connector {
            direct: dialer(Some(networks.clone())),
            to_proxy: (dialer(None), tls).into(),
            networks,
            proxies,
        }
    }

    async fn connect_through(
        mut self,
        proxy: Proxy,
        target: Uri,
    ) -> Result<HostStream, ConnectError> {
        let (host, port) = host_and_port(&target);
        if let Some(ip) = address::literal(&host) {
            address::check(ip, &self.networks)
                .map_err(|why| ConnectError::Forbidden(SocketAddr::new(ip, port), why))?;
        }
        let failed = |error: &(dyn Error + 'static)| ConnectError::Proxy {
            proxy: proxy.to_string(),
            detail: with_sources(error),
        };
        if target.scheme_str() != Some("https") {
            let connecting = self.to_proxy.call(proxy.uri().clone());
            let stream = connecting.await.map_err(|error| failed(error.as_ref()))?;
            return Ok(HostStream {
                stream,
                forwards: true,
            });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy);
        if let Some(authorization) = proxy.authorization() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let stream = tunnel.call(target).await.map_err(|error| failed(&error))?;
        Ok(HostStream {
            stream,
            forwards: false,
        })
    }
}

impl Service<Uri> for Connector {
    type Response = HostStream;
    type Error = ConnectError;
    type Future = Connecting<HostStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Some(proxy) = self.proxies.proxy_for(&uri).cloned() {
            return Box::pin(self.clone().connect_through(proxy, uri));
        }
        let connecting = self.direct.call(uri);
        Box::pin(async move {
            Ok(HostStream {
                stream: MaybeHttpsStream::Http(connecting.await?),
                forwards: false,
            })
        })
    }
}

fn host_and_port(uri: &Uri) -> (String, u16) {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let default_port = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    (host.to_owned(), uri.port_u16().unwrap_or(default_port))
}

/// An error and its sources in one line, without repetitions.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = error.source();
    }
    line
}

/// A connection to a host or its proxy, before TLS with the host.
pub(crate) struct HostStream {
    stream: ProxyStream,
    /// Whether the peer is an HTTP proxy, which needs absolute request URIs.
    forwards: bool,
}

impl Connection for HostStream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.forwards)
    }
}

impl Read for HostStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for HostStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}
