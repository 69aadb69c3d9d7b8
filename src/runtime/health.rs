//! Whether the operator is alive, and whether it is ready: what `/healthz` and `/readyz` go by.
//!
//! *Alive* decides whether the kubelet restarts the operator, so it fails only where a restart helps: when the
//! operator hangs, or has stopped looking. Never for what others do: an API server that is away or a registry that
//! is slow is no better after a restart, and many operators that start at once make it worse. Those make it *not
//! ready*, and show in the metrics.
//!
//! - The controllers share one task, and a future in that task notes every few seconds that it was polled. Whatever
//!   blocks the task, by a lock or a loop without end, stops that.
//! - A reconcile with a permit waits for nothing but the API server, and each request there has a deadline of 15 s. A
//!   permit that is held for [`PERMIT_MAX`] shows a hang.
//! - The watches never end by themselves. One namespace that is no longer looked after is a fault.
//!
//! *Ready* means that this replica can do its work. The watches of a namespace that was deleted become forbidden, because
//! its RoleBinding went with it: such a namespace makes no replica unready that serves another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::sync::lock;
use crate::runtime::watch::{Describe, Readiness, Watches};
use crate::runtime::worker_pool::WorkerPool;

/// The longest that a reconcile may hold its permit: sixty requests, one after the other, that each end by their
/// deadline of 15 s. A reconcile sends about twenty at most, if nothing hangs.
pub const PERMIT_MAX: Duration = Duration::from_secs(15 * 60);

/// How often it is noted that the controllers' task is polled.
const BEAT: Duration = Duration::from_secs(5);

/// How long that may be missing: on a processor that has much else to do, a poll comes late.
const BEAT_MAX: Duration = Duration::from_secs(60);

/// What is known of how the operator does.
pub struct Health {
    /// The permits of the reconciles.
    pub workers: WorkerPool,
    /// When the controllers' task was last polled; `None` before it runs.
    beat: Mutex<Option<Instant>>,
    /// One entry for each watched namespace, or one for all of them.
    watches: Mutex<Vec<Arc<Watches>>>,
    is_deserted: AtomicBool,
    is_stopping: AtomicBool,
}

impl Health {
    /// Nothing runs yet, and up to so many reconciles will at once.
    pub fn new(concurrency: u16) -> Health {
        Health {
            workers: WorkerPool::new(concurrency),
            beat: Mutex::default(),
            watches: Mutex::default(),
            is_deserted: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Adds the watches of a namespace; `None` means all namespaces.
    pub fn watches(&self, namespace: Option<&str>, describe: Describe) -> Arc<Watches> {
        let watches = Arc::new(Watches::new(namespace, describe));
        lock(&self.watches).push(Arc::clone(&watches));
        watches
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
        if let Some(held) = self.workers.longest(now).filter(|held| *held > PERMIT_MAX) {
            let seconds = held.as_secs();
            return Err(format!("a reconcile has held its permit for {seconds} s"));
        }
        if self.is_deserted.load(Ordering::Relaxed) {
            return Err("a namespace is no longer looked after: its watches have ended".to_owned());
        }
        Ok(())
    }

    /// Whether this replica can do its work.
    ///
    /// # Errors
    /// What is missing, in a line.
    pub fn ready(&self) -> Result<(), String> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err("the operator is stopping".to_owned());
        }
        let watches = lock(&self.watches);
        ready(watches.iter().map(|watches| watches.readiness()).collect())
    }

    /// The kinds that are watched, each with whether it is synced in all watched namespaces.
    pub fn synced(&self) -> Vec<(&'static str, bool)> {
        let mut kinds: Vec<(&'static str, bool)> = Vec::new();
        let watches = lock(&self.watches);
        for (kind, is_synced) in watches.iter().flat_map(|watches| watches.synced()) {
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, all)) => *all &= is_synced,
                None => kinds.push((kind, is_synced)),
            }
        }
        kinds
    }
}

