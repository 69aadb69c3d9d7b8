//! Every request that a controller sends to the API server.
//!
//! One function sends them all: it gives each a deadline, refuses it while another replica leads, counts it, and says at
//! debug level why it is sent.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use tracing::{Instrument as _, debug, field, info_span};

use super::child::{self, Child};
use super::error::{ApiError, Request, Verb};
use super::leader::{Interrupted, Leadership};
use super::names::{MANAGER, RELEASE_MANAGER};
use super::observe::{Observed, Ownership};

/// How long the API server may take for one request.
const DEADLINE: Duration = Duration::from_secs(15);

/// Is told of every write, for metrics.
pub trait WriteObserver: Send + Sync {
    /// A write to an object of a kind ended with `ok`, or with [`ApiError::result`].
    fn written(&self, kind: &str, verb: Verb, result: &'static str);
}

/// The API server, for one who may write only while this replica leads.
#[derive(Clone)]
pub struct ApiClient {
    client: Client,
    leadership: Leadership,
    observer: Arc<dyn WriteObserver>,
}

impl ApiClient {
    /// The API server that `client` speaks to.
    pub fn new(client: Client, leadership: Leadership, observer: Arc<dyn WriteObserver>) -> Self {
        Self {
            client,
            leadership,
            observer,
        }
    }

    /// Whether this replica leads.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// The same for a request that any replica may send.
    #[must_use]
    pub fn for_any_replica(&self) -> Self {
        Self {
            leadership: Leadership::without_election(),
            ..self.clone()
        }
    }

    /// The client itself, to build an [`Api`] from.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Server-side applies `wanted`, and returns the answer.
    ///
    /// Over an object that exists (`observed`) its uid is sent, so that the API server refuses if another object has
    /// taken its place. Where none exists, a resource version is sent that no object has: the API server ignores it on
    /// creation, and refuses if there is an object after all. So another's object is never taken over.
    pub async fn apply<K: Child>(
        &self,
        wanted: &K,
        observed: Option<&Observed>,
        why: &str,
    ) -> Result<K, ApiError> {
        let mut body = wanted.clone();
        match observed {
            Some(observed) => {
                body.meta_mut().uid.clone_from(&observed.uid);
                self.prepare(wanted, observed).await?;
            }
            None => body.meta_mut().resource_version = Some("1".to_owned()),
        }
        let params = PatchParams::apply(MANAGER).force();
        self.patch(wanted, Verb::Apply, why, &params, &Patch::Apply(&body))
            .await
    }

    /// Sends the writes that go before an apply.
    async fn prepare<K: Child>(&self, wanted: &K, observed: &Observed) -> Result<(), ApiError> {
        let prerequisites = match observed.ownership {
            Ownership::HandedOver => {
                let taken_over = self.take_over(wanted, observed).await?;
                wanted.prerequisites(&taken_over)
            }
            _ => observed.prerequisites.clone(),
        };
        for step in prerequisites {
            match step.patch {
                child::Patch::Apply(body) => {
                    let params = PatchParams::apply(RELEASE_MANAGER).force();
                    self.patch(wanted, Verb::Apply, step.why, &params, &Patch::Apply(&body))
                        .await?
                }
                child::Patch::Merge(body) => {
                    let params = PatchParams {
                        field_manager: Some(RELEASE_MANAGER.to_owned()),
                        ..PatchParams::default()
                    };
                    self.patch(wanted, Verb::Patch, step.why, &params, &Patch::Merge(&body))
                        .await?
                }
            };
        }
        Ok(())
    }

    /// Makes the whole spec of an object that was handed over the operator's. An apply alone would add to it, and
    /// another's command would run in our image; now the apply removes every field that it does not name.
    async fn take_over<K: Child>(&self, wanted: &K, observed: &Observed) -> Result<K, ApiError> {
        let why = "its annotation hands it over, with its whole spec";
        let api = self.api_of(wanted);
        let name = wanted.name_any();
        // The cache does not keep these records whole.
        let request = request::<K>(Verb::Read, wanted);
        let whole = self.send(request, why, api.get(&name)).await?;
        let body = json!({ "metadata": {
            "uid": observed.uid,
            "resourceVersion": whole.resource_version(),
            "managedFields": taken_over(whole.managed_fields(), &K::api_version(&())),
        } });
        let params = PatchParams::default();
        self.patch(wanted, Verb::Patch, why, &params, &Patch::Merge(&body))
            .await
    }

