//! How the web page is reached: its Service, Ingress and HTTPRoute.

use std::collections::BTreeMap;

use crate::api::{HttpRouteSpec, IngressSpec, ServiceSpec, ServiceType};

use super::Violations;

/// The web page's Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredIngress {
    /// The IngressClass; `None` for the cluster's default.
    pub class: Option<String>,
    /// The host name.
    pub host: String,
    /// The Secret with the TLS certificate.
    pub tls_secret: Option<String>,
    /// Annotations for the ingress controller.
    pub annotations: BTreeMap<String, String>,
}

impl Violations {
    pub(super) fn check_service(&mut self, service: &ServiceSpec) {
        let type_ = service.type_.unwrap_or_default();
        if service.node_port.is_some() && type_ == ServiceType::ClusterIP {
            self.add(
                "spec.webui.service.nodePort",
                "only types NodePort and LoadBalancer have a node port: set spec.webui.service.type, or remove nodePort",
            );
        }
    }

    pub(super) fn ingress(&mut self, spec: &IngressSpec) -> Option<DesiredIngress> {
        let Some(host) = spec.host.clone().filter(|host| !host.is_empty()) else {
            self.add(
                "spec.webui.ingress.host",
                "an Ingress without a host matches the requests for every host: set one, such as coins.example.com",
            );
            return None;
        };
        Some(DesiredIngress {
            class: spec.ingress_class_name.clone(),
            host,
            tls_secret: spec.tls.as_ref().map(|tls| tls.secret_name.clone()),
            annotations: spec.annotations.clone(),
        })
    }

    pub(super) fn check_http_route(&mut self, spec: &HttpRouteSpec) {
        if spec.parent_refs.is_empty() {
            self.add(
                "spec.webui.httpRoute.parentRefs",
                "an HTTPRoute needs a Gateway: set the name of at least one",
            );
        }
    }
}