/// Whether a replica is ready that watches these namespaces: at least one of them is served, and no other lacks more than
/// permissions.
fn ready(namespaces: Vec<Readiness>) -> Result<(), String> {
    if namespaces.is_empty() {
        return Err("the operator is starting".to_owned());
    }
    let is_any_served = namespaces.contains(&Readiness::Ready);
    let faults: Vec<String> = namespaces
        .into_iter()
        .filter_map(|namespace| match namespace {
            Readiness::Ready => None,
            Readiness::Forbidden(_) if is_any_served => None,
            Readiness::Forbidden(fault) | Readiness::NotReady(fault) => Some(fault),
        })
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::runtime::watch::state::{Need, WatchEvent};

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
        let hangs = health.workers.acquire().await;
        for _ in 0..100 {
            let _goes_on = health.workers.acquire().await;
        }
        assert_eq!(live_after(&health, PERMIT_MAX - SECOND), Ok(()));
        let why = live_after(&health, PERMIT_MAX + SECOND).unwrap_err();
        assert_eq!(why, "a reconcile has held its permit for 901 s");
        drop(hangs);
        assert_eq!(live_after(&health, PERMIT_MAX + SECOND), Ok(()));
    }

    #[tokio::test]
    async fn who_waits_for_a_registry_or_a_turn_is_alive_for_however_long() {
        let health = Health::new(1);
        let permit = health.workers.acquire().await;
        let mut waits = Box::pin(health.workers.acquire());
        assert!(waits.as_mut().now_or_never().is_none());
        // It is given back while a registry is waited for; and who had waited for it has it from now on.
        drop(permit);
        let since = Instant::now();
        let other = waits.await;
        assert_eq!(health.live(since + PERMIT_MAX), Ok(()));
        drop(other);
        assert_eq!(live_after(&health, PERMIT_MAX * 100), Ok(()));
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
    fn ready_unless_nothing_is_served_or_a_namespace_lacks_more() {
        let ok = || Readiness::Ready;
        let gone = |name: &str| Readiness::Forbidden(format!("{name} is forbidden"));
        let lists = |name: &str| Readiness::NotReady(format!("{name} not listed yet"));
        let cases = [
            (vec![], Err("the operator is starting")),
            (vec![ok()], Ok(())),
            (vec![ok(), ok()], Ok(())),
            // All namespaces by one watch, or the only one.
            (vec![gone("a")], Err("a is forbidden")),
            (vec![lists("a")], Err("a not listed yet")),
            (vec![ok(), gone("b")], Ok(())),
            (vec![gone("a"), ok(), gone("c")], Ok(())),
            (vec![ok(), lists("b")], Err("b not listed yet")),
            (vec![ok(), gone("b"), lists("c")], Err("c not listed yet")),
            (
                vec![gone("a"), gone("b")],
                Err("a is forbidden, b is forbidden"),
            ),
            (
                vec![lists("a"), gone("b")],
                Err("a not listed yet, b is forbidden"),
            ),
        ];
        for (namespaces, expected) in cases {
            let case = format!("{namespaces:?}");
            assert_eq!(ready(namespaces), expected.map_err(str::to_owned), "{case}");
        }
    }

    #[test]
    fn a_kind_is_synced_if_it_is_in_every_namespace() {
        let health = Health::new(1);
        let [a, b] = ["a", "b"].map(|namespace| health.watches(Some(namespace), |_| String::new()));
        let services = [&a, &b].map(|watches| watches.add("Service", Need::Required));
        services[0].observe(WatchEvent::Listed);
        assert_eq!(health.synced(), [("Service", false)]);
        services[1].observe(WatchEvent::Listed);
        assert_eq!(health.synced(), [("Service", true)]);
    }

    #[test]
    fn an_operator_that_stops_is_not_ready() {
        let health = Health::new(1);
        let watches = health.watches(None, |_| String::new());
        watches
            .add("Service", Need::Required)
            .observe(WatchEvent::Listed);
        assert_eq!(health.ready(), Ok(()));
        health.stops();
        assert_eq!(health.ready(), Err("the operator is stopping".to_owned()));
    }
}
