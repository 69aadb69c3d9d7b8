//! Turns to work: how many reconciles go on at once, how many wait, and for how long one has had its turn.
//!
//! A turn is given back while a registry is waited for, so that whoever has one waits for nothing but the API
//! server, whose every answer has a deadline. That is what makes the age of a turn tell of a hang.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::sync::lock;

/// The turns of all reconciles.
pub struct Turns {
    count: u16,
    free: Semaphore,
    waiting: AtomicUsize,
    taken: Mutex<Taken>,
}

/// When each turn that is taken was taken, by its number: the smallest is the oldest.
#[derive(Default)]
struct Taken {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// The right to work, given back when it is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
    _permit: SemaphorePermit<'a>,
}

impl Turns {
    /// So many turns, none of them taken.
    pub fn new(count: u16) -> Turns {
        Turns {
            count,
            free: Semaphore::new(usize::from(count)),
            waiting: AtomicUsize::new(0),
            taken: Mutex::default(),
        }
    }

    /// Waits for a turn. They are given in the order in which they are asked for.
    pub async fn take(&self) -> Turn<'_> {
        let waits = Waits::begin(&self.waiting);
        let permit = self.free.acquire().await.expect("never closed");
        drop(waits);
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.since.insert(number, Instant::now());
        Turn {
            turns: self,
            number,
            _permit: permit,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// How many are taken.
    pub fn active(&self) -> usize {
        self.taken().since.len()
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// For how long the turn that was taken first has been taken; `None` while all are free.
    pub fn longest(&self, now: Instant) -> Option<Duration> {
        let taken = self.taken();
        let (_, since) = taken.since.first_key_value()?;
        Some(now.saturating_duration_since(*since))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken().since.remove(&self.number);
    }
}

/// Someone who waits, until this is dropped: who gives up waits no longer.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn those_who_work_and_those_who_wait_are_counted_and_who_gives_up_waits_no_longer() {
        let turns = Turns::new(2);
        let seen = || (turns.active(), turns.waiting());
        assert_eq!(seen(), (0, 0));
        let first = turns.take().await;
        let other = turns.take().await;
        let mut third = Box::pin(turns.take());
        assert!(third.as_mut().now_or_never().is_none());
        let mut gives_up = Box::pin(turns.take());
        assert!(gives_up.as_mut().now_or_never().is_none());
        assert_eq!(seen(), (2, 2));
        drop(gives_up);
        assert_eq!(seen(), (2, 1));
        drop(first);
        let third = third.await;
        assert_eq!(seen(), (2, 0));
        drop((other, third));
        assert_eq!(seen(), (0, 0));
    }

    #[tokio::test]
    async fn the_turn_that_was_taken_first_is_the_longest() {
        let (second, turns) = (Duration::from_secs(1), Turns::new(2));
        assert_eq!(turns.longest(Instant::now()), None);
        let before = Instant::now();
        let first = turns.take().await;
        let between = Instant::now();
        let other = turns.take().await;
        let held = turns.longest(between + second).unwrap();
        assert!(held >= second && held <= second + (between - before));
        drop(first);
        assert!(turns.longest(between + second).unwrap() <= second);
        drop(other);
        assert_eq!(turns.longest(between + second), None);
    }
}
