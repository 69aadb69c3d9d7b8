//! One replica's part in the election: reads, watches and writes the Lease, and publishes whether the replica leads.
//!
//! [`super::lease`] decides what to do next; this module decides when. Each request has a timeout, and leadership ends
//! at the renew deadline even while a request is under way. The watch only makes takeovers faster: without it the
//! election still works.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::lease::{Action, Holder, LeaseTimings, ObservedLease};
use super::{LeaderState, Leadership};
use crate::runtime::error::{ApiError, with_sources};
use crate::runtime::leader::LeaseApi;

/// Timeout of the release at shutdown, when the process is about to be killed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// A replica that takes part in leader election.
pub struct LeaderElector {
    /// The Lease.
    pub lease_api: LeaseApi,
    /// The holder identity: unique to this process for all time.
    pub identity: String,
    /// The lease duration, and the times derived from it.
    pub timings: LeaseTimings,
}

/// A running election.
pub struct Election {
    /// Dropped when the work is done, so that the Lease is released.
    unfinished: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl LeaderElector {
    /// Starts the election.
    ///
    /// After `shutdown`, a standby leaves the election; the leader keeps renewing until its work is done.
    pub fn start(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Leadership, Election) {
        let (state, leadership) = Leadership::channel();
        let (unfinished, finished) = oneshot::channel();
        let runner = ElectionLoop::new(self, state);
        let task = tokio::spawn(runner.run(shutdown, finished));
        (leadership, Election { unfinished, task })
    }
}

impl Election {
    /// Runs `work`, then releases the Lease if this replica holds it.
    ///
    /// # Errors
    /// If the election's task panicked. The work is dropped, since no replica would lead again.
    pub async fn run_and_release(self, work: impl Future<Output = ()>) -> Result<(), JoinError> {
        let Self {
            unfinished,
            mut task,
        } = self;
        tokio::select! {
            () = work => {}
            ended = &mut task => return ended,
        }
        drop(unfinished);
        task.await
    }
}

/// The election's task.
struct ElectionLoop {
    lease_api: LeaseApi,
    timings: LeaseTimings,
    observed: ObservedLease,
    state: watch::Sender<LeaderState>,
    /// The time that [`ObservedLease`] counts from.
    began: Instant,
    /// How many terms this replica has led.
    terms: u64,
    /// The holder that was last logged, so that each is logged once.
    last_holder: String,
    /// The failure that was last logged; empty after a success.
    last_warning: String,
}

impl ElectionLoop {
    fn new(elector: LeaderElector, state: watch::Sender<LeaderState>) -> Self {
        let LeaderElector {
            lease_api,
            identity,
            timings,
        } = elector;
        Self {
            observed: ObservedLease::new(lease_api.name().to_owned(), identity, timings),
            lease_api,
            timings,
            state,
            began: Instant::now(),
            terms: 0,
            last_holder: String::new(),
            last_warning: String::new(),
        }
    }

    async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        mut finished: oneshot::Receiver<()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut is_ending = false;
        let mut changes = self.lease_api.changes().boxed();
        let mut watch_warning = String::new();
        loop {
            self.check_renew_deadline();
            if is_ending && self.until().is_none() {
                // A standby needs the Lease no more; its work may still be ending.
                let _ = finished.await;
                return;
            }
            let at = match self.observed.next_action(self.began.elapsed()) {
                Action::Wait(at) => self.began + at,
                act @ (Action::Get | Action::AcquireOrRenew) => {
                    if self.attempt(act == Action::AcquireOrRenew).await {
                        // The watch missed a change: it may have fallen silent.
                        changes = self.lease_api.changes().boxed();
                    }
                    continue;
                }
            };
            // Leadership ends at the renew deadline, whatever happens first.
            let at = self.until().map_or(at, |until| until.min(at));
            tokio::select! {
                biased;
                _ = &mut finished => return self.release().await,
                () = &mut shutdown, if !is_ending => is_ending = true,
                change = changes.next() => match change {
                    Some(Ok(lease)) => {
                        watch_warning.clear();
                        self.observed.observe(lease, self.began.elapsed());
                        self.update_state();
                    }
                    Some(Err(error)) => {
                        let why = with_sources(&error);
                        warn_once(&mut watch_warning, format!("the watch of {} failed and is restarted: {why}", self.lease_api));
                    }
                    None => changes = self.lease_api.changes().boxed(),
                },
                () = sleep_until(at) => {}
            }
        }
    }

