//! What scales a component.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};

use super::{FieldPath, ImageSet, Kind, component_field};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Scaling};
use crate::dockercoins::metadata::metadata;
use crate::runtime::child::Child;

impl Child for HorizontalPodAutoscaler {
    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Kind for HorizontalPodAutoscaler {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        desired
            .running()
            .filter_map(|wanted| Some(autoscaler(desired, wanted.component, wanted.scaling?)))
            .collect()
    }

    fn owning_field(_: &Desired, name: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(component_field(name, "autoscaling"))
    }
}

fn autoscaler(
    desired: &Desired,
    component: Component,
    scaling: Scaling,
) -> HorizontalPodAutoscaler {
    HorizontalPodAutoscaler {
        metadata: metadata(desired, component, BTreeMap::new()),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: component.name().to_owned(),
            },
            min_replicas: Some(scaling.min_replicas),
            max_replicas: scaling.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(scaling.target_cpu_utilization),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        },
        status: None,
    }
}
