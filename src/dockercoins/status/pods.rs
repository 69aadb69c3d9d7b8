//! The status of a component: its image, its pods, and what its rollout waits for. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{ComponentStatus, DockerCoinsStatus};
use crate::dockercoins::component::Component;
use crate::dockercoins::images::stored_component;
use crate::dockercoins::observed::ClaimState;
use crate::dockercoins::rollout::Rollout;
use crate::runtime::message::{TEXT_MAX, truncate};

use super::Outcome;

/// Where the rollout of a component stands, with its claim.
pub(super) fn component_rollout(component: Component, outcome: &Outcome) -> Rollout {
    let rollout = match outcome.deployments.get(&component) {
        Some(deployment) => deployment.rollout.clone(),
        None => Rollout::Progressing("it has no Deployment yet".to_owned()),
    };
    let claim = outcome.claim.as_ref();
    let claim = claim.filter(|_| component == Component::Redis);
    match (rollout, claim.and_then(unbound)) {
        (Rollout::Progressing(why), Some(claim)) => Rollout::Progressing(format!("{why}; {claim}")),
        (Rollout::DeadlineExceeded(why), Some(claim)) => {
            Rollout::DeadlineExceeded(format!("{why}; {claim}"))
        }
        (rollout, _) => rollout,
    }
}

/// Why a claim has no volume; `None` if it has one.
fn unbound(claim: &ClaimState) -> Option<String> {
    let class = claim.storage_class.as_deref();
    match (claim.phase.as_str(), class) {
        ("Bound", _) => None,
        ("Lost", _) => Some("its PersistentVolumeClaim redis has lost its volume, and the coins with it: delete the claim for a new one".to_owned()),
        (_, Some(class)) if !class.is_empty() => Some(format!(
            "its PersistentVolumeClaim redis has no volume of the class {class} yet: if `kubectl get storageclasses` doesn't list this class, write one that it lists into spec.redis.storage.storageClassName; else `kubectl describe pvc redis` tells why"
        )),
        _ => Some(
            "its PersistentVolumeClaim redis has no volume yet, and names no class, as the cluster has no default one: write one that `kubectl get storageclasses` lists into spec.redis.storage.storageClassName"
                .to_owned(),
        ),
    }
}

/// The entry of a component in `status.components`.
pub(super) fn component_status(
    component: Component,
    before: &DockerCoinsStatus,
    outcome: &Outcome,
) -> ComponentStatus {
    let stored = stored_component(before, component)
        .cloned()
        .unwrap_or_default();
    let mut entry = ComponentStatus {
        name: component.name().to_owned(),
        message: None,
        ..stored
    };
    if !outcome.has_pods(component) {
        return ComponentStatus {
            name: entry.name,
            ..ComponentStatus::default()
        };
    }
    if let Some(images) = &outcome.images
        && let Some(image) = &images.components[component]
    {
        entry.image = Some(image.requested.to_string());
        let pin = image.pin.as_ref();
        let answered = pin.map(|pin| &pin.resolution);
        let registry = answered.map(|answered| answered.registry.clone());
        entry.digest = answered.map(|answered| answered.digest.to_string());
        entry.resolved_at = pin.map(|pin| pin.since.clone());
        entry.registry = registry.filter(|registry| !registry.is_empty());
        entry.login = answered.and_then(|answered| answered.login.clone());
        entry.platforms = answered.map_or_else(Vec::new, |answered| answered.platforms.clone());
        entry.unserved_platforms = answered.and_then(|answered| answered.missing_platforms.clone());
        let failed = image.failure.as_ref();
        entry.next_attempt = failed.and(outcome.next_attempt).map(Time);
        // A suspended change does not run.
        if let Some(set) = images
            .set
            .as_ref()
            .filter(|_| outcome.pending_changes.is_none())
        {
            entry.pinned = set[component].clone();
        }
        entry.message = image
            .failure
            .as_ref()
            .map(|failure| truncate(&failure.to_string(), TEXT_MAX));
    }
    let deployment = outcome.deployments.get(&component);
    entry.replicas = deployment.map_or(0, |deployment| deployment.wanted);
    entry.ready_replicas = deployment.map_or(0, |deployment| deployment.ready);
    if entry.message.is_none()
        && deployment.is_some()
        && let Rollout::Progressing(why) | Rollout::DeadlineExceeded(why) =
            component_rollout(component, outcome)
    {
        entry.message = Some(truncate(&why, TEXT_MAX));
    }
    entry
}
