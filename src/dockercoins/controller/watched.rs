//! How a kind is watched: with which settings, from which failures on it begins again, and what is noted of it for
//! health, metrics and the resources.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tracing::info;

use crate::dockercoins::reconcile::Context;
use crate::runtime::health::Watch;

use super::faults::{Faults, Waits, is_refusal};

/// After this long a watch is renewed, in seconds; one that went silent is noticed no later.
const WATCH_TIMEOUT: u32 = 240;

/// How many objects a list gives at a time: few, since each page is in memory whole, as bytes and as objects.
const PAGE: u32 = 50;

/// Watches a kind in one namespace, or in all of them.
pub(super) fn watched<K: Watched>(
    client: &Client,
    watch: Arc<Watch>,
    context: Arc<Context>,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static {
    watched_as(client, None, watch, context).backoff(Waits::default())
}

/// The same for one name, if there is one, and at once again after each failure.
pub(super) fn watched_as<K: Watched>(
    client: &Client,
    name: Option<&str>,
    watch: Arc<Watch>,
    context: Arc<Context>,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static + use<K> {
    let client = noting(client, Arc::clone(&watch), context);
    let api: Api<K> = match watch.namespace() {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let settings = watcher::Config::default()
        .timeout(WATCH_TIMEOUT)
        .page_size(PAGE);
    let settings = match name {
        Some(name) => settings.fields(&format!("metadata.name={name}")),
        None => settings,
    };
    watcher::watcher(api, settings)
}

/// What can be watched in a namespace.
pub(super) trait Watched:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + 'static
{
}

impl<K> Watched for K where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static
{
}

/// The client, with it noted when the API server takes this watch again: one that goes on after a failure may have no
/// event to show for it. A list that it takes says nothing yet, since another verb permits the watch.
fn noting(client: &Client, watch: Arc<Watch>, context: Arc<Context>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, watch, context) = (client.clone(), Arc::clone(&watch), Arc::clone(&context));
        async move {
            let query = request.uri().query().unwrap_or_default();
            let is_watch = query.split('&').any(|setting| setting == "watch=true");
            let answer = client.send(request).await?;
            if is_watch && answer.status().is_success() && watch.answered() {
                info!("{} are watched again", watch.what());
                context.cluster.blind.clear(watch.kind());
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, namespace)
}

/// The events of a watch, its failures logged and noted. The watch goes on by itself, after a while. An `Err` is a
/// failure that resources are to tell of, see [`crate::dockercoins::cluster::Cluster`]'s `blind`.
pub(super) fn logged<K>(
    watch: Arc<Watch>,
    context: Arc<Context>,
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, ()>> + Send + 'static
where
    K: kube::Resource<DynamicType = ()> + Send + 'static,
{
    let mut faults = Faults::new(Arc::clone(&watch));
    events.filter_map(move |event| {
        futures::future::ready(match event {
            Ok(event) => {
                if matches!(event, Event::InitDone) {
                    watch.listed();
                    context.cluster.optional.clear(watch.kind());
                }
                Some(Ok(event))
            }
            Err(error) => {
                match watch.is_optional() && is_refusal(&error) {
                    true => watch.set_aside(),
                    false => context.monitor.metrics.watch_failed(watch.kind()),
                }
                let is_told_by_resources = faults.observe(&error, &context.cluster);
                is_told_by_resources.then_some(Err(()))
            }
        })
    })
}
