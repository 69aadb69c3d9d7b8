//! Whether the operator is alive, and whether it is ready: what `/healthz` and `/readyz` go by.
//!
//! *Alive* decides whether the kubelet restarts the operator, so it fails only where a restart helps: when the
//! operator hangs, or has stopped looking. Never for what others do: an API server that is away or a registry that
//! is slow is no better after a restart, and many operators that start at once make it worse. Those make it *not
//! ready*, and show in the metrics.
//!
//! - The controllers share one task, and a future in that task notes every few seconds that it was polled. Whatever
//!   blocks the task, by a lock or a loop without end, stops that.
//! - A reconcile that has its turn waits for nothing but the API server, and each request there has a deadline of
//!   15 s. A turn that is held for [`TURN_MAX`] hangs.
//! - The watches never end by themselves. One namespace that is no longer looked after is a fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::worker_pool::Turns;

/// The longest that a reconcile may have its turn: sixty requests, one after the other, that each end by their
/// deadline of 15 s. A reconcile sends about twenty at most, if nothing hangs.
pub const TURN_MAX: Duration = Duration::from_secs(15 * 60);

/// How often it is noted that the controllers' task is polled.
const BEAT: Duration = Duration::from_secs(5);

/// How long that may be missing: on a processor that has much else to do, a poll comes late.
const BEAT_MAX: Duration = Duration::from_secs(60);

/// What is known of how the operator does.
pub struct Health {
    /// The turns to work.
    pub turns: Turns,
    /// When the controllers' task was last polled; `None` before it runs.
    beat: Mutex<Option<Instant>>,
    watches: Mutex<Vec<Arc<Watch>>>,
    is_deserted: AtomicBool,
    is_stopping: AtomicBool,
}

/// How the watch of one kind does, in one namespace or in all of them.
pub struct Watch {
    kind: &'static str,
    namespace: Option<String>,
    is_listed: AtomicBool,
    is_failing: AtomicBool,
    /// Whether the operator is ready without it.
    is_optional: bool,
    /// Whether it was refused, and is left alone.
    is_set_aside: AtomicBool,
}

impl Health {
    /// Nothing runs yet, and up to so many reconciles will at once.
    pub fn new(concurrency: u16) -> Health {
        Health {
            turns: Turns::new(concurrency),
            beat: Mutex::default(),
            watches: Mutex::default(),
            is_deserted: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// A watch that has brought nothing yet. `namespace` is `None` where all are watched.
    pub fn watch(&self, kind: &'static str, namespace: Option<&str>) -> Arc<Watch> {
        self.add(kind, namespace, false)
    }

    /// The same, of a kind without which the operator is ready: few resources ask for it.
    pub fn optional_watch(&self, kind: &'static str, namespace: Option<&str>) -> Arc<Watch> {
        self.add(kind, namespace, true)
    }

    fn add(&self, kind: &'static str, namespace: Option<&str>, is_optional: bool) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            kind,
            namespace: namespace.map(str::to_owned),
            is_listed: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            is_optional,
            is_set_aside: AtomicBool::new(false),
        });
        lock(&self.watches).push(Arc::clone(&watch));
        watch
    }

