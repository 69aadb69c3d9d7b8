//! What a status needs of the children in the cluster: numbers, not objects. Pure.

use crate::dockercoins::kinds::{Deployment, PersistentVolumeClaim};
use crate::dockercoins::rollout::{Rollout, rollout};

/// How far a Deployment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentState {
    /// The desired number of pods.
    pub wanted: i32,
    /// The number of pods, old and new.
    pub pods: i32,
    /// The number of ready pods.
    pub ready: i32,
    /// Where its rollout stands.
    pub rollout: Rollout,
}

impl From<&Deployment> for DeploymentState {
    fn from(deployment: &Deployment) -> Self {
        let status = deployment.status.as_ref();
        Self {
            wanted: deployment.spec.replicas.unwrap_or(1),
            pods: status.and_then(|status| status.replicas).unwrap_or(0),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            rollout: rollout(deployment),
        }
    }
}

/// Whether a claim has its volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimState {
    /// Its phase, such as `Bound`.
    pub phase: String,
    /// The name of its storage class.
    pub storage_class: Option<String>,
}

impl From<&PersistentVolumeClaim> for ClaimState {
    fn from(claim: &PersistentVolumeClaim) -> Self {
        let status = claim.status.as_ref();
        let phase = status.and_then(|status| status.phase.clone());
        let spec = claim.spec.as_ref();
        Self {
            phase: phase.unwrap_or_else(|| "Pending".to_owned()),
            storage_class: spec.and_then(|spec| spec.storage_class_name.clone()),
        }
    }
}
