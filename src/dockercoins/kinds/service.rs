//! A component's Service.

use k8s_openapi::api::core::v1::ServicePort;
use serde_json::json;

use super::{Desired, FieldPath, Kind, Service, component_field};
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
