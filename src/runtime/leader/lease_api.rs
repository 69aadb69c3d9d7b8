//! The Lease by which replicas agree who leads: its requests, each with a deadline.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures::Stream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};

use crate::dockercoins::error::Error;
use crate::dockercoins::plan::MANAGER;

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
    pub async fn read(&self, limit: Duration) -> Result<Option<Lease>, Error> {
        self.send("read", limit, self.api.get_opt(&self.name)).await
    }

    /// Writes it, if it is still in the version that `lease` has; creates it where that has none.
    ///
    /// # Errors
    /// [`Error::Outdated`] if it isn't.
    pub async fn write(&self, lease: &Lease, limit: Duration) -> Result<Lease, Error> {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match lease.resource_version() {
            Some(_) => {
                let request = self.api.replace(&self.name, &params, lease);
                self.send("update", limit, request).await
            }
            None => {
                let request = self.api.create(&params, lease);
                self.send("create", limit, request).await
            }
        }
    }

    /// What it says whenever that changes, and `None` when it is deleted.
    pub fn changes(&self) -> impl Stream<Item = watcher::Result<Option<Lease>>> + Send + use<> {
        watcher::watch_object(self.api.clone(), &self.name).default_backoff()
    }

    async fn send<T>(
        &self,
        verb: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let what = format!("to {verb} {self}");
        match tokio::time::timeout(limit, request).await {
            Ok(Ok(answer)) => Ok(answer),
            // What a new lease could miss is its namespace.
            Ok(Err(kube::Error::Api(status))) if verb == "create" && status.code == 404 => {
                let message = format!("{}: name one with --lease-namespace", status.message);
                Err(Error::Api { what, message })
            }
            Ok(Err(error)) => Err(Error::from_api(what, error)),
            Err(_) => Err(Error::Timeout {
                what,
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
