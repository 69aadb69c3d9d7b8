//! What can be said of Redis alone: where else it is, and where it keeps the coins.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ComponentSpec;

/// Redis: a component of which there is at most one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.replicas) || self.replicas <= 1").message(
        "two Redis pods would split the counters between them: write 1, 0, or leave replicas out"
    ),
    validation = Rule::new("!has(self.autoscaling)").message(
        "two Redis pods would split the counters between them: leave autoscaling out"
    ),
    validation = Rule::new("!(has(self.external) && has(self.storage))").message(
        "external and storage exclude each other, since a Redis elsewhere keeps its coins there: write one of them"
    ),
    validation = Rule::new(
        "!has(self.storage) || !has(self.strategy) || (has(self.strategy.type) ? self.strategy.type == 'Recreate' : !has(self.strategy.rollingUpdate))"
    ).message(
        "two Redis pods would write to the same files while one replaces the other: write strategy.type Recreate beside storage, or leave strategy out"
    )
)]
pub struct RedisSpec {
    /// What every component has.
    #[serde(flatten)]
    pub component: ComponentSpec,

    /// A Redis elsewhere. The Service redis then leads there, and none is deployed: the image and all else of a
    /// component's settings have no effect. Excludes storage. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRedis>,

    /// A volume for the coins, so that they are still there when the pod is replaced. Excludes external.
    /// Default: none, the coins are kept in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

/// Where a Redis is that someone else runs. It must take connections without a password, as DockerCoins knows none.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.port) || self.port == 6379 || self.host.contains(':') || self.host.matches('^[0-9.]+$')"
).message(
    "a name leads to another name, and can't lead to another port: write port 6379, or the address in place of the host's name"
))]
pub struct ExternalRedis {
    /// Its name, such as redis.example.com or redis.data.svc.cluster.local, or its IP address.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([0-9]{1,3}[.]){3}[0-9]{1,3}$') || self.matches('^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$') || !self.matches('^[0-9.]+$') && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')"
    ).message(
        "a host is a name in lowercase or an IP address, without a scheme and without a port: write redis.example.com, and the port in port"
    ))]
    pub host: String,

    /// Its port. Where host is a name, it can't be another. Default: 6379.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// The volume in which Redis keeps the coins: a PersistentVolumeClaim redis.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
).message(
    "a volume can't change its class: put the former storageClassName back; or take spec.redis.storage out, wait until the claim is gone with its coins, and write it anew"
))]
pub struct Storage {
    /// How much, such as 1Gi. It can grow later, where the class allows that, and not shrink.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message(
            "a size is an amount above 0: write one such as 1Gi"
        ),
        validation = Rule::new(
            "!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0"
        ).message(
            "a volume can't shrink: write the former size or more; or take spec.redis.storage out, wait until the claim is gone with its coins, and write it anew"
        )
    )]
    pub size: String,

    /// The class of the volume, see `kubectl get storageclasses`; it can't be changed later. Default: the cluster's
    /// default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What becomes of the claim, and the coins, when the resource is deleted or this field is taken out. Delete: they
    /// go too. Retain: they stay, and serve the next resource of this name in this namespace. Default: Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<WhenDeleted>,
}

/// What becomes of a claim that is no longer asked for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum WhenDeleted {
    /// It goes too.
    #[default]
    Delete,
    /// It stays.
    Retain,
}
