//! Leader election by a Lease, with writes fenced by the leader's own clock.
//!
//! [`Leadership`] is what the rest of the operator sees. The leader may write until its renew deadline, which each
//! renewal moves on and which lies well before the Lease can expire: see [`LeaseTimings`]. So a leader that was
//! suspended or cut off writes nothing when it resumes.
//!
//! A request already on its way at the renew deadline can't be recalled: the rest of the lease duration is for those.

mod elector;
mod lease;
mod lease_api;

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use elector::{Election, LeaderElector};
pub use lease::LeaseTimings;
pub use lease_api::LeaseApi;

/// Whether this replica leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaderState {
    /// Another replica leads, or none.
    Standby,
    /// This replica leads.
    Leading {
        /// Counts the times that this replica became the leader, from 1.
        term: u64,
        /// The renew deadline; `None` without leader election.
        until: Option<Instant>,
    },
}

impl LeaderState {
    fn term(self) -> Option<u64> {
        match self {
            Self::Standby => None,
            Self::Leading { term, .. } => Some(term),
        }
    }

    fn until(self) -> Option<Instant> {
        match self {
            Self::Standby => None,
            Self::Leading { until, .. } => until,
        }
    }

    fn may_write(self, now: Instant) -> bool {
        match self {
            Self::Standby => false,
            Self::Leading { until, .. } => until.is_none_or(|until| now < until),
        }
    }
}

/// A handle to this replica's leadership. Clones share the state.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Receivers are only notified when a term begins or ends, not of renewals.
    state: watch::Receiver<LeaderState>,
}

/// Why a write was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// This replica does not lead, or stopped leading meanwhile.
    NotLeading,
    /// The write exceeded its timeout.
    TimedOut,
}

impl Leadership {
    /// Leads for ever: for a single replica.
    pub fn without_election() -> Self {
        let always = LeaderState::Leading {
            term: 1,
            until: None,
        };
        let (_, state) = watch::channel(always);
        Self { state }
    }

    /// A standby's leadership, and the sender that changes it.
    fn channel() -> (watch::Sender<LeaderState>, Self) {
        let (sender, state) = watch::channel(LeaderState::Standby);
        (sender, Self { state })
    }

    /// Whether this replica leads, and its renew deadline has not passed.
    pub fn is_leading(&self) -> bool {
        let (state, now) = self.now();
        state.may_write(now)
    }

    /// The state and the time at which it was read. The clock is read under the channel's lock, so that a term that a
    /// reader saw as over never continues.
    fn now(&self) -> (LeaderState, Instant) {
        let state = self.state.borrow();
        (*state, Instant::now())
    }

    /// Runs a write with a timeout, and cancels the write at the renew deadline.
    ///
    /// The clock is read before each poll. A timer is not enough: in a process that resumes after a suspension, network
    /// events may be served before timers are.
    ///
    /// # Errors
    /// Why the write was cancelled.
    pub async fn guard_write<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let deadline = Instant::now() + limit;
        let mut work = pin!(work);
        let mut alarm = pin!(sleep_until(deadline));
        poll_fn(|context| {
            loop {
                // The Lease may have been renewed since the last poll.
                let (state, now) = self.now();
                if !state.may_write(now) {
                    return Poll::Ready(Err(Interrupted::NotLeading));
                }
                if now >= deadline {
                    return Poll::Ready(Err(Interrupted::TimedOut));
                }
                let end = state.until().map_or(deadline, |until| until.min(deadline));
                if let Poll::Ready(done) = work.as_mut().poll(context) {
                    return Poll::Ready(Ok(done));
                }
                if alarm.deadline() != end {
                    alarm.as_mut().reset(end);
                }
                if alarm.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Runs `work` during the current term; `None` if this replica does not lead, or stops leading meanwhile.
    pub async fn while_leading<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut state = self.state.clone();
        let term = state.borrow().term()?;
        let lost = async {
            let is_over = |state: &LeaderState| state.term() != Some(term);
            // The election's task has ended: only the renew deadline ends the term.
            if state.wait_for(is_over).await.is_err() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = lost => None,
            done = work => Some(done),
        }
    }

    /// Waits for a term other than `after`, and returns its number.
    pub async fn next_term(&self, after: Option<u64>) -> u64 {
        let mut state = self.state.clone();
        let is_next = |state: &LeaderState| state.term().is_some_and(|term| Some(term) != after);
        // The borrowed state must be dropped before the next await.
        let next = state.wait_for(is_next).await.map(|next| next.term());
        match next {
            Ok(Some(term)) => term,
            _ => pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
