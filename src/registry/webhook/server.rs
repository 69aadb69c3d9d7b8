//! The webhook's HTTP server: rate-limited, and limited in connections, sizes and times.
//!
//! Plain HTTP, for an Ingress or a Gateway to terminate TLS. Pushes go into a queue; this module knows no Kubernetes.

mod reply;
#[cfg(test)]
mod tests;
mod token_bucket;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use self::reply::Reply;
use self::token_bucket::TokenBucket;
use super::auth::{self, AuthError, Credential, Secret};
use super::payload::{self, MAX_BODY, Notification, PayloadError, Push};
use crate::runtime::sync::lock;
use crate::telemetry::http_server::{self, ServerLimits};
use crate::telemetry::server::Telemetry;

/// The header of a CloudEvents sender's validation request.
const ORIGIN: &str = "webhook-request-origin";

/// The webhook server's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// The timeout of a request's head, and of an idle connection.
    pub head: Duration,
    /// The timeout of a request's body.
    pub body: Duration,
    /// The longest life of a connection. A response under way then gets `grace` to finish.
    pub lifetime: Duration,
    /// How long responses under way may take at shutdown.
    pub grace: Duration,
    /// The token bucket's size.
    pub burst: u32,
    /// The time until the token bucket gains one token.
    pub refill: Duration,
}

impl Default for Limits {
    /// 64 connections, 5 seconds for a head, 10 for a body, a minute for a connection, 5 seconds to stop; 50
    /// notifications at once, and ten a second.
    fn default() -> Limits {
        Limits {
            connections: 64,
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            lifetime: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            burst: 50,
            refill: Duration::from_millis(100),
        }
    }
}

/// Serves `listener` until `stop`, and returns when responses under way have been sent.
///
/// Each notification's pushes become one entry of `queue`. A full queue is answered with 503.
pub async fn serve(
    listener: TcpListener,
    secret: Secret,
    queue: Sender<Vec<Push>>,
    limits: Limits,
    telemetry: Arc<Telemetry>,
    stop: impl Future<Output = ()>,
) {
    let handler = Arc::new(Handler::new(secret, queue, limits, telemetry));
    let answer = move |request| {
        let handler = Arc::clone(&handler);
        async move { handler.handle(request).await.into_response() }
    };
    let limits = ServerLimits {
        connections: limits.connections,
        head: limits.head,
        lifetime: limits.lifetime,
        grace: limits.grace,
    };
    http_server::serve("webhook", listener, limits, answer, stop).await;
}

/// Handles requests.
struct Handler {
    secret: Secret,
    queue: Sender<Vec<Push>>,
    limits: Limits,
    telemetry: Arc<Telemetry>,
    /// Separate, so that unauthenticated requests can't use up the senders' rate limit.
    senders: Mutex<TokenBucket>,
    strangers: Mutex<TokenBucket>,
}

impl Handler {
    fn new(
        secret: Secret,
        queue: Sender<Vec<Push>>,
        limits: Limits,
        telemetry: Arc<Telemetry>,
    ) -> Handler {
        let bucket = || {
            Mutex::new(TokenBucket::new(
                limits.burst,
                limits.refill,
                Instant::now(),
            ))
        };
        Handler {
            secret,
            queue,
            limits,
            telemetry,
            senders: bucket(),
            strangers: bucket(),
        }
    }

    /// Answers a request. The path may hold the secret, and is never logged.
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let method = request.method().clone();
        let reply = match self.decide(request).await {
            Ok(reply) | Err(reply) => reply,
        };
        self.telemetry.metrics.record_notification(reply.result());
        debug!(%method, status = reply.status().as_u16(), "webhook request");
        reply
    }

    /// Decides the reply; `Err` is an early one.
    async fn decide(&self, request: Request<Incoming>) -> Result<Reply, Reply> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let is_ours = path
            .strip_prefix(auth::PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !is_ours {
            return Err(self.stranger(Reply::NotFound));
        }
        let origin = head.headers.get(ORIGIN);
        let is_handshake = head.method == Method::OPTIONS && origin.is_some();
        if head.method != Method::POST && !is_handshake {
            return Err(self.stranger(Reply::WrongMethod));
        }
        let proof = self
            .secret
            .authenticate(path, &head.headers)
            .map_err(|refused| self.stranger(refused.into()))?;
        // A secret is checked before the body is read, a signature afterwards.
        if proof == Credential::Secret {
            self.take_token()?;
        }
        let body = self.read(body).await?;
        if let Credential::Signature(signature) = proof {
            if !self.secret.verify(&body, &signature) {
                return Err(self.stranger(AuthError::Wrong.into()));
            }
            self.take_token()?;
        }
        match origin.filter(|_| is_handshake) {
            Some(origin) => Ok(Reply::Allowed {
                origin: origin.clone(),
                refill: self.limits.refill,
            }),
            None => self.hand_over(&head.headers, &body),
        }
    }

    fn hand_over(&self, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Reply> {
        let pushed = match payload::read(headers, body)? {
            Notification::Validation { code } => return Ok(Reply::Validated { code }),
            Notification::Pushes(pushed) if pushed.is_empty() => return Ok(Reply::NoPush),
            Notification::Pushes(pushed) => pushed,
        };
        let first = pushed[0].clone();
        let count = pushed.len();
        match self.queue.try_send(pushed) {
            Ok(()) => {
                info!(
                    host = first.host,
                    repository = first.repository,
                    tag = first.tag,
                    count,
                    "a registry reported a push"
                );
                Ok(Reply::Accepted)
            }
            Err(TrySendError::Full(_)) => {
                warn!("rejected a registry's notification: the queue is full");
                Err(Reply::Busy)
            }
            Err(TrySendError::Closed(_)) => Err(Reply::Busy),
        }
    }

    /// Reads the body, limited in size and time.
    async fn read(&self, body: Incoming) -> Result<Bytes, Reply> {
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(Reply::InvalidPayload(PayloadError::TooLong));
        }
        let whole = Limited::new(body, MAX_BODY).collect();
        match timeout(self.limits.body, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Reply::InvalidPayload(PayloadError::TooLong))
            }
            Ok(Err(_)) => Err(Reply::Broken),
            Err(_) => Err(Reply::TooSlow),
        }
    }

    /// Applies the senders' rate limit.
    fn take_token(&self) -> Result<(), Reply> {
        take_from(&self.senders).map_err(|wait| Reply::TooMany { wait })
    }

    /// Applies the rate limit of unauthenticated requests to a reply.
    fn stranger(&self, answer: Reply) -> Reply {
        match take_from(&self.strangers) {
            Ok(()) => answer,
            Err(wait) => Reply::TooMany { wait },
        }
    }
}

fn take_from(bucket: &Mutex<TokenBucket>) -> Result<(), Duration> {
    lock(bucket).take(Instant::now())
}
