//! Why a request to the API server failed, by what a person would do about it.

use std::borrow::Cow;
use std::fmt;

use kube::core::Status;

use super::message::Message;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object.
    Read,
    /// Lists objects.
    List,
    /// Watches objects.
    Watch,
    /// Creates an object.
    Create,
    /// Replaces an object.
    Update,
    /// Server-side applies an object.
    Apply,
    /// Patches an object beside the apply.
    Patch,
    /// Patches the status of an object.
    PatchStatus,
    /// Deletes an object.
    Delete,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Apply => "apply",
            Self::Patch => "patch",
            Self::PatchStatus => "write the status of",
            Self::Delete => "delete",
        })
    }
}

/// Where the objects of a request are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The kind has no namespaces.
    Cluster,
    /// In every namespace.
    AllNamespaces,
    /// In this namespace.
    Namespace(String),
}

impl From<Option<String>> for Scope {
    fn from(namespace: Option<String>) -> Self {
        namespace.map_or(Self::AllNamespaces, Self::Namespace)
    }
}

/// A request, for people and for metrics. Displays as `apply Deployment demo/rng`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub verb: Verb,
    /// The kind of its objects.
    pub kind: Cow<'static, str>,
    /// Where.
    pub scope: Scope,
    /// The object's name; `None` for a list.
    pub name: Option<String>,
}

impl Request {
    /// A request about one object of a namespace.
    pub fn about(
        verb: Verb,
        kind: impl Into<Cow<'static, str>>,
        namespace: &str,
        name: &str,
    ) -> Self {
        Self {
            verb,
            kind: kind.into(),
            scope: Scope::Namespace(namespace.to_owned()),
            name: Some(name.to_owned()),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.kind)?;
        match (&self.scope, &self.name) {
            (Scope::Namespace(namespace), Some(name)) => write!(f, " {namespace}/{name}"),
            (Scope::Namespace(namespace), None) => write!(f, " in namespace {namespace}"),
            (Scope::AllNamespaces, _) => f.write_str(" in all namespaces"),
            (Scope::Cluster, Some(name)) => write!(f, " {name}"),
            (Scope::Cluster, None) => Ok(()),
        }
    }
}

/// Why a request to the API server failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// The namespace is being deleted: the API server creates nothing there.
    #[error("the namespace is being deleted, and everything in it with it")]
    NamespaceTerminating,

    /// The API server, or an admission webhook or policy, refused the object.
    #[error("the API server refused to {request}: {message}")]
    Rejected {
        /// The request.
        request: Request,
        /// The answer.
        message: Message,
    },

    /// The operator's role lacks a permission.
    #[error("the operator may not {request}: {message}. {}", grant(*.blocks_deletion))]
    Forbidden {
        /// The request.
        request: Request,
        /// The answer, which names verb and resource.
        message: Message,
        /// Whether the missing permission is the one for `blockOwnerDeletion`, which the answer does not name.
        blocks_deletion: bool,
    },

    /// The object has changed since it was read, or is gone.
    #[error("the object changed before the operator could {request}: {message}")]
    Conflict {
        /// The request.
        request: Request,
        /// The answer.
        message: Message,
    },

    /// The API server failed, or could not be reached.
    #[error("the API server failed to {request}: {message}")]
    Failed {
        /// The request.
        request: Request,
        /// The answer.
        message: Message,
    },

    /// The API server did not answer in time.
    #[error("the API server did not answer within {seconds} s when asked to {request}")]
    Timeout {
        /// The request.
        request: Request,
        /// The deadline.
        seconds: u64,
    },

    /// This replica is not the leader. No fault of the resource, and reported nowhere.
    #[error("another replica leads, so this one did not {request}")]
    NotLeading {
        /// The request.
        request: Request,
    },
}

impl ApiError {
    /// From the client's error.
    ///
    /// The API server has no field that tells a missing permission from a refusal of admission (both are 403), so this
    /// is the one place that reads its messages.
    pub fn new(request: Request, error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Failed {
                request,
                message: with_sources(&error).into(),
            };
        };
        if is_namespace_terminating(&status) {
            return Self::NamespaceTerminating;
        }
        let text = status.message.as_str();
        let message = Message::from(text);
        let blocks_deletion = text.contains("is forbidden: cannot set blockOwnerDeletion");
        match status.code {
            // The API server looks up an owner's kind in a list that it renews every few seconds.
            403 if text.contains("cannot find RESTMapping") => Self::Conflict {
                request,
                message: "the API server does not know the CRD in all its parts yet".into(),
            },
            403 if blocks_deletion || text.contains("is forbidden: User ") => Self::Forbidden {
                request,
                message,
                blocks_deletion,
            },
            404 | 409 => Self::Conflict { request, message },
            400 | 403 | 405 | 413 | 415 | 422 => Self::Rejected { request, message },
            _ => Self::Failed { request, message },
        }
    }

    /// The reason in conditions, events and traces.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::Rejected { .. } => "Rejected",
            Self::Forbidden { .. } => "Forbidden",
            Self::Conflict { .. } => "Outdated",
            Self::Failed { .. } => "APIServerError",
            Self::Timeout { .. } => "APIServerTimeout",
            Self::NotLeading { .. } => "Deposed",
        }
    }

    /// How metrics count a write with this result; `None` if no request was sent.
    pub fn result(&self) -> Option<&'static str> {
        match self {
            Self::Conflict { .. } => Some("conflict"),
            Self::Forbidden { .. } => Some("forbidden"),
            Self::Timeout { .. } => Some("timeout"),
            Self::NotLeading { .. } => None,
            Self::NamespaceTerminating | Self::Rejected { .. } | Self::Failed { .. } => {
                Some("error")
            }
        }
    }
}

fn is_namespace_terminating(status: &Status) -> bool {
    let details = status.details.iter();
    let mut causes = details.flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

fn grant(blocks_deletion: bool) -> &'static str {
    match blocks_deletion {
        true => "In the operator's role, grant the verb update on dockercoins/finalizers",
        false => "Grant this permission in the operator's role",
    }
}

/// An error and its sources on one line, without repetition.
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

#[cfg(test)]
mod tests;
