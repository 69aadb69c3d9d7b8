//! How many pods of a component may be missing.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{FieldPath, ImageSet, Kind, component_field};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::metadata::{metadata, selector};
use crate::runtime::child::Child;

impl Child for PodDisruptionBudget {
    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Kind for PodDisruptionBudget {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        desired
            .running()
            .filter(|wanted| wanted.has_several_pods())
            .map(|wanted| disruption_budget(desired, wanted.component))
            .collect()
    }

    fn owning_field(_: &Desired, name: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(component_field(name, "replicas"))
    }
}

/// Allows one disruption at a time. Pods that are not ready can always be evicted: they must not block a drain.
fn disruption_budget(desired: &Desired, component: Component) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(desired, component, BTreeMap::new()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(selector(component)),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            min_available: None,
        }),
        status: None,
    }
}
