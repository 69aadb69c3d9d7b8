//! Shares resolutions between callers.
//!
//! Concurrent and recent requests for the same image are served by one result; the caller of
//! [`Shared::resolve`] sets its oldest acceptable time. Results are shared only between callers
//! with the same credentials for the same address.
//!
//! Concurrency per registry is limited, and a circuit breaker pauses requests to a registry that
//! fails repeatedly or limits the rate.

mod circuit_breaker;
mod singleflight;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::endpoint::Endpoint;
use crate::error::{Failure, ResolveError};
use crate::keyring::{Credential, Keyring};
use crate::lock::lock;
use crate::names::Reference;
use crate::resolve::{Request, Resolved, Resolver};
use circuit_breaker::CircuitBreaker;
use singleflight::Singleflight;

/// The most concurrent requests to one registry.
const REQUESTS_PER_REGISTRY: usize = 8;

/// The most concurrent requests to all registries.
const REQUESTS_MAX: usize = 256;

/// How long platforms are shared: a digest's content does not change.
const PLATFORMS_TTL: Duration = Duration::from_secs(300);

/// The most sets of credentials with state at one registry.
const ACCOUNTS_MAX: usize = 4096;

/// The most registries with state.
const REGISTRIES_MAX: usize = 1024;

/// A shared result of [`Shared::resolve`].
pub type Answer = Result<Resolved, Arc<ResolveError>>;

/// A shared result of [`Shared::platforms`].
pub type Platforms = Result<Vec<String>, Arc<ResolveError>>;

/// A [`Resolver`] with shared results. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Shared {
    resolver: Resolver,
    digests: Arc<Singleflight<RequestKey, Answer>>,
    platforms: Arc<Singleflight<RequestKey, Platforms>>,
    registries: Arc<Mutex<HashMap<Endpoint, Arc<Registry>>>>,
    requests: Arc<Semaphore>,
}

/// Requests with equal keys share a result.
#[derive(Clone, PartialEq, Eq, Hash)]
struct RequestKey {
    reference: String,
    endpoint: Option<Endpoint>,
    logins: [u8; 32],
    authority: Option<[u8; 32]>,
}

/// The state of one registry.
struct Registry {
    slots: Semaphore,
    /// The circuit breaker for all callers.
    breaker: Mutex<CircuitBreaker>,
    /// The circuit breakers by credentials: rate limits belong to accounts.
    account_breakers: Mutex<HashMap<[u8; 32], CircuitBreaker>>,
    /// The credentials whose rate limit is nearly used up.
    low_quota: Mutex<HashSet<[u8; 32]>>,
}

/// An owned [`Request`].
struct OwnedRequest {
    reference: Reference,
    endpoint: Option<Endpoint>,
    keyring: Keyring,
    certificate_authority: Option<Vec<u8>>,
}

