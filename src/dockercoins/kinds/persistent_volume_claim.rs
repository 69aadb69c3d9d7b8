//! The claim of the volume for the coins.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{FieldPath, ImageSet, Kind};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Storage, VolumeClaim};
use crate::dockercoins::metadata::metadata;
use crate::runtime::child::Child;
use crate::runtime::names::ADOPT;

impl Child for PersistentVolumeClaim {
    const NAME: Option<&'static str> = Some(Component::Redis.name());
}

impl Kind for PersistentVolumeClaim {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        match &desired.storage {
            Storage::Volume(wanted) => vec![volume_claim(desired, wanted)],
            Storage::EmptyDir | Storage::External(_) => Vec::new(),
        }
    }

    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "redis", "storage"]))
    }
}

/// The claim. If it is to outlive the resource, it has no owner, and an annotation lets the next resource of the same
/// name adopt it.
fn volume_claim(desired: &Desired, wanted: &VolumeClaim) -> PersistentVolumeClaim {
    let mut metadata = metadata(desired, Component::Redis, BTreeMap::new());
    if wanted.is_retained {
        metadata.owner_references = None;
        let adopt = (ADOPT.to_owned(), desired.name.clone());
        metadata.annotations = Some(BTreeMap::from([adopt]));
    }
    let size = ("storage".to_owned(), Quantity(wanted.size.clone()));
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: wanted.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([size])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
