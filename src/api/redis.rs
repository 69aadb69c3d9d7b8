//! The fields of Redis: an external server, and storage.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ComponentSpec;

/// The Redis component, which has at most one pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.replicas) || self.replicas <= 1").message(
        "redis must have at most one pod, because two would split the counters: write 0 or 1, or leave replicas out"
    ),
    validation = Rule::new("!has(self.autoscaling)").message(
        "redis must have at most one pod, because two would split the counters: leave autoscaling out"
    ),
    validation = Rule::new("!(has(self.external) && has(self.storage))").message(
        "external and storage are mutually exclusive, because an external Redis has its own storage: write one of them"
    ),
    validation = Rule::new(
        "!has(self.storage) || !has(self.strategy) || (has(self.strategy.type) ? self.strategy.type == 'Recreate' : !has(self.strategy.rollingUpdate))"
    ).message(
        "storage requires strategy.type Recreate, because two Redis pods must not write to one volume: write that type, or leave strategy out"
    )
)]
pub struct RedisSpec {
    /// The fields of every component.
    #[serde(flatten)]
    pub component: ComponentSpec,

    /// Redis server outside this application, which must accept connections without a password. The Service `redis`
    /// then leads to it, and the operator runs no Redis: all other fields of redis have no effect. Mutually exclusive
    /// with storage. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRedis>,

    /// Keeps the coins on a volume, so that they survive a replacement of the pod. Mutually exclusive with external.
    /// Default: none; the coins are in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

/// A Redis server outside this application.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.port) || self.port == 6379 || self.host.contains(':') || self.host.matches('^[0-9.]+$')"
).message(
    "port must be 6379 if host is a DNS name: write port 6379, or an IP address in host"
))]
pub struct ExternalRedis {
    /// DNS name or IP address of the server, such as redis.example.com or redis.data.svc.cluster.local.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([0-9]{1,3}[.]){3}[0-9]{1,3}$') || self.matches('^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$') || !self.matches('^[0-9.]+$') && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')"
    ).message(
        "host must be a lowercase DNS name or an IP address, without a scheme and a port: write a host such as redis.example.com, and the port in port"
    ))]
    pub host: String,

    /// Port of the server. It must be 6379 if host is a DNS name. Default: 6379.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// The PersistentVolumeClaim `redis`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
).message(
    "storageClassName is immutable: write the former value; or remove spec.redis.storage, wait until the claim and its coins are deleted, and write it again"
))]
pub struct Storage {
    /// Size of the volume, such as 1Gi. It can grow if the StorageClass allows expansion, but never shrink.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message(
            "size must be an amount above 0: write a size such as 1Gi"
        ),
        validation = Rule::new(
            "!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0"
        ).message(
            "size must not shrink: write the former size or more; or remove spec.redis.storage, wait until the claim and its coins are deleted, and write it again"
        )
    )]
    pub size: String,

    /// StorageClass of the volume (see `kubectl get storageclasses`). It is immutable. Default: the cluster's default
    /// class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What happens to the PersistentVolumeClaim `redis` and its coins when the DockerCoins is deleted or storage is
    /// removed. Delete: the claim is deleted. Retain: the claim is kept, and reused by the next DockerCoins with this
    /// name in this namespace. Default: Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<WhenDeleted>,
}

/// What happens to the claim once nothing requests it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum WhenDeleted {
    /// The claim is deleted.
    #[default]
    Delete,
    /// The claim is kept.
    Retain,
}
