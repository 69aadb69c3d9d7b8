//! A component's NetworkPolicy: it admits only the components that are its clients.
//!
//! Egress is not limited: pods need the cluster's DNS, which has no fixed address or label.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;

use super::{metadata, selector};

/// The components that connect to this one; `None` if everyone may.
const fn clients(component: Component) -> Option<&'static [Component]> {
    match component {
        Component::Hasher | Component::Rng => Some(&[Component::Worker]),
        Component::Redis => Some(&[Component::Webui, Component::Worker]),
        Component::Webui => None,
        Component::Worker => Some(&[]),
    }
}

pub(super) fn network_policy(desired: &Desired, component: Component) -> NetworkPolicy {
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
