//! The web page's Ingress and HTTPRoute.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use crate::api;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, DesiredIngress};
use crate::dockercoins::gateway::{BackendReference, HTTPRoute, HttpRouteRule, HttpRouteSpec};

use super::{metadata, user_annotations};

pub(super) fn ingress(desired: &Desired, wanted: &DesiredIngress) -> Ingress {
    let backend = IngressServiceBackend {
        name: Component::Webui.name().to_owned(),
        port: Some(ServiceBackendPort {
            number: Component::Webui.port(),
            name: None,
        }),
    };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(backend),
            resource: None,
        },
    };
    Ingress {
        metadata: metadata(
            desired,
            Component::Webui,
            user_annotations(&wanted.annotations),
        ),
        spec: Some(IngressSpec {
            ingress_class_name: wanted.class.clone(),
            rules: Some(vec![IngressRule {
                host: Some(wanted.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: wanted.tls_secret.as_ref().map(|secret| {
                vec![IngressTLS {
                    hosts: Some(vec![wanted.host.clone()]),
                    secret_name: Some(secret.clone()),
                }]
            }),
            default_backend: None,
        }),
        status: None,
    }
}

pub(super) fn http_route(desired: &Desired, wanted: &api::HttpRouteSpec) -> HTTPRoute {
    HTTPRoute {
        metadata: metadata(
            desired,
            Component::Webui,
            user_annotations(&wanted.annotations),
        ),
        spec: HttpRouteSpec {
            parent_refs: wanted.parent_refs.clone(),
            hostnames: wanted.hostnames.clone(),
            rules: vec![HttpRouteRule {
                backend_refs: vec![BackendReference {
                    name: Component::Webui.name().to_owned(),
                    port: Component::Webui.port(),
                }],
            }],
        },
        status: None,
    }
}
