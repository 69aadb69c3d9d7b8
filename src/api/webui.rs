//! The fields of the web page: Service, Ingress and HTTPRoute.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ComponentSpec, schema};

/// The web page: a component with access from outside.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebuiSpec {
    /// The fields of every component.
    #[serde(flatten)]
    pub component: ComponentSpec,

    /// Configures the Service `webui`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,

    /// Creates an Ingress for the web page. The cluster needs an ingress controller. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// Creates an HTTPRoute, which exposes the web page through a Gateway. The cluster needs the Gateway API.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteSpec>,
}

/// The Service `webui`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.nodePort) || (has(self.type) && self.type in ['NodePort', 'LoadBalancer'])"
).message("nodePort requires type NodePort or LoadBalancer: write type: NodePort, or leave nodePort out"))]
pub struct ServiceSpec {
    /// ClusterIP: reachable inside the cluster. NodePort: also on a port of every node. LoadBalancer: also through
    /// the cloud's load balancer. Default: ClusterIP.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,

    /// Port on every node, in the cluster's range (usually 30000 to 32767). Only for type NodePort or LoadBalancer.
    /// Default: chosen by the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,

    /// Annotations of the Service, for example for the cloud's load balancer. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// How a Service is reached.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(description = "")] // It would stand in `kubectl explain` in place of the field's.
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// Also on a port of every node.
    NodePort,
    /// Also through the cloud's load balancer.
    LoadBalancer,
}

/// An Ingress for the web page.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.host)").message(
    "host is required, because an Ingress without one receives all requests of its controller: write a host such as coins.example.com"
))]
pub struct IngressSpec {
    /// IngressClass (see `kubectl get ingressclasses`). Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ingress_class_name: Option<String>,

    /// DNS name of the web page, such as coins.example.com. Required. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(schema::IS_HOST_NAME).message(schema::HOST_NAME))]
    pub host: Option<String>,

    /// Enables HTTPS. Default: none; the web page is served over HTTP, or as the ingress controller decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,

    /// Annotations of the Ingress, for example for its controller or cert-manager. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// The certificate of an Ingress.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// Secret in this namespace, of type kubernetes.io/tls, with the certificate of host. Only the ingress controller
    /// reads it.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// An HTTPRoute for the web page.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(schema::ARE_HOST_NAMES).message(schema::HOST_NAME))]
pub struct HttpRouteSpec {
    /// Gateways that the route attaches to.
    #[schemars(length(min = 1, max = 16))]
    pub parent_refs: Vec<ParentReference>,

    /// DNS names of the web page, such as coins.example.com. Default: those of the Gateway's listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    pub hostnames: Vec<String>,

    /// Annotations of the HTTPRoute, for example for its controller. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// A Gateway.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Namespace of the Gateway. Its listeners must allow routes from this namespace. Default: this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// Name of a listener of the Gateway. Default: all listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,

    /// Port of a listener of the Gateway. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}
