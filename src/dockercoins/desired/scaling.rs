//! How many pods a component has: a fixed number, or as many as a HorizontalPodAutoscaler sets.

use crate::api::ComponentSpec;
use crate::dockercoins::component::Component;

use super::{DesiredComponent, Violations};

/// The default target of an autoscaler: the CPU usage of the pods in percent of their request.
const TARGET_CPU_UTILIZATION: i32 = 80;

/// The bounds and the target of a HorizontalPodAutoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// The least number of pods.
    pub min_replicas: i32,
    /// The greatest number of pods.
    pub max_replicas: i32,
    /// The CPU usage of the pods, in percent of their request, that the autoscaler aims at.
    pub target_cpu_utilization: i32,
}

impl DesiredComponent {
    /// Whether the spec asks for more than one pod at all times.
    pub fn has_several_pods(&self) -> bool {
        match self.scaling {
            Some(scaling) => scaling.min_replicas > 1,
            None => self.spec.replicas.is_some_and(|replicas| replicas > 1),
        }
    }
}

impl Violations {
    pub(super) fn check_replicas(&mut self, spec: &ComponentSpec, component: Component) {
        let Some(replicas) = spec.replicas else {
            return;
        };
        let problem = if replicas < 0 {
            format!("{replicas} is negative: set 0 or more, or remove replicas")
        } else if component == Component::Redis && replicas > 1 {
            "two Redis pods would each keep their own counters: set 0 or 1, or remove replicas"
                .to_owned()
        } else {
            return;
        };
        self.add(format!("spec.{component}.replicas"), problem);
    }

    pub(super) fn scaling(
        &mut self,
        spec: &ComponentSpec,
        component: Component,
    ) -> Option<Scaling> {
        let autoscaling = spec.autoscaling.as_ref()?;
        let scaling = Scaling {
            min_replicas: autoscaling.min_replicas.unwrap_or(1),
            max_replicas: autoscaling.max_replicas,
            target_cpu_utilization: autoscaling
                .target_cpu_utilization_percentage
                .unwrap_or(TARGET_CPU_UTILIZATION),
        };
        let requests_cpu = spec.resources.as_ref().is_some_and(|resources| {
            // A limit without a request is the request.
            resources.requests.contains_key("cpu") || resources.limits.contains_key("cpu")
        });
        let problem = if component == Component::Redis {
            "two Redis pods would each keep their own counters: remove autoscaling"
        } else if spec.replicas.is_some() {
            "autoscaling and replicas exclude each other: remove one of them"
        } else if !requests_cpu {
            "autoscaling needs a CPU request: set resources.requests.cpu, such as 100m"
        } else if scaling.min_replicas > scaling.max_replicas {
            "minReplicas is greater than maxReplicas: lower minReplicas, or raise maxReplicas"
        } else {
            return Some(scaling);
        };
        self.add(format!("spec.{component}.autoscaling"), problem);
        None
    }
}
