//! Where the coins are stored: in the memory of the Redis pod, on a volume, or in an external Redis.

use core::net::IpAddr;
use std::fmt;

use crate::api::{self, RedisSpec, StrategyType, WhenDeleted};
use crate::dockercoins::component::Component;

use super::Violations;

/// Where the coins are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the Redis pod, whose data directory is an `emptyDir`: a new pod starts without coins.
    EmptyDir,
    /// On a volume of the Redis pod.
    Volume(VolumeClaim),
    /// In a Redis that the operator does not run.
    External(ExternalRedis),
}

/// The PersistentVolumeClaim for the coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeClaim {
    /// The requested size, as a Kubernetes quantity.
    pub size: String,
    /// The StorageClass; `None` for the cluster's default.
    pub class: Option<String>,
    /// Whether the claim outlives the resource.
    pub is_retained: bool,
}

/// The address of a Redis that the operator does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalRedis {
    /// The host.
    pub host: Host,
    /// The TCP port.
    pub port: i32,
}

/// A host name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name. The Service is an alias for it, which can't change the port.
    Name(String),
    /// An IP address.
    Address(IpAddr),
}

impl fmt::Display for ExternalRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl Violations {
    pub(super) fn storage(&mut self, redis: &RedisSpec) -> Option<Storage> {
        match (&redis.external, &redis.storage) {
            (None, None) => Some(Storage::EmptyDir),
            (Some(_), Some(_)) => {
                self.add(
                    "spec.redis.external",
                    "external and storage exclude each other: remove one of them",
                );
                None
            }
            (Some(external), None) => self.external_redis(external).map(Storage::External),
            (None, Some(storage)) => {
                let strategy = redis.component.strategy.as_ref();
                let is_rolling = strategy.is_some_and(|strategy| {
                    strategy.rolling_update.is_some()
                        || strategy.type_ == Some(StrategyType::RollingUpdate)
                });
                if is_rolling {
                    self.add(
                        "spec.redis.strategy",
                        "during a rolling update two Redis pods would write to the same volume: set type Recreate, or remove strategy",
                    );
                }
                Some(Storage::Volume(volume_claim(storage)))
            }
        }
    }

    fn external_redis(&mut self, spec: &api::ExternalRedis) -> Option<ExternalRedis> {
        let host = self.take("spec.redis.external.host", parse_host(&spec.host))?;
        let default_port = Component::Redis.port().unwrap_or_default();
        let port = spec.port.unwrap_or(default_port);
        if matches!(host, Host::Name(_)) && port != default_port {
            self.add(
                "spec.redis.external.port",
                format!(
                    "a host name is reached at port {default_port} only: set {default_port}, or set host to an IP address"
                ),
            );
            return None;
        }
        Some(ExternalRedis { host, port })
    }
}

fn parse_host(text: &str) -> Result<Host, &'static str> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse() {
        Ok(address) if is_remote(address) => Ok(Host::Address(address)),
        Ok(_) => Err("pods can't reach another machine at this address: set the address of one"),
        Err(_) if text == "localhost" => {
            Err("localhost is the pod itself: set a name that the cluster's DNS resolves")
        }
        Err(_) if text.contains(':') || is_number => {
            Err("not an IP address: set an IP address or a host name, and the port in port")
        }
        Err(_) => Ok(Host::Name(text.to_owned())),
    }
}

/// Whether the address can be another machine's. An EndpointSlice accepts no other.
fn is_remote(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || is_link_local)
}

fn volume_claim(spec: &api::Storage) -> VolumeClaim {
    VolumeClaim {
        size: spec.size.clone(),
        class: spec.storage_class_name.clone(),
        is_retained: spec.when_deleted.unwrap_or_default() == WhenDeleted::Retain,
    }
}
