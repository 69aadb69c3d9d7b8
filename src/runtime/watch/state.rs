//! The state of one watch, and its transitions. Pure.
//!
//! | state | the cache | the watcher |
//! |---|---|---|
//! | Listing | incomplete | reads the first list |
//! | Synced | complete and current | watches |
//! | Failing | as last seen | retries with backoff |
//! | Forbidden | as last seen, and not to be relied on | retries with backoff; stops if the kind is optional |
//! | NotServed | as last seen, and not to be relied on | as for Forbidden |
//!
//! A failed watch stays in its state while it is retried, so that a retry changes nothing for others until it succeeds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher;
use tracing::Level;

use crate::runtime::error::Verb;

/// First pause after an optional kind was refused. A request for the kind does not shorten this pause.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest pause of an optional kind that no resource requests: it may still have objects that are to be deleted.
pub const LAST_PAUSE: Duration = Duration::from_secs(600);

/// Whether the operator can work without a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every resource needs the kind.
    Required,
    /// Only resources that ask for the kind need it. A refused watch stops until the next retry.
    Optional,
}

/// The kind that is watched, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind.
    pub kind: &'static str,
    /// The namespace; `None` means all of them.
    pub namespace: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.kind),
            None => write!(f, "{} in all namespaces", self.kind),
        }
    }
}

/// Why a list or watch failed.
#[derive(Clone, Debug)]
pub enum WatchFailure {
    /// The operator's role lacks a permission (403).
    Forbidden {
        /// The verb that the role lacks.
        verb: Verb,
        /// What was requested.
        target: Target,
        /// The API server's message.
        message: String,
    },
    /// The API server does not serve the kind (404).
    NotServed {
        /// The kind.
        kind: &'static str,
    },
    /// Any other failure; a retry may succeed.
    Failed {
        /// The request that failed.
        verb: Verb,
        /// What was requested.
        target: Target,
        /// The cause.
        error: Arc<watcher::Error>,
    },
}

impl WatchFailure {
    /// The failure of a request for `target`.
    pub fn new(target: &Target, error: watcher::Error) -> Self {
        let target = target.clone();
        let verb = match error {
            watcher::Error::InitialListFailed(_) | watcher::Error::NoResourceVersion => Verb::List,
            _ => Verb::Watch,
        };
        match status(&error) {
            Some(status) if status.code == 403 => Self::Forbidden {
                verb,
                target,
                message: status.message.clone(),
            },
            Some(status) if status.code == 404 => Self::NotServed { kind: target.kind },
            _ => Self::Failed {
                verb,
                target,
                error: Arc::new(error),
            },
        }
    }

    /// Whether the API server refused the request: a retry fails likewise until someone changes the cluster.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::NotServed { .. } => true,
            Self::Failed { .. } => false,
        }
    }

    /// The status code of a failure that is no refusal; `None` if the API server did not answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Forbidden { .. } => Some(403),
            Self::NotServed { .. } => Some(404),
            Self::Failed { error, .. } => status(error).map(|status| status.code),
        }
    }

    /// Whether the failure is part of normal operation: the watch must list again (410), or the API server is still
    /// preparing the storage of a new CRD (429).
    fn is_transient(&self) -> bool {
        matches!(self.code(), Some(410 | 429))
    }

    /// Whether both failures have one cause. Messages may differ from one try to the next.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NotServed { .. }, Self::NotServed { .. }) => true,
            (Self::Forbidden { verb: a, .. }, Self::Forbidden { verb: b, .. }) => a == b,
            (Self::Failed { verb: a, .. }, Self::Failed { verb: b, .. }) => {
                a == b && self.code() == other.code()
            }
            _ => false,
        }
    }

    /// Whether a successful request of this verb disproves the failure. A list says nothing about the right to watch.
    fn is_cleared_by(&self, succeeded: Verb) -> bool {
        match self {
            Self::NotServed { .. } => true,
            Self::Forbidden { verb, .. } | Self::Failed { verb, .. } => *verb == succeeded,
        }
    }
}

/// The API server's answer, if there was one.
pub fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// The state of one watch.
#[derive(Clone, Debug)]
pub enum WatchState {
    /// The first list is not complete.
    Listing,
    /// The cache is complete, and the watch keeps it current.
    Synced,
    /// Failing, Forbidden or NotServed, as `failure` says.
    Failed {
        /// Why the last request failed.
        failure: WatchFailure,
        /// How many requests in a row have failed for this cause.
        times: u32,
        /// Whether a list was complete before the failure.
        is_listed: bool,
    },
}

