//! Why a reconcile could not do everything, one variant for each fix that a person would apply. Pure.

use std::sync::Arc;

use resolver::address::Forbidden;
use resolver::{Failure, ResolveError};

use crate::api::crd_check::UPGRADE;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Invalid;
use crate::dockercoins::reason::{Progress, Reason};
use crate::runtime::error::{ApiError, Request, Verb, with_sources};
use crate::runtime::field_path::FieldPath;
use crate::runtime::message::Message;
use crate::runtime::object_key::ObjectKey;
use crate::runtime::watch::state::{self, Target, WatchFailure};

/// A failure, in words for the person who reads the condition.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The stored resource does not fit this operator's types.
    #[error(
        "the resource cannot be read: {message}. Fix that field, or install the CRD that belongs to this operator"
    )]
    Undecodable {
        /// Which field, and what it should be.
        message: Message,
    },

    /// The spec contradicts itself.
    #[error("{}", join(.0))]
    Invalid(Vec<Invalid>),

    /// Another DockerCoins holds the names in this namespace.
    #[error(
        "DockerCoins {holder} already has the names hasher, redis, rng, webui and worker in this namespace: delete one of the two, or move this one to another namespace"
    )]
    NamesHeld {
        /// The other's name.
        holder: String,
    },

    /// A tag is not resolved yet.
    #[error("{component}: {error}{}", advice(error))]
    Unresolved {
        /// Whose image.
        component: Component,
        /// Why the registry gave no digest.
        error: Arc<ResolveError>,
    },

    /// An object with one of our names is not the resource's.
    #[error("{object} {}: delete it, or hand it over with `kubectl annotate {} dockercoins.dev/adopt={resource}`", belongs_to(.controller.as_deref()), object.kubectl())]
    Foreign {
        /// The object.
        object: ObjectKey,
        /// The kind and name of its controller, if it has one.
        controller: Option<String>,
        /// The resource to which it could be handed over.
        resource: String,
    },

    /// An object with one of our names is being deleted.
    #[error("{object} is being deleted; the operator creates it again when it is gone")]
    AwaitsDeletion {
        /// The object.
        object: ObjectKey,
    },

    /// Another manager undoes every apply.
    #[error("{object}: {}", contention(.field.as_ref(), .manager.as_deref(), .edit.as_ref()))]
    Contended {
        /// The object.
        object: ObjectKey,
        /// The field that is fought over; `None` if the whole object is deleted.
        field: Option<FieldPath>,
        /// The other manager, if it is known.
        manager: Option<String>,
        /// The field of the resource that decides it, if one does.
        edit: Option<FieldPath>,
    },

    /// Admission replaces a value that decides what runs.
    #[error(
        "{object}: admission sets {field} to another value than the operator applies. Change the admission webhook or policy, or the resource"
    )]
    ChangedByAdmission {
        /// The object.
        object: ObjectKey,
        /// The field.
        field: FieldPath,
    },

    /// The cluster does not serve a kind that the resource asks for.
    #[error("the cluster serves no {kind}{}", install(.kind))]
    NotServed {
        /// The kind.
        kind: String,
    },

    /// The cluster's CRD drops fields of the status that the operator must remember.
    #[error(
        "the cluster's CRD is older than this operator and drops {fields}: nothing new is rolled out, because a restart would forget it. Upgrade the CRD: {UPGRADE}"
    )]
    OutdatedCrd {
        /// The fields, such as `status.components[].digest`.
        fields: String,
    },

    /// The resource changed while the operator worked on it.
    #[error("the resource changed during the reconcile")]
    Outdated,

    /// A request to the API server failed.
    #[error(transparent)]
    Api(#[from] ApiError),

    /// A bug in the operator.
    #[error(
        "the operator failed on this resource, which is a bug: {message}. Other resources are not affected; please report it with the operator's log"
    )]
    Panicked {
        /// The panic's message.
        message: Message,
    },
}

