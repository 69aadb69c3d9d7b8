//! The API server, as the operator uses it: what it has seen, and every write it makes.
//!
//! Every request to the API server goes through one function, which gives it a deadline, says at debug
//! level why it was sent, and turns its failure into an [`Error`]. Nothing else in the operator writes.

mod blind;
mod cache;
mod child;
mod dropped;
mod lease;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    ConfigMap, Node, ObjectReference, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Client, Resource as _, ResourceExt as _};
use resolver::{Format, Keyring};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, field, info_span};

use crate::api::{DockerCoins, DockerCoinsStatus, REQUESTED_AT};
use crate::desired::AuthorityAt;
use crate::error::Error;
use crate::leader::{Cut, Leadership};
use crate::metrics::{Metrics, Verb};
use crate::news::News;
use crate::plan::MANAGER;
use crate::status::clipped;
use crate::traces;
pub use blind::Blind;
pub use cache::Cache;
pub use child::{Child, is_of_interest, slim};
use dropped::Dropped;
pub use lease::Leases;

/// How long the API server may take for one request.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long what was seen of the nodes will do.
const NODES_KEPT: Duration = Duration::from_secs(60);

/// How long no answer will do.
const NODES_RETRY: Duration = Duration::from_secs(10);

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
            coins: Cache::default(),
            nodes: Mutex::default(),
            metrics,
            blind: Blind::default(),
            dropped: Dropped::default(),
        }
    }

    /// Whether everything has been listed once, so that what was not seen isn't there.
    pub fn is_ready(&self) -> bool {
        let Self {
            client: _,
            leadership: _,
            nodes: _,
            metrics: _,
            blind: _,
            dropped: _,
            coins,
            services,
            deployments,
        } = self;
        coins.is_ready() && services.is_ready() && deployments.is_ready()
    }

    /// Whether a namespace may exist: one that does has the ServiceAccount `default`. Where there is no answer, it may.
    pub async fn may_exist(&self, namespace: &str) -> bool {
        let why = "a namespace that exists has it";
        let account = self.read::<ServiceAccount>(namespace, "default", why).await;
        !matches!(account, Ok(None))
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
        slim(&mut object);
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

    /// Replaces the status of a resource, provided that the resource is still as it was when it was read.
    ///
    /// Gives the resource's new version, and what the API server dropped of the status, such as
    /// `status.components[].digest`: it takes only what the cluster's CRD knows.
    pub async fn write_status(
        &self,
        coins: &ObjectReference,
        status: &DockerCoinsStatus,
        why: &str,
    ) -> Result<(Option<String>, BTreeSet<String>), Error> {
        // A merge patch leaves out nothing that it doesn't name, so every field is named.
        let status = json!({
            "observedGeneration": status.observed_generation,
            "lastHandledRequestedAt": status.last_handled_requested_at,
            "conditions": status.conditions,
            "components": status.components,
            "replicas": status.replicas,
            "selector": status.selector,
        });
        self.patch_status(coins, status, why).await
    }

    /// Has the tags of a resource asked for again, by the annotation that a person would write: no matter which
    /// replica does, and so it need not lead.
    pub async fn request(
        &self,
        coins: &DeserializeGuard<DockerCoins>,
        value: &str,
    ) -> Result<(), Error> {
        let reference = coins.object_ref(&());
        let (api, name, title) = self.untyped(&reference);
        let patch = json!({ "metadata": {
            "uid": reference.uid,
            "annotations": { REQUESTED_AT: value },
        } });
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let what = format!("to annotate DockerCoins {title}");
        let why = "something was pushed that it runs";
        let request = api.patch(&name, &params, &patch);
        let sent = self.send_as(&Leadership::alone(), what, why, request).await;
        self.metrics.wrote("DockerCoins", Verb::Patch, &sent);
        sent?;
        Ok(())
    }

    /// The conditions of a resource that can't be read as a whole, and the generation that they speak of.
    pub async fn conditions(
        &self,
        coins: &ObjectReference,
    ) -> Result<(Option<i64>, Vec<Condition>), Error> {
        let (api, name, title) = self.untyped(coins);
        let what = format!("to read DockerCoins {title}");
        let why = "what it was told may not have changed";
        let stored = self.send(what, why, api.get(&name)).await?;
        let status = &stored.data["status"];
        let conditions = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
        Ok((status["observedGeneration"].as_i64(), conditions))
    }

    /// Writes the conditions alone, to a resource whose status can't be read.
    pub async fn write_conditions(
        &self,
        coins: &ObjectReference,
        generation: Option<i64>,
        conditions: &[Condition],
    ) -> Result<(), Error> {
        let status = json!({ "observedGeneration": generation, "conditions": conditions });
        self.patch_status(coins, status, "the resource can't be read")
            .await?;
        Ok(())
    }

    async fn patch_status(
        &self,
        coins: &ObjectReference,
        status: Value,
        why: &str,
    ) -> Result<(Option<String>, BTreeSet<String>), Error> {
        let (api, name, title) = self.untyped(coins);
        let patch =
            json!({ "metadata": { "resourceVersion": coins.resource_version }, "status": &status });
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let request = api.patch_status(&name, &params, &patch);
        let what = format!("to write the status of DockerCoins {title}");
        let written = self
            .write("DockerCoins", Verb::Patch, what, why, request)
            .await?;
        let dropped = self.dropped.note(&status, &written.data["status"]);
        Ok((written.resource_version(), dropped))
    }

    /// How to reach a resource without reading it as one, since it may be one that this operator can't read: the
    /// requests for its namespace, its name, and what people call it.
    fn untyped(&self, coins: &ObjectReference) -> (Api<DynamicObject>, String, String) {
        let namespace = coins.namespace.clone().unwrap_or_default();
        let name = coins.name.clone().unwrap_or_default();
        let kind = ApiResource::erase::<DockerCoins>(&());
        let title = format!("{namespace}/{name}");
        let api = Api::namespaced_with(self.client.clone(), &namespace, &kind);
        (api, name, title)
    }

    /// Tells people something. An event that can't be written is logged, and stops nothing.
    pub async fn publish(&self, about: &ObjectReference, news: &News) {
        let now = Timestamp::now();
        let namespace = about.namespace.clone().unwrap_or_default();
        let event = Event {
            metadata: ObjectMeta {
                name: about
                    .name
                    .as_deref()
                    .map(|name| format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(if news.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(news.reason.clone()),
            action: Some(news.action.to_owned()),
            note: Some(clipped(news.note.clone())),
            regarding: Some(about.clone()),
            reporting_controller: Some(format!("dockercoins.dev/{MANAGER}")),
            reporting_instance: Some(MANAGER.to_owned()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let what = format!(
            "to write an event about {namespace}/{}",
            about.name.as_deref().unwrap_or_default()
        );
        let params = PostParams::default();
        match self
            .write(
                "Event",
                Verb::Create,
                what,
                &news.reason,
                api.create(&params, &event),
            )
            .await
        {
            Ok(_) | Err(Error::Deposed { .. }) => {}
            Err(error) => {
                tracing::warn!(reason = %news.reason, note = %news.note, "an event could not be written: {error}");
            }
        }
    }

    /// The logins in the named Secrets of a namespace, and what should be known of those that gave none. Where none
    /// is named, those of the ServiceAccount `default` serve, as the API server's admission has it for pods.
    ///
    /// As with the kubelet, a Secret that is missing or can't be used stops nothing by itself: the image may
    /// not need it.
    pub async fn keyring(&self, namespace: &str, names: &[String]) -> (Keyring, Vec<String>) {
        let (names, told) = match names {
            [] => match self.default_pull_secrets(namespace).await {
                Ok(names) => (names, None),
                Err(error) => (Vec::new(), Some(noted(&error))),
            },
            names => (names.to_vec(), None),
        };
        let secrets = futures::future::join_all(
            names
                .iter()
                .map(|name| self.read::<Secret>(namespace, name, "a registry may need its login")),
        );
        let mut keyring = Keyring::new();
        let mut notes = Vec::from_iter(told);
        for (name, secret) in names.iter().zip(secrets.await) {
            match secret {
                Ok(Some(secret)) => notes.extend(add_secret(&mut keyring, name, &secret)),
                Ok(None) => notes.push(format!(
                    "pull secret {name} is not in this namespace: create it with `kubectl create secret docker-registry {name}`, or take it out of spec.imagePullSecrets"
                )),
                Err(error) => notes.push(noted(&error)),
            }
        }
        (keyring, notes)
    }

    /// A certificate authority from a ConfigMap or Secret of a namespace.
    ///
    /// # Errors
    /// What should be known where it isn't there.
    pub async fn certificate_authority(
        &self,
        namespace: &str,
        at: &AuthorityAt,
    ) -> Result<Vec<u8>, String> {
        let AuthorityAt {
            is_secret,
            name,
            key,
        } = at;
        let kind = if *is_secret { "Secret" } else { "ConfigMap" };
        let why = "it holds a registry's certificate authority";
        let of_secret = |secret: Secret| Some(secret.data?.remove(key)?.0);
        let of_map = |map: ConfigMap| Some(map.data?.remove(key)?.into_bytes());
        let held = match is_secret {
            true => self
                .read(namespace, name, why)
                .await
                .map(|it| it.map(of_secret)),
            false => self
                .read(namespace, name, why)
                .await
                .map(|it| it.map(of_map)),
        };
        match held {
            Ok(Some(Some(authority))) => Ok(authority),
            Ok(Some(None)) => Err(format!(
                "{kind} {name} has no key {key}: put the registry's certificate authority there, or mend spec.registry.certificateAuthority"
            )),
            Ok(None) => Err(format!(
                "{kind} {name} is not in this namespace: create it with the registry's certificate authority under {key}, or mend spec.registry.certificateAuthority"
            )),
            Err(error) => Err(noted(&error)),
        }
    }

    /// An object of a namespace by its name, if it is there.
    async fn read<K>(&self, namespace: &str, name: &str, why: &str) -> Result<Option<K>, Error>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("to read {} {namespace}/{name}", K::kind(&()));
        self.send(what, why, api.get_opt(name)).await
    }

    /// The pull secrets of pods that name none and run as no ServiceAccount of their own.
    async fn default_pull_secrets(&self, namespace: &str) -> Result<Vec<String>, Error> {
        let why = "its pull secrets are those of pods that name none";
        let account = self
            .read::<ServiceAccount>(namespace, "default", why)
            .await?;
        let secrets = account.and_then(|account| account.image_pull_secrets);
        let names = secrets.into_iter().flatten().map(|secret| secret.name);
        Ok(names.filter(|name| !name.is_empty()).collect())
    }

    /// The platforms of the nodes that have these labels, such as `linux/amd64`; `None` where the operator may not
    /// list nodes, or there is no answer. What was seen a moment ago will do.
    pub async fn platforms(&self, labels: &BTreeMap<String, String>) -> Option<BTreeSet<String>> {
        let mut seen = self.nodes.lock().await;
        let is_fresh = |seen: &SeenNodes| match &seen.nodes {
            Some(_) => seen.at.elapsed() < NODES_KEPT,
            None => seen.at.elapsed() < NODES_RETRY,
        };
        if !seen.as_ref().is_some_and(is_fresh) {
            let at = Instant::now();
            let nodes = match self.list_nodes().await {
                Ok(nodes) => Some(nodes),
                // That says nothing of the nodes, and is not kept.
                Err(Error::Deposed { .. }) => return None,
                Err(error) => {
                    tracing::info!("the platforms of the nodes are not known: {error}");
                    None
                }
            };
            *seen = Some(SeenNodes { at, nodes });
        }
        let nodes = seen.as_ref()?.nodes.as_ref()?;
        let has_labels = |node: &&NodeGist| {
            labels
                .iter()
                .all(|(key, value)| node.labels.get(key) == Some(value))
        };
        let fit = nodes.iter().filter(has_labels);
        Some(fit.map(|node| node.platform.clone()).collect())
    }

    async fn list_nodes(&self) -> Result<Vec<NodeGist>, Error> {
        let api: Api<Node> = Api::all(self.client.clone());
        let mut nodes = Vec::new();
        let mut params = ListParams::default().limit(100);
        loop {
            let why = "an image may not be there for their platforms";
            let page = self
                .send("to list nodes".into(), why, api.list(&params))
                .await?;
            nodes.extend(page.items.into_iter().filter_map(NodeGist::of));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(nodes),
            }
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
            .fenced(DEADLINE, request)
            .instrument(span.clone())
            .await;
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Error::from_api(what, error)),
            Err(Cut::Deposed) => Err(Error::Deposed { what }),
            Err(Cut::Late) => Err(Error::Timeout {
                what,
                seconds: DEADLINE.as_secs(),
            }),
        };
        answer.inspect_err(|error| traces::failed(&span, error.reason()))
    }
}

/// Why something could not be read that images are asked for without, for the resource to tell.
fn noted(error: &Error) -> String {
    tracing::warn!("images are asked for without it: {error}");
    error.to_string()
}

/// What was seen of the nodes.
struct SeenNodes {
    at: Instant,
    nodes: Option<Vec<NodeGist>>,
}

/// What matters of a node.
struct NodeGist {
    labels: BTreeMap<String, String>,
    platform: String,
}

impl NodeGist {
    fn of(node: Node) -> Option<Self> {
        let info = node.status?.node_info?;
        Some(Self {
            labels: node.metadata.labels.unwrap_or_default(),
            platform: format!("{}/{}", info.operating_system, info.architecture),
        })
    }
}

/// Adds a Secret's logins, and gives what should be known of those that can't be used.
fn add_secret(keyring: &mut Keyring, name: &str, secret: &Secret) -> Vec<String> {
    let type_ = secret.type_.as_deref().unwrap_or("Opaque");
    let Some(format) = Format::of_secret_type(type_) else {
        return vec![format!(
            "pull secret {name} has the type {type_}, which holds no registry logins: create one with `kubectl create secret docker-registry`"
        )];
    };
    let payload = secret
        .data
        .as_ref()
        .and_then(|data| data.get(format.data_key()));
    let payload = payload.map(|bytes| bytes.0.as_slice()).unwrap_or_default();
    match keyring.add(&format!("Secret {name}"), payload, format) {
        Ok(skipped) => skipped.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}
