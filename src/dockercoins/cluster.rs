//! What the DockerCoins controller knows of the cluster: the caches, what is read on demand, and the resource's status.

mod dropped;
mod reads;
mod status;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use tokio::sync::Mutex;

use crate::api::DockerCoins;
use crate::dockercoins::error::Error;
use crate::dockercoins::kinds::{Caches, Kind};
use crate::runtime::api_client::{ApiClient, WriteObserver};
use crate::runtime::cache::Cache;
use crate::runtime::leader::Leadership;
use crate::runtime::watch::Watches;
use dropped::Dropped;
use reads::SeenNodes;
pub use status::{StoredStatus, hash_of_status};

/// What the controller has seen of the cluster, and how it writes to it.
pub struct Cluster {
    /// The API server.
    pub api: ApiClient,
    /// The children, and the objects that have their names.
    pub caches: Caches,
    /// Every DockerCoins, by its identity alone.
    pub coins: Cache<PartialObjectMeta<DockerCoins>>,
    nodes: Mutex<Option<SeenNodes>>,
    /// The state of the watch of each kind.
    pub watches: Arc<Watches>,
    dropped: Dropped,
}

/// What must be known of the other DockerCoins of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sibling {
    /// When it was created: the oldest holds the names.
    pub created: Option<Time>,
    /// Its uid, which decides between two of the same second.
    pub uid: String,
    /// Its name.
    pub name: String,
}

impl Sibling {
    fn of(coins: &PartialObjectMeta<DockerCoins>) -> Self {
        Self {
            created: coins.creation_timestamp(),
            uid: coins.uid().unwrap_or_default(),
            name: coins.name_any(),
        }
    }
}

impl Cluster {
    /// The cluster that `client` speaks to, with empty caches. It is written to only under this `leadership`.
    pub fn new(
        client: Client,
        leadership: Leadership,
        writes: Arc<dyn WriteObserver>,
        watches: Arc<Watches>,
    ) -> Self {
        Self {
            api: ApiClient::new(client, leadership, writes),
            caches: Caches::default(),
            coins: Cache::default(),
            nodes: Mutex::default(),
            watches,
            dropped: Dropped::default(),
        }
    }

    /// Whether every required kind was listed: an object that is not in its cache did not exist then.
    pub fn is_ready(&self) -> bool {
        self.watches.are_listed()
    }

    /// The failure that every resource reports: a required kind cannot be watched.
    pub fn watch_failure(&self) -> Option<Error> {
        self.watches.failure().map(Error::from)
    }

    /// Whether a kind was listed.
    ///
    /// # Errors
    /// The failure that resources report which use the kind.
    pub fn is_listed<K: Kind>(&self) -> Result<bool, Error> {
        let listed = self.watches.is_listed(&K::kind(&()));
        listed.map_err(Error::from)
    }

    /// The DockerCoins of a namespace, the oldest first.
    pub fn siblings(&self, namespace: &str) -> Vec<Sibling> {
        let mut siblings = self
            .coins
            .collect(Some(namespace), |coins| Some(Sibling::of(coins)));
        siblings.sort();
        siblings
    }
}