    async fn patch<K: Child, P: serde::Serialize + std::fmt::Debug>(
        &self,
        object: &K,
        verb: Verb,
        why: &str,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<K, ApiError> {
        let api = self.api_of(object);
        let name = object.name_any();
        let sent = api.patch(&name, params, patch);
        self.write(request::<K>(verb, object), why, sent).await
    }

    /// Deletes an object if it still has this uid. An object that is gone is no error.
    pub async fn delete<K: Child>(
        &self,
        namespace: &str,
        name: &str,
        uid: Option<String>,
        why: &str,
    ) -> Result<(), ApiError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid,
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let request = Request::about(Verb::Delete, K::kind(&()), namespace, name);
        let sent = api.delete(name, &params);
        match self.write(request, why, sent).await {
            Ok(_) | Err(ApiError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn api_of<K: Child>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }

    /// Sends a request that writes, and counts it.
    pub async fn write<T>(
        &self,
        request: Request,
        why: &str,
        sent: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        let (kind, verb) = (request.kind.clone(), request.verb);
        let written = self.send(request, why, sent).await;
        let result = match &written {
            Ok(_) => Some("ok"),
            Err(error) => error.result(),
        };
        if let Some(result) = result {
            self.observer.written(&kind, verb, result);
        }
        written
    }

    /// Sends a request, unless another replica leads.
    pub async fn send<T>(
        &self,
        request: Request,
        why: &str,
        sent: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        debug!(why, "asking the API server to {request}");
        let span = info_span!(
            "request",
            otel.kind = "client",
            otel.status_code = field::Empty,
            error.type = field::Empty,
            what = %format_args!("to {request}"),
            why,
        );
        let answer = self
            .leadership
            .guard_write(DEADLINE, sent)
            .instrument(span.clone())
            .await;
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ApiError::new(request, error)),
            Err(Interrupted::NotLeading) => Err(ApiError::NotLeading { request }),
            Err(Interrupted::TimedOut) => Err(ApiError::Timeout {
                request,
                seconds: DEADLINE.as_secs(),
            }),
        };
        answer.inspect_err(|error| {
            span.record("error.type", error.reason());
            span.record("otel.status_code", "ERROR");
        })
    }
}

/// The request about one object.
fn request<K: Resource<DynamicType = ()>>(verb: Verb, object: &K) -> Request {
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    Request::about(verb, K::kind(&()), &namespace, &object.name_any())
}

/// The reference to an object in the version in which it was read, for a write that must not meet another.
pub fn reference_to<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    ObjectReference {
        resource_version: object.resource_version(),
        ..object.object_ref(&())
    }
}

/// The records of an object's managers, changed so that the operator seems to have applied the whole spec. Labels and
/// annotations stay with their managers.
fn taken_over(records: &[ManagedFieldsEntry], api_version: &str) -> Vec<ManagedFieldsEntry> {
    let mut spec = json!({});
    let mut records = records.to_vec();
    for record in records.iter_mut().filter(|r| r.subresource.is_none()) {
        let fields = record.fields_v1.as_mut();
        if let Some(theirs) = fields.and_then(|fields| fields.0.as_object_mut()?.remove("f:spec")) {
            merge(&mut spec, &theirs);
        }
    }
    records.push(ManagedFieldsEntry {
        manager: Some(MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: Some(api_version.to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(json!({ "f:spec": spec }))),
        ..ManagedFieldsEntry::default()
    });
    records
}

fn merge(fields: &mut Value, others: &Value) {
    let Some(others) = others.as_object() else {
        return;
    };
    for (name, below) in others {
        match fields.get_mut(name) {
            Some(fields) => merge(fields, below),
            None => fields[name] = below.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            api_version: Some("v1".to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn taking_over_moves_the_spec_and_leaves_the_labels() {
        let labels = json!({ "f:metadata": { "f:labels": { "f:team": {} } } });
        let ports = json!({ "f:ports": { "k:{\"port\":1}": { ".": {}, "f:port": {} } } });
        let type_ = json!({ "f:ports": { "k:{\"port\":1}": { "f:name": {} } }, "f:type": {} });
        let mut created = labels.clone();
        created["f:spec"] = ports;
        let status = ManagedFieldsEntry {
            subresource: Some("status".to_owned()),
            ..record("cloud", "Update", json!({ "f:status": {} }))
        };
        let before = [
            record("kubectl", "Update", created),
            record("someone", "Apply", json!({ "f:spec": type_ })),
            status.clone(),
        ];
        let all = json!({ "f:spec": {
            "f:ports": { "k:{\"port\":1}": { ".": {}, "f:port": {}, "f:name": {} } },
            "f:type": {},
        } });
        let after = [
            record("kubectl", "Update", labels),
            record("someone", "Apply", json!({})),
            status,
            record(MANAGER, "Apply", all),
        ];
        assert_eq!(taken_over(&before, "v1"), after);
    }
}
