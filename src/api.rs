//! The API types: the DockerCoins resource and its CRD.
//!
//! Only types and schema. [`crate::dockercoins::desired`] interprets the values; the CEL rules here let the API server
//! reject values that can never work, with a message that names the fix. `kubectl explain` shows the doc comments of
//! the fields, so they address people who write YAML.
//!
//! Two rules for a new field:
//! - A default that excludes another field belongs in `desired`, never in the schema: the API server sets defaults
//!   before it validates, so the exclusion would always fail.
//! - An absent field keeps its former meaning: Kubernetes does not rewrite stored objects.

mod component;
pub mod crd_check;
mod redis;
mod schema;
mod status;
mod unknown;
mod webui;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use component::{
    Autoscaling, ComponentResolve, ComponentSpec, EnvVar, ExecAction, HttpGetAction, Probe, Probes,
    Resources, RollingUpdate, SecurityContext, Strategy, StrategyType, TcpSocketAction,
};
pub use redis::{ExternalRedis, RedisSpec, Storage, WhenDeleted};
pub use schema::{crd, crd_schema};
pub use status::{ComponentStatus, DockerCoinsStatus};
pub use unknown::Known;
pub use webui::{
    HttpRouteSpec, IngressSpec, IngressTls, ParentReference, ServiceSpec, ServiceType, WebuiSpec,
};

/// A resource as it comes from the API server: decoded, or the error that says why it cannot be.
pub type Guarded = kube::core::DeserializeGuard<DockerCoins>;

/// The API group of the resource, and the prefix of the operator's annotations.
pub const GROUP: &str = "dockercoins.dev";

/// The annotation that makes the operator resolve all tags again, once for each new value:
/// `kubectl annotate --overwrite coins/dockercoins dockercoins.dev/requestedAt="$(date --iso-8601=seconds)"`.
pub const REQUESTED_AT: &str = "dockercoins.dev/requestedAt";

/// Spec is the desired state of the application in this namespace.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "dockercoins.dev",
    version = "v1alpha1",
    kind = "DockerCoins",
    plural = "dockercoins",
    shortname = "coins",
    category = "all",
    namespaced,
    status = "DockerCoinsStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "DockerCoins runs the DockerCoins demo application in this namespace: five Deployments and four Services, with every image tag resolved to a digest.",
    scale(
        spec_replicas_path = ".spec.worker.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Registry", type_ = "string", json_path = ".spec.registry.prefix"),
    printcolumn(name = "Tag", type_ = "string", json_path = ".spec.tag"),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Images",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ImagesResolved\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name becomes a label value: write a name of at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct DockerCoinsSpec {
    /// Where the images of hasher, rng, webui and worker come from. Redis uses its official image.
    #[serde(default)]
    pub registry: Registry,

    /// Image tag of hasher, rng, webui and worker. A component's own tag or image overrides it. For Redis, set
    /// redis.tag or redis.image. Default: v0.1.
    #[serde(default = "default_tag")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$')").message(
        "tag must be 1 to 128 letters, digits, '_', '.' or '-', and must not begin with '.' or '-': write a tag such as v0.1"
    ))]
    pub tag: String,

    /// Secrets in this namespace with registry credentials, of type kubernetes.io/dockerconfigjson or
    /// kubernetes.io/dockercfg. Nodes use them to pull images, the operator uses them to resolve tags. A change
    /// replaces every pod; Redis then loses its coins unless redis.storage is set. Default: the pull secrets of the
    /// ServiceAccount `default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<SecretReference>,

    /// How image tags are resolved to digests.
    #[serde(default)]
    pub resolve: Resolve,

    /// Stops the operator from writing Deployments and Services and from querying registries, so that you can change
    /// the objects by hand. The operator still updates status. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// Labels that a node must have to run any of the pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that all pods tolerate. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.all(t, (!has(t.operator) || t.operator in ['', 'Exists', 'Equal', 'Lt', 'Gt']) && (!has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute']))"
        ).message(
            "operator must be Exists or Equal, and effect NoSchedule, PreferNoSchedule or NoExecute: write one of these, or leave the field out"
        ),
        validation = Rule::new(
            "self.all(t, has(t.operator) && t.operator == 'Exists' ? !has(t.value) || t.value == '' : has(t.key) && t.key != '')"
        ).message("a toleration with operator Exists must not have a value, and one without a key must have operator Exists: write key and value, or operator Exists"),
        validation = Rule::new("self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')").message(
            "tolerationSeconds requires effect NoExecute: write that effect, or leave tolerationSeconds out"
        )
    )]
    pub tolerations: Vec<Toleration>,

    /// Scheduling constraints of all pods. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// Restricts connections to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,

    /// Computes hashes of random bytes. It listens on port 80.
    #[serde(default)]
    pub hasher: ComponentSpec,

    /// Stores the counters and the coins, in memory unless redis.storage is set. It listens on port 6379.
    #[serde(default)]
    pub redis: RedisSpec,

    /// Generates random bytes, one request at a time. It listens on port 80.
    #[serde(default)]
    #[x_kube(validation = Rule::new(
        format!("!has(self.probes) || {}", schema::is_check_named("self.probes.liveness"))
    ).message(
        "rng has no default liveness probe: write httpGet, tcpSocket or exec into probes.liveness, or leave it out"
    ))]
    pub rng: ComponentSpec,

    /// Serves the web page. It listens on port 80.
    #[serde(default)]
    pub webui: WebuiSpec,

    /// Mines coins. It has no port. `kubectl scale dockercoins` sets worker.replicas. Leave replicas unset if a
    /// HorizontalPodAutoscaler of yours targets the Deployment `worker`; set replicas if one targets the DockerCoins,
    /// because its scale subresource returns an error while replicas is unset.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new(format!(
            "!has(self.probes) || ({}) && ({})",
            schema::is_check_named("self.probes.readiness"),
            schema::is_check_named("self.probes.liveness"),
        )).message(
            "worker has no default probes: write httpGet, tcpSocket or exec into each of its probes, or leave the probe out"
        )
    )]
    pub worker: ComponentSpec,
}

