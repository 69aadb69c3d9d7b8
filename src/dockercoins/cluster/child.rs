//! The kinds of objects that a DockerCoins consists of.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::Patch;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::dockercoins::component::Component;
use crate::dockercoins::gateway::HTTPRoute;
use crate::dockercoins::plan::MANAGER;

use super::{Cache, Cluster};

/// A kind of child.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The one name under which it is written, where there is only one: then no others are watched.
    const NAME: Option<&'static str> = None;

    /// What has been seen of this kind.
    fn cache(cluster: &Cluster) -> &Cache<Self>;

    /// What must be sent before `self` is applied over `live`, where server-side apply alone would do
    /// something else.
    fn before_apply(&self, _live: &Self) -> Vec<Step> {
        Vec::new()
    }

    /// Drops what its controllers say, where no one here looks at that.
    fn drop_status(&mut self) {}

    /// The object as kubectl names it, such as `deployment rng`.
    fn command(&self) -> String {
        format!("{} {}", Self::kind(&()).to_lowercase(), self.name_any())
    }

    /// The object as people name it, such as `Deployment rng`.
    fn title(&self) -> String {
        format!("{} {}", Self::kind(&()), self.name_any())
    }
}

/// A write that goes before an apply.
pub struct Step {
    /// Why it is needed.
    pub why: &'static str,
    /// The write.
    pub patch: Patch<Value>,
}

impl Child for Service {
    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.services
    }

    /// A port whose number someone changed is another port to server-side apply. It would put ours beside that,
    /// with the same name or node port, and be refused. So the ports are set as a whole first; the node port
    /// comes with the apply, so that it stays ours to take back.
    fn before_apply(&self, live: &Self) -> Vec<Step> {
        let ports = |service: &Self| -> Vec<ServicePort> {
            let spec = service.spec.as_ref();
            spec.and_then(|spec| spec.ports.clone()).unwrap_or_default()
        };
        let (wanted, there) = (ports(self), ports(live));
        let is_there = |port: &ServicePort| {
            there
                .iter()
                .any(|other| (other.port, &other.protocol) == (port.port, &port.protocol))
        };
        if wanted.iter().all(is_there) {
            return Vec::new();
        }
        let without_node_port = |port| ServicePort {
            node_port: None,
            ..port
        };
        let ports: Vec<_> = wanted.into_iter().map(without_node_port).collect();
        vec![Step {
            why: "a port with another number is in the way of ours",
            patch: Patch::Merge(
                json!({ "metadata": { "uid": live.uid() }, "spec": { "ports": ports } }),
            ),
        }]
    }
}

impl Child for Deployment {
    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.deployments
    }

    /// Two steps that server-side apply can't do by itself:
    ///
    /// - `replicas` that we wrote and no longer write would fall back to one. The running number is handed to
    ///   another manager first, and survives.
    /// - `rollingUpdate` was filled in by the API server, so it is no one's and stays, but `Recreate` is
    ///   refused beside it.
    fn before_apply(&self, live: &Self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.spec.replicas.is_none()
            && let Some(replicas) = live.spec.replicas
            && owns_replicas(live)
        {
            steps.push(Step {
                why: "the number of replicas is no longer the resource's, and stays as it is",
                patch: Patch::Apply(json!({
                    "apiVersion": Self::api_version(&()),
                    "kind": Self::kind(&()),
                    "metadata": { "name": live.name_any(), "uid": live.uid() },
                    "spec": { "replicas": replicas },
                })),
            });
        }
        let strategy_type = |deployment: &Self| deployment.spec.strategy.as_ref()?.type_.clone();
        let is_rolling = live
            .spec
            .strategy
            .as_ref()
            .is_some_and(|s| s.rolling_update.is_some());
        if strategy_type(self).as_deref() == Some("Recreate") && is_rolling {
            steps.push(Step {
                why: "the settings of a rolling update are in the way of Recreate",
                patch: Patch::Merge(json!({
                    "metadata": { "uid": live.uid() },
                    "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null } },
                })),
            });
        }
        steps
    }
}

impl Child for PersistentVolumeClaim {
    const NAME: Option<&'static str> = Some(Component::Redis.name());

    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.claims
    }
}

impl Child for EndpointSlice {
    // Those that the cluster writes change with every pod.
    const NAME: Option<&'static str> = Some(Component::Redis.name());

    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.endpoint_slices
    }
}

impl Child for NetworkPolicy {
    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.policies
    }
}