    /// Notes, for as long as it is polled, that the task in which it is goes on. Never done.
    pub async fn beats(&self) {
        loop {
            *lock(&self.beat) = Some(Instant::now());
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Notes that a namespace is no longer looked after, unless the operator stops.
    pub fn deserts(&self) {
        if !self.is_stopping.load(Ordering::Relaxed) {
            self.is_deserted.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the operator has been told to stop.
    pub fn stops(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the operator works, or will.
    ///
    /// # Errors
    /// Why only a restart helps, in a line.
    pub fn live(&self, now: Instant) -> Result<(), String> {
        let missed = lock(&self.beat).map(|beat| now.saturating_duration_since(beat));
        if let Some(missed) = missed.filter(|missed| *missed > BEAT_MAX) {
            let seconds = missed.as_secs();
            return Err(format!("the controllers have not run for {seconds} s"));
        }
        if let Some(held) = self.turns.longest(now).filter(|held| *held > TURN_MAX) {
            let seconds = held.as_secs();
            return Err(format!("a reconcile has held its turn for {seconds} s"));
        }
        if self.is_deserted.load(Ordering::Relaxed) {
            return Err("a namespace is no longer looked after: its watches have ended".to_owned());
        }
        Ok(())
    }

    /// Whether what the operator knows of the cluster is complete and kept up to date.
    ///
    /// # Errors
    /// What is missing, in a line.
    pub fn ready(&self) -> Result<(), String> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err("the operator is stopping".to_owned());
        }
        let watches = lock(&self.watches);
        if watches.is_empty() {
            return Err("the operator is starting".to_owned());
        }
        let needed = watches.iter().filter(|watch| !watch.is_optional);
        let faults: Vec<String> = needed.filter_map(|watch| watch.fault()).collect();
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults.join(", ")),
        }
    }

    /// The kinds that are watched, each with whether all its watches are synced. One that was refused and is left alone
    /// isn't watched.
    pub fn synced(&self) -> Vec<(&'static str, bool)> {
        let mut kinds: Vec<(&'static str, bool)> = Vec::new();
        let watches = lock(&self.watches);
        let is_watched = |watch: &&Arc<Watch>| !watch.is_set_aside.load(Ordering::Relaxed);
        for watch in watches.iter().filter(is_watched) {
            let is_synced = watch.fault().is_none();
            match kinds.iter_mut().find(|(kind, _)| *kind == watch.kind) {
                Some((_, all)) => *all &= is_synced,
                None => kinds.push((watch.kind, is_synced)),
            }
        }
        kinds
    }
}

impl Watch {
    /// The kind that is watched.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether the operator is ready without it, since few resources ask for its kind.
    pub fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// The namespace that is watched; `None` is all of them.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What is watched, for people.
    pub fn what(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} in namespace {namespace}", self.kind),
            None => format!("{} in all namespaces", self.kind),
        }
    }

    /// Notes that a list was read whole.
    pub fn listed(&self) {
        self.is_listed.store(true, Ordering::Relaxed);
        self.is_set_aside.store(false, Ordering::Relaxed);
    }

    /// Notes that it was refused, and is left alone until someone asks for its kind.
    pub fn set_aside(&self) {
        self.is_listed.store(false, Ordering::Relaxed);
        self.is_set_aside.store(true, Ordering::Relaxed);
    }

    /// Notes that the API server took a watch, which may have no event to show for it. Gives whether it had failed.
    pub fn answered(&self) -> bool {
        self.is_failing.swap(false, Ordering::Relaxed)
    }

    /// Notes that it failed, or broke off; it is begun again. Gives whether it had not failed already.
    pub fn failed(&self) -> bool {
        !self.is_failing.swap(true, Ordering::Relaxed)
    }

