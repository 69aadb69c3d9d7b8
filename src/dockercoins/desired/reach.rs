//! How the web page is reached from outside, and how many pods there may be.

use std::collections::BTreeMap;

use crate::api::{ComponentSpec, IngressSpec};
use crate::dockercoins::component::Component;

use super::{DesiredComponent, Faults};

/// How much of the CPU that they ask for the pods should use, in percent, where nothing else is said.
const TARGET: i32 = 80;

/// By which name the web page is reached through an ingress controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredIngress {
    /// Which controller; `None` is the cluster's default.
    pub class: Option<String>,
    /// The name.
    pub host: String,
    /// The Secret with its certificate.
    pub secret: Option<String>,
    /// What the controller is told beside.
    pub annotations: BTreeMap<String, String>,
}

/// Between which numbers of pods a HorizontalPodAutoscaler decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// The fewest.
    pub min: i32,
    /// The most.
    pub max: i32,
    /// How much of the CPU that they ask for they should use, in percent.
    pub cpu: i32,
}

impl DesiredComponent {
    /// Whether there is always more than one pod, as far as the resource says.
    pub fn is_several(&self) -> bool {
        match self.scaling {
            Some(scaling) => scaling.min > 1,
            None => self.spec.replicas.is_some_and(|replicas| replicas > 1),
        }
    }
}

impl Faults {
    pub(super) fn ingress(&mut self, written: &IngressSpec) -> Option<DesiredIngress> {
        let Some(host) = written.host.clone().filter(|host| !host.is_empty()) else {
            self.add(
                "spec.webui.ingress.host",
                "without a host it would take every request that reaches its controller: write one, such as coins.example.com",
            );
            return None;
        };
        Some(DesiredIngress {
            class: written.ingress_class_name.clone(),
            host,
            secret: written.tls.as_ref().map(|tls| tls.secret_name.clone()),
            annotations: written.annotations.clone(),
        })
    }

    pub(super) fn scaling(
        &mut self,
        written: &ComponentSpec,
        component: Component,
    ) -> Option<Scaling> {
        let autoscaling = written.autoscaling.as_ref()?;
        let at = format!("spec.{component}.autoscaling");
        let scaling = Scaling {
            min: autoscaling.min_replicas.unwrap_or(1),
            max: autoscaling.max_replicas,
            cpu: autoscaling
                .target_cpu_utilization_percentage
                .unwrap_or(TARGET),
        };
        let asks_for_cpu = written.resources.as_ref().is_some_and(|resources| {
            resources.requests.contains_key("cpu") || resources.limits.contains_key("cpu")
        });
        let problem = if component == Component::Redis {
            "two Redis pods would split the counters between them: leave it out"
        } else if written.replicas.is_some() {
            "it excludes replicas, since both decide how many pods there are: write one of them"
        } else if !asks_for_cpu {
            "it goes by the share of what is asked for: write resources.requests.cpu beside it, such as 100m"
        } else if scaling.min > scaling.max {
            "minReplicas is above maxReplicas: write a smaller one, or a greater maxReplicas"
        } else {
            return Some(scaling);
        };
        self.add(at, problem);
        None
    }
}
