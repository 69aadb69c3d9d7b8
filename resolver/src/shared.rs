//! One question for many askers.
//!
//! A thousand resources that name the same image are one question to its registry. An answer serves everyone
//! whose question is no newer than it: [`Shared::resolve`] is told how old an answer may be. Only those who
//! show the same logins, of the same names, to the same address share one, so that nobody learns by another's
//! login what their own may not see.
//!
//! Each registry is asked by a few at a time, and one that fails again and again is left alone for a while,
//! as one is that has had too many requests.

mod flights;
mod rest;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::endpoint::Endpoint;
use crate::error::{Failure, ResolveError};
use crate::keyring::{Credential, Keyring};
use crate::names::Reference;
use crate::resolve::{Request, Resolved, Resolver};
use flights::Flights;
use rest::Rest;

/// How many questions one registry is asked at once.
const AT_ONCE: usize = 8;

/// How many questions all of them are asked at once.
const QUESTIONS_MAX: usize = 256;

/// How long what was said of platforms serves others: what is under a digest doesn't change.
const PLATFORMS_KEPT: Duration = Duration::from_secs(300);

/// The most logins of which something is kept in mind at one registry.
const ACCOUNTS_MAX: usize = 4096;

/// The most registries of which something is kept in mind.
const REGISTRIES_MAX: usize = 1024;

/// What a registry answered, for everyone who asked.
pub type Answer = Result<Resolved, Arc<ResolveError>>;

/// For which platforms there are images, for everyone who asked.
pub type Platforms = Result<Vec<String>, Arc<ResolveError>>;

/// A [`Resolver`] that many ask. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Shared {
    resolver: Resolver,
    digests: Arc<Flights<Question, Answer>>,
    platforms: Arc<Flights<Question, Platforms>>,
    registries: Arc<Mutex<HashMap<Endpoint, Arc<Registry>>>>,
    questions: Arc<Semaphore>,
}

/// What makes two questions the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    reference: String,
    endpoint: Option<Endpoint>,
    logins: [u8; 32],
    authority: Option<[u8; 32]>,
}

/// What is kept in mind of one registry.
struct Registry {
    turns: Semaphore,
    /// Whether it answers at all, whoever asks.
    health: Mutex<Rest>,
    /// Whether it answers those with these logins: limits are an account's.
    limits: Mutex<HashMap<[u8; 32], Rest>>,
    /// The logins for which it said last that few pulls are left.
    scarce: Mutex<HashSet<[u8; 32]>>,
}

/// A request that waits for its turn by itself.
struct Owned {
    reference: Reference,
    endpoint: Option<Endpoint>,
    keyring: Keyring,
    certificate_authority: Option<Vec<u8>>,
}

impl Owned {
    fn of(request: &Request<'_>) -> Owned {
        Owned {
            reference: request.reference.clone(),
            endpoint: request.endpoint.cloned(),
            keyring: request.keyring.clone(),
            certificate_authority: request.certificate_authority.map(<[u8]>::to_vec),
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            reference: &self.reference,
            endpoint: self.endpoint.as_ref(),
            keyring: &self.keyring,
            certificate_authority: self.certificate_authority.as_deref(),
        }
    }
}

impl Question {
    fn of(request: &Request<'_>) -> Question {
        Question {
            reference: request.reference.to_string(),
            endpoint: request.endpoint.cloned(),
            // With mirrors, more logins may be shown than are for the registry itself.
            logins: fingerprint(request.keyring.all()),
            authority: request
                .certificate_authority
                .map(|text| Sha256::digest(text).into()),
        }
    }
}

impl Shared {
    /// Shares what `resolver` answers.
    pub fn new(resolver: Resolver) -> Shared {
        Shared {
            resolver,
            digests: Arc::new(Flights::new(lasts)),
            platforms: Arc::new(Flights::new(lasts)),
            registries: Arc::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        }
    }

    /// As [`Resolver::resolve`], with an answer that someone else was given, if it was asked for no earlier than
    /// `not_before`.
    ///
    /// # Errors
    /// As [`Resolver::resolve`]. Where the registry is being left alone, it is the failure that made it so.
    pub async fn resolve(&self, request: &Request<'_>, not_before: Instant) -> Answer {
        let question = Question::of(request);
        let logins = fingerprint(request.logins());
        let (this, owned) = (self.clone(), Owned::of(request));
        let ask = async move {
            let request = owned.request();
            let answer = this
                .in_turn(&request, logins, this.resolver.resolve(&request))
                .await;
            if let (Ok(resolved), Some(endpoint)) = (&answer, request.registry()) {
                let is_scarce = resolved.remaining.is_some_and(|left| left.are_few());
                this.registry(&endpoint).note_scarce(logins, is_scarce);
            }
            answer
        };
        // Whoever carries it on, what is asked belongs to who asked first.
        let ask = ask.in_current_span();
        let answer = |ask| self.digests.share(question, not_before, ask);
        self.observed(ask, answer).await
    }

