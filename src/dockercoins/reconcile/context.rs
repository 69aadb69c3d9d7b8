//! What reconciles share: the API server, the registries, and what is kept of each resource between two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use kube::{Resource as _, ResourceExt};
use tokio::time::Instant;

use crate::api::{DockerCoins, Guarded, Known, REQUESTED_AT};
use crate::dockercoins::cluster::Cluster;
use crate::dockercoins::memory::ResourceMemory;
use crate::runtime::sync::lock;
use crate::runtime::worker_pool::Permit;
use crate::telemetry::server::Telemetry;

/// What every reconcile works with.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// The registries.
    pub resolver: resolver::Shared,
    /// Who may work at a resource now, and what is counted of that.
    pub monitor: Arc<Telemetry>,
    /// What is kept of each resource, by its uid.
    known: Mutex<BTreeMap<String, ResourceState>>,
    /// The request that was last written to resources, because of a push, and when.
    written: Mutex<Option<(String, Instant)>>,
    /// The fields that this operator knows.
    pub(super) fields: Known,
}

/// What is kept of one resource.
#[derive(Default)]
pub(super) struct ResourceState {
    pub(super) memory: Arc<tokio::sync::Mutex<ResourceMemory>>,
    first_seen: Option<FirstSeen>,
    /// What woke it since it was last looked at; the first of several.
    woken_by: Option<String>,
    /// The generation whose fields were last compared with those that this operator knows.
    compared: Option<i64>,
}

/// When a resource was first seen to say what it says.
struct FirstSeen {
    generation: Option<i64>,
    requested: Option<String>,
    at: Instant,
}

impl Context {
    /// A context that remembers nothing yet. At most as many reconciles run at once as there are permits.
    pub fn new(cluster: Cluster, resolver: resolver::Shared, monitor: Arc<Telemetry>) -> Self {
        Self {
            cluster,
            resolver,
            monitor,
            known: Mutex::default(),
            written: Mutex::default(),
            fields: Known::default(),
        }
    }

    /// Notes what a resource was seen to say, as soon as the watch brings it: what a registry answers from now on
    /// is new enough for it.
    pub fn seen(&self, coins: &Guarded) {
        let generation = coins.meta().generation;
        let requested = coins.annotations().get(REQUESTED_AT).cloned();
        let uid = coins.uid().unwrap_or_default();
        let mut all = self.known();
        let known = all.entry(uid).or_default();
        let is_same =
            |seen: &FirstSeen| (seen.generation, &seen.requested) == (generation, &requested);
        if !known.first_seen.as_ref().is_some_and(is_same) {
            let written = lock(&self.written);
            let at = match &*written {
                // What was written to many at once is one question for all of them.
                Some((value, at)) if requested.as_ref() == Some(value) => *at,
                _ => Instant::now(),
            };
            known.first_seen = Some(FirstSeen {
                generation,
                requested,
                at,
            });
        }
    }

    /// Notes that a request is about to be written to resources.
    pub fn requests(&self, value: &str) {
        let mut written = lock(&self.written);
        *written = Some((value.to_owned(), Instant::now()));
    }

    pub(super) fn known(&self) -> MutexGuard<'_, BTreeMap<String, ResourceState>> {
        lock(&self.known)
    }

    pub(super) fn first_seen_at(&self, uid: &str) -> Instant {
        let all = self.known();
        let seen = all.get(uid).and_then(|known| known.first_seen.as_ref());
        seen.map_or_else(Instant::now, |seen| seen.at)
    }

    /// Notes what wakes a resource.
    pub fn woken(&self, coins: &impl kube::ResourceExt, what: &str) {
        let uid = coins.uid().unwrap_or_default();
        if let Some(known) = self.known().get_mut(&uid) {
            known.woken_by.get_or_insert_with(|| what.to_owned());
        }
    }

    /// What woke it since it was last looked at; `None` if it came back by itself.
    pub(super) fn woken_by(&self, uid: &str) -> Option<String> {
        self.known().get_mut(uid)?.woken_by.take()
    }

    pub(super) async fn permit(&self) -> Permit<'_> {
        self.monitor.health.workers.acquire().await
    }

    /// Forgets what was in mind of a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.known().remove(uid);
    }

    /// Forgets all timing, as a restart would: another may have led meanwhile, and status is the memory.
    pub fn begin_anew(&self) {
        for known in self.known().values_mut() {
            known.memory = Arc::new(tokio::sync::Mutex::new(ResourceMemory::of_standby()));
        }
    }

    /// Whether the fields of a resource are yet to be compared with those that this operator knows: once in its
    /// life for each generation, since what it then tells is an event.
    pub(super) fn compares(&self, coins: &DockerCoins) -> bool {
        let generation = coins.metadata.generation;
        let mut all = self.known();
        let known = all.entry(coins.uid().unwrap_or_default()).or_default();
        std::mem::replace(&mut known.compared, generation) != generation
    }

    /// Forgets all that are gone, of which a list doesn't tell one by one.
    pub fn forget_the_gone(&self) {
        let there = self.cluster.coins.collect(None, ResourceExt::uid);
        let there: BTreeSet<String> = there.into_iter().collect();
        self.known().retain(|uid, _| there.contains(uid));
    }

    pub(super) fn memory(&self, uid: &str) -> Arc<tokio::sync::Mutex<ResourceMemory>> {
        let mut all = self.known();
        Arc::clone(&all.entry(uid.to_owned()).or_default().memory)
    }
}
