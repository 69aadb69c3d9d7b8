//! What can go wrong in a reconcile: one variant for each thing that a person would mend differently.
//!
//! [`Error::reason`] is the one name by which conditions and events speak of it, and [`Error::needs_a_person`]
//! decides between *stalled* and *still trying*.

use std::sync::Arc;

use resolver::address::Forbidden;
use resolver::{Failure, ResolveError};

use crate::api::crd_check::UPGRADE;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Invalid;
use crate::runtime::watch::state::{self, WatchFailure};

/// A failure, in words for the person who reads the condition.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The stored resource isn't one that this operator can read.
    #[error(
        "the resource can't be read: {message}. It was stored under another schema: mend that field, or install the CRD that belongs to this operator"
    )]
    Undecodable {
        /// Which field, and what it should be.
        message: String,
    },

    /// The spec contradicts itself.
    #[error("{}", join(.0))]
    Invalid(Vec<Invalid>),

    /// Another DockerCoins has this namespace.
    #[error(
        "DockerCoins {holder} already has the names hasher, redis, rng, webui and worker in this namespace: delete one of the two, or move this one to a namespace of its own"
    )]
    NamesHeld {
        /// The other's name.
        holder: String,
    },

    /// A tag has no digest yet.
    #[error("{component}: {error}{}", advice(error))]
    Unresolved {
        /// Whose image.
        component: Component,
        /// What the registry said, or why it couldn't be asked.
        error: Arc<ResolveError>,
    },

    /// An object with one of our names belongs to someone else.
    #[error("{object} {}: delete it, or hand it over with `kubectl annotate {command} dockercoins.dev/adopt={name}`", belongs_to(.owner))]
    Foreign {
        /// The object, such as `Service redis`.
        object: String,
        /// The object as kubectl names it, such as `service redis`.
        command: String,
        /// Who controls it, if anyone.
        owner: Option<String>,
        /// The resource to which it could be handed over.
        name: String,
    },

    /// An object of ours, or of a resource that is gone, is being deleted; it is written again afterwards.
    #[error("{object} is being deleted, and is created again when it is gone")]
    Leaving {
        /// The object.
        object: String,
    },

    /// The namespace is being deleted, and nothing new may be written there.
    #[error("the namespace is being deleted, and everything in it with it")]
    NamespaceLeaving,

    /// Someone undoes every heal.
    #[error(
        "{rival} keeps changing {field} of {object}, and the operator changes it back ever more slowly: stop that{}", or_set(.edit)
    )]
    Contended {
        /// The object.
        object: String,
        /// The field that is fought over.
        field: String,
        /// Who changes it.
        rival: String,
        /// The field of the resource that decides it, if any does.
        edit: String,
    },

    /// The API server doesn't take what we write.
    #[error("the API server refused {what}: {message}")]
    Rejected {
        /// What was tried, such as `to apply Deployment rng`.
        what: String,
        /// Its answer.
        message: String,
    },

    /// The operator lacks a permission.
    #[error(
        "the operator may not do this: {what}: {message}. {}", permit(.message)
    )]
    Forbidden {
        /// What was tried.
        what: String,
        /// The API server's answer, which names verb and resource.
        message: String,
    },

    /// The cluster doesn't know a kind that the resource asks for.
    #[error("the cluster serves no {kind}{}", install(.kind))]
    NotServed {
        /// The kind.
        kind: String,
    },

    /// The cluster's CRD doesn't keep what the operator must remember.
    #[error(
        "the cluster's CRD is older than this operator, and drops {fields}: nothing new is rolled out, since it would be forgotten what. Upgrade it: {UPGRADE}"
    )]
    Forgotten {
        /// The fields that are dropped, such as `status.components[].digest`.
        fields: String,
    },

    /// The object isn't as it was when it was read, or isn't there any more.
    #[error("the cluster changed meanwhile: {what}: {message}")]
    Outdated {
        /// What was tried.
        what: String,
        /// What came back.
        message: String,
    },

    /// The API server failed, or couldn't be reached.
    #[error("the API server failed {what}: {message}")]
    Api {
        /// What was tried.
        what: String,
        /// What came back.
        message: String,
    },

    /// The API server didn't answer in time.
    #[error("the API server did not answer within {seconds} s when asked {what}")]
    Timeout {
        /// What was tried.
        what: String,
        /// The deadline.
        seconds: u64,
    },

    /// Another replica leads, or may by now. It is no fault of the resource, and told nowhere.
    #[error("it was left to the replica that leads {what}")]
    Deposed {
        /// What was to be done.
        what: String,
    },

    /// A bug in the operator.
    #[error(
        "the operator failed on this resource, which is a bug: {message}. Others are served on; please report it with the operator's log"
    )]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

