//! A client that sends what the operator sends, and does nothing else.

use dockercoins_operator::dockercoins::component::PerComponent;
use dockercoins_operator::dockercoins::desired::Desired;
use dockercoins_operator::dockercoins::images::ImageSet;
use dockercoins_operator::dockercoins::kinds::{Plan, plan};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use dockercoins_operator::api::DockerCoins;

use crate::Failure;
use crate::cluster::{Cluster, NAME, idle};

/// The client, with as many writes for one resource as the operator was seen to make.
pub struct Bare<'a> {
    /// The API server.
    pub cluster: &'a Cluster,
    /// How many resources it creates at a time.
    pub concurrency: usize,
    /// How many statuses it writes for one.
    pub statuses: usize,
    /// How many events it writes for one.
    pub events: usize,
}

impl Bare<'_> {
    /// Creates one resource in each namespace, with all that belongs to it.
    pub async fn create(self, namespaces: &[String]) -> Result<(), Failure> {
        stream::iter(
            namespaces
                .iter()
                .map(|namespace| self.create_one(namespace)),
        )
        .buffer_unordered(self.concurrency)
        .try_for_each(|()| futures::future::ready(Ok(())))
        .await
    }

    async fn create_one(&self, namespace: &str) -> Result<(), Failure> {
        let coins = self.cluster.create(namespace, &idle()).await?;
        let desired = Desired::from_resource(&coins).map_err(|faults| format!("{faults:?}"))?;
        let images = PerComponent::from_fn(|component| {
            Some(format!("docker.io/dockercoins/{component}:v0.1"))
        });
        // These resources ask for the nine objects alone.
        let Plan {
            services,
            deployments,
            ..
        } = plan(&desired, Some(&images));
        try_join_all(
            services
                .iter()
                .map(|service| self.apply(namespace, service)),
        )
        .await?;
        let deployments = deployments.iter();
        try_join_all(deployments.map(|deployment| self.apply(namespace, deployment))).await?;
        for round in 0..self.statuses {
            self.patch_status(namespace, &status(&images, round))
                .await?;
        }
        for _ in 0..self.events {
            self.tell(namespace, &coins).await?;
        }
        Ok(())
    }

    async fn apply<K>(&self, namespace: &str, object: &K) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.cluster.client.clone(), namespace);
        let params = PatchParams::apply("bare-client").force();
        api.patch(&object.name_any(), &params, &Patch::Apply(object))
            .await?;
        Ok(())
    }

    async fn patch_status(&self, namespace: &str, status: &Value) -> Result<(), Failure> {
        let api: Api<DockerCoins> = Api::namespaced(self.cluster.client.clone(), namespace);
        api.patch_status(NAME, &PatchParams::default(), &Patch::Merge(status))
            .await?;
        Ok(())
    }

    async fn tell(&self, namespace: &str, coins: &DockerCoins) -> Result<(), Failure> {
        let api: Api<Event> = Api::namespaced(self.cluster.client.clone(), namespace);
        let event = json!({
            "metadata": { "generateName": "dockercoins-" },
            "eventTime": "2026-11-24T08:00:00.000000Z", "type": "Normal", "reason": "Created", "action": "Apply",
            "note": "created Service hasher, Service redis, Service rng, Service webui",
            "regarding": coins.object_ref(&()),
            "reportingController": "figures", "reportingInstance": "figures",
        });
        api.create(&PostParams::default(), &serde_json::from_value(event)?)
            .await?;
        Ok(())
    }
}

/// A status of the size of the operator's, which differs from one round to the next.
fn status(images: &ImageSet, round: usize) -> Value {
    let components: Vec<Value> = images
        .iter()
        .map(|(component, image)| json!({ "name": component.name(), "image": image, "pinned": image }))
        .collect();
    let condition = |type_| {
        json!({
            "type": type_, "status": "True", "reason": "Ready", "message": "every component runs as asked for",
            "lastTransitionTime": "2026-11-24T08:00:00Z", "observedGeneration": round,
        })
    };
    let conditions = ["Ready", "ImagesResolved"].map(condition);
    json!({ "status": {
        "observedGeneration": round, "components": components, "conditions": conditions, "replicas": 0,
    } })
}
