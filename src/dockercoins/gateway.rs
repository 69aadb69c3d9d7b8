//! Gateway API's HTTPRoute, as far as the operator writes it and reads it. Its types belong to no Kubernetes: they come
//! with a CRD that a cluster may have or not. Pure.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::api::ParentReference;

/// What an HTTPRoute asks for. Whatever else others put there is not looked at.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    namespaced,
    schema = "disabled",
    status = "HttpRouteStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The Gateways that are to take it.
    #[serde(default)]
    pub parent_refs: Vec<ParentReference>,

    /// The names by which it is reached; none is those of the Gateways' listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,

    /// Where it leads.
    #[serde(default)]
    pub rules: Vec<HttpRouteRule>,
}

/// Where a route leads.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// The Services.
    #[serde(default)]
    pub backend_refs: Vec<BackendReference>,
}

/// A Service that a route leads to.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackendReference {
    /// Its name.
    pub name: String,

    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// What the controllers of Gateways say to a route.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct HttpRouteStatus {
    /// Each Gateway whose controller has looked at it.
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}

/// What one Gateway's controller says.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// Which Gateway.
    #[serde(default)]
    pub parent_ref: ParentReference,

    /// `Accepted`, `ResolvedRefs` and others.
    #[serde(default)]
    pub conditions: Vec<RouteCondition>,
}

/// A condition of a route.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct RouteCondition {
    /// Its type.
    #[serde(rename = "type", default)]
    pub type_: String,

    /// True, False or Unknown.
    #[serde(default)]
    pub status: String,

    /// Why, in a word.
    #[serde(default)]
    pub reason: String,

    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
}

impl HTTPRoute {
    /// What is to be known of a route beside that it is written: no Gateway has taken it, or one refuses it. `None` where
    /// all is well.
    pub fn remark(&self) -> Option<String> {
        let parents = self.status.iter().flat_map(|status| &status.parents);
        let refusal = parents.clone().find_map(|parent| {
            let is_no = |told: &&RouteCondition| {
                ["Accepted", "ResolvedRefs"].contains(&told.type_.as_str())
                    && told.status == "False"
            };
            Some((parent, parent.conditions.iter().find(is_no)?))
        });
        if let Some((parent, told)) = refusal {
            return Some(format!(
                "Gateway {} says of HTTPRoute webui: {}: {}",
                parent.parent_ref.name, told.reason, told.message
            ));
        }
        let names: Vec<&str> = self
            .spec
            .parent_refs
            .iter()
            .filter(|wanted| {
                !parents
                    .clone()
                    .any(|parent| parent.parent_ref.name == wanted.name)
            })
            .map(|wanted| wanted.name.as_str())
            .collect();
        (!names.is_empty()).then(|| {
            format!(
                "no controller has said yet that Gateway {} takes HTTPRoute webui: `kubectl get gateways --all-namespaces` lists those there are",
                names.join(", ")
            )
        })
    }
}
