//! What the DockerCoins controller knows of the cluster: the caches, what is read on demand, and the resource's status.

mod blind;
mod dropped;
mod optional;
mod reads;
mod status;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use tokio::sync::Mutex;

use crate::api::DockerCoins;
use crate::dockercoins::kinds::{Caches, Kind, Listed, each_kind, for_each_kind};
use crate::runtime::api_client::{ApiClient, WriteObserver};
use crate::runtime::cache::Cache;
use crate::runtime::leader::Leadership;
pub use blind::Blind;
use dropped::Dropped;
pub use optional::{Optional, Sight};
use reads::SeenNodes;
pub use status::{StoredStatus, hash_of_status};

/// What the controller has seen of the cluster, and how it writes to it.
pub struct Cluster {
    /// The API server.
    pub api: ApiClient,
    /// The children, and the objects that have their names.
    pub caches: Caches,
    /// Which kinds cannot be watched of those that few resources ask for.
    pub optional: Optional,
    /// Every DockerCoins, by its identity alone.
    pub coins: Cache<PartialObjectMeta<DockerCoins>>,
    nodes: Mutex<Option<SeenNodes>>,
    /// Which kinds cannot be watched for want of a permission.
    pub blind: Blind,
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
    pub fn new(client: Client, leadership: Leadership, writes: Arc<dyn WriteObserver>) -> Self {
        Self {
            api: ApiClient::new(client, leadership, writes),
            caches: Caches::default(),
            optional: Optional::default(),
            coins: Cache::default(),
            nodes: Mutex::default(),
            blind: Blind::default(),
            dropped: Dropped::default(),
        }
    }

    /// Whether everything that each resource needs is listed, so that what is not in a cache does not exist.
    pub fn is_ready(&self) -> bool {
        let mut is_ready = self.coins.is_ready();
        for_each_kind!(K => {
            is_ready &= !K::IS_REQUIRED || K::cache(&self.caches).is_ready();
        });
        is_ready
    }

    /// Whether a kind is watched.
    pub fn sight<K: Kind>(&self) -> Sight {
        match self.optional.why(&K::kind(&())) {
            Some(fault) => Sight::Unseen(fault),
            None if K::cache(&self.caches).is_ready() => Sight::Seen,
            None => Sight::Unlisted,
        }
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
