//! The fields that all components share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ResolvePolicy, schema};

/// A component: its image, its replicas, and how its pods run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.image) && has(self.tag))").message(
        "image and tag are mutually exclusive: write the full reference in image, or only a tag in tag"
    ),
    validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message(
        "replicas and autoscaling are mutually exclusive: write one of them"
    ),
    validation = Rule::new(
        "!has(self.autoscaling) || has(self.resources) && (has(self.resources.requests) && 'cpu' in self.resources.requests || has(self.resources.limits) && 'cpu' in self.resources.limits)"
    ).message(
        "autoscaling requires resources.requests.cpu: write an amount such as 100m there"
    ),
    validation = Rule::new(
        "!has(self.autoscaling) || !has(self.autoscaling.minReplicas) || self.autoscaling.minReplicas <= self.autoscaling.maxReplicas"
    ).message("minReplicas must not exceed maxReplicas: write a smaller minReplicas, or a greater maxReplicas"),
    validation = Rule::new(
        "!has(self.minReadySeconds) || self.minReadySeconds < (has(self.progressDeadlineSeconds) ? self.progressDeadlineSeconds : 600)"
    ).message(
        "progressDeadlineSeconds (default 600) must be greater than minReadySeconds: write a greater progressDeadlineSeconds, or a smaller minReadySeconds"
    )
)]
pub struct ComponentSpec {
    /// Full image reference, in place of the registry prefix and the tag. Without a tag it means latest; with a
    /// digest it is not resolved. Mutually exclusive with tag. Default: the prefix, the component's name and
    /// spec.tag; for redis, redis:7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^\\\\s]+$') && !self.contains('://')").message(
        "image must be a reference without spaces and without a scheme: write an image such as registry.example.com/team/rng:v0.1"
    ))]
    pub image: Option<String>,

    /// Image tag of this component. Mutually exclusive with image. Default: spec.tag; for redis, 7 of
    /// docker.io/library/redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$')").message(
        "tag must be 1 to 128 letters, digits, '_', '.' or '-', and must not begin with '.' or '-': write a tag such as v0.1"
    ))]
    pub tag: Option<String>,

    /// How this component's tag is resolved to a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<ComponentResolve>,

    /// Number of desired pods. Default: not set in the Deployment, so that `kubectl scale deployment` or a
    /// HorizontalPodAutoscaler can set it; a new Deployment has one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// Creates a HorizontalPodAutoscaler. Mutually exclusive with replicas. Requires resources.requests.cpu, and a
    /// metrics API in the cluster, such as metrics-server. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Compute resources of the container. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Health checks of the container. A probe with timings only changes those of the default probe. Default:
    /// readiness and liveness by GET / for hasher, GET /index.html for webui, `redis-cli ping` for redis; readiness
    /// by TCP for rng, where requests queue; none for worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,

    /// Environment variables with literal values. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// Additional labels of the pods; the operator's own take precedence. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub pod_labels: BTreeMap<String, String>,

    /// Annotations of the pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub pod_annotations: BTreeMap<String, String>,

    /// How new pods replace old ones. Default: RollingUpdate; for redis Recreate, because two Redis pods would split
    /// the counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// Seconds that a new pod must be ready before it counts as available. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub min_ready_seconds: Option<i32>,

    /// Seconds without progress after which a rollout is reported as stuck; must exceed minReadySeconds. Default:
    /// 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub progress_deadline_seconds: Option<i32>,

    /// Number of old ReplicaSets to keep for `kubectl rollout history`. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub revision_history_limit: Option<i32>,

    /// User and groups of the container, within Pod Security `restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
}

/// A HorizontalPodAutoscaler.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Minimum number of pods. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// Maximum number of pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// Target for the average CPU usage, in percent of the requested CPU. Default: 80.
    #[serde(
        rename = "targetCPUUtilizationPercentage",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: Option<i32>,
}

/// How the tag of one component is resolved.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ComponentResolve {
    /// Required, BestEffort or Never, for this component. Default: spec.resolve.policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ResolvePolicy>,
}

/// The compute resources of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "[has(self.requests) ? self.requests : {}, has(self.limits) ? self.limits : {}].all(amounts, amounts.all(name, type(amounts[name]) != int || int(amounts[name]) >= 0))"
    ).message("resource amounts must not be negative: write an amount such as 250m or 64Mi"),
    validation = Rule::new(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)"
    ).message("requests must not exceed limits: write a smaller request, or a greater limit")
)]
pub struct Resources {
    /// Amount of each resource (cpu, memory …) to reserve, such as 250m or 64Mi; fractions in quotes, such as "0.5".
    /// Default: the limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub requests: BTreeMap<String, IntOrString>,

