//! The fields of Gateway API's HTTPRoute that the operator uses. k8s-openapi has no types for it: HTTPRoute is a CRD that
//! a cluster may lack. Pure.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::api::ParentReference;

/// The spec of an HTTPRoute. Other fields are ignored.
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
    /// The Gateways to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentReference>,

    /// The host names that match; if empty, those of the Gateways' listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,

    /// The rules.
    #[serde(default)]
    pub rules: Vec<HttpRouteRule>,
}

/// A rule of an HTTPRoute.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// The Services that receive the requests.
    #[serde(default)]
    pub backend_refs: Vec<BackendReference>,
}

/// A Service that receives requests.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackendReference {
    /// Its name.
    pub name: String,

    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// The status of an HTTPRoute.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct HttpRouteStatus {
    /// The status for each Gateway, by its controller.
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}

/// The status of an HTTPRoute for one Gateway.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The Gateway.
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

    /// The reason, in CamelCase.
    #[serde(default)]
    pub reason: String,

    /// The reason, in a sentence.
    #[serde(default)]
    pub message: String,
}

impl HTTPRoute {
    /// Why requests may not reach the route: a Gateway rejects it, or has not accepted it yet. `None` if all have
    /// accepted it.
    pub fn problem(&self) -> Option<String> {
        let parents = self.status.iter().flat_map(|status| &status.parents);
        let rejection = parents.clone().find_map(|parent| {
            let is_rejection = |condition: &&RouteCondition| {
                let type_ = condition.type_.as_str();
                ["Accepted", "ResolvedRefs"].contains(&type_) && condition.status == "False"
            };
            Some((parent, parent.conditions.iter().find(is_rejection)?))
        });
        if let Some((parent, condition)) = rejection {
            return Some(format!(
                "Gateway {} rejects HTTPRoute webui: {}: {}",
                parent.parent_ref.name, condition.reason, condition.message
            ));
        }
        let has_status = |name: &str| parents.clone().any(|parent| parent.parent_ref.name == name);
        let gateways = self.spec.parent_refs.iter().map(|gateway| &gateway.name);
        let waiting: Vec<&str> = gateways
            .filter(|name| !has_status(name))
            .map(String::as_str)
            .collect();
        (!waiting.is_empty()).then(|| {
            format!(
                "Gateway {} has not accepted HTTPRoute webui yet: check that it exists, with `kubectl get gateways --all-namespaces`",
                waiting.join(", ")
            )
        })
    }
}
