//! A component's Service.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

use crate::api::ServiceType;
use crate::component::Component;
use crate::desired::Desired;

use super::{is_own_annotation, metadata, selector};

/// What `kubectl apply` keeps of an object that it wrote. It wrote the resource, not this object, so that it would
/// be untrue here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(super) fn service(desired: &Desired, component: Component, port: i32) -> Service {
    let (type_, node_port, annotations) = match component {
        Component::Webui => {
            let settings = &desired.webui_service;
            (
                settings.type_.unwrap_or_default(),
                settings.node_port,
                settings.annotations.clone(),
            )
        }
        _ => (ServiceType::ClusterIP, None, BTreeMap::new()),
    };
    let annotations = annotations
        .into_iter()
        .filter(|(key, _)| !is_own_annotation(key) && key != LAST_APPLIED)
        .collect();
    Service {
        metadata: metadata(desired, component, annotations),
        spec: Some(ServiceSpec {
            type_: Some(name_of(type_).to_owned()),
            selector: Some(selector(component)),
            ports: Some(vec![ServicePort {
                name: Some(component.name().to_owned()),
                port,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(port)),
                node_port,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn name_of(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}
