//! A component's Deployment.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, ExecAction,
    HTTPGetAction, LocalObjectReference, PersistentVolumeClaimVolumeSource, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, Sysctl,
    TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::{FieldPath, ImageSet, Kind, ObjectKey, PersistentVolumeClaim, Plan, component_field};
use crate::api::{Resources, Strategy, StrategyType};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, DesiredComponent, DesiredProbe, ProbeHandler, Storage};
use crate::dockercoins::metadata::{labels, metadata, selector};
use crate::runtime::child::{Child, Patch, Prerequisite};
use crate::runtime::field_path::Managers;

impl Child for Deployment {
    /// Two writes that server-side apply cannot do in one step:
    ///
    /// - `replicas` that were applied and are left out would fall back to one. The release manager applies the running
    ///   number first, so that it stays.
    /// - `rollingUpdate` was defaulted by the API server, so no one owns it and it stays, but `Recreate` is refused
    ///   beside it.
    fn prerequisites(&self, live: &Self) -> Vec<Prerequisite> {
        let mut steps = Vec::new();
        let path = FieldPath::fields(["spec", "replicas"]);
        if self.spec.replicas.is_none()
            && let Some(replicas) = live.spec.replicas
            && Managers(live.managed_fields()).is_applied_by_us(&path)
        {
            steps.push(Prerequisite {
                why: "replicas is no longer set, and its value stays",
                patch: Patch::Apply(json!({
                    "apiVersion": Self::api_version(&()),
                    "kind": Self::kind(&()),
                    "metadata": { "name": live.name_any(), "uid": live.uid() },
                    "spec": { "replicas": replicas },
                })),
            });
        }
        let strategy = |deployment: &Self| deployment.spec.strategy.clone().unwrap_or_default();
        let is_rolling = strategy(live).rolling_update.is_some();
        if strategy(self).type_.as_deref() == Some("Recreate") && is_rolling {
            steps.push(Prerequisite {
                why: "the API server refuses Recreate beside rollingUpdate",
                patch: Patch::Merge(json!({
                    "metadata": { "uid": live.uid() },
                    "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null } },
                })),
            });
        }
        steps
    }
}

impl Kind for Deployment {
    const IS_REQUIRED: bool = true;

    fn plan(desired: &Desired, images: Option<&ImageSet>) -> Vec<Self> {
        images
            .into_iter()
            .flat_map(|images| {
                desired.running().filter_map(move |wanted| {
                    let image = images[wanted.component].as_ref()?;
                    Some(deployment(desired, wanted, image))
                })
            })
            .collect()
    }

    /// Without resolved images a plan has no Deployments, and those that exist stay.
    fn is_wanted(desired: &Desired, _: &Plan, name: &str) -> bool {
        Component::named(name).is_some_and(|component| desired.has_pods(component))
    }

    /// A pod that mounted another's claim would write to another's volume.
    fn needs(plan: &Plan, name: &str) -> Option<ObjectKey> {
        let claim = plan.claims.first()?;
        (name == claim.name_any()).then(|| ObjectKey::new::<PersistentVolumeClaim>(name))
    }

    fn is_critical(path: &FieldPath) -> bool {
        let names = path.names();
        let deciding = [
            "image",
            "selector",
            "securityContext",
            "automountServiceAccountToken",
        ];
        deciding.iter().any(|name| names.contains(name))
    }

    fn owning_field(desired: &Desired, name: &str, path: &FieldPath) -> Option<FieldPath> {
        let of_component = |field: &str| Some(component_field(name, field));
        match path.names().as_slice() {
            ["spec", "template", "spec", in_pod @ ..] => match in_pod {
                ["containers", "image"] => Component::named(name)
                    .map(|component| FieldPath::dotted(&desired.component(component).image_field)),
                ["containers", "env", ..] => of_component("env"),
                ["containers", "resources", ..] => of_component("resources"),
                [
                    "containers",
                    "startupProbe" | "readinessProbe" | "livenessProbe",
                    ..,
                ] => of_component("probes"),
                ["containers", "securityContext", ..] | ["securityContext", ..] => {
                    of_component("securityContext")
                }
                ["volumes", ..] if name == "redis" => of_component("storage"),
                [
                    field @ ("nodeSelector" | "tolerations" | "affinity" | "imagePullSecrets"),
                    ..,
                ] => Some(FieldPath::fields(["spec", field])),
                _ => None,
            },
            ["spec", "template", "metadata", "labels", ..] => of_component("podLabels"),
            ["spec", "template", "metadata", "annotations", ..] => of_component("podAnnotations"),
            [
                "spec",
                field @ ("replicas"
                | "strategy"
                | "minReadySeconds"
                | "progressDeadlineSeconds"
                | "revisionHistoryLimit"),
                ..,
            ] => of_component(field),
            _ => None,
        }
    }
}

