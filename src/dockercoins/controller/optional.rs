//! The watches of the kinds that few resources ask for.
//!
//! One that is refused, for want of a right or since the cluster doesn't know the kind, ends and is begun anew when it is
//! worth a try ([`crate::dockercoins::cluster::Optional`]). So an operator whose role is older than it, and a cluster without Gateway
//! API, are left in peace.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use kube::Client;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};

use crate::dockercoins::kinds::Kind;
use crate::dockercoins::reconcile::Context;

use super::faults::{Waits, is_refusal};
use super::watched::{logged, watched_as};
use super::{Wake, kind_name, noted};

/// Watches such a kind, and notes what there is of it.
pub(super) fn optional_wakes<K: Kind>(
    client: &Client,
    scope: Option<&str>,
    context: &Arc<Context>,
) -> BoxStream<'static, Wake> {
    let kind = kind_name::<K>();
    let watch = context.monitor.health.optional_watch(kind, scope);
    let rounds = {
        let (client, context, watch) = (client.clone(), Arc::clone(context), Arc::clone(&watch));
        stream::unfold(true, move |is_first| {
            let (client, context) = (client.clone(), Arc::clone(&context));
            let watch = Arc::clone(&watch);
            async move {
                if !is_first {
                    context.cluster.optional.until_asked(kind).await;
                }
                let events = watched_as::<K>(&client, K::NAME, watch, context);
                Some((until_refused(events).backoff(Waits::default()), false))
            }
        })
    };
    let events = logged(watch, Arc::clone(context), rounds.flatten());
    noted(events, Arc::clone(context)).boxed()
}

/// The events of a watch up to the failure that no waiting mends, and with it.
fn until_refused<K: Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static {
    events
        .flat_map(|event| {
            let is_last = event.as_ref().is_err_and(is_refusal);
            let end = is_last.then_some(None);
            stream::iter([Some(Some(event)), end].into_iter().flatten())
        })
        .take_while(|event| futures::future::ready(event.is_some()))
        .filter_map(futures::future::ready)
        .boxed()
}
