//! What is made of a watch that fails: what is said of it, how often, and when it is tried again.
//!
//! The same failure is a warning once, not at every try. One that no waiting mends, a permission that is missing, is
//! kept for the resources to tell.

use std::sync::Arc;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::api::crd_check::UPGRADE;
use crate::dockercoins::cluster::Cluster;
use crate::dockercoins::error::Error;
use crate::runtime::error::{ApiError, Request, Verb, with_sources};
use crate::runtime::health::Watch;
use crate::runtime::retry::backoff;

/// The longest wait between two tries: whoever grants a permission sees it used within this time.
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A watch that went well for this long is tried again at once after its next failure.
const PEACE: Duration = Duration::from_secs(60);

/// A watch of one kind, as far as its failures go.
pub(super) struct Faults {
    watch: Arc<Watch>,
    /// What was said last of a failure.
    said: String,
}

impl Faults {
    pub(super) fn new(watch: Arc<Watch>) -> Self {
        Self {
            watch,
            said: String::new(),
        }
    }

    /// Takes note that the watch failed. Gives whether resources are to tell of it, and haven't yet.
    pub(super) fn observe(&mut self, error: &watcher::Error, cluster: &Cluster) -> bool {
        let text = self.text(error);
        let is_new = self.watch.failed() || self.said != text;
        match is_new && !is_passing(error) {
            // That is as it may be, until a resource asks for one.
            true if self.watch.is_optional() && is_unknown(error) => info!("{text}"),
            true => warn!("{text}"),
            false => debug!("still: {text}"),
        }
        self.said = text;
        if self.watch.is_optional() {
            let fault = self.fault_of_optional(error);
            let is_told = is_new && fault.is_some();
            if let Some(fault) = fault {
                cluster.optional.note(self.watch.kind(), fault);
            }
            return is_told;
        }
        match self.forbidden(error) {
            Some(fault) => {
                cluster.blind.note(self.watch.kind(), fault);
                is_new
            }
            None => false,
        }
    }

    /// What is to be told by who asks for a kind that few ask for. A watch that breaks off leaves what it has brought.
    fn fault_of_optional(&self, error: &watcher::Error) -> Option<Error> {
        if is_unknown(error) {
            let kind = self.watch.kind().to_owned();
            return Some(Error::NotServed { kind });
        }
        self.forbidden(error).or_else(|| {
            let is_unlisted = matches!(error, watcher::Error::InitialListFailed(_));
            (is_unlisted && !is_passing(error)).then(|| {
                let (request, message) = (self.request(Verb::List), with_sources(error).into());
                ApiError::Failed { request, message }.into()
            })
        })
    }

    fn text(&self, error: &watcher::Error) -> String {
        if is_unknown(error) && self.watch.is_optional() {
            return format!(
                "the cluster serves no {}: resources that ask for one tell so",
                self.watch.kind()
            );
        }
        if is_unknown(error) {
            return format!(
                "the cluster knows no {}: install the CRD: {UPGRADE}",
                self.watch.kind()
            );
        }
        match (self.forbidden(error), self.watch.namespace()) {
            (Some(fault), Some(namespace)) => {
                format!("{fault}, or create the namespace {namespace} if it is not there")
            }
            (Some(fault), None) => fault.to_string(),
            (None, _) => format!(
                "the watch of {} failed and is begun again: {}",
                self.watch.what(),
                match answer(error) {
                    Some(answer) => format!("{} ({})", answer.message, answer.code),
                    None => with_sources(error),
                }
            ),
        }
    }

    /// The failure, if it is a permission that is missing.
    fn forbidden(&self, error: &watcher::Error) -> Option<Error> {
        let verb = match error {
            watcher::Error::InitialListFailed(_) => Verb::List,
            _ => Verb::Watch,
        };
        let status = answer(error)?;
        let error = kube::Error::Api(Box::new(status.clone()));
        let error = ApiError::new(self.request(verb), error);
        matches!(error, ApiError::Forbidden { .. }).then(|| error.into())
    }

    fn request(&self, verb: Verb) -> Request {
        Request {
            verb,
            kind: self.watch.kind().into(),
            namespace: self.watch.namespace().map(str::to_owned),
            name: None,
        }
    }
}

/// Whether a watch failed since the cluster doesn't know its kind.
fn is_unknown(error: &watcher::Error) -> bool {
    answer(error).is_some_and(|answer| answer.code == 404)
}

/// Whether a watch failed for good: no waiting mends it.
pub(super) fn is_refusal(error: &watcher::Error) -> bool {
    answer(error).is_some_and(|answer| [403, 404].contains(&answer.code))
}

/// What the API server answered, if it did.
fn answer(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// Whether it passes by itself and means nothing: after a change of its CRD, a kind's history begins anew (410), and
/// for some seconds its storage is being made (429).
fn is_passing(error: &watcher::Error) -> bool {
    answer(error).is_some_and(|answer| [410, 429].contains(&answer.code))
}

/// The waits between the tries of a watch.
///
/// The client's own count an announced try as a success, and grow to a minute.
#[derive(Default)]
pub(super) struct Waits {
    failures: u32,
    last: Option<Instant>,
}

impl Waits {
    fn wait(&mut self, now: Instant, chance: f64) -> Duration {
        if self.last.is_some_and(|last| now - last > PEACE) {
            self.failures = 0;
        }
        self.failures += 1;
        self.last = Some(now);
        backoff(self.failures, chance).min(LAST_RETRY)
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.wait(Instant::now(), fastrand::f64()))
    }
}

impl Backoff for Waits {
    /// Time alone ends a row of failures.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_ever_more_slowly_up_to_ten_seconds_and_at_once_again_after_a_minute_of_peace() {
        let mut waits = Waits::default();
        let start = Instant::now();
        let row: Vec<u64> = (0..6).map(|_| waits.wait(start, 1.0).as_secs()).collect();
        assert_eq!(row, [1, 2, 4, 8, 10, 10]);
        waits.reset();
        assert_eq!(waits.wait(start + PEACE, 1.0), LAST_RETRY);
        assert_eq!(waits.wait(start + PEACE * 3, 1.0), Duration::from_secs(1));
    }
}
