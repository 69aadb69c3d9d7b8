//! The web page's host at an ingress controller.

use super::{Desired, FieldPath, Ingress, Kind};
use crate::dockercoins::component::Component;
use crate::runtime::child::Child;

impl Child for Ingress {
    const NAME: Option<&'static str> = Some(Component::Webui.name());

    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Kind for Ingress {
    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "webui", "ingress"]))
    }
}