/// The user `redis` of the official Redis image, which owns its `/data`.
const REDIS_USER: i64 = 999;
/// The user `nobody`, for the other four. Their images are built for root, but every user can read their files.
const NOBODY: i64 = 65534;
/// The data directory of Redis.
const REDIS_DATA: &str = "/data";

fn deployment(desired: &Desired, wanted: &DesiredComponent, image: &str) -> Deployment {
    let component = wanted.component;
    Deployment {
        metadata: metadata(desired, component, BTreeMap::new()),
        spec: DeploymentSpec {
            replicas: wanted.spec.replicas,
            selector: LabelSelector {
                match_labels: Some(selector(component)),
                ..LabelSelector::default()
            },
            strategy: Some(strategy(component, wanted.spec.strategy.as_ref())),
            min_ready_seconds: wanted.spec.min_ready_seconds,
            progress_deadline_seconds: wanted.spec.progress_deadline_seconds,
            revision_history_limit: wanted.spec.revision_history_limit,
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels(desired, wanted)),
                    annotations: non_empty(wanted.spec.pod_annotations.clone()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(desired, wanted, image)),
            },
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

/// The user's labels and the operator's. The operator's win: Services and selectors depend on them.
fn pod_labels(desired: &Desired, wanted: &DesiredComponent) -> BTreeMap<String, String> {
    let mut all = wanted.spec.pod_labels.clone();
    all.extend(labels(desired, wanted.component));
    all
}

fn pod(desired: &Desired, wanted: &DesiredComponent, image: &str) -> PodSpec {
    let security = wanted.spec.security_context.clone().unwrap_or_default();
    let component = wanted.component;
    let (user, group) = match component {
        Component::Redis => (REDIS_USER, Some(REDIS_USER)),
        Component::Hasher | Component::Rng | Component::Webui | Component::Worker => (NOBODY, None),
    };
    let has_data = component == Component::Redis;
    PodSpec {
        // None of the five uses the API server.
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: security.run_as_user.or(Some(user)),
            run_as_group: security.run_as_group.or(Some(user)),
            fs_group: security.fs_group.or(group),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            sysctls: sysctls(component),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: component.name().to_owned(),
            image: Some(image.to_owned()),
            image_pull_policy: Some(pull_policy(image).to_owned()),
            args: (component == Component::Redis).then(|| redis_args(&desired.storage)),
            ports: component.port().map(|port| {
                vec![ContainerPort {
                    name: Some(component.name().to_owned()),
                    container_port: port,
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                }]
            }),
            env: non_empty(
                wanted
                    .spec
                    .env
                    .iter()
                    .map(|variable| EnvVar {
                        name: variable.name.clone(),
                        value: Some(variable.value.clone()),
                        value_from: None,
                    })
                    .collect::<Vec<_>>(),
            ),
            resources: wanted.spec.resources.as_ref().and_then(resources),
            startup_probe: wanted.probes.startup.as_ref().map(probe),
            readiness_probe: wanted.probes.readiness.as_ref().map(probe),
            liveness_probe: wanted.probes.liveness.as_ref().map(probe),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".to_owned()]),
                    ..Capabilities::default()
                }),
                read_only_root_filesystem: security
                    .read_only_root_filesystem
                    .or(has_data.then_some(true)),
                ..SecurityContext::default()
            }),
            volume_mounts: has_data.then(|| {
                vec![VolumeMount {
                    name: "data".to_owned(),
                    mount_path: REDIS_DATA.to_owned(),
                    ..VolumeMount::default()
                }]
            }),
            ..Container::default()
        }],
        volumes: has_data.then(|| vec![data_volume(&desired.storage)]),
        image_pull_secrets: non_empty(
            desired
                .pull_secrets
                .iter()
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect::<Vec<_>>(),
        ),
        node_selector: non_empty(desired.node_selector.clone()),
        tolerations: non_empty(desired.tolerations.clone()),
        affinity: desired.affinity.clone(),
        ..PodSpec::default()
    }
}

