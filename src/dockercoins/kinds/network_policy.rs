//! Who may reach a component's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{FieldPath, ImageSet, Kind};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::metadata::{metadata, selector};
use crate::runtime::child::Child;

impl Child for NetworkPolicy {}

impl Kind for NetworkPolicy {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        desired
            .running()
            .filter(|_| desired.has_network_policies)
            .map(|wanted| network_policy(desired, wanted.component))
            .collect()
    }

    fn is_critical(path: &FieldPath) -> bool {
        path.names().first() == Some(&"spec")
    }

    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "networkPolicy"]))
    }
}

/// The components that connect to this one; `None` if everyone may.
const fn clients(component: Component) -> Option<&'static [Component]> {
    match component {
        Component::Hasher | Component::Rng => Some(&[Component::Worker]),
        Component::Redis => Some(&[Component::Webui, Component::Worker]),
        Component::Webui => None,
        Component::Worker => Some(&[]),
    }
}

fn network_policy(desired: &Desired, component: Component) -> NetworkPolicy {
    let from = clients(component).map(|clients| clients.iter().copied().map(peer).collect());
    let rule = component.port().map(|port| NetworkPolicyIngressRule {
        from,
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port)),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    });
    NetworkPolicy {
        metadata: metadata(desired, component, BTreeMap::new()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(component)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            // An empty list is sent too, so that a rule that someone adds is drift.
            ingress: Some(rule.into_iter().collect()),
            egress: None,
        }),
    }
}

fn peer(component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(pods(component)),
        ..NetworkPolicyPeer::default()
    }
}

fn pods(component: Component) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector(component)),
        match_expressions: None,
    }
}
