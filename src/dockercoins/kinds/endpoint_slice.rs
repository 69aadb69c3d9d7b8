//! The address of an external Redis.

use super::{Desired, EndpointSlice, FieldPath, Kind};
use crate::dockercoins::component::Component;
use crate::runtime::child::Child;

impl Child for EndpointSlice {
    // The cluster's own slices change with every pod.
    const NAME: Option<&'static str> = Some(Component::Redis.name());
}

impl Kind for EndpointSlice {
    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "redis", "external"]))
    }
}
