//! A component's Service.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

use crate::api::ServiceType;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Host, Storage};

use super::{metadata, selector, user_annotations};

/// A label that no pod has. The Service of an external Redis selects it, so that the endpoint controller removes the
/// endpoints of former Redis pods. Without a selector it would keep them.
const EXTERNAL: &str = "dockercoins.dev/elsewhere";

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
    let external = match &desired.storage {
        Storage::External(redis) if component == Component::Redis => Some(redis),
        _ => None,
    };
    let external_name = external.and_then(|redis| match &redis.host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    });
    let mut selector = selector(component);
    if external.is_some() {
        selector.insert(EXTERNAL.to_owned(), "true".to_owned());
    }
    let target_port = external.map_or(port, |redis| redis.port);
    Service {
        metadata: metadata(desired, component, user_annotations(&annotations)),
        spec: Some(ServiceSpec {
            type_: Some(match &external_name {
                Some(_) => "ExternalName".to_owned(),
                None => type_name(type_).to_owned(),
            }),
            external_name,
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some(component.name().to_owned()),
                port,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(target_port)),
                node_port,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn type_name(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}