    /// As [`Resolver::platforms`], with an answer that someone else was given a moment ago. It is not asked, and
    /// the answer is none, where the registry said last that few pulls are left for these logins.
    ///
    /// # Errors
    /// As [`Shared::resolve`].
    pub async fn platforms(&self, request: &Request<'_>) -> Platforms {
        let question = Question::of(request);
        let logins = fingerprint(request.logins());
        // Not kept as an answer: there may soon be more left.
        if let Some(endpoint) = request.registry()
            && self.registry(&endpoint).is_scarce(&logins)
        {
            return Ok(Vec::new());
        }
        let (this, owned) = (self.clone(), Owned::of(request));
        let ask = async move {
            let request = owned.request();
            this.in_turn(&request, logins, this.resolver.platforms(&request))
                .await
        };
        let now = Instant::now();
        let not_before = now.checked_sub(PLATFORMS_KEPT).unwrap_or(now);
        let ask = ask.in_current_span();
        let answer = |ask| self.platforms.share(question, not_before, ask);
        self.observed(ask, answer).await
    }

    /// What `share` answers, with the observer told if that did not take this `ask`.
    async fn observed<V, A: Future<Output = V>>(
        &self,
        ask: impl Future<Output = V> + Send + 'static,
        share: impl FnOnce(Pin<Box<dyn Future<Output = V> + Send>>) -> A,
    ) -> V {
        let is_asked = Arc::new(AtomicBool::new(false));
        let asks = Arc::clone(&is_asked);
        let answer = share(Box::pin(async move {
            asks.store(true, Ordering::Relaxed);
            ask.await
        }))
        .await;
        if let Some(observer) = &self.resolver.observer
            && !is_asked.load(Ordering::Relaxed)
        {
            observer.shared();
        }
        answer
    }

    /// Asks, when it is this question's turn and unless the registry is left alone.
    async fn in_turn<T>(
        &self,
        request: &Request<'_>,
        logins: [u8; 32],
        ask: impl Future<Output = Result<T, ResolveError>>,
    ) -> Result<T, Arc<ResolveError>> {
        let Some(endpoint) = request.registry() else {
            return ask.await.map_err(Arc::new);
        };
        let registry = self.registry(&endpoint);
        let _turn = registry.turns.acquire().await.expect("never closed");
        let _question = self.questions.acquire().await.expect("never closed");
        if let Some((failure, left)) = registry.rests(&logins, Instant::now()) {
            let image = request.reference.clone();
            return Err(Arc::new(ResolveError {
                rests: Some(left),
                ..ResolveError::new(image, Some(endpoint), failure)
            }));
        }
        let began = Instant::now();
        let answer = ask.await;
        registry.learn(logins, answer.as_ref().err(), began, Instant::now());
        answer.map_err(Arc::new)
    }

    fn registry(&self, endpoint: &Endpoint) -> Arc<Registry> {
        let mut registries = lock(&self.registries);
        if registries.len() >= REGISTRIES_MAX && !registries.contains_key(endpoint) {
            // Those that are being asked are held by their questions.
            let now = Instant::now();
            registries
                .retain(|_, registry| Arc::strong_count(registry) > 1 || registry.has_rest(now));
        }
        let registry = registries.entry(endpoint.clone()).or_insert_with(|| {
            Arc::new(Registry {
                turns: Semaphore::new(AT_ONCE),
                health: Mutex::default(),
                limits: Mutex::default(),
                scarce: Mutex::default(),
            })
        });
        Arc::clone(registry)
    }
}

impl Registry {
    /// Why it is not to be asked now by those with these logins.
    fn rests(&self, logins: &[u8; 32], now: Instant) -> Option<(Failure, Duration)> {
        let limits = lock(&self.limits);
        let limit = limits.get(logins).and_then(|limit| limit.left(now));
        limit.or_else(|| lock(&self.health).left(now))
    }

    fn note_scarce(&self, logins: [u8; 32], is_scarce: bool) {
        let mut scarce = lock(&self.scarce);
        match is_scarce {
            true => scarce.insert(logins),
            false => scarce.remove(&logins),
        };
    }

    fn is_scarce(&self, logins: &[u8; 32]) -> bool {
        lock(&self.scarce).contains(logins)
    }

    fn learn(&self, logins: [u8; 32], error: Option<&ResolveError>, began: Instant, now: Instant) {
        let failure = error.map(|error| &error.failure);
        let of_all = failure.filter(|failure| rest::is_of_all(failure));
        lock(&self.health).learn(of_all, began, now);
        let of_account = failure.filter(|failure| rest::is_of_account(failure));
        let mut limits = lock(&self.limits);
        if of_account.is_none() {
            limits.remove(&logins);
            return;
        }
        if limits.len() >= ACCOUNTS_MAX {
            limits.retain(|_, limit| limit.left(now).is_some());
        }
        if limits.len() < ACCOUNTS_MAX || limits.contains_key(&logins) {
            limits
                .entry(logins)
                .or_default()
                .learn(of_account, began, now);
        }
    }

    fn has_rest(&self, now: Instant) -> bool {
        lock(&self.health).left(now).is_some()
            || lock(&self.limits)
                .values()
                .any(|limit| limit.left(now).is_some())
    }
}

/// How long an answer serves others: a failure hardly longer than those wait who asked with it, since it may have
/// passed.
fn lasts<T>(answer: &Result<T, Arc<ResolveError>>) -> Duration {
    match answer {
        Ok(_) => Duration::from_secs(600),
        Err(_) => Duration::from_secs(2),
    }
}

/// A hash of logins, by their names and values, in order.
fn fingerprint<'a>(logins: impl IntoIterator<Item = &'a Credential>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for login in logins {
        let proof = login.proof();
        let (kind, value) = (proof.kind(), proof.value());
        for part in [login.source(), login.key(), login.username(), kind, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}
