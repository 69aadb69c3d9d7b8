//! Watches of the API server: one state for each kind, which readiness, metrics, reconciles and retries ask.
//!
//! [`state`] holds the transitions and is pure. [`watcher`] does the requests. [`Watches`] holds the states of one
//! namespace, or of all of them.

pub mod state;
pub mod watcher;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::sync::lock;

use state::{FIRST_PAUSE, Need, Target, WatchEvent, WatchFailure, WatchState};

/// The watches of one namespace, or of all of them.
pub struct Watches {
    namespace: Option<String>,
    describe: Describe,
    watches: Mutex<Vec<Arc<Watch>>>,
}

/// The text for people of a failure, with the fix.
pub type Describe = fn(&WatchFailure) -> String;

/// One watch.
pub struct Watch {
    target: Target,
    need: Need,
    describe: Describe,
    state: Mutex<WatchState>,
    /// Resources report something else now.
    changed: Notify,
    /// A resource needs the kind, which is optional and was refused.
    requested: Notify,
}

/// Whether the operator can serve the resources of some watches.
#[derive(Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All required kinds are synced.
    Ready,
    /// The operator may not watch some kinds there: the namespace or its RoleBinding is missing. Says which kinds.
    Forbidden(String),
    /// Some kinds are not listed yet, or their watches fail. Says which kinds.
    NotReady(String),
}

impl Watches {
    /// No watch yet. `namespace` is `None` for a watch of all namespaces.
    pub fn new(namespace: Option<&str>, describe: Describe) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            describe,
            watches: Mutex::default(),
        }
    }

    /// Adds the watch of a kind, in state Listing.
    pub fn add(&self, kind: &'static str, need: Need) -> Arc<Watch> {
        let target = Target {
            kind,
            namespace: self.namespace.clone(),
        };
        let watch = Arc::new(Watch {
            target,
            need,
            describe: self.describe,
            state: Mutex::new(WatchState::Listing),
            changed: Notify::new(),
            requested: Notify::new(),
        });
        lock(&self.watches).push(Arc::clone(&watch));
        watch
    }

    /// Whether a list of the kind was complete.
    ///
    /// # Errors
    /// Why the cache of the kind can't be relied on.
    pub fn is_listed(&self, kind: &str) -> Result<bool, WatchFailure> {
        match self.get(kind) {
            Some(watch) => watch.is_listed(),
            None => Ok(false),
        }
    }

    /// Whether a list of each required kind was complete.
    pub fn are_listed(&self) -> bool {
        let watches = lock(&self.watches);
        let mut required = watches.iter().filter(|watch| watch.is_required());
        !watches.is_empty() && required.all(|watch| watch.state().is_listed())
    }

    /// Why the cache of a required kind can't be relied on.
    pub fn failure(&self) -> Option<WatchFailure> {
        let watches = lock(&self.watches);
        let mut required = watches.iter().filter(|watch| watch.is_required());
        required.find_map(|watch| watch.is_listed().err())
    }

    /// Retries the watch of an optional kind soon: a resource needs the kind.
    pub fn request(&self, kind: &str) {
        if let Some(watch) = self.get(kind) {
            watch.requested.notify_one();
        }
    }

    /// Whether the required kinds are synced.
    pub fn readiness(&self) -> Readiness {
        let watches = lock(&self.watches);
        if watches.is_empty() {
            return Readiness::NotReady("the operator is starting".to_owned());
        }
        let required = watches.iter().filter(|watch| watch.is_required());
        let faults: Vec<(bool, String)> = required.filter_map(|watch| watch.fault()).collect();
        let are_forbidden = faults.iter().all(|(is_forbidden, _)| *is_forbidden);
        let text: Vec<String> = faults.into_iter().map(|(_, text)| text).collect();
        match (text.is_empty(), are_forbidden) {
            (true, _) => Readiness::Ready,
            (false, true) => Readiness::Forbidden(text.join(", ")),
            (false, false) => Readiness::NotReady(text.join(", ")),
        }
    }

    /// The kinds that are watched, each with whether it is synced. A refused optional kind is not watched.
    pub fn synced(&self) -> Vec<(&'static str, bool)> {
        let watches = lock(&self.watches);
        let watched = watches.iter().filter(|watch| !watch.is_paused());
        watched
            .map(|watch| (watch.target.kind, watch.state().is_synced()))
            .collect()
    }

    fn get(&self, kind: &str) -> Option<Arc<Watch>> {
        let watches = lock(&self.watches);
        watches
            .iter()
            .find(|watch| watch.target.kind == kind)
            .cloned()
    }
}

