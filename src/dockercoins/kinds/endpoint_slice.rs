//! The address of an external Redis.

use core::net::IpAddr;
use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::{FieldPath, ImageSet, Kind};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, ExternalRedis, Host, Storage};
use crate::dockercoins::metadata::metadata;
use crate::runtime::child::Child;
use crate::runtime::names::MANAGER;

impl Child for EndpointSlice {
    // The cluster's own slices change with every pod.
    const NAME: Option<&'static str> = Some(Component::Redis.name());
}

impl Kind for EndpointSlice {
    fn plan(desired: &Desired, _: Option<&ImageSet>) -> Vec<Self> {
        match &desired.storage {
            Storage::External(redis) => endpoint_slice(desired, redis).into_iter().collect(),
            Storage::EmptyDir | Storage::Volume(_) => Vec::new(),
        }
    }

    fn owning_field(_: &Desired, _: &str, _: &FieldPath) -> Option<FieldPath> {
        Some(FieldPath::fields(["spec", "redis", "external"]))
    }
}

/// The endpoint of an external Redis with an IP address. A host name needs none: the Service is an alias for it.
fn endpoint_slice(desired: &Desired, redis: &ExternalRedis) -> Option<EndpointSlice> {
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
