//! A component's Service.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

use crate::api::ServiceType;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Elsewhere, Host, Store};

use super::{metadata, selector, users_annotations};

/// A label that no pod has. With it, the Service of a Redis elsewhere selects none: the cluster's controller then empties
/// what it had noted of our own pods, which it would leave as it was if there were no selector at all.
const ELSEWHERE: &str = "dockercoins.dev/elsewhere";

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
    let elsewhere = match &desired.store {
        Store::Elsewhere(redis) if component == Component::Redis => Some(redis),
        _ => None,
    };
    let name = elsewhere.and_then(|redis| match &redis.host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    });
    let mut pods = selector(component);
    if elsewhere.is_some() {
        pods.insert(ELSEWHERE.to_owned(), "true".to_owned());
    }
    let target = elsewhere.map_or(port, |redis: &Elsewhere| redis.port);
    Service {
        metadata: metadata(desired, component, users_annotations(&annotations)),
        spec: Some(ServiceSpec {
            type_: Some(match &name {
                Some(_) => "ExternalName".to_owned(),
                None => name_of(type_).to_owned(),
            }),
            external_name: name,
            selector: Some(pods),
            ports: Some(vec![ServicePort {
                name: Some(component.name().to_owned()),
                port,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(target)),
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
