//! A component's Service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::{FieldPath, ImageSet, Kind, component_field};
use crate::api::ServiceType;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Host, Storage};
use crate::dockercoins::metadata::{metadata, selector, user_annotations};
use crate::runtime::child::{Child, Patch, Prerequisite};

impl Child for Service {
    /// A port whose number someone changed is another port to server-side apply, which would put ours beside it, with
    /// the same name or node port, and be refused. So all ports are replaced first, without node ports: those come with
    /// the apply, so that the operator owns them.
    fn prerequisites(&self, live: &Self) -> Vec<Prerequisite> {
        let (wanted, there) = (ports(self), ports(live));
        let is_there = |port: &ServicePort| {
            let key = (port.port, &port.protocol);
            there
                .iter()
                .any(|other| (other.port, &other.protocol) == key)
        };
        if wanted.iter().all(is_there) {
            return Vec::new();
        }
        let without_node_port = |port| ServicePort {
            node_port: None,
            ..port
        };
        let ports: Vec<_> = wanted.into_iter().map(without_node_port).collect();
        vec![Prerequisite {
            why: "a port with another number conflicts with ours",
            patch: Patch::Merge(json!({
                "metadata": { "uid": live.metadata.uid },
                "spec": { "ports": ports },
            })),
        }]
    }
}

fn ports(service: &Service) -> Vec<ServicePort> {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.ports.clone()).unwrap_or_default()
}

impl Kind for Service {
    const IS_REQUIRED: bool = true;

    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        Component::ALL
            .into_iter()
            .filter_map(|component| Some((component, component.port()?)))
            .map(|(component, port)| service(desired, component, port))
            .collect()
    }

    fn is_critical(path: &FieldPath) -> bool {
        path.names().contains(&"selector")
    }

    fn owning_field(_: &Desired, name: &str, path: &FieldPath) -> Option<FieldPath> {
        match (name, path.names().as_slice()) {
            ("webui", ["spec", "type" | "ports", ..]) => Some(component_field(name, "service")),
            ("redis", ["spec", "type" | "ports" | "externalName", ..]) => {
                Some(component_field(name, "external"))
            }
            _ => None,
        }
    }
}

/// A label that no pod has. The Service of an external Redis selects it, so that the endpoint controller removes the
/// endpoints of former Redis pods. Without a selector it would keep them.
const EXTERNAL: &str = "dockercoins.dev/elsewhere";

fn service(desired: &Desired, component: Component, port: i32) -> Service {
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
