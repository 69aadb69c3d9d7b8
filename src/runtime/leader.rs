//! Which of several replicas may write: the one that holds a Lease, and only until a moment of its own clock.
//!
//! [`Leadership`] is what the rest of the operator knows of it. A replica that leads has a *term*, which ends when
//! the lease is lost, and a moment until which it may write. With every renewal that moment moves on. It lies well
//! before the one in which another may take the lease over, and both are counted from the same renewal: see
//! [`Pace`]. So whoever was deposed without noticing, since it was stopped or could reach no one, writes nothing
//! when it wakes.
//!
//! What can't be refused here is a request that has been handed to the network, or is in the API server's queue,
//! when the moment passes: the rest of the lease is there for those to come to their end. Only the API server
//! could refuse them later than that.

mod campaign;
mod lease;
mod lease_api;

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use campaign::{Campaign, Candidate};
pub use lease::Pace;
pub use lease_api::Leases;

/// What a replica may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Watch, and write nothing.
    Standby,
    /// Write.
    Leads {
        /// The how many-th time it leads.
        term: u64,
        /// Until when; `None` where it need not ask anyone.
        until: Option<Instant>,
    },
}

impl Standing {
    fn term(self) -> Option<u64> {
        match self {
            Self::Standby => None,
            Self::Leads { term, .. } => Some(term),
        }
    }

    fn until(self) -> Option<Instant> {
        match self {
            Self::Standby => None,
            Self::Leads { until, .. } => until,
        }
    }

    fn may_write(self, now: Instant) -> bool {
        match self {
            Self::Standby => false,
            Self::Leads { until, .. } => until.is_none_or(|until| now < until),
        }
    }
}

/// Whether this replica leads, for whoever must know before writing. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Renewals move `until` on without waking anyone; only a term's begin and end are told.
    standing: watch::Receiver<Standing>,
}

/// Why something was not done to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// This replica may not write, or may no longer.
    Deposed,
    /// It took longer than it may.
    Late,
}

impl Leadership {
    /// The leadership of one that has no one beside it: it may write, always.
    pub fn alone() -> Self {
        let always = Standing::Leads {
            term: 1,
            until: None,
        };
        let (_, standing) = watch::channel(always);
        Self { standing }
    }

    /// A leadership that is nobody's yet, and what decides it.
    fn open() -> (watch::Sender<Standing>, Self) {
        let (sender, standing) = watch::channel(Standing::Standby);
        (sender, Self { standing })
    }

    /// Whether this replica may write now.
    pub fn is_leading(&self) -> bool {
        let (standing, now) = self.now();
        standing.may_write(now)
    }

    /// How it stands, and when that was. The clock is read while the standing can't change: whoever was refused
    /// because a term was over by the clock can rely on the next one being a new one.
    fn now(&self) -> (Standing, Instant) {
        let standing = self.standing.borrow();
        (*standing, Instant::now())
    }

    /// Does something that may take `limit`, and is cut off in the moment in which this replica may no longer
    /// write: nothing of it is done afterwards, not even a first step.
    ///
    /// The clock is read before each step. A timer would not do: in a process that was stopped and wakes up, what
    /// comes from the network may be served before the timers are.
    ///
    /// # Errors
    /// Why it was cut off.
    pub async fn fenced<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Cut> {
        let deadline = Instant::now() + limit;
        let mut work = pin!(work);
        let mut alarm = pin!(sleep_until(deadline));
        poll_fn(|context| {
            loop {
                // Read anew each time: the lease may have been renewed since.
                let (standing, now) = self.now();
                if !standing.may_write(now) {
                    return Poll::Ready(Err(Cut::Deposed));
                }
                if now >= deadline {
                    return Poll::Ready(Err(Cut::Late));
                }
                let end = standing
                    .until()
                    .map_or(deadline, |until| until.min(deadline));
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

    /// Does something as long as this replica leads; `None` if it doesn't, or doesn't to the end.
    pub async fn while_leading<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut standing = self.standing.clone();
        let term = standing.borrow().term()?;
        let lost = async {
            let is_over = |standing: &Standing| standing.term() != Some(term);
            // Where no one decides it any more, it ends by the clock alone.
            if standing.wait_for(is_over).await.is_err() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = lost => None,
            done = work => Some(done),
        }
    }

    /// Waits for the next term after this one, and gives its number. The first is awaited by `None`.
    pub async fn next_term(&self, after: Option<u64>) -> u64 {
        let mut standing = self.standing.clone();
        let is_next = |standing: &Standing| standing.term().is_some_and(|term| Some(term) != after);
        // In a variable, since it holds a lock until it is dropped.
        let next = standing.wait_for(is_next).await.map(|next| next.term());
        match next {
            Ok(Some(term)) => term,
            _ => pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
