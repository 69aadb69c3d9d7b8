//! Requests for the election's Lease, each with a timeout.

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

/// The client of one Lease.
pub struct LeaseApi {
    api: Api<Lease>,
    namespace: String,
    name: String,
}

impl LeaseApi {
    /// A client of the Lease `name` in `namespace`, which need not exist.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The Lease's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the Lease, if it exists.
    pub async fn read(&self, limit: Duration) -> Result<Option<Lease>, ApiError> {
        self.send(Verb::Read, limit, self.api.get_opt(&self.name))
            .await
    }

    /// Updates the Lease at the resource version of `lease`, or creates it if `lease` has none.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] on a conflict.
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

    /// Watches the Lease; `None` when it is deleted.
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
            // Only the namespace can be missing when a Lease is created.
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

impl fmt::Display for LeaseApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease {}/{}", self.namespace, self.name)
    }
}
