//! Where the coins are kept: in memory, on a volume, or by a Redis elsewhere.

use core::net::IpAddr;

use crate::api::{ExternalRedis, RedisSpec, Storage, StrategyType, WhenDeleted};
use crate::dockercoins::component::Component;

use super::Faults;

/// Where the coins are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the memory of a pod: they go with it.
    Memory,
    /// On a volume.
    Volume(Claim),
    /// By a Redis that someone else runs.
    Elsewhere(Elsewhere),
}

/// The volume that is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How much, as a Kubernetes quantity.
    pub size: String,
    /// Its class; `None` is the cluster's default.
    pub class: Option<String>,
    /// Whether it outlives the resource.
    pub is_retained: bool,
}

/// A Redis that someone else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Where.
    pub host: Host,
    /// Its port.
    pub port: i32,
}

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, which a cluster's DNS can lead to, but not to another port.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl std::fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl Faults {
    pub(super) fn store(&mut self, redis: &RedisSpec) -> Option<Store> {
        match (&redis.external, &redis.storage) {
            (None, None) => Some(Store::Memory),
            (Some(_), Some(_)) => {
                self.add(
                    "spec.redis.external",
                    "it excludes spec.redis.storage, since a Redis elsewhere keeps its coins there: write one of them",
                );
                None
            }
            (Some(external), None) => self.elsewhere(external).map(Store::Elsewhere),
            (None, Some(storage)) => {
                let strategy = redis.component.strategy.as_ref();
                let rolls = strategy.is_some_and(|strategy| {
                    strategy.rolling_update.is_some()
                        || strategy.type_ == Some(StrategyType::RollingUpdate)
                });
                if rolls {
                    self.add(
                        "spec.redis.strategy",
                        "two Redis pods would write to the same files while one replaces the other: write type Recreate beside storage, or leave it out",
                    );
                }
                Some(Store::Volume(claim(storage)))
            }
        }
    }

    fn elsewhere(&mut self, external: &ExternalRedis) -> Option<Elsewhere> {
        let own = Component::Redis.port().unwrap_or_default();
        let port = external.port.unwrap_or(own);
        let field = "spec.redis.external.host";
        let is_number = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let host = match external.host.parse() {
            Ok(address) if is_reachable(address) => Host::Address(address),
            Ok(_) => {
                self.add(
                    field,
                    "a pod can't reach this address: write one that another machine has",
                );
                return None;
            }
            Err(_) if external.host == "localhost" => {
                self.add(
                    field,
                    "in a pod that is the pod itself: write a name that the cluster's DNS knows",
                );
                return None;
            }
            Err(_) if external.host.contains(':') || is_number(&external.host) => {
                self.add(
                    field,
                    "it is no IP address: write one, or a name, and the port in port",
                );
                return None;
            }
            Err(_) => Host::Name(external.host.clone()),
        };
        if matches!(host, Host::Name(_)) && port != own {
            self.add(
                "spec.redis.external.port",
                format!(
                    "a name leads to another name, and can't lead to another port: write {own}, or the address in place of the host's name"
                ),
            );
            return None;
        }
        Some(Elsewhere { host, port })
    }
}

/// Whether an address can be another machine's. The API server refuses the others in an EndpointSlice.
fn is_reachable(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || is_link_local)
}

fn claim(storage: &Storage) -> Claim {
    Claim {
        size: storage.size.clone(),
        class: storage.storage_class_name.clone(),
        is_retained: storage.when_deleted.unwrap_or_default() == WhenDeleted::Retain,
    }
}
