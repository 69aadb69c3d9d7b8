//! The operator's HTTP servers: how many may speak to one, and for how long.
//!
//! On hyper, as it is in the tree already: each server has few routes, and a framework would bring a router. What
//! a request is answered is the caller's; that no client can hold the server up is decided here.

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
/// The most headers in it.
pub(crate) const HEADERS_MAX: usize = 64;

/// What a server puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections held at one time; more of them wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take to arrive; an idle connection ends after this time, too.
    pub head: Duration,
    /// How long a connection may last. An answer under way then gets `grace` to finish.
    pub lifetime: Duration,
    /// How long answers under way may take to finish once the server is told to stop.
    pub grace: Duration,
}

/// Answers every connection of `listener` until `stop`, and returns when answers under way have been sent.
///
/// `name` is what the log calls the server. `answer` is asked once for each request, and may leave its body unread.
pub async fn serve<A, F>(
    name: &'static str,
    listener: TcpListener,
    bounds: Bounds,
    answer: A,
    stop: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut stop = pin!(stop);
    let mut connections = JoinSet::new();
    // A dropped sender ends every wait for it.
    let (stopping, stopped) = tokio::sync::watch::channel(());
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept(), if connections.len() < bounds.connections => match accepted {
                Ok((stream, peer)) => {
                    debug!(%peer, "a connection to the {name}");
                    connections.spawn(converse(stream, bounds, answer.clone(), stopped.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: some will come free.
                    warn!("the {name} can't accept a connection: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop((listener, stopping));
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(bounds.grace, drained).await.is_err() {
        warn!(
            "the {name} gave up on requests that were not done within {:?}",
            bounds.grace
        );
    }
}

/// Answers the requests of one connection, until it ends, is too old, or the server stops.
async fn converse<A, F>(stream: TcpStream, bounds: Bounds, answer: A, mut stopped: Receiver<()>)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // How it ended is not worth a line: a client that goes away is the client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(bounds.lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(bounds.grace, connection).await;
}
