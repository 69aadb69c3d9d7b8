//! The requests about the resource itself: its status, and the annotation that requests a resolve.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::Cluster;
use crate::api::{DockerCoins, DockerCoinsStatus, REQUESTED_AT};
use crate::runtime::api_client::reference_to;
use crate::runtime::error::{ApiError, Request, Verb};
use crate::runtime::names::MANAGER;

/// What the API server made of a status.
#[derive(Debug)]
pub struct StoredStatus {
    /// The resource's version after the write.
    pub version: Option<String>,
    /// The fields that the cluster's CRD dropped, such as `status.components[].digest`.
    pub dropped: BTreeSet<String>,
    /// The hash of what is stored, see [`hash_of_status`].
    pub hash: u64,
}

/// A hash by which a status is known again.
pub fn hash_of_status(status: &DockerCoinsStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    let json = serde_json::to_string(status).expect("a status is JSON");
    json.hash(&mut hasher);
    hasher.finish()
}

impl Cluster {
    /// Replaces the status of a resource, if the resource is still as it was read.
    pub async fn write_status(
        &self,
        coins: &ObjectReference,
        status: &DockerCoinsStatus,
        why: &str,
    ) -> Result<StoredStatus, ApiError> {
        // A merge patch keeps what it does not name, so every field is named.
        let DockerCoinsStatus {
            observed_generation,
            conditions,
            last_handled_requested_at,
            components,
            warnings,
            replicas,
            selector,
        } = status;
        let status = json!({
            "observedGeneration": observed_generation,
            "lastHandledRequestedAt": last_handled_requested_at,
            "conditions": conditions,
            "components": components,
            "warnings": warnings,
            "replicas": replicas,
            "selector": selector,
        });
        self.patch_status(coins, status, why).await
    }

    /// Makes sure that a resource is still as it was read.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] if it is not.
    pub async fn is_current(&self, coins: &ObjectReference) -> Result<(), ApiError> {
        let (api, request) = self.about(Verb::Read, coins);
        let why = "it was seen while another replica led";
        let name = coins.name.clone().unwrap_or_default();
        let sent = api.get_metadata(&name);
        let now = self.api.send(request.clone(), why, sent).await?;
        match now.resource_version() == coins.resource_version {
            true => Ok(()),
            false => Err(ApiError::Conflict {
                request,
                message: "the watch has not brought the last write yet".into(),
            }),
        }
    }

    /// Writes the annotation that requests a resolve, as a person would. Any replica may.
    pub async fn request(
        &self,
        coins: &DeserializeGuard<DockerCoins>,
        value: &str,
    ) -> Result<(), ApiError> {
        let reference = reference_to(coins);
        let (api, request) = self.about(Verb::Patch, &reference);
        let patch = json!({ "metadata": {
            "uid": reference.uid,
            "annotations": { REQUESTED_AT: value },
        } });
        let name = reference.name.unwrap_or_default();
        let (params, patch) = (merge_params(), Patch::Merge(&patch));
        let why = "one of its images was pushed";
        let api_client = self.api.for_any_replica();
        let sent = api.patch(&name, &params, &patch);
        api_client.write(request, why, sent).await?;
        Ok(())
    }

    /// The conditions of a resource that cannot be decoded, and the generation that they observed.
    pub async fn conditions(
        &self,
        coins: &ObjectReference,
    ) -> Result<(Option<i64>, Vec<Condition>), ApiError> {
        let (api, request) = self.about(Verb::Read, coins);
        let why = "its conditions may not have changed";
        let name = coins.name.clone().unwrap_or_default();
        let stored = self.api.send(request, why, api.get(&name)).await?;
        let status = &stored.data["status"];
        let conditions = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
        Ok((status["observedGeneration"].as_i64(), conditions))
    }

    /// Writes the conditions alone, to a resource whose status cannot be decoded.
    pub async fn write_conditions(
        &self,
        coins: &ObjectReference,
        generation: Option<i64>,
        conditions: &[Condition],
    ) -> Result<(), ApiError> {
        let status = json!({ "observedGeneration": generation, "conditions": conditions });
        self.patch_status(coins, status, "the resource cannot be read")
            .await?;
        Ok(())
    }

    async fn patch_status(
        &self,
        coins: &ObjectReference,
        status: Value,
        why: &str,
    ) -> Result<StoredStatus, ApiError> {
        let (api, request) = self.about(Verb::PatchStatus, coins);
        let patch =
            json!({ "metadata": { "resourceVersion": coins.resource_version }, "status": &status });
        let name = coins.name.clone().unwrap_or_default();
        let (params, patch) = (merge_params(), Patch::Merge(&patch));
        let sent = api.patch_status(&name, &params, &patch);
        let written = self.api.write(request, why, sent).await?;
        let stored = &written.data["status"];
        // A status that cannot be decoded is not known again, which is safe.
        let decoded = serde_json::from_value(stored.clone()).unwrap_or_default();
        Ok(StoredStatus {
            version: written.resource_version(),
            dropped: self.dropped.note(&status, stored),
            hash: hash_of_status(&decoded),
        })
    }

    /// How to reach a resource without decoding it, since it may be one that this operator cannot read.
    fn about(&self, verb: Verb, coins: &ObjectReference) -> (Api<DynamicObject>, Request) {
        let namespace = coins.namespace.clone().unwrap_or_default();
        let name = coins.name.clone().unwrap_or_default();
        let kind = ApiResource::erase::<DockerCoins>(&());
        let api = Api::namespaced_with(self.api.client(), &namespace, &kind);
        let request = Request::about(verb, "DockerCoins", &namespace, &name);
        (api, request)
    }
}

fn merge_params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
