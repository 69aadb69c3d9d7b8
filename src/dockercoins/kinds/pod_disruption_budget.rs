//! How many pods of a component may be missing.

use super::{Desired, FieldPath, Kind, PodDisruptionBudget, component_field};
use crate::runtime::child::Child;

impl Child for PodDisruptionBudget {
    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Kind for PodDisruptionBudget {
    fn owning_field(_: &Desired, name: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(component_field(name, "replicas"))
    }
}