    /// Maximum amount of each resource. Default: no limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub limits: BTreeMap<String, IntOrString>,
}

/// The health checks of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(schema::is_check_named("self.startup")).message(
    "there is no default startup probe: write httpGet, tcpSocket or exec into startup, or leave it out"
))]
pub struct Probes {
    /// Holds back the other two probes until it has succeeded once. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,

    /// Removes the pod from its Service while the probe fails. Default: see probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,

    /// Restarts the container when the probe fails. Default: see probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
}

/// A health check: one of httpGet, tcpSocket or exec with its timings; timings alone, which change those of the
/// default probe; or `disabled: true`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.httpGet), has(self.tcpSocket), has(self.exec)].filter(x, x).size() <= 1").message(
        "httpGet, tcpSocket and exec are mutually exclusive: write one of them"
    ),
    validation = Rule::new(
        "!has(self.disabled) || !self.disabled || !(has(self.httpGet) || has(self.tcpSocket) || has(self.exec) || has(self.initialDelaySeconds) || has(self.periodSeconds) || has(self.timeoutSeconds) || has(self.failureThreshold))"
    ).message("a disabled probe must not have other fields: write disabled: true alone, or leave disabled out")
)]
pub struct Probe {
    /// Succeeds if GET returns a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,

    /// Succeeds if a TCP connection opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocketAction>,

    /// Succeeds if a command in the container exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,

    /// Removes the probe, also the default one. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,

    /// Seconds from the container's start to the first check. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub initial_delay_seconds: Option<i32>,

    /// Seconds between checks. Default: 10; 2 for the default readiness probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: Option<i32>,

    /// Seconds after which a check fails. Default: 1; 5 for the default probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,

    /// Consecutive failures after which the probe fails. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<i32>,
}

/// An HTTP request.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpGetAction {
    /// Path to request, such as /.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,

    /// Port to connect to. Default: the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A TCP connection.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TcpSocketAction {
    /// Port to connect to. Default: the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A command.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExecAction {
    /// Program and arguments, without a shell.
    #[schemars(length(min = 1, max = 64))]
    pub command: Vec<String>,
}

/// An environment variable with a literal value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
    )]
    pub name: String,

    /// Value of the variable. Default: empty.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// How new pods replace old ones.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.rollingUpdate) || !has(self.type) || self.type == 'RollingUpdate'").message(
    "rollingUpdate requires type RollingUpdate: write that type, or leave rollingUpdate out"
))]
pub struct Strategy {
    /// RollingUpdate replaces pods gradually; Recreate stops all old pods first. Default: RollingUpdate.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<StrategyType>,

    /// How many pods are replaced at a time; only for type RollingUpdate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// The kinds of strategy.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum StrategyType {
    /// Replaces pods gradually.
    #[default]
    RollingUpdate,
    /// Stops all old pods first.
    Recreate,
}

/// How many pods are replaced at a time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(schema::is_number_or_percentage("maxSurge", "[0-9]{1,4}")).message(
        "maxSurge must be a number of pods or a percentage: write a value such as 1 or 25%"
    ),
    validation = Rule::new(schema::is_number_or_percentage("maxUnavailable", "([0-9]{1,2}|100)")).message(
        "maxUnavailable must be a number of pods or a percentage up to 100%: write a value such as 1 or 25%"
    ),
    validation = Rule::new(
    "!(has(self.maxSurge) && has(self.maxUnavailable)) || !((self.maxSurge == 0 || self.maxSurge == '0%') && (self.maxUnavailable == 0 || self.maxUnavailable == '0%'))"
).message("maxSurge and maxUnavailable must not both be 0: write at least 1 for one of them")
)]
pub struct RollingUpdate {
    /// Pods above the number of replicas, as a number or a percentage. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_percentage")]
    pub max_surge: Option<IntOrString>,

    /// Pods that may be unavailable, as a number or a percentage. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_percentage")]
    pub max_unavailable: Option<IntOrString>,
}

/// The user and groups of a container. The operator always sets everything else that Pod Security `restricted`
/// requires.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    /// User ID of the container; not 0. Default: 999 for redis, as in the official image; 65534 (nobody) for the
    /// others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub run_as_user: Option<i64>,

    /// Group ID of the container. Default: 999 for redis, 65534 for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub run_as_group: Option<i64>,

    /// Group ID that owns volumes. Default: 999 for redis; none for the others, which have no volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub fs_group: Option<i64>,

    /// Makes the container's root filesystem read-only. Default: true for redis, false for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}
