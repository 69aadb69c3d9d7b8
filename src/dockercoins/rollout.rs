//! How far a Deployment has come, read from what its controller says. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

/// Where a Deployment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Every pod is of the current kind, and available; no old one is left.
    Done,
    /// On its way; what it waits for.
    Moving(String),
    /// It has not moved within its progress deadline.
    Stuck(String),
}

/// Where a Deployment stands.
///
/// The rules are those by which `kubectl rollout status` waits: the controller has seen the current
/// generation, every replica is updated, no old replica is left, every updated one is available.
pub fn rollout(deployment: &Deployment) -> Rollout {
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0) {
        return Rollout::Moving("the change has not been taken up yet".to_owned());
    }
    let condition = |type_: &str| -> Option<DeploymentCondition> {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_.as_deref() == Some(type_))
            .cloned()
    };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let all = status.replicas.unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);

    let waits_for = if updated < wanted {
        format!("{updated} of {wanted} pods are of the new version")
    } else if all > updated {
        match all - updated {
            1 => "1 old pod stays until the new ones are available".to_owned(),
            old => format!("{old} old pods stay until the new ones are available"),
        }
    } else if available < updated {
        format!("{available} of {updated} pods are available")
    } else {
        return Rollout::Done;
    };
    let refused =
        condition("ReplicaFailure").filter(|condition| condition.status.as_deref() == Some("True"));
    let refused = refused.and_then(|condition| condition.message);
    let told = match refused {
        Some(message) => format!("{waits_for}; pods can't be created: {message}"),
        None => waits_for,
    };
    let out_of_time = condition("Progressing")
        .is_some_and(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    if out_of_time {
        Rollout::Stuck(told)
    } else {
        Rollout::Moving(told)
    }
}

#[cfg(test)]
mod tests;
