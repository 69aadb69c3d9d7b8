//! Who may reach a component's pods.
//!
//! Only what comes in is limited, at each component by itself: what goes out needs the cluster's DNS, which has another
//! place in every cluster.

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

/// Who has business at a component.
enum Callers {
    Anyone,
    These(&'static [Component]),
}

const fn callers(component: Component) -> Callers {
    match component {
        Component::Hasher | Component::Rng => Callers::These(&[Component::Worker]),
        Component::Redis => Callers::These(&[Component::Webui, Component::Worker]),
        Component::Webui => Callers::Anyone,
        Component::Worker => Callers::These(&[]),
    }
}

pub(super) fn policy(desired: &Desired, component: Component) -> NetworkPolicy {
    let from = match callers(component) {
        Callers::Anyone => None,
        Callers::These(components) => Some(components.iter().copied().map(peer).collect()),
    };
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
            // Written where it is empty, too: a rule that someone adds is then a change of ours.
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
