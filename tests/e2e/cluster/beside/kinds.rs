//! The seven optional kinds, each with the field that asks for it and with a change to revert.

use dockercoins_operator::dockercoins::gateway::HTTPRoute;
use dockercoins_operator::runtime::child::Child;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::support::{Namespace, until};

/// A kind of object beside the nine.
pub struct Beside {
    pub kind: ApiResource,
    /// The object.
    pub name: &'static str,
    /// What asks for it.
    pub settings: Value,
    /// What no longer does.
    pub without: Value,
    /// The field that an event names.
    pub field: &'static str,
    /// What someone changes in it.
    pub drift: Value,
    /// The same object, as a stranger would write it.
    stranger: Value,
}

fn beside<K: Child>(
    name: &'static str,
    field: &'static str,
    [settings, without, drift, stranger]: [Value; 4],
) -> Beside {
    let kind = ApiResource::erase::<K>(&());
    Beside {
        kind,
        name,
        settings,
        without,
        field,
        drift,
        stranger,
    }
}

/// One of each kind.
pub fn all() -> Vec<Beside> {
    let scaling = json!({
        "autoscaling": { "maxReplicas": 3 },
        "resources": { "requests": { "cpu": "100m" } },
    });
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker" });
    let backend = json!({ "service": { "name": "webui", "port": { "number": 80 } } });
    let path = |backend: &Value| json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    let rule = |host: &str| json!({ "host": host, "http": { "paths": [path(&backend)] } });
    vec![
        beside::<PersistentVolumeClaim>(
            "redis",
            "spec.redis.storage",
            [
                json!({ "redis": { "storage": { "size": "1Gi" } } }),
                json!({ "redis": { "storage": null } }),
                json!({ "metadata": { "labels": { "app.kubernetes.io/part-of": "mine" } } }),
                json!({ "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": "1Gi" } },
                } }),
            ],
        ),
        beside::<EndpointSlice>(
            "redis",
            "spec.redis.external",
            [
                json!({ "redis": { "external": { "host": "192.0.2.10", "port": 6380 } } }),
                json!({ "redis": { "external": null } }),
                json!({ "endpoints": [{ "addresses": ["192.0.2.66"] }] }),
                json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["192.0.2.77"] }] }),
            ],
        ),
        beside::<NetworkPolicy>(
            "worker",
            "spec.networkPolicy",
            [
                json!({ "networkPolicy": { "enabled": true } }),
                json!({ "networkPolicy": { "enabled": false } }),
                json!({ "spec": { "ingress": [{}] } }),
                json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}] } }),
            ],
        ),
        beside::<PodDisruptionBudget>(
            "worker",
            "spec.worker.replicas",
            [
                json!({ "worker": { "replicas": 2 } }),
                json!({ "worker": { "replicas": 1 } }),
                json!({ "spec": { "maxUnavailable": 0 } }),
                json!({ "spec": { "minAvailable": 1, "selector": {} } }),
            ],
        ),
        beside::<HorizontalPodAutoscaler>(
            "worker",
            "spec.worker.autoscaling",
            [
                json!({ "worker": scaling }),
                json!({ "worker": { "autoscaling": null } }),
                json!({ "spec": { "maxReplicas": 9 } }),
                json!({ "spec": { "scaleTargetRef": target, "maxReplicas": 7 } }),
            ],
        ),
        beside::<Ingress>(
            "webui",
            "spec.webui.ingress",
            [
                json!({ "webui": { "ingress": { "host": "coins.example.com", "tls": { "secretName": "coins" } } } }),
                json!({ "webui": { "ingress": null } }),
                json!({ "spec": { "rules": [rule("elsewhere.example.com")] } }),
                json!({ "spec": { "rules": [rule("stranger.example.com")] } }),
            ],
        ),
        beside::<HTTPRoute>(
            "webui",
            "spec.webui.httpRoute",
            [
                json!({ "webui": { "httpRoute": {
                    "parentRefs": [{ "name": "public", "namespace": "gateways" }],
                    "hostnames": ["coins.example.com"],
                } } }),
                json!({ "webui": { "httpRoute": null } }),
                json!({ "spec": { "parentRefs": [
                    { "name": "public", "namespace": "gateways" },
                    { "name": "another" },
                ] } }),
                json!({ "spec": { "parentRefs": [{ "name": "stranger" }] } }),
            ],
        ),
    ]
}

impl Beside {
    pub fn api(&self, namespace: &Namespace) -> Api<DynamicObject> {
        Api::namespaced_with(namespace.client.clone(), &namespace.name, &self.kind)
    }

    pub fn title(&self) -> String {
        format!("{} {}", self.kind.kind, self.name)
    }

    /// A name for a namespace.
    pub fn subject(&self) -> String {
        self.kind.plural.clone()
    }

    /// Waits until the object is as `is` wants it.
    pub async fn until(
        &self,
        namespace: &Namespace,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> DynamicObject {
        let title = self.title();
        until(&format!("{title} {what}"), async || {
            match self.api(namespace).get_opt(self.name).await.unwrap() {
                Some(object) if is(&json!(object)) => Ok(object),
                other => Err(format!("{:#}", json!(other))),
            }
        })
        .await
    }

    pub async fn until_ours(&self, namespace: &Namespace) -> DynamicObject {
        let is_ours = |object: &Value| {
            let owner = &object["metadata"]["ownerReferences"][0];
            owner["kind"] == "DockerCoins" && owner["controller"] == true
        };
        self.until(namespace, "is the resource's", is_ours).await
    }

    pub async fn until_gone(&self, namespace: &Namespace) {
        let title = self.title();
        until(&format!("{title} is gone"), async || {
            match self.api(namespace).get_opt(self.name).await.unwrap() {
                None => Ok(()),
                Some(object) => Err(format!("{:#}", json!(object))),
            }
        })
        .await;
    }

    /// Makes a stranger's.
    pub async fn make_stranger_s(
        &self,
        namespace: &Namespace,
        annotations: Value,
    ) -> DynamicObject {
        let mut object = self.stranger.clone();
        object["apiVersion"] = json!(self.kind.api_version);
        object["kind"] = json!(self.kind.kind);
        object["metadata"] = json!({ "name": self.name, "annotations": annotations });
        let object = serde_json::from_value(object).unwrap();
        self.api(namespace)
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }
}
