//! The HTTP server of metrics and of the webhook, on hyper, with limits that no client can exceed.
//!
//! The caller handles requests. Hyper is a dependency anyway, and few routes need no framework.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// The most bytes of a request's head.
const HEAD_MAX: usize = 16 << 10;
/// The most headers of a request.
pub(crate) const HEADERS_MAX: usize = 64;

/// A server's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// The most connections at once; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// The timeout of a request's head, and of an idle connection.
    pub head: Duration,
    /// The longest life of a connection. A response under way then gets `grace` to finish.
    pub lifetime: Duration,
    /// How long responses under way may take at shutdown.
    pub grace: Duration,
}

/// Serves `listener` until `stop`, and returns when responses under way have been sent.
///
/// `name` is the server's name in the log. `answer` handles a request, and may leave its body unread.
pub async fn serve<A, F>(
    name: &'static str,
    listener: TcpListener,
    limits: ServerLimits,
    answer: A,
    stop: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut stop = pin!(stop);
    let mut connections = JoinSet::new();
    // Dropping the sender stops all connections.
    let (stopping, stopped) = tokio::sync::watch::channel(());
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, peer)) => {
                    debug!(%peer, "a connection to the {name}");
                    connections.spawn(serve_connection(stream, limits, answer.clone(), stopped.clone()));
                }
                Err(error) => {
                    // Most likely out of file descriptors: wait for some to be closed.
                    warn!("the {name} can't accept connections: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop((listener, stopping));
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, drained).await.is_err() {
        warn!(
            "the {name} dropped requests that were not answered within {:?}",
            limits.grace
        );
    }
}

/// Serves one connection until it ends, exceeds its lifetime, or the server stops.
async fn serve_connection<A, F>(
    stream: TcpStream,
    limits: ServerLimits,
    answer: A,
    mut stopped: Receiver<()>,
) where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A connection's error is the client's, and not logged.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(limits.lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.grace, connection).await;
}
