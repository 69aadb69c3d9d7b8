//! What can be said of the web page alone: how people reach it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ComponentSpec, schema};

/// The web page: a component whose Service people reach.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebuiSpec {
    /// What every component has.
    #[serde(flatten)]
    pub component: ComponentSpec,

    /// How the page is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,

    /// An Ingress for the page: a name by which it is reached from outside, where the cluster has an ingress
    /// controller. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// An HTTPRoute for the page: a name by which it is reached from outside through a Gateway, where the cluster
    /// serves Gateway API. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteSpec>,
}

/// How the web page's Service is reached.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.nodePort) || (has(self.type) && self.type in ['NodePort', 'LoadBalancer'])"
).message("only NodePort and LoadBalancer have a nodePort: write type: NodePort beside it, or leave nodePort out"))]
pub struct ServiceSpec {
    /// ClusterIP: from inside the cluster. NodePort: also on a port of every node. LoadBalancer: also by a
    /// load balancer of the cloud's. Default: ClusterIP.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,

    /// The port on every node, within the cluster's range (usually 30000 to 32767); only with type NodePort
    /// or LoadBalancer. Default: chosen by the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,

    /// Annotations of the Service, such as a cloud's load balancer reads. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// How a Service is reached.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum ServiceType {
    /// From inside the cluster.
    #[default]
    ClusterIP,
    /// Also on a port of every node.
    NodePort,
    /// Also by a load balancer of the cloud's.
    LoadBalancer,
}

/// How an ingress controller leads people to the page.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.host)").message(
    "an Ingress without a host would take every request that reaches its controller: write host, such as coins.example.com"
))]
pub struct IngressSpec {
    /// Which controller, see `kubectl get ingressclasses`. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ingress_class_name: Option<String>,

    /// The name by which the page is reached, such as coins.example.com. Default: none, so that one must be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(schema::IS_HOST_NAME).message(schema::HOST_NAME))]
    pub host: Option<String>,

    /// The certificate for HTTPS. Default: none, the page is reached by HTTP, or as the controller decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,

    /// Annotations of the Ingress, such as its controller or cert-manager reads. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// The certificate of an Ingress.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// The Secret of this namespace, of type kubernetes.io/tls, that holds the host's certificate. The ingress
    /// controller reads it, not the operator.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// How a Gateway leads people to the page.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(schema::ARE_HOST_NAMES).message(schema::HOST_NAME))]
pub struct HttpRouteSpec {
    /// The Gateways that are to take the route.
    #[schemars(length(min = 1, max = 16))]
    pub parent_refs: Vec<ParentReference>,

    /// The names by which the page is reached, such as coins.example.com. Default: those of the Gateway's listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    pub hostnames: Vec<String>,

    /// Annotations of the HTTPRoute, such as its controller reads. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// A Gateway.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The Gateway's namespace; its listeners must allow routes from here. Default: this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// The name of one of its listeners. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,

    /// The port of one of its listeners. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}
