//! What scales a component.

use super::{Desired, FieldPath, HorizontalPodAutoscaler, Kind, component_field};
use crate::runtime::child::Child;

impl Child for HorizontalPodAutoscaler {
    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Kind for HorizontalPodAutoscaler {
    fn owning_field(_: &Desired, name: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(component_field(name, "autoscaling"))
    }
}
