//! The campaign of one replica: it reads, watches and writes the Lease, and says when it leads.
//!
//! What it does next is decided in [`super::lease`]. Here is when: each attempt has a deadline, and the term ends
//! on time although an attempt is still under way. A watch tells of a release at once; nothing is polled. Without
//! the watch, or with one that fell silent, all that is lost is that speed.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::lease::{Act, Holder, Pace, View};
use super::{Leadership, Standing};
use crate::runtime::error::{ApiError, with_sources};
use crate::runtime::leader::Leases;

/// How long it may take to give the lease back, with the process about to be killed.
const RELEASE: Duration = Duration::from_secs(2);

/// Who wants to lead, and by which lease.
pub struct Candidate {
    /// The lease.
    pub leases: Leases,
    /// A name that no other process has, now or ever, beginning with what people know this one by.
    pub identity: String,
    /// The lease's duration.
    pub pace: Pace,
}

/// A campaign that goes on by itself.
pub struct Campaign {
    /// Dropped when what was begun is finished.
    unfinished: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Candidate {
    /// Begins to campaign, and gives what it comes to.
    ///
    /// Once `shutdown` is done, a candidate that doesn't lead no longer wants to; one that does goes on until its
    /// work is finished.
    pub fn campaign(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Leadership, Campaign) {
        let (standing, leadership) = Leadership::open();
        let (unfinished, finished) = oneshot::channel();
        let runner = Runner::new(self, standing);
        let task = tokio::spawn(runner.run(shutdown, finished));
        (leadership, Campaign { unfinished, task })
    }
}

impl Campaign {
    /// Does the work of which some is only done while leading, and then releases the lease if it is held, so that
    /// another need not wait until it runs out.
    ///
    /// # Errors
    /// If the campaign itself broke off, by a panic. No one would ever lead again, so the work is dropped.
    pub async fn beside(self, work: impl Future<Output = ()>) -> Result<(), JoinError> {
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

/// The campaign under way.
struct Runner {
    leases: Leases,
    pace: Pace,
    view: View,
    standing: watch::Sender<Standing>,
    /// When its own count of time began.
    began: Instant,
    /// How often it has led.
    terms: u64,
    /// Who was last said to hold the lease, so that it is said once.
    said: String,
    /// Which failure of an attempt was last told, likewise; nothing after a success.
    complaint: String,
}

impl Runner {
    fn new(candidate: Candidate, standing: watch::Sender<Standing>) -> Self {
        let Candidate {
            leases,
            identity,
            pace,
        } = candidate;
        Self {
            view: View::new(leases.name().to_owned(), identity, pace),
            leases,
            pace,
            standing,
            began: Instant::now(),
            terms: 0,
            said: String::new(),
            complaint: String::new(),
        }
    }

    async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        mut finished: oneshot::Receiver<()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut is_ending = false;
        let mut changes = self.leases.changes().boxed();
        let mut unwatched = String::new();
        loop {
            self.end_if_late();
            if is_ending && self.until().is_none() {
                // It is done with the lease; its work may not be done yet.
                let _ = finished.await;
                return;
            }
            let at = match self.view.next(self.began.elapsed()) {
                Act::Wait(at) => self.began + at,
                act @ (Act::Read | Act::Claim) => {
                    if self.attempt(act == Act::Claim).await {
                        // The watch did not bring what was there: it may have fallen silent.
                        changes = self.leases.changes().boxed();
                    }
                    continue;
                }
            };
            // A term ends on time, whatever else is waited for.
            let at = self.until().map_or(at, |until| until.min(at));
            tokio::select! {
                biased;
                _ = &mut finished => return self.release().await,
                () = &mut shutdown, if !is_ending => is_ending = true,
                change = changes.next() => match change {
                    Some(Ok(lease)) => {
                        unwatched.clear();
                        self.view.see(lease, self.began.elapsed());
                        self.look();
                    }
                    Some(Err(error)) => {
                        let why = with_sources(&error);
                        complain(&mut unwatched, format!("the watch of {} failed and is begun again: {why}", self.leases));
                    }
                    None => changes = self.leases.changes().boxed(),
                },
                () = sleep_until(at) => {}
            }
        }
    }

    /// Reads the lease, or takes or renews it. Gives whether it was not as it had been seen.
    async fn attempt(&mut self, is_claim: bool) -> bool {
        let began = Instant::now();
        let mut limit = self.pace.attempt();
        if let Some(until) = self.until() {
            limit = limit.min(until.saturating_duration_since(began));
        }
        let answer = match is_claim {
            true => {
                let claim = self.view.claim(Timestamp::now());
                self.leases.write(&claim, limit).await.map(Some)
            }
            false => self.leases.read(limit).await,
        };
        self.view.tried(began - self.began);
        // Before anything is made of the answer: it may have come too late.
        self.end_if_late();
        match answer {
            Ok(lease) => {
                self.complaint.clear();
                self.view.see(lease, self.began.elapsed());
                if is_claim {
                    self.renewed(began);
                }
                self.look();
                false
            }
            Err(ApiError::Conflict { message, .. }) => {
                debug!(%message, "the lease is not as it was seen");
                self.view.is_outdated();
                true
            }
            Err(error) => {
                complain(&mut self.complaint, format!("{error}; it is tried again"));
                false
            }
        }
    }

    /// Until when it may write, if it leads.
    fn until(&self) -> Option<Instant> {
        self.standing.borrow().until()
    }

    /// The lease was taken or renewed by an attempt that began then.
    fn renewed(&mut self, began: Instant) {
        let until = began + self.pace.may_write();
        self.said.clear();
        let terms = &mut self.terms;
        let is_new = self.standing.send_if_modified(|standing| {
            // In here no one else reads it: a term that someone saw to be over is not gone on with.
            let now = Instant::now();
            if now >= until {
                return false;
            }
            let is_new = !standing.may_write(now);
            *terms += u64::from(is_new);
            *standing = Standing::Leads {
                term: *terms,
                until: Some(until),
            };
            is_new
        });
        if is_new {
            info!(lease = %self.leases, identity = self.view.me(), "leads: it holds the lease");
        }
    }

    /// Ends the term if the lease was not renewed in time.
    fn end_if_late(&mut self) {
        if self.until().is_some_and(|until| Instant::now() >= until) {
            self.standing.send_replace(Standing::Standby);
            warn!(lease = %self.leases, "leads no longer: the lease was not renewed in time. Nothing is written until it is held again");
        }
    }

    /// Draws the conclusions from what was seen: whoever isn't the holder any more doesn't lead. A lease that was
    /// deleted is written again.
    fn look(&mut self) {
        let holder = match self.view.holder() {
            Holder::Me | Holder::Unknown => return,
            Holder::Nobody => "",
            Holder::Other(holder) => holder,
        };
        if self.until().is_some() {
            self.standing.send_replace(Standing::Standby);
            warn!(lease = %self.leases, holder, "leads no longer: the lease was taken from it");
        }
        if !holder.is_empty() && self.said != holder {
            info!(lease = %self.leases, holder, "stands by: another holds the lease");
        }
        self.said = holder.to_owned();
    }

    /// Gives the lease back, if it is held. Nothing is written from then on.
    async fn release(mut self) {
        self.standing.send_replace(Standing::Standby);
        let leases = self.leases.to_string();
        if timeout(RELEASE, self.give_back()).await.is_err() {
            warn!(
                lease = leases,
                "the lease is not released, and runs out by itself: the API server does not answer"
            );
        }
    }

    async fn give_back(&mut self) {
        // The second time, since the last renewal may have been written without an answer.
        for _ in 0..2 {
            if self.view.holder() != Holder::Me {
                return;
            }
            let free = self.view.release(Timestamp::now());
            match self.leases.write(&free, self.pace.attempt()).await {
                Ok(_) => return info!(lease = %self.leases, "released the lease"),
                Err(ApiError::Conflict { .. }) => {
                    if let Ok(lease) = self.leases.read(self.pace.attempt()).await {
                        self.view.see(lease, self.began.elapsed());
                    }
                }
                Err(error) => {
                    return warn!("the lease is not released, and runs out by itself: {error}");
                }
            }
        }
    }
}

/// Tells a failure, unless it was the last one told: it comes again with each try.
fn complain(told: &mut String, text: String) {
    if *told != text {
        warn!("{text}");
        *told = text;
    }
}
