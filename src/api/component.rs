//! What can be said of one component.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ResolvePolicy, schema};

/// One component: its image, its replicas, and how its pods run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.image) && has(self.tag))").message(
        "image and tag exclude each other: write the whole reference in image, or only a tag in tag"
    ),
    validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message(
        "replicas and autoscaling exclude each other, since both decide how many pods there are: write one of them"
    ),
    validation = Rule::new(
        "!has(self.autoscaling) || has(self.resources) && (has(self.resources.requests) && 'cpu' in self.resources.requests || has(self.resources.limits) && 'cpu' in self.resources.limits)"
    ).message(
        "autoscaling goes by the share of what is asked for: write resources.requests.cpu beside it, such as 100m"
    ),
    validation = Rule::new(
        "!has(self.autoscaling) || !has(self.autoscaling.minReplicas) || self.autoscaling.minReplicas <= self.autoscaling.maxReplicas"
    ).message("minReplicas is above maxReplicas: write a smaller minReplicas, or a greater maxReplicas"),
    validation = Rule::new(
        "!has(self.minReadySeconds) || self.minReadySeconds < (has(self.progressDeadlineSeconds) ? self.progressDeadlineSeconds : 600)"
    ).message(
        "a rollout would be reported as stuck before its pods count as available: write a progressDeadlineSeconds above minReadySeconds; left out, it is 600"
    )
)]
pub struct ComponentSpec {
    /// The whole image reference, with or without a tag or digest, in place of the registry's prefix and the
    /// common tag. Without a tag it means latest; with a digest no registry is asked. Excludes tag.
    /// Default: the prefix, the component's name and the tag; for redis, redis:7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^\\\\s]+$') && !self.contains('://')").message(
        "an image is a reference without spaces and without a scheme: write registry.example.com/team/rng:v0.1"
    ))]
    pub image: Option<String>,

    /// The tag of this component alone. Excludes image. Default: spec.tag; for redis, the tag of
    /// docker.io/library/redis, which is 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$')").message(
        "a tag is 1 to 128 letters, digits, '_', '.' or '-', and doesn't begin with '.' or '-': write one such as v0.1"
    ))]
    pub tag: Option<String>,

    /// How this component's tag becomes a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<ComponentResolve>,

    /// How many pods. Default: not written, which gives one, and leaves the number to `kubectl scale
    /// deployment` or a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// Lets a HorizontalPodAutoscaler of the operator's decide how many pods there are. Excludes replicas; needs
    /// resources.requests.cpu, and an add-on in the cluster that measures pods, such as metrics-server.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// What the container asks for and may use. Default: nothing asked, no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Health checks. Default: readiness and liveness by GET / for hasher and by GET /index.html for webui,
    /// both by `redis-cli ping` for redis, readiness alone by TCP for rng (its requests queue behind its
    /// work), none for worker (it listens on nothing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,

    /// Environment variables with literal values. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// Labels of the pods, beside the operator's own, which win. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub pod_labels: BTreeMap<String, String>,

    /// Annotations of the pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub pod_annotations: BTreeMap<String, String>,

    /// How pods are replaced. Default: RollingUpdate by a quarter of them, as Kubernetes does; Recreate for
    /// redis, since two of them would split the counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// Seconds that a new pod must be ready before it counts as available. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub min_ready_seconds: Option<i32>,

    /// Seconds after which a rollout that doesn't move is reported as stuck; more than minReadySeconds.
    /// Default: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub progress_deadline_seconds: Option<i32>,

    /// How many old ReplicaSets are kept for `kubectl rollout history`. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub revision_history_limit: Option<i32>,

    /// The user and the groups of the container, within what Pod Security `restricted` permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
}

/// Between which numbers of pods a HorizontalPodAutoscaler decides, and by what.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The fewest pods. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// The most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// How much of the CPU that they ask for the pods should use on average, in percent: above it there come more of
    /// them, below it fewer. Default: 80.
    #[serde(
        rename = "targetCPUUtilizationPercentage",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: Option<i32>,
}

/// How one component's tag becomes a digest.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ComponentResolve {
    /// Required, BestEffort or Never, for this component alone. Default: spec.resolve.policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ResolvePolicy>,
}

/// What a container asks for and may use: amounts such as 250m, "0.5" or 64Mi (a fraction needs the quotes).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "[has(self.requests) ? self.requests : {}, has(self.limits) ? self.limits : {}].all(amounts, amounts.all(name, type(amounts[name]) != int || int(amounts[name]) >= 0))"
    ).message("an amount isn't negative: write one such as 250m or 64Mi"),
    validation = Rule::new(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)"
    ).message("more is asked for than may be used: write a request that isn't above its limit")
)]
pub struct Resources {
    /// What is reserved on the node, by resource (cpu, memory, ephemeral-storage …). Default: the limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub requests: BTreeMap<String, IntOrString>,

