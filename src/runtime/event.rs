//! Events about a resource.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1 as k8s;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use tracing::{info, warn};

use super::api_client::ApiClient;
use super::error::{ApiError, Request, Verb};
use super::message::{Message, TEXT_MAX, truncate};
use super::names::MANAGER;

/// Something that people should see in `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whether its type is `Warning`, not `Normal`.
    pub is_warning: bool,
    /// The stable name of what happened.
    pub reason: &'static str,
    /// What the operator was doing.
    pub action: &'static str,
    /// What happened.
    pub note: Message,
}

impl ApiClient {
    /// Publishes an event about a resource, and logs it. An event that cannot be written is logged and stops nothing.
    pub async fn publish(&self, regarding: &ObjectReference, event: &Event) {
        match event.is_warning {
            true => warn!(reason = %event.reason, "{}", event.note),
            false => info!(reason = %event.reason, "{}", event.note),
        }
        let now = Timestamp::now();
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let name = regarding.name.clone().unwrap_or_default();
        let body = k8s::Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(
                if event.is_warning {
                    "Warning"
                } else {
                    "Normal"
                }
                .to_owned(),
            ),
            reason: Some(event.reason.to_owned()),
            action: Some(event.action.to_owned()),
            note: Some(truncate(&event.note.to_string(), TEXT_MAX)),
            regarding: Some(regarding.clone()),
            reporting_controller: Some(format!("dockercoins.dev/{MANAGER}")),
            reporting_instance: Some(MANAGER.to_owned()),
            ..k8s::Event::default()
        };
        let api: Api<k8s::Event> = Api::namespaced(self.client(), &namespace);
        let request = Request::about(Verb::Create, "Event", &namespace, &name);
        let params = PostParams::default();
        let sent = api.create(&params, &body);
        match self.write(request, event.reason, sent).await {
            Ok(_) | Err(ApiError::NotLeading { .. }) => {}
            Err(error) => {
                warn!(reason = %event.reason, note = %event.note, "an event could not be written: {error}");
            }
        }
    }
}
