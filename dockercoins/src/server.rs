//! The HTTP server of the programs that listen: bounded, and gone within a second of SIGTERM.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::program::{Failure, Stop, setting};

/// Connections held at one time; more of them wait in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// How long a connection may last, so that one that stalls does not keep its place.
/// An answer under way then gets [`GRACE`] to finish.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a request's head may take to arrive; an idle connection ends after this time, too.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long answers under way may take to finish once the program was told to stop.
const GRACE: Duration = Duration::from_secs(1);

/// The body of an answer that is at hand as a whole.
pub type Whole = Full<Bytes>;

/// Listens on port 80, and answers every request with what `handler` makes of it, until `stop`.
///
/// The environment variable `LISTEN` gives another address, such as `127.0.0.1:8080`; port 0 takes
/// a free one. The address is logged once connections are accepted, and each request after it was
/// answered.
///
/// # Errors
/// When `LISTEN` is not an address, or can't be listened on.
pub async fn serve<H, F, B>(mut stop: Stop, handler: H) -> Result<(), Failure>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let listener = listen().await?;
    tracing::info!("listening on {}", listener.local_addr()?);
    let handler = Arc::new(handler);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.requested() => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    connections.spawn(converse(stream, peer, Arc::clone(&handler), stop.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: some will come free.
                    tracing::warn!("can't accept a connection: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, drained).await.is_err() {
        tracing::warn!("gave up on requests that were not done within {GRACE:?}");
    }
    Ok(())
}

/// An answer of one line of text.
#[must_use]
pub fn text(status: StatusCode, line: impl Into<Bytes>) -> Response<Whole> {
    let mut response = Response::new(Full::new(line.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The answer to a path that leads nowhere.
#[must_use]
pub fn not_found() -> Response<Whole> {
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// The answer to a method that a path does not have; `allowed` are those that it has.
#[must_use]
pub fn wrong_method(allowed: &'static str) -> Response<Whole> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Whether the request only reads. The server leaves out the body of an answer to HEAD by itself.
pub fn reads<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

async fn listen() -> Result<TcpListener, Failure> {
    let asked = setting("LISTEN", "")?;
    let (address, bound) = if asked.is_empty() {
        // One socket for IPv4 and IPv6. A kernel without IPv6 refuses it.
        match TcpListener::bind("[::]:80").await {
            Ok(listener) => return Ok(listener),
            Err(_) => ("0.0.0.0:80", TcpListener::bind("0.0.0.0:80").await),
        }
    } else {
        (asked.as_str(), TcpListener::bind(&asked).await)
    };
    bound.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "; give another address in LISTEN, such as [::]:8080, or lower the sysctl \
                 net.ipv4.ip_unprivileged_port_start"
            }
            io::ErrorKind::AddrInUse => "; give another address in LISTEN, such as [::]:8080",
            io::ErrorKind::InvalidInput => "; LISTEN is an address and a port, such as [::]:8080",
            _ => "",
        };
        format!("can't listen on {address}: {error}{advice}").into()
    })
}

/// Answers the requests of one connection, until it ends, is as old as [`LIFETIME`], or `stop`.
async fn converse<H, F, B>(stream: TcpStream, peer: IpAddr, handler: Arc<H>, mut stop: Stop)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let began = Instant::now();
            let (method, target) = (request.method().clone(), request.uri().clone());
            let response = handler(request).await;
            tracing::info!(
                "{peer} {method} {target} {} {} ms",
                response.status().as_u16(),
                began.elapsed().as_millis()
            );
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // How it ended is not worth a line: a client that goes away is the client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.requested() => {}
        () = sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}