impl Child for PodDisruptionBudget {
    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.budgets
    }

    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Child for HorizontalPodAutoscaler {
    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.autoscalers
    }

    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Child for Ingress {
    const NAME: Option<&'static str> = Some(Component::Webui.name());

    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.ingresses
    }

    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl Child for HTTPRoute {
    const NAME: Option<&'static str> = Some(Component::Webui.name());

    fn cache(cluster: &Cluster) -> &Cache<Self> {
        &cluster.routes
    }
}

/// The records of who manages which field of an object, changed so that we seem to have applied all of its spec,
/// whoever did. Labels and annotations stay whose they are.
pub(super) fn taken_over(
    records: &[ManagedFieldsEntry],
    api_version: &str,
) -> Vec<ManagedFieldsEntry> {
    let mut spec = json!({});
    let mut records = records.to_vec();
    for record in records.iter_mut().filter(|r| r.subresource.is_none()) {
        let fields = record.fields_v1.as_mut();
        if let Some(theirs) = fields.and_then(|fields| fields.0.as_object_mut()?.remove("f:spec")) {
            join(&mut spec, &theirs);
        }
    }
    records.push(ManagedFieldsEntry {
        manager: Some(MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: Some(api_version.to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(json!({ "f:spec": spec }))),
        ..ManagedFieldsEntry::default()
    });
    records
}

/// Adds the fields of one record to those of another.
fn join(fields: &mut Value, others: &Value) {
    let Some(others) = others.as_object() else {
        return;
    };
    for (name, below) in others {
        match fields.get_mut(name) {
            Some(fields) => join(fields, below),
            None => fields[name] = below.clone(),
        }
    }
}

/// Whether the number of replicas is one that we wrote.
fn owns_replicas(deployment: &Deployment) -> bool {
    deployment.managed_fields().iter().any(|record| {
        record.manager.as_deref() == Some(MANAGER)
            && record
                .fields_v1
                .as_ref()
                .is_some_and(|fields| fields.0["f:spec"].get("f:replicas").is_some())
    })
}

/// Whether an object concerns the operator: it has a component's name, or a DockerCoins controls it.
pub fn is_of_interest<K: Resource>(object: &K) -> bool {
    let has_name = object
        .meta()
        .name
        .as_deref()
        .is_some_and(|name| Component::named(name).is_some());
    has_name
        || object
            .owner_references()
            .iter()
            .any(|owner| owner.kind == "DockerCoins" && owner.controller == Some(true))
}

/// Takes from an object what the operator never looks at, before it is kept in memory.
///
/// Of the records of who manages which field, those of other managers stay, since they tell who changed
/// something, and of our own whether we own the number of replicas.
pub fn slim<K: Resource>(object: &mut K) {
    object
        .annotations_mut()
        .remove("kubectl.kubernetes.io/last-applied-configuration");
    let records = object.managed_fields_mut();
    records.retain(|record| record.subresource.as_deref() != Some("status"));
    for record in records
        .iter_mut()
        .filter(|record| record.manager.as_deref() == Some(MANAGER))
    {
        if let Some(fields) = &mut record.fields_v1 {
            let owns_replicas = fields.0["f:spec"].get("f:replicas").is_some();
            fields.0 = if owns_replicas {
                json!({ "f:spec": { "f:replicas": {} } })
            } else {
                json!({})
            };
        }
    }
}

/// Does that to a child, and drops what no one looks at of its kind.
pub fn slim_child<K: Child>(object: &mut K) {
    slim(object);
    object.drop_status();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            api_version: Some("v1".to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn the_spec_of_what_is_taken_over_is_ours_and_labels_stay_whose_they_are() {
        let labels = json!({ "f:metadata": { "f:labels": { "f:team": {} } } });
        let ports = json!({ "f:ports": { "k:{\"port\":1}": { ".": {}, "f:port": {} } } });
        let type_ = json!({ "f:ports": { "k:{\"port\":1}": { "f:name": {} } }, "f:type": {} });
        let mut created = labels.clone();
        created["f:spec"] = ports;
        let status = ManagedFieldsEntry {
            subresource: Some("status".to_owned()),
            ..record("cloud", "Update", json!({ "f:status": {} }))
        };
        let before = [
            record("kubectl", "Update", created),
            record("someone", "Apply", json!({ "f:spec": type_ })),
            status.clone(),
        ];
        let all = json!({ "f:spec": {
            "f:ports": { "k:{\"port\":1}": { ".": {}, "f:port": {}, "f:name": {} } },
            "f:type": {},
        } });
        let after = [
            record("kubectl", "Update", labels),
            record("someone", "Apply", json!({})),
            status,
            record(MANAGER, "Apply", all),
        ];
        assert_eq!(taken_over(&before, "v1"), after);
    }
}
