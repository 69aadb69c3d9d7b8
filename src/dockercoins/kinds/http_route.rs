//! The web page's route at a Gateway.

use super::{FieldPath, ImageSet, Kind};
use crate::api;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::gateway::{BackendReference, HTTPRoute, HttpRouteRule, HttpRouteSpec};
use crate::dockercoins::metadata::{metadata, user_annotations};
use crate::runtime::child::Child;

impl Child for HTTPRoute {
    const NAME: Option<&'static str> = Some(Component::Webui.name());
}

impl Kind for HTTPRoute {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        let wanted = desired.http_route.iter();
        wanted.map(|wanted| http_route(desired, wanted)).collect()
    }

    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "webui", "httpRoute"]))
    }
}

fn http_route(desired: &Desired, wanted: &api::HttpRouteSpec) -> HTTPRoute {
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