impl Default for DockerCoinsSpec {
    fn default() -> Self {
        serde_json::from_value(serde_json::json!({})).expect("every field has a default")
    }
}

fn default_tag() -> String {
    "v0.1".into()
}

/// The registry of the images.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// Part of the image names before /hasher, /rng, /webui and /worker: `host[:port][/path]`, or a Docker Hub namespace.
    /// Nodes pull from this address. Default: docker.io/dockercoins.
    #[serde(default = "default_prefix")]
    #[schemars(length(max = 255))]
    #[x_kube(
        validation = Rule::new("self.size() > 0").message(
            "prefix must not be empty: write host[:port][/path], or leave prefix out for docker.io/dockercoins"
        ),
        validation = Rule::new("!self.contains('://')").message(
            "prefix must not have a scheme: write registry.example.com:5000/team here, and the scheme in spec.registry.endpoint"
        ),
        validation = Rule::new("!self.contains('@')").message(
            "prefix must not have a digest, because four images share it: write the digest in the component's image"
        ),
        validation = Rule::new("!self.matches('\\\\s')").message("prefix must not have spaces: write a prefix such as registry.example.com:5000/team"),
        validation = Rule::new(
            "self.size() == 0 || self.contains('://') || self.contains('@') || self.matches('\\\\s') || self.matches('^[A-Za-z0-9._:\\\\[\\\\]-]+(/[a-z0-9._-]+)*/?$')"
        ).message(
            "prefix must be host[:port][/path], with a path of lowercase letters, digits, '.', '_' and '-', and without a tag: write a prefix such as registry.example.com:5000/team, and the tag in spec.tag"
        )
    )]
    pub prefix: String,

    /// URL at which the operator queries the registry if nodes reach it at a different address, such as
    /// `http://registry:5000`. It applies only to images on the host of prefix. The operator then matches credentials
    /// against the host of endpoint. Default: the host of prefix, over HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[A-Za-z0-9._\\\\[\\\\]:-]+/?$')").message(
        "endpoint must be http:// or https://, a host and an optional port: write a URL such as http://registry:5000"
    ))]
    pub endpoint: Option<String>,

    /// Bundle of PEM certificates in a ConfigMap or Secret of this namespace. The operator trusts them, in addition
    /// to the system's, for the host of prefix. Configure the nodes to trust them too. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthority>,
}

/// The source of a certificate authority.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)").message(
    "exactly one of configMapKeyRef and secretKeyRef is required: write one of them"
))]
pub struct CertificateAuthority {
    /// Selects a key of a ConfigMap in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,

    /// Selects a key of a Secret in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
}

/// A key of a ConfigMap or Secret in this namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct KeyReference {
    /// Name of the ConfigMap or Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Key that holds the certificates. Default: ca.crt.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_ca_key() -> String {
    "ca.crt".into()
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            prefix: default_prefix(),
            endpoint: None,
            certificate_authority: None,
        }
    }
}

fn default_prefix() -> String {
    "docker.io/dockercoins".into()
}

/// Restricts connections to the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Creates NetworkPolicies. They allow connections to hasher and rng from worker, to redis from worker and webui,
    /// to webui from everywhere on its port, and none to worker. Egress is not restricted. The cluster needs a
    /// network plugin that enforces NetworkPolicies. Default: false.
    #[serde(default)]
    pub enabled: bool,
}

/// A Secret in this namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How image tags are resolved to digests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resolve {
    /// Required: nothing new is rolled out until every image is resolved to a digest. BestEffort: an image that
    /// cannot be resolved runs by its tag until it can be. Never: images run by their tags, and no registry is
    /// queried. Default: Required.
    #[serde(default)]
    pub policy: ResolvePolicy,

    /// How often a resolved tag is resolved again, such as 10m or 1h30m; at least 10s. Default: never, so that a
    /// moved tag does not roll pods by surprise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new("self.matches('^([0-9]+(\\\\.[0-9]+)?(s|m|h))+$')").message(
            "interval must be numbers with units (s, m or h): write an interval such as 10m, or leave it out to resolve each tag once"
        ),
        validation = Rule::new(
            "!self.matches('^([0-9]+(\\\\.[0-9]+)?(s|m|h))+$') || duration(self) >= duration('10s')"
        ).message("interval must be at least 10s: write an interval such as 10m, or leave it out to resolve each tag once")
    )]
    pub interval: Option<String>,
}

/// What happens before an image runs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum ResolvePolicy {
    /// Nothing new is rolled out until every image is resolved.
    #[default]
    Required,
    /// An image that cannot be resolved runs by its tag until it can be.
    BestEffort,
    /// Images run by their tags, and no registry is queried.
    Never,
}

#[cfg(test)]
mod tests;
