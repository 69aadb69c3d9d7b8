//! What is made of a watch that fails: what is said of it, how often, and when it is tried again.
//!
//! The same failure is a warning once, not at every try. One that no waiting mends, a permission that is missing, is
//! kept for the resources to tell.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::cluster::Cluster;
use crate::error::{Error, with_sources};
use crate::memory::backoff;

/// The longest wait between two tries: whoever grants a permission sees it used within this time.
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A watch that went well for this long is tried again at once after its next failure.
const PEACE: Duration = Duration::from_secs(60);

/// A watch of one kind, as far as its failures go.
pub(super) struct Faults {
    kind: String,
    /// The namespace that is watched; `None` is all of them.
    scope: Option<String>,
    /// Whether few resources ask for this kind.
    is_optional: bool,
    /// What was said last of a failure, while it lasts.
    standing: Option<String>,
}

impl Faults {
    pub(super) fn new(kind: &str, scope: Option<&str>, is_optional: bool) -> Self {
        Self {
            kind: kind.to_owned(),
            scope: scope.map(ToOwned::to_owned),
            is_optional,
            standing: None,
        }
    }

    /// Takes note of what the watch brought. Gives whether that is a failure that resources haven't told of yet.
    pub(super) fn observe<K>(
        &mut self,
        brought: &watcher::Result<watcher::Event<K>>,
        cluster: &Cluster,
    ) -> bool {
        match brought {
            // Before each try; only what follows tells how it went.
            Ok(watcher::Event::Init) => false,
            // Before the list ends, what was seen before a refusal is still there.
            Ok(watcher::Event::InitApply(_)) if self.is_optional => false,
            Ok(_) if self.is_optional => {
                if self.standing.take().is_some() {
                    info!("{} are watched again", self.what());
                }
                cluster.optional.clear(&self.kind);
                false
            }
            Ok(_) => {
                if self.standing.take().is_some() {
                    info!("{} are watched again", self.what());
                    cluster.blind.clear(&self.kind);
                }
                false
            }
            Err(error) => self.failed(error, cluster),
        }
    }

    fn failed(&mut self, error: &watcher::Error, cluster: &Cluster) -> bool {
        let text = self.text(error);
        let is_new = self.standing.as_ref() != Some(&text);
        match is_new {
            // That is as it may be, until a resource asks for one.
            true if self.is_optional && is_unknown(error) => info!("{text}"),
            true => warn!("{text}"),
            false => debug!("still: {text}"),
        }
        self.standing = Some(text);
        if self.is_optional {
            let unlisted = matches!(error, watcher::Error::InitialListFailed(_));
            let fault = match is_unknown(error) {
                true => Some(Error::NotServed {
                    kind: self.kind.clone(),
                }),
                false => self.forbidden(error).or_else(|| {
                    unlisted.then(|| Error::Api {
                        what: format!("to list {}", self.what()),
                        message: with_sources(error),
                    })
                }),
            };
            let is_told = is_new && fault.is_some();
            if let Some(fault) = fault {
                cluster.optional.note(&self.kind, fault);
            }
            return is_told;
        }
        match self.forbidden(error) {
            Some(fault) => {
                cluster.blind.note(&self.kind, fault, Instant::now());
                is_new
            }
            None => false,
        }
    }

    /// What is watched, for people.
    fn what(&self) -> String {
        match &self.scope {
            Some(namespace) => format!("{} in namespace {namespace}", self.kind),
            None => format!("{} in all namespaces", self.kind),
        }
    }

    fn text(&self, error: &watcher::Error) -> String {
        if is_unknown(error) && self.is_optional {
            return format!(
                "the cluster serves no {}: resources that ask for one tell so",
                self.kind
            );
        }
        if is_unknown(error) {
            return format!(
                "the cluster knows no {}: install the CRD with `kubectl apply -f crds/dockercoins.yaml`",
                self.kind
            );
        }
        match (self.forbidden(error), &self.scope) {
            (Some(fault), Some(namespace)) => {
                format!("{fault}, or create the namespace {namespace} if it is not there")
            }
            (Some(fault), None) => fault.to_string(),
            (None, _) => format!(
                "the watch of {} failed and is begun again: {}",
                self.what(),
                with_sources(error)
            ),
        }
    }

    /// The failure, if it is a permission that is missing.
    fn forbidden(&self, error: &watcher::Error) -> Option<Error> {
        let (verb, status) = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => ("list", status),
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => ("watch", status),
            watcher::Error::WatchError(status) => ("watch", status),
            _ => return None,
        };
        let what = format!("to {verb} {}", self.what());
        let error = Error::from_api(what, kube::Error::Api(status.clone()));
        matches!(error, Error::Forbidden { .. }).then_some(error)
    }
}

/// Whether a watch failed since the cluster doesn't know its kind.
fn is_unknown(error: &watcher::Error) -> bool {
    status_of(error).is_some_and(|status| status.code == 404)
}

/// Whether a watch failed for good: no waiting mends it.
pub(super) fn is_refusal(error: &watcher::Error) -> bool {
    status_of(error).is_some_and(|status| [403, 404].contains(&status.code))
}

fn status_of(error: &watcher::Error) -> Option<&kube::core::Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
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