/// What happened to a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// A list is complete.
    Listed,
    /// The API server accepted the watch.
    Watching,
    /// A list or a watch failed.
    Failed(WatchFailure),
}

/// What follows from a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The level at which the new state is logged, if it is.
    pub log: Option<Level>,
    /// Whether resources must be reconciled: they report something else now.
    pub wakes: bool,
}

impl WatchState {
    /// The state after `event`, and what follows.
    #[must_use]
    pub fn next(&self, event: WatchEvent, need: Need) -> (Self, Effect) {
        let (next, log) = match (self, event) {
            (Self::Listing | Self::Synced, WatchEvent::Listed) => (Self::Synced, None),
            (Self::Listing | Self::Synced, WatchEvent::Watching) => (self.clone(), None),
            (Self::Failed { failure, .. }, WatchEvent::Listed)
                if failure.is_cleared_by(Verb::List) =>
            {
                (Self::Synced, Some(level_of_recovery(failure)))
            }
            (Self::Failed { failure, times, .. }, WatchEvent::Listed) => {
                let listed = Self::Failed {
                    failure: failure.clone(),
                    times: *times,
                    is_listed: true,
                };
                (listed, None)
            }
            (
                Self::Failed {
                    failure,
                    is_listed: true,
                    ..
                },
                WatchEvent::Watching,
            ) if failure.is_cleared_by(Verb::Watch) => {
                (Self::Synced, Some(level_of_recovery(failure)))
            }
            (Self::Failed { .. }, WatchEvent::Watching) => (self.clone(), None),
            (
                Self::Failed {
                    failure,
                    times,
                    is_listed,
                },
                WatchEvent::Failed(again),
            ) if failure.is_same(&again) => {
                let same = Self::Failed {
                    failure: failure.clone(),
                    times: times.saturating_add(1),
                    is_listed: *is_listed,
                };
                (same, Some(Level::DEBUG))
            }
            (_, WatchEvent::Failed(failure)) => {
                let log = level_of_failure(&failure, need);
                let failed = Self::Failed {
                    failure,
                    times: 1,
                    is_listed: self.is_listed(),
                };
                (failed, Some(log))
            }
        };
        let wakes = match (self.unavailable(need), next.unavailable(need)) {
            (None, None) => false,
            (Some(before), Some(after)) => !before.is_same(after),
            _ => true,
        };
        (next, Effect { log, wakes })
    }

    /// Whether a list was complete at least once: an object that is not in the cache did not exist then.
    pub fn is_listed(&self) -> bool {
        match self {
            Self::Listing => false,
            Self::Synced => true,
            Self::Failed { is_listed, .. } => *is_listed,
        }
    }

    /// Whether the cache is complete and current.
    pub fn is_synced(&self) -> bool {
        matches!(self, Self::Synced)
    }

    /// The failure, if the last request failed.
    pub fn failure(&self) -> Option<&WatchFailure> {
        match self {
            Self::Listing | Self::Synced => None,
            Self::Failed { failure, .. } => Some(failure),
        }
    }

    /// The failure that resources must report, because they can't rely on the cache.
    ///
    /// A watch that merely fails leaves a cache that is still good. Without a complete list of a required kind the
    /// operator is not ready, and reports nothing.
    pub fn unavailable(&self, need: Need) -> Option<&WatchFailure> {
        let failure = self.failure()?;
        let lacks_optional_list =
            need == Need::Optional && !self.is_listed() && !failure.is_transient();
        (failure.is_refusal() || lacks_optional_list).then_some(failure)
    }

    /// How long a refused watch of an optional kind pauses at most, if no resource requests the kind.
    ///
    /// A permission may be missing for a moment only, so the pauses after Forbidden grow from [`FIRST_PAUSE`]. A kind that
    /// is not served has no objects, and is worth no more than a rare look.
    pub fn pause(&self) -> Duration {
        match self {
            Self::Failed {
                failure: WatchFailure::Forbidden { .. },
                times,
                ..
            } => {
                let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
                FIRST_PAUSE.saturating_mul(doubled).min(LAST_PAUSE)
            }
            _ => LAST_PAUSE,
        }
    }
}

fn level_of_failure(failure: &WatchFailure, need: Need) -> Level {
    match failure {
        _ if failure.is_transient() => Level::DEBUG,
        // Many clusters serve no such kind, and no resource may ever ask for it.
        WatchFailure::NotServed { .. } if need == Need::Optional => Level::INFO,
        _ => Level::WARN,
    }
}

fn level_of_recovery(failure: &WatchFailure) -> Level {
    match failure.is_transient() {
        true => Level::DEBUG,
        false => Level::INFO,
    }
}

#[cfg(test)]
mod tests;
