//! The Lease by which replicas agree who leads: its requests, each with a deadline.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures::Stream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};

use crate::runtime::error::{ApiError, Request, Verb};
use crate::runtime::names::MANAGER;

/// One Lease of one namespace.
pub struct Leases {
    api: Api<Lease>,
    namespace: String,
    name: String,
}

impl Leases {
    /// The lease `name` in `namespace`, there or not.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says, if it is there.
    pub async fn read(&self, limit: Duration) -> Result<Option<Lease>, ApiError> {
        self.send(Verb::Read, limit, self.api.get_opt(&self.name))
            .await
    }

    /// Writes it, if it is still in the version that `lease` has; creates it where that has none.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] if it isn't.
    pub async fn write(&self, lease: &Lease, limit: Duration) -> Result<Lease, ApiError> {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match lease.resource_version() {
            Some(_) => {
                let request = self.api.replace(&self.name, &params, lease);
                self.send(Verb::Update, limit, request).await
            }
            None => {
                let request = self.api.create(&params, lease);
                self.send(Verb::Create, limit, request).await
            }
        }
    }

    /// What it says whenever that changes, and `None` when it is deleted.
    pub fn changes(&self) -> impl Stream<Item = watcher::Result<Option<Lease>>> + Send + use<> {
        watcher::watch_object(self.api.clone(), &self.name).default_backoff()
    }

    async fn send<T>(
        &self,
        verb: Verb,
        limit: Duration,
        sent: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        let request = Request::about(verb, "Lease", &self.namespace, &self.name);
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            // A new lease can only lack its namespace.
            Ok(Err(kube::Error::Api(status))) if verb == Verb::Create && status.code == 404 => {
                let message = format!(
                    "{}: set --lease-namespace to one that exists",
                    status.message
                );
                let message = message.into();
                Err(ApiError::Failed { request, message })
            }
            Ok(Err(error)) => Err(ApiError::new(request, error)),
            Err(_) => Err(ApiError::Timeout {
                request,
                seconds: limit.as_secs().max(1),
            }),
        }
    }
}

impl fmt::Display for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease {}/{}", self.namespace, self.name)
    }
}
