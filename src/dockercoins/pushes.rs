//! From a push to a question: which resources it concerns, and how they come to ask.
//!
//! A push is believed for nothing but that something may have changed. Whom it concerns gets the annotation
//! that a person would write to have the tags asked for again. So it makes no difference which of several
//! operators is told, leading or not, and what has been written outlives a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use tokio::sync::mpsc::Receiver;
use tracing::{info, warn};

use crate::api::DockerCoins;
use crate::api::Guarded;
use crate::dockercoins::desired::{Desired, ImageSource};
use crate::dockercoins::reconcile::Context;
use crate::registry::webhook::payload::{Pushed, concerns};
use crate::runtime::error::ApiError;

/// How long pushes are collected: those of one build come close together, and are one request.
const COLLECT: Duration = Duration::from_millis(500);

/// How long what could not be done waits until it is tried again: resources that have not been listed yet, or an
/// API server that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// How often a resource that can't be written to is tried.
const TRIES: u32 = 30;

/// The resources of one namespace, or of all.
pub struct Scope {
    store: Store<Guarded>,
    context: Arc<Context>,
    /// What has been pushed, and was not looked at yet.
    pushed: BTreeSet<Pushed>,
    /// Whom it concerns, what for, and how often that has been tried in vain.
    concerned: Vec<(Arc<Guarded>, String, u32)>,
}

impl Scope {
    /// The resources in `store`, which are written to by `context`.
    pub fn new(store: Store<Guarded>, context: Arc<Context>) -> Self {
        Self {
            store,
            context,
            pushed: BTreeSet::new(),
            concerned: Vec::new(),
        }
    }

    /// The operator stops: what has not been listed by now is not waited for. Whoever is listed first by the next one
    /// asks for what is pinned by its tag within its interval.
    fn give_up(&mut self) {
        if !self.context.cluster.is_ready() && !self.pushed.is_empty() {
            warn!(
                pushes = self.pushed.len(),
                "no resource was asked about these pushes: none could be listed"
            );
            self.pushed.clear();
        }
    }

    fn is_done(&self) -> bool {
        self.pushed.is_empty() && self.concerned.is_empty()
    }

    /// Requests what the pushes so far ask for, as far as that can be done now.
    async fn serve(&mut self, value: &str) {
        if !self.context.cluster.is_ready() {
            return;
        }
        let pushed = std::mem::take(&mut self.pushed);
        let new = self.store.state().into_iter().filter_map(|object| {
            let image = names(object.0.as_ref().ok()?, &pushed)?;
            Some((object, image, 0))
        });
        self.concerned.extend(new);
        for (coins, image, tries) in std::mem::take(&mut self.concerned) {
            let resource = format!(
                "{}/{}",
                coins.namespace().unwrap_or_default(),
                coins.name_any()
            );
            match self.context.cluster.request(&coins, value).await {
                Ok(()) => {
                    info!(%resource, image, "it was pushed: the resource's tags are asked for again");
                }
                // It is gone, or another has taken its name.
                Err(ApiError::Conflict { .. }) => {}
                Err(error) if tries < TRIES => {
                    warn!(%resource, image, "it was pushed, and is requested again soon: {error}");
                    self.concerned.push((coins, image, tries + 1));
                }
                Err(error) => {
                    warn!(%resource, image, "it was pushed, and could not be requested: {error}");
                }
            }
        }
    }
}

/// Has whoever is concerned ask again, for every push that comes, until there are no more.
pub async fn serve(mut queue: Receiver<Vec<Pushed>>, mut scopes: Vec<Scope>) {
    let mut is_open = true;
    while is_open || !scopes.iter().all(Scope::is_done) {
        let mut pushed = BTreeSet::new();
        let wait = match scopes.iter().all(Scope::is_done) {
            true => Duration::MAX,
            false => AGAIN,
        };
        match tokio::time::timeout(wait, queue.recv()).await {
            Ok(Some(first)) => {
                pushed.extend(first);
                tokio::time::sleep(COLLECT).await;
                while let Ok(more) = queue.try_recv() {
                    pushed.extend(more);
                }
            }
            Ok(None) if is_open => {
                is_open = false;
                scopes.iter_mut().for_each(Scope::give_up);
            }
            Ok(None) => tokio::time::sleep(AGAIN).await,
            Err(_) => {}
        }
        // One value for all: what they ask is then one question.
        let value = Timestamp::now().to_string();
        for scope in &mut scopes {
            scope.context.requests(&value);
            scope.pushed.extend(pushed.iter().cloned());
            scope.serve(&value).await;
        }
    }
}

/// The image of the resource that one of these pushes may have changed. One that is suspended is concerned too: it asks
/// when it no longer is.
fn names(coins: &DockerCoins, pushed: &BTreeSet<Pushed>) -> Option<String> {
    let desired = Desired::from_resource(coins).ok()?;
    let asked = desired
        .running()
        .filter(|wanted| matches!(wanted.source, ImageSource::Registry { .. }));
    let mut images = asked.map(|wanted| &wanted.image);
    images
        .find(|image| pushed.iter().any(|pushed| concerns(pushed, image)))
        .map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn named(spec: Value, repository: &str, tag: Option<&str>) -> Option<String> {
        let coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
        let pushed = Pushed {
            host: None,
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        };
        names(&coins, &[pushed].into())
    }

    #[test]
    fn a_push_concerns_those_who_run_that_tag_of_that_repository() {
        let spec = || json!({ "registry": { "prefix": "registry.example.com/team" } });
        let rng = Some("registry.example.com/team/rng:v0.1".to_owned());
        assert_eq!(named(spec(), "team/rng", Some("v0.1")), rng);
        assert_eq!(named(spec(), "team/rng", None), rng);
        assert_eq!(named(spec(), "team/rng", Some("v0.2")), None);
        assert_eq!(named(spec(), "rng", Some("v0.1")), None);
        let redis = Some("docker.io/library/redis:7".to_owned());
        assert_eq!(named(spec(), "library/redis", Some("7")), redis);
    }

    #[test]
    fn a_push_concerns_no_one_who_would_not_ask() {
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
                named(spec(more.clone()), "team/rng", Some("v0.1")),
                None,
                "{more}"
            );
        }
    }
}
