//! The progress of a Deployment's rollout, by its status. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

/// The progress of a Deployment's rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// All pods are updated and available, and no old pod is left.
    Complete,
    /// The rollout goes on; the text says what it waits for.
    Progressing(String),
    /// The rollout made no progress within the progress deadline; the text says what it waits for.
    DeadlineExceeded(String),
}

/// The progress of a Deployment's rollout, by the rules of `kubectl rollout status`.
pub fn rollout(deployment: &Deployment) -> Rollout {
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0) {
        return Rollout::Progressing(
            "the Deployment controller has not observed the change yet".to_owned(),
        );
    }
    let condition = |type_: &str| -> Option<DeploymentCondition> {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_.as_deref() == Some(type_))
            .cloned()
    };
    let desired = deployment.spec.replicas.unwrap_or(1);
    let total = status.replicas.unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);

    let waits_for = if updated < desired {
        format!("{updated} of {desired} pods are updated")
    } else if total > updated {
        match total - updated {
            1 => "1 old pod is left".to_owned(),
            old => format!("{old} old pods are left"),
        }
    } else if available < updated {
        format!("{available} of {updated} pods are available")
    } else {
        return Rollout::Complete;
    };
    let replica_failure = condition("ReplicaFailure")
        .filter(|condition| condition.status.as_deref() == Some("True"))
        .and_then(|condition| condition.message);
    let waits_for = match replica_failure {
        Some(message) => format!("{waits_for}; pods can't be created: {message}"),
        None => waits_for,
    };
    let is_deadline_exceeded = condition("Progressing")
        .is_some_and(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    match is_deadline_exceeded {
        true => Rollout::DeadlineExceeded(waits_for),
        false => Rollout::Progressing(waits_for),
    }
}

#[cfg(test)]
mod tests;
