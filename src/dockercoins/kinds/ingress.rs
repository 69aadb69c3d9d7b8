//! The web page's host at an ingress controller.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::{FieldPath, ImageSet, Kind};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, DesiredIngress};
use crate::dockercoins::metadata::{metadata, user_annotations};
use crate::runtime::child::Child;

impl Child for Ingress {
    const NAME: Option<&'static str> = Some(Component::Webui.name());

    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Kind for Ingress {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        let wanted = desired.ingress.iter();
        wanted.map(|wanted| ingress(desired, wanted)).collect()
    }

    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "webui", "ingress"]))
    }
}

fn ingress(desired: &Desired, wanted: &DesiredIngress) -> Ingress {
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
