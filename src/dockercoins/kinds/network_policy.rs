//! Who may reach a component's pods.

use super::{Desired, FieldPath, Kind, NetworkPolicy};
use crate::runtime::child::Child;

impl Child for NetworkPolicy {}

impl Kind for NetworkPolicy {
    fn is_critical(path: &FieldPath) -> bool {
        path.names().first() == Some(&"spec")
    }

    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "networkPolicy"]))
    }
}
