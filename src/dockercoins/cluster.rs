//! The API server, as the operator uses it: what it has seen, and every write it makes.
//!
//! Every request to the API server goes through one function, which gives it a deadline, says at debug
//! level why it was sent, and turns its failure into an [`Error`]. Nothing else in the operator writes.

mod blind;
mod child;
mod dropped;
mod optional;
mod reads;
mod told;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::Mutex;
use tracing::{Instrument as _, debug, field, info_span};

use crate::api::DockerCoins;
use crate::dockercoins::error::Error;
use crate::dockercoins::gateway::HTTPRoute;
use crate::dockercoins::plan::MANAGER;
use crate::runtime::cache::Cache;
use crate::runtime::leader::{Interrupted, Leadership};
use crate::telemetry::metrics::{Metrics, Verb};
use crate::telemetry::traces;
pub use blind::Blind;
pub use child::{Child, is_of_interest, slim, slim_child};
use dropped::Dropped;
pub use optional::{Optional, Sight};
use reads::SeenNodes;

/// How long the API server may take for one request.
const DEADLINE: Duration = Duration::from_secs(15);

/// The manager that fields are handed to when they stop being ours and are to keep their value.
const HEIR: &str = "dockercoins-operator-released";

/// What the operator has seen of the cluster, and how it writes to it.
pub struct Cluster {
    client: Client,
    /// Whether this replica may write: while it may not, a reconcile's requests are refused, all of them.
    pub leadership: Leadership,
    /// The Services with a component's name, and all that a DockerCoins controls.
    pub services: Cache<Service>,
    /// The Deployments likewise.
    pub deployments: Cache<Deployment>,
    /// The claims of volumes likewise.
    pub claims: Cache<PersistentVolumeClaim>,
    /// The EndpointSlices likewise.
    pub endpoint_slices: Cache<EndpointSlice>,
    /// The NetworkPolicies likewise.
    pub policies: Cache<NetworkPolicy>,
    /// The PodDisruptionBudgets likewise.
    pub budgets: Cache<PodDisruptionBudget>,
    /// The HorizontalPodAutoscalers likewise.
    pub autoscalers: Cache<HorizontalPodAutoscaler>,
    /// The Ingresses likewise.
    pub ingresses: Cache<Ingress>,
    /// The HTTPRoutes likewise.
    pub routes: Cache<HTTPRoute>,
    /// Which kinds can't be seen of those that few resources ask for.
    pub optional: Optional,
    /// Every DockerCoins, by its identity alone.
    pub coins: Cache<PartialObjectMeta<DockerCoins>>,
    nodes: Mutex<Option<SeenNodes>>,
    metrics: Arc<Metrics>,
    /// Which kinds can't be seen for want of a permission.
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
    /// The cluster that `client` speaks to, with nothing seen yet. `metrics` counts what is written to it, which
    /// is done only while this replica has the `leadership`.
    pub fn new(client: Client, leadership: Leadership, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            leadership,
            services: Cache::default(),
            deployments: Cache::default(),
            claims: Cache::default(),
            endpoint_slices: Cache::default(),
            policies: Cache::default(),
            budgets: Cache::default(),
            autoscalers: Cache::default(),
            ingresses: Cache::default(),
            routes: Cache::default(),
            optional: Optional::default(),
            coins: Cache::default(),
            nodes: Mutex::default(),
            metrics,
            blind: Blind::default(),
            dropped: Dropped::default(),
        }
    }

    /// Whether everything that each resource needs has been listed once, so that what was not seen isn't there.
    pub fn is_ready(&self) -> bool {
        let Self {
            client: _,
            leadership: _,
            nodes: _,
            metrics: _,
            blind: _,
            dropped: _,
            // These are asked for by few: see `sight`.
            claims: _,
            endpoint_slices: _,
            policies: _,
            budgets: _,
            autoscalers: _,
            ingresses: _,
            routes: _,
            optional: _,
            coins,
            services,
            deployments,
        } = self;
        coins.is_ready() && services.is_ready() && deployments.is_ready()
    }

    /// Whether a kind can be seen.
    pub fn sight<K: Child>(&self) -> Sight {
        match self.optional.why(&K::kind(&())) {
            Some(fault) => Sight::Unseen(fault),
            None if K::cache(self).is_ready() => Sight::Seen,
            None => Sight::Unlisted,
        }
    }

    /// The DockerCoins of a namespace, the oldest first.
    pub fn siblings(&self, namespace: &str) -> Vec<Sibling> {
        let mut here: Vec<Sibling> = self
            .coins
            .in_namespace(namespace)
            .iter()
            .map(|coins| Sibling::of(coins))
            .collect();
        here.sort();
        here
    }

    /// Server-side applies an object, and gives what the API server made of it.
    ///
    /// Where one is there (`live`), its uid goes along, and the API server refuses if another has taken its
    /// place since. Where none is, a resource version goes along that no object has: the API server ignores it
    /// when it creates, and refuses if there is an object after all, so that a stranger's is never taken over.
    pub async fn apply<K: Child>(
        &self,
        wanted: &K,
        live: Option<&K>,
        why: &str,
    ) -> Result<(), Error> {
        let mut body = wanted.clone();
        match live {
            Some(live) => body.meta_mut().uid = live.uid(),
            None => body.meta_mut().resource_version = Some("1".to_owned()),
        }
        if let Some(live) = live {
            let taken_over = self.take_over(live).await?;
            self.make_way(wanted, taken_over.as_ref().unwrap_or(live))
                .await?;
        }
        let api = self.api::<K>(wanted);
        let name = wanted.name_any();
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&body);
        let written = self
            .call("apply", wanted, why, api.patch(&name, &params, &patch))
            .await?;
        self.wrote(written);
        Ok(())
    }

    /// Makes all that others wrote into an object ours, if it is handed over: else an apply would add to what is
    /// there, and the stranger's command, say, run on in our image. Now it takes away what it doesn't name.
    async fn take_over<K: Child>(&self, live: &K) -> Result<Option<K>, Error> {
        let is_ours = live
            .owner_references()
            .iter()
            .any(|owner| owner.kind == "DockerCoins" && owner.controller == Some(true));
        if is_ours {
            return Ok(None);
        }
        let api = self.api::<K>(live);
        let name = live.name_any();
        // The cache keeps only what matters of these records, and here all of them do.
        let why = "it was handed over by annotation, with all that is in it";
        let whole = self.call("read", live, why, api.get(&name)).await?;
        let patch = json!({ "metadata": {
            "uid": live.uid(),
            "resourceVersion": whole.resource_version(),
            "managedFields": child::taken_over(whole.managed_fields(), &K::api_version(&())),
        } });
        let params = PatchParams::default();
        let patch = Patch::Merge(&patch);
        let request = api.patch(&name, &params, &patch);
        self.call("take over", live, why, request).await.map(Some)
    }

    /// Takes note of what the API server made of a write.
    fn wrote<K: Child>(&self, mut object: K) {
        slim_child(&mut object);
        K::cache(self).wrote(object);
    }

    /// Does what server-side apply can't in one step, see [`Child::before_apply`].
    async fn make_way<K: Child>(&self, wanted: &K, live: &K) -> Result<(), Error> {
        let api = self.api::<K>(wanted);
        let name = wanted.name_any();
        for step in wanted.before_apply(live) {
            let why = step.why;
            let done = match &step.patch {
                Patch::Apply(_) => {
                    let params = PatchParams::apply(HEIR).force();
                    self.call(
                        "release",
                        wanted,
                        why,
                        api.patch(&name, &params, &step.patch),
                    )
                    .await?
                }
                _ => {
                    let params = PatchParams {
                        field_manager: Some(HEIR.to_owned()),
                        ..PatchParams::default()
                    };
                    self.call(
                        "prepare",
                        wanted,
                        why,
                        api.patch(&name, &params, &step.patch),
                    )
                    .await?
                }
            };
            self.wrote(done);
        }
        Ok(())
    }

    /// Deletes an object of ours, if it is still the one that was seen.
    pub async fn delete<K: Child>(&self, live: &K, why: &str) -> Result<(), Error> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: live.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let api = self.api::<K>(live);
        let name = live.name_any();
        match self
            .call("delete", live, why, api.delete(&name, &params))
            .await
        {
            Ok(_) => Ok(()),
            // Someone else was faster.
            Err(Error::Outdated { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn api<K: Child>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }

    async fn call<K: Child, T>(
        &self,
        verb: &str,
        object: &K,
        why: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let namespace = object.namespace().unwrap_or_default();
        let kind = K::kind(&());
        let what = format!("to {verb} {kind} {namespace}/{}", object.name_any());
        let counted = match verb {
            "read" => return self.send(what, why, request).await,
            "apply" | "release" => Verb::Apply,
            "delete" => Verb::Delete,
            _ => Verb::Patch,
        };
        self.write(&kind, counted, what, why, request).await
    }

    /// Sends one request that writes, and counts it.
    async fn write<T>(
        &self,
        kind: &str,
        verb: Verb,
        what: String,
        why: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let written = self.send(what, why, request).await;
        self.metrics.wrote(kind, verb, &written);
        written
    }

    /// Sends one request, if this replica leads.
    async fn send<T>(
        &self,
        what: String,
        why: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        self.send_as(&self.leadership, what, why, request).await
    }

    /// Sends one request as one who may write as long as `leadership` says.
    async fn send_as<T>(
        &self,
        leadership: &Leadership,
        what: String,
        why: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        debug!(why, "asking the API server {what}");
        let span = info_span!(
            "request",
            otel.kind = "client",
            otel.status_code = field::Empty,
            error.type = field::Empty,
            what,
            why,
        );
        let answer = leadership
            .guard_write(DEADLINE, request)
            .instrument(span.clone())
            .await;
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Error::from_api(what, error)),
            Err(Interrupted::NotLeading) => Err(Error::Deposed { what }),
            Err(Interrupted::TimedOut) => Err(Error::Timeout {
                what,
                seconds: DEADLINE.as_secs(),
            }),
        };
        answer.inspect_err(|error| traces::failed(&span, error.reason()))
    }
}
