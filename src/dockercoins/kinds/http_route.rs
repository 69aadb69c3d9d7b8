//! The web page's route at a Gateway.

use super::{Desired, FieldPath, HTTPRoute, Kind};
use crate::dockercoins::component::Component;
use crate::runtime::child::Child;

impl Child for HTTPRoute {
    const NAME: Option<&'static str> = Some(Component::Webui.name());
}

impl Kind for HTTPRoute {
    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "webui", "httpRoute"]))
    }
}
