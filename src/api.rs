//! The custom resource, as people write it and as `kubectl explain` shows it.
//!
//! Types and schema only. What a value means is decided in [`crate::dockercoins::desired`]; the rules here refuse, at the
//! API server, what can never work, and say what to write instead. The doc comments below are the text of
//! `kubectl explain`, so they speak to someone who writes YAML.
//!
//! Two rules for whoever adds a field. A default that excludes another field belongs in `desired`, never in
//! the schema: the API server fills defaults in before it checks, so the exclusion would always fail. And an
//! absent field must mean what it meant before, since Kubernetes keeps old objects as they were written.

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

/// The annotation that asks for the tags to be asked for again, once for each value that is written there:
/// `kubectl annotate --overwrite coins/dockercoins dockercoins.dev/requestedAt="$(date --iso-8601=seconds)"`.
pub const REQUESTED_AT: &str = "dockercoins.dev/requestedAt";

/// What DockerCoins should look like in this namespace.
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
    doc = "DockerCoins, the demo application that mines coins: five Deployments and four Services in this namespace, with every image tag resolved to a digest.",
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
        .message("the name becomes a label's value: write one of at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct DockerCoinsSpec {
    /// Where the images of hasher, rng, webui and worker come from. Redis is the official image, and exempt.
    #[serde(default)]
    pub registry: Registry,

    /// The tag of hasher, rng, webui and worker, where a component names none of its own. Default: v0.1.
    /// Redis is exempt: its image is set in redis.image or redis.tag.
    #[serde(default = "default_tag")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$')").message(
        "a tag is 1 to 128 letters, digits, '_', '.' or '-', and doesn't begin with '.' or '-': write one such as v0.1"
    ))]
    pub tag: String,

    /// Secrets of this namespace, of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg, with
    /// logins for the registries. The nodes use them to pull images and the operator to resolve tags.
    /// Default: those of the namespace's ServiceAccount `default`, as for any pod. They are part of every
    /// pod, so a change replaces all of them, Redis too, which keeps its coins in memory unless storage is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<SecretReference>,

    /// How tags become digests.
    #[serde(default)]
    pub resolve: Resolve,

    /// True stops the operator from writing Deployments and Services and from asking registries, so that
    /// they can be changed by hand. Status stays true. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// Labels that a node must have to run any of the pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that all of the pods tolerate. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.all(t, (!has(t.operator) || t.operator in ['', 'Exists', 'Equal', 'Lt', 'Gt']) && (!has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute']))"
        ).message(
            "a toleration's operator is Exists or Equal, and its effect NoSchedule, PreferNoSchedule or NoExecute: write one of these, or leave it out"
        ),
        validation = Rule::new(
            "self.all(t, has(t.operator) && t.operator == 'Exists' ? !has(t.value) || t.value == '' : has(t.key) && t.key != '')"
        ).message("a toleration with operator Exists has no value, and one without a key is of operator Exists: write key and value, or operator Exists"),
        validation = Rule::new("self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')").message(
            "tolerationSeconds belongs to the effect NoExecute: write that effect, or leave it out"
        )
    )]
    pub tolerations: Vec<Toleration>,

    /// Scheduling preferences and demands of all of the pods. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// Who may reach the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,

    /// Hashes random bytes. Listens on port 80.
    #[serde(default)]
    pub hasher: ComponentSpec,

    /// Keeps the counters and the coins, in memory unless storage is set. Listens on port 6379.
    #[serde(default)]
    pub redis: RedisSpec,

    /// Hands out random bytes, one request at a time. Listens on port 80.
    #[serde(default)]
    #[x_kube(validation = Rule::new(
        format!("!has(self.probes) || {}", schema::is_check_named("self.probes.liveness"))
    ).message(
        "rng has no default liveness check: write one of httpGet, tcpSocket and exec into probes.liveness, or leave it out"
    ))]
    pub rng: ComponentSpec,

    /// The web page. Listens on port 80.
    #[serde(default)]
    pub webui: WebuiSpec,

    /// Mines. Listens on nothing. `kubectl scale dockercoins` sets its replicas. A HorizontalPodAutoscaler of your own that
    /// targets the Deployment `worker` needs them left unset; one that targets the DockerCoins needs them set,
    /// since the scale subresource can't be read before.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new(format!(
            "!has(self.probes) || ({}) && ({})",
            schema::is_check_named("self.probes.readiness"),
            schema::is_check_named("self.probes.liveness"),
        )).message(
            "the worker has no default checks: write one of httpGet, tcpSocket and exec into each of its probes, or leave it out"
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

/// Where images come from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// What stands before /rng, /hasher, /webui and /worker: `host[:port][/path]`, or a Docker Hub namespace.
    /// The nodes pull from there. Default: docker.io/dockercoins.
    #[serde(default = "default_prefix")]
    #[schemars(length(max = 255))]
    #[x_kube(
        validation = Rule::new("self.size() > 0").message(
            "an empty prefix would name images such as /rng: write host[:port][/path], or leave the field out for docker.io/dockercoins"
        ),
        validation = Rule::new("!self.contains('://')").message(
            "a prefix has no scheme: write registry.example.com:5000/team here, and the scheme in spec.registry.endpoint"
        ),
        validation = Rule::new("!self.contains('@')").message(
            "a prefix has no digest, since it stands before four images: write the digest in the component's image"
        ),
        validation = Rule::new("!self.matches('\\\\s')").message("a prefix has no spaces: write registry.example.com:5000/team"),
        validation = Rule::new(
            "self.size() == 0 || self.contains('://') || self.contains('@') || self.matches('\\\\s') || self.matches('^[A-Za-z0-9._:\\\\[\\\\]-]+(/[a-z0-9._-]+)*/?$')"
        ).message(
            "a prefix is host[:port][/path] with a path of lowercase letters, digits, '.', '_' and '-', and without a tag: write registry.example.com:5000/team here, and the tag in spec.tag"
        )
    )]
    pub prefix: String,

    /// The address at which the operator asks for tags, where the nodes pull the same registry by another
    /// one: `http://registry:5000`, or `https://registry.example.com`. Serves only images on the prefix's host;
    /// credentials are then matched against this address. Default: the prefix's own host, by HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[A-Za-z0-9._\\\\[\\\\]:-]+/?$')").message(
        "an endpoint is http:// or https://, a host, and a port where it isn't the usual one: write http://registry:5000"
    ))]
    pub endpoint: Option<String>,

    /// The certificate authority of a registry with a certificate of its own, in PEM, in a ConfigMap or a Secret of
    /// this namespace. The operator trusts it beside the system's, for the prefix's host alone; the nodes need it
    /// too. Default: the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthority>,
}

