//! Deduplication of concurrent and recent calls.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Shared, WeakShared};
use tokio::time::Instant;

use crate::lock::lock;

/// The most entries.
const ENTRIES_MAX: usize = 4096;

/// How long an entry is kept.
const ENTRY_TTL: Duration = Duration::from_secs(600);

type Call<V> = Pin<Box<dyn Future<Output = V> + Send>>;

/// Shares the result of calls with equal keys.
pub(super) struct Singleflight<K, V> {
    entries: Mutex<HashMap<K, Entry<V>>>,
    /// How long a result may be shared.
    ttl: fn(&V) -> Duration,
}

impl<K, V> Singleflight<K, V> {
    /// Creates an empty instance; `ttl` is how long a result may be shared.
    pub(super) fn new(ttl: fn(&V) -> Duration) -> Self {
        Self {
            entries: Mutex::default(),
            ttl,
        }
    }
}

struct Entry<V> {
    /// The start of the last call.
    at: Instant,
    /// The running call; its callers own it, so that it ends when all of them are dropped.
    call: WeakShared<Call<V>>,
    /// The result and its time.
    answer: Option<(V, Instant)>,
}

impl<K, V> Singleflight<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone,
{
    /// The result of `call`, or of another call with this key that started no earlier than
    /// `not_before`.
    pub(super) async fn share(
        &self,
        key: K,
        not_before: Instant,
        call: impl Future<Output = V> + Send + 'static,
    ) -> V {
        let (at, call) = match self.lookup(&key, not_before) {
            Lookup::Answered(answer) => return answer,
            Lookup::Running(at, call) => (at, call),
            Lookup::Absent => {
                let call: Call<V> = Box::pin(call);
                let call = call.shared();
                let at = Instant::now();
                self.insert(key.clone(), at, &call);
                (at, call)
            }
        };
        let answer = call.await;
        let mut entries = lock(&self.entries);
        if let Some(entries) = entries.get_mut(&key).filter(|entries| entries.at == at) {
            entries.answer = Some((answer.clone(), Instant::now()));
        }
        answer
    }

    fn lookup(&self, key: &K, not_before: Instant) -> Lookup<V> {
        let entries = lock(&self.entries);
        let Some(entries) = entries.get(key).filter(|entries| entries.at >= not_before) else {
            return Lookup::Absent;
        };
        match (&entries.answer, entries.call.upgrade()) {
            (Some((answer, answered_at)), _) if answered_at.elapsed() < (self.ttl)(answer) => {
                Lookup::Answered(answer.clone())
            }
            (Some(_), _) => Lookup::Absent,
            (None, Some(call)) => Lookup::Running(entries.at, call),
            (None, None) => Lookup::Absent,
        }
    }

    fn insert(&self, key: K, at: Instant, call: &Shared<Call<V>>) {
        let Some(call) = call.downgrade() else {
            return;
        };
        let mut entries = lock(&self.entries);
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, entries| at.duration_since(entries.at) < ENTRY_TTL);
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        let answer = None;
        entries.insert(key, Entry { at, call, answer });
    }
}

enum Lookup<V> {
    Answered(V),
    Running(Instant, Shared<Call<V>>),
    Absent,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts its calls, and returns the count when opened.
    #[derive(Clone)]
    struct Registry {
        asked: Arc<AtomicU32>,
        open: Arc<tokio::sync::Semaphore>,
    }

    impl Registry {
        fn new() -> Self {
            Self {
                asked: Arc::default(),
                open: Arc::new(tokio::sync::Semaphore::new(0)),
            }
        }

        fn call(&self) -> impl Future<Output = u32> + Send + 'static {
            let this = self.clone();
            async move {
                let count = this.asked.fetch_add(1, Ordering::SeqCst) + 1;
                let _ = this.open.acquire().await;
                count
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn thousand_callers_share_one_call() {
        let (registry, singleflight) = (Registry::new(), Singleflight::new(|_| ENTRY_TTL));
        let now = Instant::now();
        let askers = (0..1000).map(|_| singleflight.share("redis:7", now, registry.call()));
        let all = futures::future::join_all(askers);
        let (answers, ()) = futures::join!(all, async {
            tokio::task::yield_now().await;
            registry.open.add_permits(1000);
        });
        assert_eq!(answers, vec![1; 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn result_serves_older_requests_only() {
        let (registry, singleflight) = (Registry::new(), Singleflight::new(|_| ENTRY_TTL));
        registry.open.add_permits(1000);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(singleflight.share("a", start, registry.call()).await, 1);
        tokio::time::advance(second).await;
        assert_eq!(singleflight.share("a", start, registry.call()).await, 1);
        assert_eq!(
            singleflight
                .share("a", start + second, registry.call())
                .await,
            2
        );
        assert_eq!(singleflight.share("b", start, registry.call()).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn newer_request_does_not_wait_for_an_older_one() {
        let (registry, singleflight) = (Registry::new(), Singleflight::new(|_| ENTRY_TTL));
        let start = Instant::now();
        let mut first = Box::pin(singleflight.share("a", start, registry.call()));
        assert!(futures::poll!(&mut first).is_pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut second = Box::pin(singleflight.share("a", Instant::now(), registry.call()));
        assert!(futures::poll!(&mut second).is_pending());
        registry.open.add_permits(2);
        assert_eq!(futures::join!(first, second), (1, 2));
        assert_eq!(singleflight.share("a", start, registry.call()).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_call_is_started_again() {
        let (registry, singleflight) = (Registry::new(), Singleflight::new(|_| ENTRY_TTL));
        let start = Instant::now();
        let mut given_up = Box::pin(singleflight.share("a", start, registry.call()));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        registry.open.add_permits(1);
        assert_eq!(singleflight.share("a", start, registry.call()).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn result_is_shared_until_its_ttl() {
        let (registry, singleflight) = (
            Registry::new(),
            Singleflight::new(|_| Duration::from_secs(2)),
        );
        registry.open.add_permits(1000);
        let start = Instant::now();
        assert_eq!(singleflight.share("a", start, registry.call()).await, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(singleflight.share("a", start, registry.call()).await, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(singleflight.share("a", start, registry.call()).await, 2);
    }
}