impl Error {
    /// The row of the table of reasons.
    pub fn reason(&self) -> &'static Reason {
        let name = match self {
            Self::Undecodable { .. } | Self::Invalid(_) => "InvalidSpec",
            Self::NamesHeld { .. } => "NamesHeld",
            Self::Unresolved { error, .. } => error.reason(),
            Self::Foreign { .. } => "ForeignObject",
            Self::AwaitsDeletion { .. } => "WaitingForDeletion",
            Self::Contended { .. } => "Contended",
            Self::ChangedByAdmission { .. } => "ChangedByAdmission",
            Self::NotServed { .. } => "NotServed",
            Self::OutdatedCrd { .. } => "OutdatedCRD",
            Self::Outdated => "Outdated",
            Self::Api(error) => error.reason(),
            Self::Panicked { .. } => "InternalError",
        };
        Reason::named(name).expect("every reason is in the table, see the tests")
    }

    /// Whether it stays until a person changes something. A credential provider plugin that failed may recover.
    pub fn is_stalled(&self) -> bool {
        match self {
            Self::Unresolved { error, .. } if !error.plugins.is_empty() => false,
            _ => self.reason().progress == Progress::Stalled,
        }
    }

    /// Whether this replica is not the leader: such a failure is reported nowhere.
    pub fn is_not_leading(&self) -> bool {
        matches!(self, Self::Api(ApiError::NotLeading { .. }))
    }

    /// What it is about, where the same may happen to others: a component, or an object.
    pub fn subject(&self) -> Option<String> {
        match self {
            Self::Unresolved { component, .. } => Some(component.to_string()),
            Self::Foreign { object, .. } | Self::AwaitsDeletion { object } => {
                Some(object.to_string())
            }
            _ => None,
        }
    }

    /// Whether the text of this failure fits the other, except for its subject.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Foreign { controller: a, .. }, Self::Foreign { controller: b, .. }) => a == b,
            _ => self.subject().is_some() && self.reason() == other.reason(),
        }
    }
}

impl From<WatchFailure> for Error {
    fn from(failure: WatchFailure) -> Self {
        let request = |verb: Verb, target: Target| Request {
            verb,
            kind: target.kind.into(),
            scope: target.namespace.into(),
            name: None,
        };
        match failure {
            WatchFailure::Forbidden {
                verb,
                target,
                message,
            } => Self::Api(ApiError::Forbidden {
                request: request(verb, target),
                message: message.into(),
                blocks_deletion: false,
            }),
            WatchFailure::NotServed { kind } => Self::NotServed {
                kind: kind.to_owned(),
            },
            WatchFailure::Failed {
                verb,
                target,
                error,
            } => Self::Api(ApiError::Failed {
                request: request(verb, target),
                message: match state::status(&error) {
                    Some(status) => format!("{} ({})", status.message, status.code).into(),
                    None => with_sources(error.as_ref()).into(),
                },
            }),
        }
    }
}

fn join(faults: &[Invalid]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// What an administrator of this operator can do, which the resolver cannot know.
fn advice(error: &ResolveError) -> String {
    match &error.failure {
        Failure::AddressNotAllowed { .. } => flag_of(&error.failure)
            .map_or_else(String::new, |flag| format!(". The operator's flag for that is {flag}")),
        Failure::CertificateNotTrusted { .. } => {
            ". Name the registry's own authority in spec.registry.certificateAuthority, or have the operator's administrator name it in hosts.toml".to_owned()
        }
        _ => String::new(),
    }
}

/// The flag of this program that decides about a registry's address, if that is what failed.
pub fn flag_of(failure: &Failure) -> Option<String> {
    match failure {
        Failure::AddressNotAllowed {
            forbidden: Forbidden::Denied(network),
            ..
        } => Some(format!("--deny-registry-network {network}")),
        Failure::AddressNotAllowed { address, .. } => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            Some(format!("--allow-registry-network {address}/{bits}"))
        }
        _ => None,
    }
}

/// How a cluster comes to serve a kind.
fn install(kind: &str) -> String {
    match kind {
        "DockerCoins" => format!(": install the CRD: {UPGRADE}"),
        "HTTPRoute" => {
            ": install Gateway API and a Gateway controller, or remove spec.webui.httpRoute"
                .to_owned()
        }
        _ => ": this Kubernetes is too old for what the resource asks for".to_owned(),
    }
}

fn belongs_to(controller: Option<&str>) -> String {
    match controller {
        Some(controller) => format!("belongs to {controller}"),
        None => "is not the operator's".to_owned(),
    }
}

fn contention(
    field: Option<&FieldPath>,
    manager: Option<&str>,
    edit: Option<&FieldPath>,
) -> String {
    let manager = manager.unwrap_or("someone");
    let what = match field {
        Some(field) => format!("keeps changing {field}, and the operator restores it"),
        None => "keeps deleting it, and the operator creates it again".to_owned(),
    };
    let instead = edit.map_or_else(String::new, |edit| format!(", or set {edit} instead"));
    format!("{manager} {what} with growing delays: stop that{instead}")
}

#[cfg(test)]
mod tests;