    fn fault(&self) -> Option<String> {
        let whose = match &self.namespace {
            Some(namespace) => format!("{} in namespace {namespace}", self.kind),
            None => self.kind.to_owned(),
        };
        if self.is_failing.load(Ordering::Relaxed) {
            return Some(format!("the watch of {whose} fails: the log says why"));
        }
        let is_listed = self.is_listed.load(Ordering::Relaxed);
        (!is_listed).then(|| format!("{whose} not listed yet"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How it looks when so much time has passed with nothing done.
    fn live_after(health: &Health, wait: Duration) -> Result<(), String> {
        health.live(Instant::now() + wait)
    }

    #[tokio::test]
    async fn controllers_whose_task_is_blocked_are_not_alive_and_are_again_when_it_goes_on() {
        let health = Health::new(1);
        assert_eq!(live_after(&health, BEAT_MAX * 2), Ok(()), "before they run");
        let health = Arc::new(health);
        let (blocks, blocked) = std::sync::mpsc::channel::<()>();
        let (tells, told) = tokio::sync::oneshot::channel();
        let beating = Arc::clone(&health);
        // The task's other half blocks, as one does that waits for a lock of the standard library's.
        let task = tokio::task::spawn_blocking(move || {
            let mut beats = Box::pin(beating.beats());
            assert!(beats.as_mut().now_or_never().is_none());
            tells.send(()).unwrap();
            blocked.recv().unwrap();
            let mut beats = Box::pin(beating.beats());
            assert!(beats.as_mut().now_or_never().is_none());
        });
        told.await.unwrap();
        let began = lock(&health.beat).unwrap();
        assert_eq!(health.live(began + BEAT_MAX), Ok(()));
        let why = "the controllers have not run for 61 s".to_owned();
        assert_eq!(health.live(began + BEAT_MAX + SECOND), Err(why));
        blocks.send(()).unwrap();
        task.await.unwrap();
        let goes_on = lock(&health.beat).unwrap();
        assert!(goes_on > began);
        assert_eq!(health.live(goes_on + BEAT_MAX), Ok(()));
    }

    #[tokio::test]
    async fn a_reconcile_that_never_gives_its_turn_back_is_noticed_although_others_go_on() {
        let health = Health::new(2);
        let hangs = health.turns.take().await;
        for _ in 0..100 {
            let _goes_on = health.turns.take().await;
        }
        assert_eq!(live_after(&health, TURN_MAX - SECOND), Ok(()));
        let why = live_after(&health, TURN_MAX + SECOND).unwrap_err();
        assert_eq!(why, "a reconcile has held its turn for 901 s");
        drop(hangs);
        assert_eq!(live_after(&health, TURN_MAX + SECOND), Ok(()));
    }

    #[tokio::test]
    async fn who_waits_for_a_registry_or_a_turn_is_alive_for_however_long() {
        let health = Health::new(1);
        let turn = health.turns.take().await;
        let mut waits = Box::pin(health.turns.take());
        assert!(waits.as_mut().now_or_never().is_none());
        // It is given back while a registry is waited for; and who had waited for it has it from now on.
        drop(turn);
        let since = Instant::now();
        let other = waits.await;
        assert_eq!(health.live(since + TURN_MAX), Ok(()));
        drop(other);
        assert_eq!(live_after(&health, TURN_MAX * 100), Ok(()));
    }

    #[test]
    fn a_namespace_that_is_deserted_is_a_fault_unless_the_operator_stops() {
        let health = Health::new(1);
        health.deserts();
        let why = "a namespace is no longer looked after: its watches have ended".to_owned();
        assert_eq!(health.live(Instant::now()), Err(why));

        let health = Health::new(1);
        health.stops();
        health.deserts();
        assert_eq!(health.live(Instant::now()), Ok(()));
    }

    #[test]
    fn it_is_ready_when_every_kind_was_listed_and_while_no_watch_fails() {
        let health = Health::new(1);
        let not_ready = |why: &str| Err(why.to_owned());
        assert_eq!(health.ready(), not_ready("the operator is starting"));
        let coins = health.watch("DockerCoins", None);
        let [a, b] = ["a", "b"].map(|namespace| health.watch("Service", Some(namespace)));
        assert_eq!(
            health.ready(),
            not_ready(
                "DockerCoins not listed yet, Service in namespace a not listed yet, Service in namespace b not listed yet"
            )
        );
        coins.listed();
        a.listed();
        assert_eq!(
            health.ready(),
            not_ready("Service in namespace b not listed yet")
        );
        assert_eq!(health.synced(), [("DockerCoins", true), ("Service", false)]);
        b.listed();
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.synced(), [("DockerCoins", true), ("Service", true)]);

        let routes = health.optional_watch("HTTPRoute", None);
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.synced()[2], ("HTTPRoute", false));
        routes.set_aside();
        assert_eq!(health.synced().len(), 2);
        routes.listed();
        assert_eq!(health.synced()[2], ("HTTPRoute", true));

        coins.failed();
        assert_eq!(
            health.ready(),
            not_ready("the watch of DockerCoins fails: the log says why")
        );
        assert_eq!(health.live(Instant::now()), Ok(()));
        coins.answered();
        assert_eq!(health.ready(), Ok(()));
        health.stops();
        assert_eq!(health.ready(), not_ready("the operator is stopping"));
    }
}
