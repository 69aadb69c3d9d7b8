//! What people are told: the status of a resource, and events about it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::Cluster;
use crate::api::{DockerCoins, DockerCoinsStatus, REQUESTED_AT};
use crate::dockercoins::error::Error;
use crate::dockercoins::events::News;
use crate::dockercoins::plan::MANAGER;
use crate::dockercoins::status::clipped;
use crate::runtime::leader::Leadership;
use crate::telemetry::metrics::Verb;

impl Cluster {
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

    /// Makes sure that a resource still is as it was read.
    ///
    /// # Errors
    /// [`Error::Outdated`] if it isn't.
    pub async fn is_current(&self, coins: &ObjectReference) -> Result<(), Error> {
        let (api, name, title) = self.untyped(coins);
        let what = format!("to read DockerCoins {title}");
        let why = "it was seen while another replica led";
        let now = self
            .send(what.clone(), why, api.get_metadata(&name))
            .await?;
        match now.resource_version() == coins.resource_version {
            true => Ok(()),
            false => Err(Error::Outdated {
                what,
                message: "the watch has not brought yet what was written since".into(),
            }),
        }
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
        let sent = self
            .send_as(&Leadership::without_election(), what, why, request)
            .await;
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
}