impl Error {
    /// The stable name of this failure, for conditions and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Undecodable { .. } | Self::Invalid(_) => "InvalidSpec",
            Self::NamesHeld { .. } => "NamesHeld",
            Self::Unresolved { error, .. } => error.reason(),
            Self::Foreign { .. } => "ForeignObject",
            Self::Leaving { .. } => "WaitingForDeletion",
            Self::NamespaceLeaving => "NamespaceTerminating",
            Self::Contended { .. } => "Contended",
            Self::Rejected { .. } => "Rejected",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotServed { .. } => "NotServed",
            Self::Forgotten { .. } => "OutdatedCRD",
            Self::Outdated { .. } => "Outdated",
            Self::Api { .. } => "APIServerError",
            Self::Timeout { .. } => "APIServerTimeout",
            Self::Deposed { .. } => "Deposed",
            Self::Panicked { .. } => "InternalError",
        }
    }

    /// What it is about, where the same may happen to others: a component, or an object.
    pub fn subject(&self) -> Option<String> {
        match self {
            Self::Unresolved { component, .. } => Some(component.to_string()),
            Self::Foreign { object, .. } | Self::Leaving { object } => Some(object.clone()),
            _ => None,
        }
    }

    /// Whether what is said of this failure serves for the other, but for its subject.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Foreign { owner: a, .. }, Self::Foreign { owner: b, .. }) => a == b,
            _ => self.subject().is_some() && self.reason() == other.reason(),
        }
    }

    /// Whether it stays as it is until a person changes something. What isn't, is tried again and may pass by
    /// itself.
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Undecodable { .. }
            | Self::Invalid(_)
            | Self::NamesHeld { .. }
            | Self::Foreign { .. }
            | Self::Contended { .. }
            | Self::Rejected { .. }
            | Self::Forbidden { .. }
            | Self::NotServed { .. }
            | Self::Forgotten { .. }
            | Self::Panicked { .. } => true,
            // A plugin that failed may succeed by itself.
            Self::Unresolved { error, .. } if !error.plugins.is_empty() => false,
            Self::Unresolved { error, .. } => matches!(
                error.failure,
                Failure::InvalidReference { .. }
                    | Failure::AddressNotAllowed { .. }
                    | Failure::AuthenticationFailed { .. }
                    | Failure::NotFoundOrNoAccess { .. }
                    | Failure::CertificateNotTrusted { .. }
                    | Failure::CertificateAuthorityInvalid { .. }
                    | Failure::RegistryConfigInvalid { .. }
            ),
            Self::Leaving { .. }
            | Self::NamespaceLeaving
            | Self::Outdated { .. }
            | Self::Api { .. }
            | Self::Timeout { .. }
            | Self::Deposed { .. } => false,
        }
    }

    /// Whether an event of the cluster wakes the resource when this has passed, so that no timer is needed.
    pub fn is_woken(&self) -> bool {
        matches!(
            self,
            Self::Undecodable { .. }
                | Self::Invalid(_)
                | Self::NamesHeld { .. }
                | Self::Foreign { .. }
                | Self::Leaving { .. }
                | Self::NamespaceLeaving
                | Self::Deposed { .. }
        )
    }

    /// From a call to the API server.
    ///
    /// `what` says what was tried, as in "to apply Service rng".
    pub fn from_api(what: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status)
                if status
                    .details
                    .iter()
                    .flat_map(|details| &details.causes)
                    .any(|cause| cause.reason == "NamespaceTerminating") =>
            {
                Self::NamespaceLeaving
            }
            kube::Error::Api(status) => {
                let message = status.message.clone();
                // Admission refuses with 403 too, in words of its own; these two are about the operator's role.
                let is_about_role = ["is forbidden: User ", BLOCKS_DELETION]
                    .iter()
                    .any(|words| message.contains(words));
                match status.code {
                    // It looks up what an owner is in a list that it renews every few seconds.
                    403 if message.contains("cannot find RESTMapping") => Self::Outdated {
                        what,
                        message: "the API server does not know the CRD in all its parts yet".into(),
                    },
                    403 if is_about_role => Self::Forbidden { what, message },
                    404 | 409 => Self::Outdated { what, message },
                    400 | 403 | 405 | 413 | 415 | 422 => Self::Rejected { what, message },
                    _ => Self::Api { what, message },
                }
            }
            other => Self::Api {
                what,
                message: with_sources(&other),
            },
        }
    }
}