impl Watch {
    /// What is watched.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A value whenever resources must be reconciled because the watch has failed or recovered. A complete list is none:
    /// the watcher's event says so.
    pub fn changes(self: Arc<Self>) -> impl Stream<Item = ()> + Send + 'static {
        stream::unfold(self, async |watch| {
            watch.changed.notified().await;
            Some(((), watch))
        })
    }

    /// Changes the state, and logs the change: a failure once, and not at every retry.
    pub fn observe(&self, event: WatchEvent) {
        let is_list = matches!(event, WatchEvent::Listed);
        let (next, effect) = {
            let mut state = lock(&self.state);
            let (next, effect) = state.next(event, self.need);
            *state = next.clone();
            (next, effect)
        };
        let text = || match next.failure() {
            Some(failure) => (self.describe)(failure),
            None => format!("{} are watched again", self.target),
        };
        match effect.log {
            Some(tracing::Level::WARN) => warn!("{}", text()),
            Some(tracing::Level::INFO) => info!("{}", text()),
            Some(_) => debug!("{}", text()),
            None => {}
        }
        if effect.wakes && !is_list {
            self.changed.notify_one();
        }
    }

    fn state(&self) -> WatchState {
        lock(&self.state).clone()
    }

    fn is_required(&self) -> bool {
        self.need == Need::Required
    }

    fn is_listed(&self) -> Result<bool, WatchFailure> {
        let state = self.state();
        match state.unavailable(self.need) {
            Some(failure) => Err(failure.clone()),
            None => Ok(state.is_listed()),
        }
    }

    /// Whether the watcher stops after this failure until the next retry.
    fn stops_after(&self, failure: &WatchFailure) -> bool {
        self.need == Need::Optional && failure.is_refusal()
    }

    fn is_paused(&self) -> bool {
        let state = self.state();
        state
            .failure()
            .is_some_and(|failure| self.stops_after(failure))
    }

    /// Waits until a stopped watch is worth a retry: a resource has requested the kind, or the pause is over.
    async fn until_retry(&self) {
        let rest = self.state().pause().saturating_sub(FIRST_PAUSE);
        pause(&self.requested, FIRST_PAUSE, rest).await;
    }

    /// What keeps the watch from being ready, and whether that is a missing permission.
    fn fault(&self) -> Option<(bool, String)> {
        let kind = self.target.kind;
        let whose = match &self.target.namespace {
            Some(namespace) => format!("{kind} in namespace {namespace}"),
            None => kind.to_owned(),
        };
        match self.state() {
            WatchState::Synced => None,
            WatchState::Listing => Some((false, format!("{whose} not listed yet"))),
            WatchState::Failed { failure, .. } => {
                let is_forbidden = matches!(failure, WatchFailure::Forbidden { .. });
                let text = format!("the watch of {whose} fails: the log says why");
                Some((is_forbidden, text))
            }
        }
    }
}

/// Waits for `least`, and then for a request or until `rest` is over. A request during `least` counts too.
async fn pause(requested: &Notify, least: Duration, rest: Duration) {
    tokio::time::sleep(least).await;
    let _ = tokio::time::timeout(rest, requested.notified()).await;
}

#[cfg(test)]
mod tests;