/// Where a certificate authority is kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)").message(
    "a certificate authority is in one place: write either configMapKeyRef or secretKeyRef"
))]
pub struct CertificateAuthority {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,

    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
}

/// A key of a ConfigMap or Secret in this namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct KeyReference {
    /// The name of the ConfigMap or Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key in it. Default: ca.crt.
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

/// Who may reach the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// True closes the pods with NetworkPolicies: rng and hasher are reached by the workers, redis by the workers and
    /// webui, webui by everyone on its port, the workers by no one. What they reach is not limited. It takes a
    /// network plugin that enforces policies. Default: false.
    #[serde(default)]
    pub enabled: bool,
}

/// The name of a Secret in this namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SecretReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How the application's tags become digests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resolve {
    /// Required: nothing new is rolled out until every image is pinned to a digest. BestEffort: an image
    /// that can't be resolved runs by its tag until it can. Never: tags are written as they are, and no
    /// registry is asked. Default: Required.
    #[serde(default)]
    pub policy: ResolvePolicy,

    /// How often a tag that is already pinned is asked for again, such as 10m or 1h30m; at least 10s. Default:
    /// never, so that a tag that moves doesn't roll pods by surprise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new("self.matches('^([0-9]+(\\\\.[0-9]+)?(s|m|h))+$')").message(
            "an interval is a number and a unit (s, m or h): write 10m, or leave the field out to never ask again"
        ),
        validation = Rule::new(
            "!self.matches('^([0-9]+(\\\\.[0-9]+)?(s|m|h))+$') || duration(self) >= duration('10s')"
        ).message("an interval is at least 10s: write 10m, or leave the field out to never ask again")
    )]
    pub interval: Option<String>,
}

/// What happens with a tag.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum ResolvePolicy {
    /// Nothing new is rolled out until every image is pinned.
    #[default]
    Required,
    /// An image that can't be resolved runs by its tag until it can.
    BestEffort,
    /// Tags are written as they are, and no registry is asked.
    Never,
}

#[cfg(test)]
mod tests;
