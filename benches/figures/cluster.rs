//! The Kubernetes that is measured on.

use std::time::{Duration, Instant};

use dockercoins_operator::api::{self, DockerCoins};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, Config, CustomResourceExt as _, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Failure;

/// What every resource is called: there is one in a namespace.
pub const NAME: &str = "dockercoins";

/// A resource may take so long to be Ready, and what is deleted to be gone.
const PATIENCE: Duration = Duration::from_secs(600);

/// The API server, with the CRD installed.
pub struct Cluster {
    /// Without retries of its own.
    pub client: Client,
}

impl Cluster {
    /// Connects to the API server of the kubeconfig, and installs the CRD.
    pub async fn connect() -> Result<Self, Failure> {
        let mut config = Config::infer().await?;
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let apply = PatchParams::apply("figures").force();
        crds.patch(DockerCoins::crd_name(), &apply, &Patch::Apply(api::crd()))
            .await?;
        let coins: Api<DockerCoins> = Api::all(client.clone());
        while coins.list(&ListParams::default().limit(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { client })
    }

    /// New namespaces.
    pub async fn namespaces(&self, name: &str, number: usize) -> Result<Vec<String>, Failure> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let names: Vec<String> = (0..number)
            .map(|i| format!("figures-{}-{name}-{i}", std::process::id()))
            .collect();
        let create = async |name: &String| {
            let namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            api.create(&PostParams::default(), &namespace).await?;
            Ok::<_, Failure>(())
        };
        stream::iter(names.iter().map(create))
            .buffer_unordered(16)
            .try_collect::<()>()
            .await?;
        Ok(names)
    }

    /// Creates a resource.
    pub async fn create(&self, namespace: &str, spec: &Value) -> Result<DockerCoins, Failure> {
        let api: Api<DockerCoins> = Api::namespaced(self.client.clone(), namespace);
        let coins = DockerCoins::new(NAME, serde_json::from_value(spec.clone())?);
        Ok(api.create(&PostParams::default(), &coins).await?)
    }

    /// Creates a pull secret that holds no login.
    pub async fn create_pull_secret(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = json!({
            "metadata": { "name": name },
            "type": "kubernetes.io/dockerconfigjson",
            "data": { ".dockerconfigjson": "e30=" },
        });
        api.create(&PostParams::default(), &serde_json::from_value(secret)?)
            .await?;
        Ok(())
    }

    /// Waits until a namespace's resource is Ready.
    pub async fn ready(&self, namespace: &str) -> Result<(), Failure> {
        let api: Api<DockerCoins> = Api::namespaced(self.client.clone(), namespace);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = api.get(NAME).await?.status.unwrap_or_default();
            let is_ready = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
                c.type_ == "Ready" && c.status == "True"
            };
            if status.conditions.iter().any(is_ready) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{namespace} is not ready: {:?}", status.conditions).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many resources there are.
    pub async fn resources(&self) -> Result<usize, Failure> {
        let api: Api<DockerCoins> = Api::all(self.client.clone());
        Ok(api.list_metadata(&ListParams::default()).await?.items.len())
    }

    /// Empties namespaces, so that the next measurement finds what the first one found. No operator may run.
    pub async fn clear(&self, namespaces: &[String]) -> Result<(), Failure> {
        let clear = async |namespace: &String| {
            self.delete_all::<DockerCoins>(namespace).await?;
            self.delete_all::<Deployment>(namespace).await?;
            self.delete_all::<ReplicaSet>(namespace).await?;
            self.delete_all::<Service>(namespace).await?;
            self.delete_all::<Event>(namespace).await
        };
        stream::iter(namespaces.iter().map(clear))
            .buffer_unordered(8)
            .try_collect::<()>()
            .await?;
        // The deployment controller may have created a ReplicaSet meanwhile, which is collected after a while.
        self.none_left::<Deployment>().await?;
        self.none_left::<ReplicaSet>().await
    }

    async fn delete_all<K>(&self, namespace: &str) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        api.delete_collection(&DeleteParams::background(), &ListParams::default())
            .await?;
        Ok(())
    }

    async fn none_left<K>(&self) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let deadline = Instant::now() + PATIENCE;
        while !api
            .list_metadata(&ListParams::default().limit(1))
            .await?
            .items
            .is_empty()
        {
            if Instant::now() > deadline {
                return Err(format!("some of {} are still there", K::plural(&())).into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Begins to watch, and then gives what waits until the nine objects of so many resources have been created.
    pub async fn nine_objects(
        &self,
        namespace: Option<&str>,
        resources: usize,
    ) -> Result<impl Future<Output = Result<(), Failure>> + use<>, Failure> {
        let services = self.added::<Service>(namespace, 4 * resources).await?;
        let deployments = self.added::<Deployment>(namespace, 5 * resources).await?;
        let both = tokio::spawn(futures::future::try_join(services, deployments));
        Ok(async move { both.await?.map(drop) })
    }

    /// Only what an object is called is read of it, so that the watching costs little.
    async fn added<K>(
        &self,
        namespace: Option<&str>,
        number: usize,
    ) -> Result<impl Future<Output = Result<(), Failure>> + use<K>, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api: Api<K> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let version = api
            .list_metadata(&ListParams::default().limit(1))
            .await?
            .metadata
            .resource_version;
        let events = api
            .watch_metadata(&WatchParams::default(), &version.unwrap_or_default())
            .await?;
        Ok(async move {
            let added = events
                .try_filter(|event| futures::future::ready(matches!(event, WatchEvent::Added(_))));
            let seen = added
                .take(number)
                .try_fold(0, async |seen, _| Ok(seen + 1))
                .await?;
            match seen == number {
                true => Ok(()),
                false => Err(format!("the watch ended after {seen} of {number}").into()),
            }
        })
    }
}

/// A spec that asks for no pods and no registry.
pub fn idle() -> Value {
    let none = || json!({ "replicas": 0 });
    json!({
        "resolve": { "policy": "Never" },
        "hasher": none(), "redis": none(), "rng": none(), "webui": none(), "worker": none(),
    })
}