    /// Reads the Lease, or acquires or renews it. Returns whether the observed Lease was outdated.
    async fn attempt(&mut self, is_write: bool) -> bool {
        let began = Instant::now();
        let mut limit = self.timings.request_timeout();
        if let Some(until) = self.until() {
            limit = limit.min(until.saturating_duration_since(began));
        }
        let answer = match is_write {
            true => {
                let claim = self.observed.acquired(Timestamp::now());
                self.lease_api.write(&claim, limit).await.map(Some)
            }
            false => self.lease_api.read(limit).await,
        };
        self.observed.record_attempt(began - self.began);
        // The response may have come after the renew deadline.
        self.check_renew_deadline();
        match answer {
            Ok(lease) => {
                self.last_warning.clear();
                self.observed.observe(lease, self.began.elapsed());
                if is_write {
                    self.renewed(began);
                }
                self.update_state();
                false
            }
            Err(ApiError::Conflict { message, .. }) => {
                debug!(%message, "the observed Lease is outdated");
                self.observed.mark_outdated();
                true
            }
            Err(error) => {
                warn_once(&mut self.last_warning, format!("{error}; retrying"));
                false
            }
        }
    }

    /// The renew deadline, if this replica leads.
    fn until(&self) -> Option<Instant> {
        self.state.borrow().until()
    }

    /// Leads until the renew deadline of an acquisition or renewal that began then.
    fn renewed(&mut self, began: Instant) {
        let until = began + self.timings.renew_deadline();
        self.last_holder.clear();
        let terms = &mut self.terms;
        let is_new = self.state.send_if_modified(|state| {
            // Under the channel's lock: a term that a reader saw as over never continues.
            let now = Instant::now();
            if now >= until {
                return false;
            }
            let is_new = !state.may_write(now);
            *terms += u64::from(is_new);
            *state = LeaderState::Leading {
                term: *terms,
                until: Some(until),
            };
            is_new
        });
        if is_new {
            info!(lease = %self.lease_api, identity = self.observed.identity(), "leading: this replica holds the Lease");
        }
    }

    /// Stops leading if the Lease was not renewed before the renew deadline.
    fn check_renew_deadline(&mut self) {
        if self.until().is_some_and(|until| Instant::now() >= until) {
            self.state.send_replace(LeaderState::Standby);
            warn!(lease = %self.lease_api, "stopped leading: the Lease was not renewed before the renew deadline");
        }
    }

    /// Stops leading if another replica, or none, holds the Lease. A deleted Lease is created again.
    fn update_state(&mut self) {
        let holder = match self.observed.holder() {
            Holder::This | Holder::NoLease => return,
            Holder::None => "",
            Holder::Other(holder) => holder,
        };
        if self.until().is_some() {
            self.state.send_replace(LeaderState::Standby);
            warn!(lease = %self.lease_api, holder, "stopped leading: another replica took the Lease");
        }
        if !holder.is_empty() && self.last_holder != holder {
            info!(lease = %self.lease_api, holder, "standby: another replica holds the Lease");
        }
        self.last_holder = holder.to_owned();
    }

    /// Stops leading, and releases the Lease if this replica holds it.
    async fn release(mut self) {
        self.state.send_replace(LeaderState::Standby);
        let lease_api = self.lease_api.to_string();
        if timeout(RELEASE_TIMEOUT, self.try_release()).await.is_err() {
            warn!(
                lease = lease_api,
                "the Lease is not released and will expire: the API server does not answer"
            );
        }
    }

    async fn try_release(&mut self) {
        // Twice: the last renewal may have been written although its response was lost.
        for _ in 0..2 {
            if self.observed.holder() != Holder::This {
                return;
            }
            let free = self.observed.released(Timestamp::now());
            match self
                .lease_api
                .write(&free, self.timings.request_timeout())
                .await
            {
                Ok(_) => return info!(lease = %self.lease_api, "released the Lease"),
                Err(ApiError::Conflict { .. }) => {
                    if let Ok(lease) = self.lease_api.read(self.timings.request_timeout()).await {
                        self.observed.observe(lease, self.began.elapsed());
                    }
                }
                Err(error) => {
                    return warn!("the Lease is not released and will expire: {error}");
                }
            }
        }
    }
}

/// Logs a failure, unless it is the one that was logged last: each retry may fail alike.
fn warn_once(last: &mut String, text: String) {
    if *last != text {
        warn!("{text}");
        *last = text;
    }
}
