//! The objects for the coins: a PersistentVolumeClaim, or the EndpointSlice of an external Redis.

use core::net::IpAddr;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, ExternalRedis, Host, VolumeClaim};

use super::metadata;
use crate::runtime::names::{ADOPT, MANAGER};

/// The claim. If it is to outlive the resource, it has no owner, and an annotation lets the next resource of the same
/// name adopt it.
pub(super) fn volume_claim(desired: &Desired, wanted: &VolumeClaim) -> PersistentVolumeClaim {
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

/// The endpoint of an external Redis with an IP address. A host name needs none: the Service is an alias for it.
pub(super) fn endpoint_slice(desired: &Desired, redis: &ExternalRedis) -> Option<EndpointSlice> {
    let Host::Address(address) = redis.host else {
        return None;
    };
    let mut metadata = metadata(desired, Component::Redis, BTreeMap::new());
    let service = ("kubernetes.io/service-name", Component::Redis.name());
    let managed_by = ("endpointslice.kubernetes.io/managed-by", MANAGER);
    let labels = metadata.labels.get_or_insert_default();
    labels.extend([service, managed_by].map(|(key, value)| (key.to_owned(), value.to_owned())));
    Some(EndpointSlice {
        metadata,
        address_type: match address {
            IpAddr::V4(_) => "IPv4",
            IpAddr::V6(_) => "IPv6",
        }
        .to_owned(),
        endpoints: Some(vec![Endpoint {
            addresses: vec![address.to_string()],
            ..Endpoint::default()
        }]),
        ports: Some(vec![EndpointPort {
            name: Some(Component::Redis.name().to_owned()),
            port: Some(redis.port),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        }]),
    })
}
