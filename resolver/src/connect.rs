//! How a connection is made: every address is checked where it is dialled.
//!
//! The check stands between looking a host up and connecting to what was found, in one place for
//! registries, token servers and the targets of redirects alike. So a name that leads to a
//! forbidden address, one that changes between two looks, and an address in an odd spelling
//! (`0x7f.1`, `2130706433`) all meet it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use crate::address::{self, Forbidden};

/// How long one address has to answer while others are left to try.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the host has no address")]
    NameNotResolved(#[source] io::Error),
    #[error("{0} may not be connected to")]
    Forbidden(SocketAddr, Forbidden),
    #[error("cannot connect to {0}")]
    Unreachable(SocketAddr, #[source] io::Error),
}

/// Dials hosts at those of their addresses that may be connected to.
#[derive(Clone)]
pub(crate) struct Connector {
    allowed: Arc<[IpNet]>,
}

impl Connector {
    pub(crate) fn new(allowed: &[IpNet]) -> Connector {
        Connector {
            allowed: allowed.into(),
        }
    }

    async fn connect(self, host: String, port: u16) -> Result<TcpStream, ConnectError> {
        let found: Vec<SocketAddr> = lookup_host((host.as_str(), port))
            .await
            .map_err(ConnectError::NameNotResolved)?
            .collect();
        let nothing = || ConnectError::NameNotResolved(io::Error::other("the answer is empty"));
        let forbidden = found.iter().find_map(|found| {
            let why = address::check(found.ip(), &self.allowed).err()?;
            Some(ConnectError::Forbidden(*found, why))
        });
        let mut open: Vec<_> = found
            .into_iter()
            .filter(|found| address::check(found.ip(), &self.allowed).is_ok())
            .collect();
        let Some(last) = open.pop() else {
            return Err(forbidden.unwrap_or_else(nothing));
        };
        for candidate in open {
            if let Ok(Ok(stream)) =
                tokio::time::timeout(PATIENCE, TcpStream::connect(candidate)).await
            {
                return Ok(stream);
            }
        }
        TcpStream::connect(last)
            .await
            .map_err(|error| ConnectError::Unreachable(last, error))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let default_port = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let connector = self.clone();
        Box::pin(async move {
            let stream = connector.connect(host, port).await?;
            // Requests are small and each waits for its answer: nothing is gained by collecting.
            stream.set_nodelay(true).ok();
            Ok(TokioIo::new(stream))
        })
    }
}