/// The volume of the data directory of Redis.
fn data_volume(storage: &Storage) -> Volume {
    let volume = Volume {
        name: "data".to_owned(),
        ..Volume::default()
    };
    match storage {
        Storage::Volume(_) => Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: Component::Redis.name().to_owned(),
                read_only: None,
            }),
            ..volume
        },
        Storage::EmptyDir | Storage::External(_) => Volume {
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..volume
        },
    }
}

/// Disables snapshots: Redis rejects writes after a failed one, and snapshots fail if the directory isn't writable.
/// On a volume an append-only file takes their place, which loses the writes of one second at most.
fn redis_args(storage: &Storage) -> Vec<String> {
    let args: &[&str] = match storage {
        Storage::Volume(_) => &["--save", "", "--appendonly", "yes"],
        Storage::EmptyDir | Storage::External(_) => &["--save", ""],
    };
    args.iter().copied().map(str::to_owned).collect()
}

/// Lets a program that isn't root listen on port 80. Pod Security `restricted` allows this sysctl.
fn sysctls(component: Component) -> Option<Vec<Sysctl>> {
    component.port().filter(|port| *port < 1024).map(|_| {
        vec![Sysctl {
            name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
            value: "0".to_owned(),
        }]
    })
}

/// A digest always names the same image; a tag may have moved since the node pulled it.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        "IfNotPresent"
    } else {
        "Always"
    }
}

/// Redis is recreated by default: during a rolling update two pods would each keep their own counters.
///
/// The type is always sent, so that removing `strategy` from the spec also resets `Recreate`.
fn strategy(component: Component, written: Option<&Strategy>) -> DeploymentStrategy {
    let written = written.cloned().unwrap_or_default();
    let default = match (component, &written.rolling_update) {
        (Component::Redis, None) => StrategyType::Recreate,
        _ => StrategyType::RollingUpdate,
    };
    let type_ = match written.type_.unwrap_or(default) {
        StrategyType::RollingUpdate => "RollingUpdate",
        StrategyType::Recreate => "Recreate",
    };
    DeploymentStrategy {
        type_: Some(type_.to_owned()),
        rolling_update: written
            .rolling_update
            .map(|rolling| RollingUpdateDeployment {
                max_surge: rolling.max_surge,
                max_unavailable: rolling.max_unavailable,
            }),
    }
}

fn resources(written: &Resources) -> Option<ResourceRequirements> {
    let quantities = |amounts: &BTreeMap<String, IntOrString>| {
        non_empty(
            amounts
                .iter()
                .map(|(name, amount)| {
                    let amount = match amount {
                        IntOrString::Int(number) => number.to_string(),
                        IntOrString::String(text) => text.clone(),
                    };
                    (name.clone(), Quantity(amount))
                })
                .collect::<BTreeMap<_, _>>(),
        )
    };
    let resources = ResourceRequirements {
        requests: quantities(&written.requests),
        limits: quantities(&written.limits),
        ..ResourceRequirements::default()
    };
    (resources != ResourceRequirements::default()).then_some(resources)
}

fn probe(wanted: &DesiredProbe) -> Probe {
    let mut probe = Probe {
        initial_delay_seconds: wanted.initial_delay_seconds,
        period_seconds: Some(wanted.period_seconds),
        timeout_seconds: Some(wanted.timeout_seconds),
        failure_threshold: Some(wanted.failure_threshold),
        ..Probe::default()
    };
    match &wanted.handler {
        ProbeHandler::HttpGet(path, port) => {
            probe.http_get = Some(HTTPGetAction {
                path: Some(path.clone()),
                port: IntOrString::Int(*port),
                ..HTTPGetAction::default()
            });
        }
        ProbeHandler::TcpSocket(port) => {
            probe.tcp_socket = Some(TCPSocketAction {
                port: IntOrString::Int(*port),
                ..TCPSocketAction::default()
            });
        }
        ProbeHandler::Exec(command) => {
            probe.exec = Some(ExecAction {
                command: Some(command.clone()),
            })
        }
    }
    probe
}

/// `None` for an empty list or map: the API server drops an empty one, and the difference would be drift.
fn non_empty<T: IntoIterator + Default + PartialEq>(collection: T) -> Option<T> {
    (collection != T::default()).then_some(collection)
}
