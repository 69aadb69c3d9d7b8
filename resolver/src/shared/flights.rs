//! Questions that are being asked, and answers that were just given.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Shared, WeakShared};
use tokio::time::Instant;

/// The most questions of which something is kept.
const KEPT_MAX: usize = 4096;

/// How long an answer is kept for those who may take an old one.
const KEPT: Duration = Duration::from_secs(600);

type Flight<V> = Pin<Box<dyn Future<Output = V> + Send>>;

/// The questions and answers.
pub(super) struct Flights<K, V> {
    known: Mutex<HashMap<K, Known<V>>>,
    /// How long an answer serves others.
    lasts: fn(&V) -> Duration,
}

impl<K, V> Flights<K, V> {
    /// None yet. An answer serves others for as long as `lasts` says.
    pub(super) fn new(lasts: fn(&V) -> Duration) -> Self {
        Self {
            known: Mutex::default(),
            lasts,
        }
    }
}

struct Known<V> {
    /// When it was last asked.
    at: Instant,
    /// Those who asked then carry the question; when they all have gone, so has it.
    flight: WeakShared<Flight<V>>,
    /// What was answered, kept for others.
    answer: Option<(V, Instant)>,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone,
{
    /// What `ask` answers, or someone else was answered who asked the same no earlier than `not_before`.
    pub(super) async fn share(
        &self,
        key: K,
        not_before: Instant,
        ask: impl Future<Output = V> + Send + 'static,
    ) -> V {
        let (at, flight) = match self.join(&key, not_before) {
            Joined::Answered(answer) => return answer,
            Joined::Asking(at, flight) => (at, flight),
            Joined::No => {
                let ask: Flight<V> = Box::pin(ask);
                let flight = ask.shared();
                let at = Instant::now();
                self.keep(key.clone(), at, &flight);
                (at, flight)
            }
        };
        let answer = flight.await;
        let mut known = self.lock();
        if let Some(known) = known.get_mut(&key).filter(|known| known.at == at) {
            known.answer = Some((answer.clone(), Instant::now()));
        }
        answer
    }

    fn join(&self, key: &K, not_before: Instant) -> Joined<V> {
        let known = self.lock();
        let Some(known) = known.get(key).filter(|known| known.at >= not_before) else {
            return Joined::No;
        };
        match (&known.answer, known.flight.upgrade()) {
            (Some((answer, told)), _) if told.elapsed() < (self.lasts)(answer) => {
                Joined::Answered(answer.clone())
            }
            (Some(_), _) => Joined::No,
            (None, Some(flight)) => Joined::Asking(known.at, flight),
            (None, None) => Joined::No,
        }
    }

    fn keep(&self, key: K, at: Instant, flight: &Shared<Flight<V>>) {
        let Some(flight) = flight.downgrade() else {
            return;
        };
        let mut known = self.lock();
        if known.len() >= KEPT_MAX {
            known.retain(|_, known| at.duration_since(known.at) < KEPT);
        }
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        let answer = None;
        known.insert(key, Known { at, flight, answer });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Known<V>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Joined<V> {
    Answered(V),
    Asking(Instant, Shared<Flight<V>>),
    No,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts how often it is asked, and gives the count when let go.
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

        fn ask(&self) -> impl Future<Output = u32> + Send + 'static {
            let this = self.clone();
            async move {
                let count = this.asked.fetch_add(1, Ordering::SeqCst) + 1;
                let _ = this.open.acquire().await;
                count
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_askers_are_one_question() {
        let (registry, flights) = (Registry::new(), Flights::new(|_| KEPT));
        let now = Instant::now();
        let askers = (0..1000).map(|_| flights.share("redis:7", now, registry.ask()));
        let all = futures::future::join_all(askers);
        let (answers, ()) = futures::join!(all, async {
            tokio::task::yield_now().await;
            registry.open.add_permits(1000);
        });
        assert_eq!(answers, vec![1; 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_older_questions_and_no_newer_one() {
        let (registry, flights) = (Registry::new(), Flights::new(|_| KEPT));
        registry.open.add_permits(1000);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(flights.share("a", start, registry.ask()).await, 1);
        tokio::time::advance(second).await;
        assert_eq!(flights.share("a", start, registry.ask()).await, 1);
        assert_eq!(flights.share("a", start + second, registry.ask()).await, 2);
        assert_eq!(flights.share("b", start, registry.ask()).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_question_does_not_wait_for_an_older_one() {
        let (registry, flights) = (Registry::new(), Flights::new(|_| KEPT));
        let start = Instant::now();
        let mut first = Box::pin(flights.share("a", start, registry.ask()));
        assert!(futures::poll!(&mut first).is_pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut second = Box::pin(flights.share("a", Instant::now(), registry.ask()));
        assert!(futures::poll!(&mut second).is_pending());
        registry.open.add_permits(2);
        assert_eq!(futures::join!(first, second), (1, 2));
        assert_eq!(flights.share("a", start, registry.ask()).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_everyone_gave_up_is_asked_anew() {
        let (registry, flights) = (Registry::new(), Flights::new(|_| KEPT));
        let start = Instant::now();
        let mut given_up = Box::pin(flights.share("a", start, registry.ask()));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        registry.open.add_permits(1);
        assert_eq!(flights.share("a", start, registry.ask()).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_others_as_long_as_it_lasts() {
        let (registry, flights) = (Registry::new(), Flights::new(|_| Duration::from_secs(2)));
        registry.open.add_permits(1000);
        let start = Instant::now();
        assert_eq!(flights.share("a", start, registry.ask()).await, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(flights.share("a", start, registry.ask()).await, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(flights.share("a", start, registry.ask()).await, 2);
    }
}
