//! Handles registries' pushes: annotates each affected resource with `requestedAt`, so that its tags are resolved again.
//!
//! Any replica may receive the push, and the annotation outlives a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use tokio::sync::mpsc::Receiver;
use tracing::{info, warn};

use crate::api::{DockerCoins, Guarded};
use crate::dockercoins::desired::{Desired, ImageSource};
use crate::dockercoins::reconcile::Context;
use crate::registry::webhook::payload::Push;
use crate::runtime::error::ApiError;

/// How long pushes are collected, since one build pushes several images.
const BATCH_WINDOW: Duration = Duration::from_millis(500);

/// The delay before a retry: while resources are not listed yet, or after a failed request.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// The most attempts for one resource.
const MAX_ATTEMPTS: u32 = 30;

/// Handles pushes for the resources of one namespace, or of all.
pub struct PushHandler {
    store: Store<Guarded>,
    context: Arc<Context>,
    /// Pushes that are not matched with resources yet.
    pushed: BTreeSet<Push>,
    /// Affected resources, each with the pushed image and the number of failed attempts.
    pending: Vec<(Arc<Guarded>, String, u32)>,
}

impl PushHandler {
    /// Handles pushes for the resources in `store`.
    pub fn new(store: Store<Guarded>, context: Arc<Context>) -> Self {
        Self {
            store,
            context,
            pushed: BTreeSet::new(),
            pending: Vec::new(),
        }
    }

    /// Drops pushes at shutdown if the resources are not listed yet.
    fn give_up(&mut self) {
        if !self.context.cluster.is_ready() && !self.pushed.is_empty() {
            warn!(
                pushes = self.pushed.len(),
                "dropped pushes: the resources are not listed yet"
            );
            self.pushed.clear();
        }
    }

    fn is_done(&self) -> bool {
        self.pushed.is_empty() && self.pending.is_empty()
    }

    /// Annotates the resources that the pushes affect.
    async fn serve(&mut self, value: &str) {
        if !self.context.cluster.is_ready() {
            return;
        }
        let pushed = std::mem::take(&mut self.pushed);
        let new = self.store.state().into_iter().filter_map(|object| {
            let image = affected_image(object.0.as_ref().ok()?, &pushed)?;
            Some((object, image, 0))
        });
        self.pending.extend(new);
        for (coins, image, attempts) in std::mem::take(&mut self.pending) {
            let resource = format!(
                "{}/{}",
                coins.namespace().unwrap_or_default(),
                coins.name_any()
            );
            match self.context.cluster.request(&coins, value).await {
                Ok(()) => {
                    info!(%resource, image, "the image was pushed: resolving the resource's tags again");
                }
                // The resource was deleted, or recreated.
                Err(ApiError::Conflict { .. }) => {}
                Err(error) if attempts < MAX_ATTEMPTS => {
                    warn!(%resource, image, "the image was pushed, but the resource can't be annotated; retrying: {error}");
                    self.pending.push((coins, image, attempts + 1));
                }
                Err(error) => {
                    warn!(%resource, image, "the image was pushed, but the resource can't be annotated: {error}");
                }
            }
        }
    }
}

/// Handles pushes until the queue is closed and empty.
pub async fn serve(mut queue: Receiver<Vec<Push>>, mut handlers: Vec<PushHandler>) {
    let mut is_open = true;
    while is_open || !handlers.iter().all(PushHandler::is_done) {
        let mut pushed = BTreeSet::new();
        let wait = match handlers.iter().all(PushHandler::is_done) {
            true => Duration::MAX,
            false => RETRY_DELAY,
        };
        match tokio::time::timeout(wait, queue.recv()).await {
            Ok(Some(first)) => {
                pushed.extend(first);
                tokio::time::sleep(BATCH_WINDOW).await;
                while let Ok(more) = queue.try_recv() {
                    pushed.extend(more);
                }
            }
            Ok(None) if is_open => {
                is_open = false;
                handlers.iter_mut().for_each(PushHandler::give_up);
            }
            Ok(None) => tokio::time::sleep(RETRY_DELAY).await,
            Err(_) => {}
        }
        // The same value for all resources, so that they share one answer per image.
        let value = Timestamp::now().to_string();
        for handler in &mut handlers {
            handler.context.requests(&value);
            handler.pushed.extend(pushed.iter().cloned());
            handler.serve(&value).await;
        }
    }
}

/// The first image of the resource that a push affects. Suspended resources count: they resolve when resumed.
fn affected_image(coins: &DockerCoins, pushed: &BTreeSet<Push>) -> Option<String> {
    let desired = Desired::from_resource(coins).ok()?;
    let asked = desired
        .running()
        .filter(|wanted| matches!(wanted.source, ImageSource::Registry { .. }));
    let mut images = asked.map(|wanted| &wanted.image);
    images
        .find(|image| pushed.iter().any(|pushed| pushed.matches(image)))
        .map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn affected(spec: Value, repository: &str, tag: Option<&str>) -> Option<String> {
        let coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
        let pushed = Push {
            host: None,
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        };
        affected_image(&coins, &[pushed].into())
    }

    #[test]
    fn a_push_affects_resources_with_its_repository_and_tag() {
        let spec = || json!({ "registry": { "prefix": "registry.example.com/team" } });
        let rng = Some("registry.example.com/team/rng:v0.1".to_owned());
        assert_eq!(affected(spec(), "team/rng", Some("v0.1")), rng);
        assert_eq!(affected(spec(), "team/rng", None), rng);
        assert_eq!(affected(spec(), "team/rng", Some("v0.2")), None);
        assert_eq!(affected(spec(), "rng", Some("v0.1")), None);
        let redis = Some("docker.io/library/redis:7".to_owned());
        assert_eq!(affected(spec(), "library/redis", Some("7")), redis);
    }

    #[test]
    fn a_push_affects_no_resource_that_would_not_resolve_it() {
        let spec = |more: Value| {
            let mut spec = json!({ "registry": { "prefix": "registry.example.com/team" } });
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            spec
        };
        let digest = format!(
            "registry.example.com/team/rng:v0.1@sha256:{}",
            "a".repeat(64)
        );
        for more in [
            json!({ "resolve": { "policy": "Never" } }),
            json!({ "rng": { "resolve": { "policy": "Never" } } }),
            json!({ "rng": { "image": digest } }),
            json!({ "rng": { "image": "a", "tag": "b" } }),
        ] {
            assert_eq!(
                affected(spec(more.clone()), "team/rng", Some("v0.1")),
                None,
                "{more}"
            );
        }
    }
}
