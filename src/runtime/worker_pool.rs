//! The pool of workers: how many reconciles run at once, how many wait, and how long one has held its permit.
//!
//! A reconcile gives its permit back while it waits for a registry. So the holder of a permit waits for nothing but the
//! API server, whose every answer has a deadline, and the age of a permit shows a hang.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::sync::lock;

/// The permits of all reconciles.
pub struct WorkerPool {
    size: u16,
    free: Semaphore,
    waiting: AtomicUsize,
    held: Mutex<Held>,
}

/// When each held permit was taken, by its number: the smallest is the oldest.
#[derive(Default)]
struct Held {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// The permit to work, given back when it is dropped.
pub struct Permit<'a> {
    pool: &'a WorkerPool,
    number: u64,
    _permit: SemaphorePermit<'a>,
}

impl WorkerPool {
    /// A pool with this many permits.
    pub fn new(size: u16) -> Self {
        Self {
            size,
            free: Semaphore::new(usize::from(size)),
            waiting: AtomicUsize::new(0),
            held: Mutex::default(),
        }
    }

    /// Waits for a permit. Permits are given in the order of the calls.
    pub async fn acquire(&self) -> Permit<'_> {
        let waiting = Waiting::begin(&self.waiting);
        let permit = self.free.acquire().await.expect("never closed");
        drop(waiting);
        let mut held = self.held();
        let number = held.next;
        held.next += 1;
        held.since.insert(number, Instant::now());
        Permit {
            pool: self,
            number,
            _permit: permit,
        }
    }

    /// The number of permits.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// The number of permits that are held.
    pub fn active(&self) -> usize {
        self.held().since.len()
    }

    /// The number of reconciles that wait for a permit.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long the oldest permit has been held; `None` while all are free.
    pub fn longest(&self, now: Instant) -> Option<Duration> {
        let held = self.held();
        let (_, since) = held.since.first_key_value()?;
        Some(now.saturating_duration_since(*since))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pool.held().since.remove(&self.number);
    }
}

/// A reconcile that waits, until this is dropped. A cancelled one no longer waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn active_and_waiting_reconciles_are_counted() {
        let pool = WorkerPool::new(2);
        let counts = || (pool.active(), pool.waiting());
        assert_eq!(counts(), (0, 0));
        let first = pool.acquire().await;
        let other = pool.acquire().await;
        let mut third = Box::pin(pool.acquire());
        assert!(third.as_mut().now_or_never().is_none());
        let mut cancelled = Box::pin(pool.acquire());
        assert!(cancelled.as_mut().now_or_never().is_none());
        assert_eq!(counts(), (2, 2));
        drop(cancelled);
        assert_eq!(counts(), (2, 1));
        drop(first);
        let third = third.await;
        assert_eq!(counts(), (2, 0));
        drop((other, third));
        assert_eq!(counts(), (0, 0));
    }

    #[tokio::test]
    async fn the_first_permit_is_the_longest_held() {
        let (second, pool) = (Duration::from_secs(1), WorkerPool::new(2));
        assert_eq!(pool.longest(Instant::now()), None);
        let before = Instant::now();
        let first = pool.acquire().await;
        let between = Instant::now();
        let other = pool.acquire().await;
        let held = pool.longest(between + second).unwrap();
        assert!(held >= second && held <= second + (between - before));
        drop(first);
        assert!(pool.longest(between + second).unwrap() <= second);
        drop(other);
        assert_eq!(pool.longest(between + second), None);
    }
}
