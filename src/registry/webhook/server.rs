//! The HTTP server that registries push to: bounded in all that strangers can make it do.
//!
//! Plain HTTP: TLS is for what stands before it, an Ingress or a Gateway. It knows no Kubernetes: what was pushed
//! goes into a queue, and what then happens is its reader's.

mod answer;
mod bucket;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use self::answer::Answer;
use self::bucket::Bucket;
use super::payload::{self, BODY_MAX, Notice, Pushed, Unreadable};
use super::proof::{self, Proof, Refused, Secret};
use crate::telemetry::listener::{self, Bounds};
use crate::telemetry::monitor::Monitor;

/// Where CloudEvents' senders say who they are when they ask whether they may send.
const ORIGIN: &str = "webhook-request-origin";

/// What the server puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections held at one time; more of them wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take to arrive; an idle connection ends after this time, too.
    pub head: Duration,
    /// How long its body may take.
    pub body: Duration,
    /// How long a connection may last. An answer under way then gets `grace` to finish.
    pub lifetime: Duration,
    /// How long answers under way may take to finish once the server is told to stop.
    pub grace: Duration,
    /// How many notifications are taken at once.
    pub burst: u32,
    /// After how long there is room for one more.
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

/// Answers every connection of `listener` until `stop`, and returns when answers under way have been sent.
///
/// What each notification says was pushed goes into `queue`, one entry for each notification that names a push.
/// The server never waits for the reader: when the queue is full the sender is told to come again (503).
/// `monitor` counts what notifications are answered.
pub async fn serve(
    listener: TcpListener,
    secret: Secret,
    queue: Sender<Vec<Pushed>>,
    limits: Limits,
    monitor: Arc<Monitor>,
    stop: impl Future<Output = ()>,
) {
    let desk = Arc::new(Desk::new(secret, queue, limits, monitor));
    let answer = move |request| {
        let desk = Arc::clone(&desk);
        async move { desk.answer(request).await.response() }
    };
    let bounds = Bounds {
        connections: limits.connections,
        head: limits.head,
        lifetime: limits.lifetime,
        grace: limits.grace,
    };
    listener::serve("webhook", listener, bounds, answer, stop).await;
}

/// Where notifications are looked at.
struct Desk {
    secret: Secret,
    queue: Sender<Vec<Pushed>>,
    limits: Limits,
    monitor: Arc<Monitor>,
    /// For those who know the secret, and for those who don't: strangers must not use up the senders' turns.
    senders: Mutex<Bucket>,
    strangers: Mutex<Bucket>,
}

impl Desk {
    fn new(
        secret: Secret,
        queue: Sender<Vec<Pushed>>,
        limits: Limits,
        monitor: Arc<Monitor>,
    ) -> Desk {
        let bucket = || Mutex::new(Bucket::new(limits.burst, limits.refill, Instant::now()));
        Desk {
            secret,
            queue,
            limits,
            monitor,
            senders: bucket(),
            strangers: bucket(),
        }
    }

    /// What a request is answered. Its path may have the secret in it, and is never logged.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let method = request.method().clone();
        let answer = match self.decide(request).await {
            Ok(answer) | Err(answer) => answer,
        };
        self.monitor.metrics.notified(answer.result());
        debug!(%method, status = answer.status().as_u16(), "answered a webhook request");
        answer
    }

    /// The answer, good or bad: `Err` is where a step on the way already knows it.
    async fn decide(&self, request: Request<Incoming>) -> Result<Answer, Answer> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let is_ours = path
            .strip_prefix(proof::PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !is_ours {
            return Err(self.stranger(Answer::NotFound));
        }
        let origin = head.headers.get(ORIGIN);
        let is_handshake = head.method == Method::OPTIONS && origin.is_some();
        if head.method != Method::POST && !is_handshake {
            return Err(self.stranger(Answer::WrongMethod));
        }
        let proof = self
            .secret
            .look(path, &head.headers)
            .map_err(|refused| self.stranger(refused.into()))?;
        // The secret is checked before anything is read, a signature once all is.
        if proof == Proof::Secret {
            self.turn()?;
        }
        let body = self.read(body).await?;
        if let Proof::Signature(signature) = proof {
            if !self.secret.signed(&body, &signature) {
                return Err(self.stranger(Refused::Wrong.into()));
            }
            self.turn()?;
        }
        match origin.filter(|_| is_handshake) {
            Some(origin) => Ok(Answer::Allowed {
                origin: origin.clone(),
                refill: self.limits.refill,
            }),
            None => self.hand_over(&head.headers, &body),
        }
    }

    fn hand_over(&self, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Answer> {
        let pushed = match payload::read(headers, body)? {
            Notice::Validation { code } => return Ok(Answer::Validated { code }),
            Notice::Pushed(pushed) if pushed.is_empty() => return Ok(Answer::Nothing),
            Notice::Pushed(pushed) => pushed,
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
                    "a registry tells of a push"
                );
                Ok(Answer::Taken)
            }
            Err(TrySendError::Full(_)) => {
                warn!("a registry's notification was put off: the queue is full");
                Err(Answer::Busy)
            }
            Err(TrySendError::Closed(_)) => Err(Answer::Busy),
        }
    }

    /// The whole body, if it is neither too long nor too slow.
    async fn read(&self, body: Incoming) -> Result<Bytes, Answer> {
        if body.size_hint().lower() > BODY_MAX as u64 {
            return Err(Answer::Unreadable(Unreadable::TooLong));
        }
        let whole = Limited::new(body, BODY_MAX).collect();
        match timeout(self.limits.body, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Answer::Unreadable(Unreadable::TooLong))
            }
            Ok(Err(_)) => Err(Answer::Broken),
            Err(_) => Err(Answer::TooSlow),
        }
    }

    /// A sender's turn, if there is one.
    fn turn(&self) -> Result<(), Answer> {
        take_from(&self.senders).map_err(|wait| Answer::TooMany { wait })
    }

    /// The answer to someone who hasn't shown the secret, while there are not too many of them.
    fn stranger(&self, answer: Answer) -> Answer {
        match take_from(&self.strangers) {
            Ok(()) => answer,
            Err(wait) => Answer::TooMany { wait },
        }
    }
}

fn take_from(bucket: &Mutex<Bucket>) -> Result<(), Duration> {
    bucket
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(Instant::now())
}