    /// The most that the container may use, by resource. Default: no limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub limits: BTreeMap<String, IntOrString>,
}

/// The health checks of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(schema::is_check_named("self.startup")).message(
    "no component has a default startup check: write one of httpGet, tcpSocket and exec into it, or leave it out"
))]
pub struct Probes {
    /// Holds the other two back until it has succeeded once. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,

    /// Takes the pod out of its Service while it fails. Default: depends on the component, see probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,

    /// Restarts the container when it fails. Default: depends on the component, see probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
}

/// A health check: one of httpGet, tcpSocket or exec with its timings; timings alone, which change those of
/// the default check; or `disabled: true`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.httpGet), has(self.tcpSocket), has(self.exec)].filter(x, x).size() <= 1").message(
        "a probe checks in one way: write only one of httpGet, tcpSocket and exec"
    ),
    validation = Rule::new(
        "!has(self.disabled) || !self.disabled || !(has(self.httpGet) || has(self.tcpSocket) || has(self.exec) || has(self.initialDelaySeconds) || has(self.periodSeconds) || has(self.timeoutSeconds) || has(self.failureThreshold))"
    ).message("a disabled probe checks nothing: write disabled: true alone, or leave it out")
)]
pub struct Probe {
    /// Succeeds when GET answers 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,

    /// Succeeds when a TCP connection opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocketAction>,

    /// Succeeds when a command exits with 0 in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,

    /// True for no probe at all, not even the default one. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,

    /// Seconds from the container's start to the first check. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub initial_delay_seconds: Option<i32>,

    /// Seconds between checks. Default: 10; 2 for the default readiness checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: Option<i32>,

    /// Seconds after which a check has failed. Default: 1; 5 for the default checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,

    /// Failures in a row after which the probe has failed. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<i32>,
}

/// A check by HTTP.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpGetAction {
    /// The path that is asked for, such as /.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,

    /// The port. Default: the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A check by TCP.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TcpSocketAction {
    /// The port. Default: the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A check by a command.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExecAction {
    /// The program and its arguments; no shell is involved.
    #[schemars(length(min = 1, max = 64))]
    pub command: Vec<String>,
}

/// An environment variable with a literal value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
    )]
    pub name: String,

    /// Its value. Default: empty.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// How pods are replaced.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.rollingUpdate) || !has(self.type) || self.type == 'RollingUpdate'").message(
    "rollingUpdate belongs to type RollingUpdate: write that type, or leave rollingUpdate out"
))]
pub struct Strategy {
    /// RollingUpdate replaces pods bit by bit; Recreate ends all the old ones first. Default: RollingUpdate.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<StrategyType>,

    /// How many at a time; only with RollingUpdate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// The kinds of replacement.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum StrategyType {
    /// Bit by bit.
    #[default]
    RollingUpdate,
    /// All the old ones end first.
    Recreate,
}

/// How many pods are replaced at a time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(schema::is_number_or_percentage("maxSurge", "[0-9]{1,4}")).message(
        "maxSurge is a number of pods or a percentage of them: write 1 or 25%"
    ),
    validation = Rule::new(schema::is_number_or_percentage("maxUnavailable", "([0-9]{1,2}|100)")).message(
        "maxUnavailable is a number of pods, or a percentage of them up to 100%: write 1 or 25%"
    ),
    validation = Rule::new(
    "!(has(self.maxSurge) && has(self.maxUnavailable)) || !((self.maxSurge == 0 || self.maxSurge == '0%') && (self.maxUnavailable == 0 || self.maxUnavailable == '0%'))"
).message("with neither a surge nor an unavailable pod nothing can move: write at least 1 for maxSurge or maxUnavailable")
)]
pub struct RollingUpdate {
    /// Pods above the number of replicas, as a number or a percentage. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_percentage")]
    pub max_surge: Option<IntOrString>,

    /// Pods that may be missing, as a number or a percentage. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_percentage")]
    pub max_unavailable: Option<IntOrString>,
}

/// The user and the groups of a container. Everything else that Pod Security `restricted` asks for is always
/// set, and nothing that it forbids can be written here.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    /// The user's number; never 0. Default: 999 for redis, as in the official image; 65534 (nobody) for the
    /// others, which suits both upstream's images and this project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub run_as_user: Option<i64>,

    /// The group's number. Default: the same as the user's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub run_as_group: Option<i64>,

    /// The group that owns volumes. Default: 999 for redis, none for the others, which have no volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub fs_group: Option<i64>,

    /// True makes the container's own files read-only. Default: true for redis, which writes to its volume
    /// alone; false for the others, whose images may be anyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}
