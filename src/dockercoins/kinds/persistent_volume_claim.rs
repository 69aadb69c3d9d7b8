//! The claim of the volume for the coins.

use super::{Desired, FieldPath, Kind, PersistentVolumeClaim};
use crate::dockercoins::component::Component;
use crate::runtime::child::Child;

impl Child for PersistentVolumeClaim {
    const NAME: Option<&'static str> = Some(Component::Redis.name());
}

impl Kind for PersistentVolumeClaim {
    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "redis", "storage"]))
    }
}