impl From<WatchFailure> for Error {
    fn from(failure: WatchFailure) -> Self {
        match failure {
            WatchFailure::Forbidden {
                verb,
                target,
                message,
            } => Self::Forbidden {
                what: format!("to {verb} {target}"),
                message,
            },
            WatchFailure::NotServed { kind } => Self::NotServed {
                kind: kind.to_owned(),
            },
            WatchFailure::Failed {
                verb,
                target,
                error,
            } => Self::Api {
                what: format!("to {verb} {target}"),
                message: match state::status(&error) {
                    Some(status) => format!("{} ({})", status.message, status.code),
                    None => with_sources(error.as_ref()),
                },
            },
        }
    }
}

/// An error and what it came from, on one line.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn join(faults: &[Invalid]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What an administrator of this operator can do, which the resolver can't know.
fn advice(error: &ResolveError) -> String {
    match &error.failure {
        Failure::AddressNotAllowed { .. } => flag_of(&error.failure)
            .map_or_else(String::new, |flag| format!(". The operator's flag for that is {flag}")),
        Failure::CertificateNotTrusted { .. } => {
            ". An authority of its own is named in spec.registry.certificateAuthority, or by the operator's administrator in hosts.toml".to_owned()
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

/// Where a kind comes from that the cluster doesn't know.
fn install(kind: &str) -> String {
    match kind {
        "DockerCoins" => format!(": install the CRD: {UPGRADE}"),
        "HTTPRoute" => {
            ": install Gateway API with a controller of Gateways, or take spec.webui.httpRoute out"
                .to_owned()
        }
        _ => ": this Kubernetes is too old for what the resource asks for".to_owned(),
    }
}

/// How the API server says that an owner may not be named that way: it doesn't say by what right it may.
const BLOCKS_DELETION: &str = "is forbidden: cannot set blockOwnerDeletion";

fn permit(message: &str) -> &'static str {
    match message.contains(BLOCKS_DELETION) {
        true => "In its role, grant the verb update on dockercoins/finalizers",
        false => "Grant it that permission in its role",
    }
}

fn or_set(field: &str) -> String {
    match field.starts_with("spec.") {
        true => format!(", or set {field} instead"),
        false => String::new(),
    }
}

fn belongs_to(owner: &Option<String>) -> String {
    match owner {
        Some(owner) => format!("belongs to {owner}"),
        None => "is not the operator's".to_owned(),
    }
}

#[cfg(test)]
mod tests;
