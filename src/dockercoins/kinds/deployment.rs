//! A component's Deployment.

use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::{
    Deployment, Desired, FieldPath, Kind, ObjectKey, PersistentVolumeClaim, Plan, component_field,
};
use crate::dockercoins::component::Component;
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
