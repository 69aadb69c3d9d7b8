//! From a push to a question: which resources it concerns, and how they come to ask.
//!
//! A push is believed for nothing but that something may have changed. Whom it concerns gets the annotation
//! that a person would write to have the tags asked for again. So it makes no difference which of several
//! operators is told, and a push that is told while one starts anew is not lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use tokio::sync::mpsc::Receiver;
use tracing::{info, warn};

use crate::api::{DockerCoins, ResolvePolicy};
use crate::desired::Desired;
use crate::reconcile::{Context, Guarded};
use crate::webhook::payload::{Pushed, concerns};

/// How long pushes are collected: an image for several platforms is pushed in several steps, of which the last
/// moves the tag.
const COLLECT: Duration = Duration::from_millis(500);

/// Where resources are, and how to write to them.
pub type Scope = (Store<Guarded>, Arc<Context>);

/// Has whoever is concerned ask again, for every push that comes, until there are no more.
pub async fn serve(mut queue: Receiver<Vec<Pushed>>, scopes: Vec<Scope>) {
    while let Some(first) = queue.recv().await {
        tokio::time::sleep(COLLECT).await;
        let mut pushed: BTreeSet<Pushed> = first.into_iter().collect();
        while let Ok(more) = queue.try_recv() {
            pushed.extend(more);
        }
        for (store, context) in &scopes {
            let requests = store.state().into_iter().filter_map(|object| {
                let coins = object.0.as_ref().ok()?;
                let name = names(coins, &pushed)?;
                Some((Arc::clone(&object), name))
            });
            for (object, name) in requests.collect::<Vec<_>>() {
                request(context, &object, &name).await;
            }
        }
    }
}

async fn request(context: &Context, coins: &Guarded, pushed: &str) {
    let namespace = coins.namespace().unwrap_or_default();
    let resource = format!("{namespace}/{}", coins.name_any());
    info!(%resource, pushed, "a push concerns this resource: its tags are asked for again");
    let now = Timestamp::now().to_string();
    if let Err(error) = context.cluster.request(coins, &now).await {
        warn!(%resource, pushed, "it could not be asked for again, and waits for its interval: {error}");
    }
}

/// The image of the resource that one of these pushes may have changed.
fn names(coins: &DockerCoins, pushed: &BTreeSet<Pushed>) -> Option<String> {
    let desired = Desired::from_resource(coins).ok()?;
    if desired.suspend {
        return None;
    }
    let asked = desired
        .components
        .iter()
        .filter(|wanted| wanted.policy != ResolvePolicy::Never && wanted.image.digest().is_none());
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
            json!({ "suspend": true }),
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
