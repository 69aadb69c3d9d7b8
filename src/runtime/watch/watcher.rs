//! How a kind is watched: the settings of its watcher, when it retries, and what of it changes the watch's state.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Watch;
use super::state::{WatchEvent, WatchFailure};
use crate::runtime::retry::backoff;

/// Timeout of a watch request, in seconds. A watch that has fallen silent is noticed no later.
const WATCH_TIMEOUT: u32 = 240;

/// Objects in a page of a list. Few, because a whole page is in memory twice: as bytes and as objects.
const PAGE: u32 = 50;

/// Longest pause between two retries: a permission is used within this time after it was granted.
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A watch that did not fail for this long retries at once after its next failure.
const PEACE: Duration = Duration::from_secs(60);

/// A kind that can be watched in a namespace.
pub trait Watchable:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + 'static
{
}

impl<K> Watchable for K where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static
{
}

/// Lists and watches a kind, without end, and keeps the state of `watch`. Only the object called `name`, if there is a
/// name.
///
/// A failed request is retried with backoff. If the kind is optional, a refused watch stops until it is worth a retry.
/// `on_failure` is called for each failure, but not when an optional kind is refused.
///
/// The state is Synced just before the last event of a list ([`Event::InitDone`]) is returned: who receives the event must
/// bring it to the cache before anything else is polled.
pub fn events<K: Watchable, F: Fn() + Send + 'static>(
    client: &Client,
    watch: Arc<Watch>,
    name: Option<&'static str>,
    on_failure: F,
) -> impl Stream<Item = Event<K>> + Send + 'static + use<K, F> {
    let client = noting(client, Arc::clone(&watch));
    let observed = Arc::clone(&watch);
    let rounds = stream::unfold(true, move |is_first| {
        let (client, watch) = (client.clone(), Arc::clone(&watch));
        async move {
            if !is_first {
                watch.until_retry().await;
            }
            Some((round::<K>(client, watch, name), false))
        }
    });
    rounds.flatten().filter_map(move |event| {
        let event = match event {
            Ok(event) => {
                if matches!(event, Event::InitDone) {
                    observed.observe(WatchEvent::Listed);
                }
                Some(event)
            }
            Err(failure) => {
                if !observed.stops_after(&failure) {
                    on_failure();
                }
                observed.observe(WatchEvent::Failed(failure));
                None
            }
        };
        futures::future::ready(event)
    })
}

/// The events of one watcher, up to the failure after which the watch stops.
fn round<K: Watchable>(
    client: Client,
    watch: Arc<Watch>,
    name: Option<&str>,
) -> impl Stream<Item = Result<Event<K>, WatchFailure>> + Send + 'static {
    let target = watch.target().clone();
    let api: Api<K> = match &target.namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let config = watcher::Config::default()
        .timeout(WATCH_TIMEOUT)
        .page_size(PAGE);
    let config = match name {
        Some(name) => config.fields(&format!("metadata.name={name}")),
        None => config,
    };
    let events =
        watcher::watcher(api, config).map_err(move |error| WatchFailure::new(&target, error));
    stream::unfold(Some(events.boxed()), move |events| {
        let watch = Arc::clone(&watch);
        async move {
            let mut events = events?;
            let event = events.next().await?;
            let is_last = event
                .as_ref()
                .is_err_and(|failure| watch.stops_after(failure));
            Some((event, (!is_last).then_some(events)))
        }
    })
    .boxed()
    .backoff(RetryBackoff::default())
}

/// A client that notes when the API server accepts the watch. A watch that goes on after a failure may have no event to
/// show for it.
fn noting(client: &Client, watch: Arc<Watch>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, watch) = (client.clone(), Arc::clone(&watch));
        async move {
            let query = request.uri().query().unwrap_or_default();
            let is_watch = query.split('&').any(|setting| setting == "watch=true");
            let answer = client.send(request).await?;
            if is_watch && answer.status().is_success() {
                watch.observe(WatchEvent::Watching);
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, namespace)
}

/// The pauses between the retries of a watcher.
///
/// kube's own backoff takes each retry that begins for a success, and grows to a minute.
#[derive(Default)]
struct RetryBackoff {
    failures: u32,
    last: Option<Instant>,
}

impl RetryBackoff {
    fn pause(&mut self, now: Instant, chance: f64) -> Duration {
        if self.last.is_some_and(|last| now - last > PEACE) {
            self.failures = 0;
        }
        self.failures += 1;
        self.last = Some(now);
        backoff(self.failures, chance).min(LAST_RETRY)
    }
}

impl Iterator for RetryBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.pause(Instant::now(), fastrand::f64()))
    }
}

impl Backoff for RetryBackoff {
    /// Only time ends a row of failures.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_to_ten_seconds_and_start_over_after_peace() {
        let mut backoff = RetryBackoff::default();
        let start = Instant::now();
        let row: Vec<u64> = (0..6)
            .map(|_| backoff.pause(start, 1.0).as_secs())
            .collect();
        assert_eq!(row, [1, 2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(backoff.pause(start + PEACE, 1.0), LAST_RETRY);
        let second = Duration::from_secs(1);
        assert_eq!(backoff.pause(start + PEACE * 3, 1.0), second);
    }
}