impl OwnedRequest {
    fn of(request: &Request<'_>) -> OwnedRequest {
        OwnedRequest {
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

impl RequestKey {
    fn of(request: &Request<'_>) -> RequestKey {
        RequestKey {
            reference: request.reference.to_string(),
            endpoint: request.endpoint.cloned(),
            // All of them: mirrors may use more than match the registry itself.
            logins: fingerprint(request.keyring.all()),
            authority: request
                .certificate_authority
                .map(|text| Sha256::digest(text).into()),
        }
    }
}

impl Shared {
    /// Shares the results of `resolver`.
    pub fn new(resolver: Resolver) -> Shared {
        Shared {
            resolver,
            digests: Arc::new(Singleflight::new(ttl)),
            platforms: Arc::new(Singleflight::new(ttl)),
            registries: Arc::default(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }

    /// Like [`Resolver::resolve`], or the shared result of a request that started no earlier than
    /// `not_before`.
    ///
    /// # Errors
    /// As [`Resolver::resolve`]. With an open circuit, the failure that opened it.
    pub async fn resolve(&self, request: &Request<'_>, not_before: Instant) -> Answer {
        let key = RequestKey::of(request);
        let logins = fingerprint(request.logins());
        let (this, owned) = (self.clone(), OwnedRequest::of(request));
        let call = async move {
            let request = owned.request();
            let answer = this
                .with_permits(&request, logins, this.resolver.resolve(&request))
                .await;
            if let (Ok(resolved), Some(endpoint)) = (&answer, request.registry()) {
                let has_low_quota = resolved.remaining.is_some_and(|open_for| open_for.is_low());
                this.registry(&endpoint)
                    .set_low_quota(logins, has_low_quota);
            }
            answer
        };
        // The trace belongs to the first caller, whichever drives the future.
        let call = call.in_current_span();
        let answer = |call| self.digests.share(key, not_before, call);
        self.observed(call, answer).await
    }

    /// Like [`Resolver::platforms`], or a recent shared result. Empty without a request if the rate
    /// limit of these credentials is nearly used up.
    ///
    /// # Errors
    /// As [`Shared::resolve`].
    pub async fn platforms(&self, request: &Request<'_>) -> Platforms {
        let key = RequestKey::of(request);
        let logins = fingerprint(request.logins());
        // Not shared: the limit may soon be reset.
        if let Some(endpoint) = request.registry()
            && self.registry(&endpoint).has_low_quota(&logins)
        {
            return Ok(Vec::new());
        }
        let (this, owned) = (self.clone(), OwnedRequest::of(request));
        let call = async move {
            let request = owned.request();
            this.with_permits(&request, logins, this.resolver.platforms(&request))
                .await
        };
        let now = Instant::now();
        let not_before = now.checked_sub(PLATFORMS_TTL).unwrap_or(now);
        let call = call.in_current_span();
        let answer = |call| self.platforms.share(key, not_before, call);
        self.observed(call, answer).await
    }

    /// Runs `share`, and notifies the observer if `call` was not polled.
    async fn observed<V, A: Future<Output = V>>(
        &self,
        call: impl Future<Output = V> + Send + 'static,
        share: impl FnOnce(Pin<Box<dyn Future<Output = V> + Send>>) -> A,
    ) -> V {
        let is_asked = Arc::new(AtomicBool::new(false));
        let asks = Arc::clone(&is_asked);
        let answer = share(Box::pin(async move {
            asks.store(true, Ordering::Relaxed);
            call.await
        }))
        .await;
        if let Some(observer) = &self.resolver.observer
            && !is_asked.load(Ordering::Relaxed)
        {
            observer.result_shared();
        }
        answer
    }

    /// Runs `call` within the concurrency limits, unless the circuit is open.
    async fn with_permits<T>(
        &self,
        request: &Request<'_>,
        logins: [u8; 32],
        call: impl Future<Output = Result<T, ResolveError>>,
    ) -> Result<T, Arc<ResolveError>> {
        let Some(endpoint) = request.registry() else {
            return call.await.map_err(Arc::new);
        };
        let registry = self.registry(&endpoint);
        let _slot = registry.slots.acquire().await.expect("never closed");
        let _permit = self.requests.acquire().await.expect("never closed");
        if let Some((failure, open_for)) = registry.open_circuit(&logins, Instant::now()) {
            let image = request.reference.clone();
            return Err(Arc::new(ResolveError {
                circuit_open_for: Some(open_for),
                ..ResolveError::new(image, Some(endpoint), failure)
            }));
        }
        let began = Instant::now();
        let answer = call.await;
        registry.record(logins, answer.as_ref().err(), began, Instant::now());
        answer.map_err(Arc::new)
    }

    fn registry(&self, endpoint: &Endpoint) -> Arc<Registry> {
        let mut registries = lock(&self.registries);
        if registries.len() >= REGISTRIES_MAX && !registries.contains_key(endpoint) {
            // Registries in use are referenced by their requests.
            let now = Instant::now();
            registries.retain(|_, registry| {
                Arc::strong_count(registry) > 1 || registry.has_open_circuit(now)
            });
        }
        let registry = registries.entry(endpoint.clone()).or_insert_with(|| {
            Arc::new(Registry {
                slots: Semaphore::new(REQUESTS_PER_REGISTRY),
                breaker: Mutex::default(),
                account_breakers: Mutex::default(),
                low_quota: Mutex::default(),
            })
        });
        Arc::clone(registry)
    }
}

impl Registry {
    /// The failure that opened a circuit for these credentials, and the remaining time.
    fn open_circuit(&self, logins: &[u8; 32], now: Instant) -> Option<(Failure, Duration)> {
        let account_breakers = lock(&self.account_breakers);
        let breaker = account_breakers
            .get(logins)
            .and_then(|breaker| breaker.open_for(now));
        breaker.or_else(|| lock(&self.breaker).open_for(now))
    }

    fn set_low_quota(&self, logins: [u8; 32], has_low_quota: bool) {
        let mut low_quota = lock(&self.low_quota);
        match has_low_quota {
            true => low_quota.insert(logins),
            false => low_quota.remove(&logins),
        };
    }

    fn has_low_quota(&self, logins: &[u8; 32]) -> bool {
        lock(&self.low_quota).contains(logins)
    }

    fn record(&self, logins: [u8; 32], error: Option<&ResolveError>, began: Instant, now: Instant) {
        let failure = error.map(|error| &error.failure);
        let registry_failure =
            failure.filter(|failure| circuit_breaker::is_registry_failure(failure));
        lock(&self.breaker).record(registry_failure, began, now);
        let account_failure =
            failure.filter(|failure| circuit_breaker::is_account_failure(failure));
        let mut account_breakers = lock(&self.account_breakers);
        if account_failure.is_none() {
            account_breakers.remove(&logins);
            return;
        }
        if account_breakers.len() >= ACCOUNTS_MAX {
            account_breakers.retain(|_, breaker| breaker.open_for(now).is_some());
        }
        if account_breakers.len() < ACCOUNTS_MAX || account_breakers.contains_key(&logins) {
            account_breakers
                .entry(logins)
                .or_default()
                .record(account_failure, began, now);
        }
    }

    fn has_open_circuit(&self, now: Instant) -> bool {
        lock(&self.breaker).open_for(now).is_some()
            || lock(&self.account_breakers)
                .values()
                .any(|breaker| breaker.open_for(now).is_some())
    }
}

/// How long a result is shared. Failures only briefly: they may pass.
fn ttl<T>(answer: &Result<T, Arc<ResolveError>>) -> Duration {
    match answer {
        Ok(_) => Duration::from_secs(600),
        Err(_) => Duration::from_secs(2),
    }
}

/// A hash of credentials, in order.
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

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}
