//! The watches, and the reconciles that they wake. One rule: *an event in a namespace wakes every DockerCoins of that
//! namespace.*
//!
//! A namespace has a handful of them at most, and a reconcile that finds no difference sends nothing. The rule covers a
//! child that was edited or deleted, another's object that is deleted or handed over, and the deletion of the resource that
//! held the names.
//!
//! Services and Deployments are watched without a label selector: another's `redis` has none of our labels, and the
//! operator must see it to leave it alone. Objects without a component's name or a DockerCoins as controller are dropped.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{PartialObjectMeta, PartialObjectMetaExt as _};
use kube::runtime::applier;
use kube::runtime::controller::{self, ReconcileReason, ReconcileRequest};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{Error as WatcherError, Event};
use kube::{Client, Resource as _, ResourceExt as _};
use resolver::Shared;
use tokio::sync::mpsc::Receiver;
use tracing::{debug, info, warn};

use crate::api::{DockerCoins, Guarded};
use crate::dockercoins::cluster::Cluster;
use crate::dockercoins::error::Error;
use crate::dockercoins::kinds::{Kind, each_kind, for_each_kind, is_of_interest};
use crate::dockercoins::pushes::{self, PushHandler};
use crate::dockercoins::reconcile::{Context, on_error, reconcile};
use crate::registry::webhook::payload::Push;
use crate::runtime::child::{slim, slim_child};
use crate::runtime::leader::Leadership;
use crate::runtime::watch::Watch;
use crate::runtime::watch::state::{Need, WatchFailure};
use crate::runtime::watch::watcher::{Watchable, events};
use crate::telemetry::server::Telemetry;

/// How long a burst of events of one resource is collected before its reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// How long running reconciles may take after SIGTERM. A pod has 30 s; after the reconciles the lease is released (2 s), and
/// metrics (2 s) and traces (3 s) are served for the last time.
const DRAIN: Duration = Duration::from_secs(20);

/// How often the operator checks whether a namespace is listed, before it checks that the namespace exists.
const NAMESPACE_CHECK: Duration = Duration::from_secs(1);

/// Reconciles until `shutdown` is done, and then finishes the running reconciles.
///
/// `namespaces` are the namespaces to serve; none means all. Each is watched by itself, so that one that cannot be watched
/// does not affect the others. At most as many reconciles run at once as the `monitor` has permits, in all namespaces
/// together. While another replica leads, everything is watched and nothing is reconciled.
pub async fn run(
    client: Client,
    leadership: Leadership,
    resolver: Shared,
    namespaces: &[String],
    monitor: Arc<Telemetry>,
    pushes: Option<Receiver<Vec<Push>>>,
    shutdown: impl Future<Output = ()> + Clone + Send + 'static,
) {
    let scopes: Vec<Option<&str>> = match namespaces {
        [] => vec![None],
        some => some
            .iter()
            .map(|namespace| Some(namespace.as_str()))
            .collect(),
    };
    let mut told = Vec::new();
    let mut controllers = Vec::new();
    for scope in scopes {
        let cluster = Cluster::new(
            client.clone(),
            leadership.clone(),
            Arc::clone(&monitor.metrics) as _,
            monitor.health.watches(scope, describe),
        );
        let context = Context::new(cluster, resolver.clone(), Arc::clone(&monitor));
        let context = Arc::new(context);
        let (store, writer) = reflector::store();
        monitor.report_resources(store.clone());
        told.push(PushHandler::new(store.clone(), Arc::clone(&context)));
        let stop = shutdown.clone();
        controllers.push(run_scope(
            client.clone(),
            context,
            scope,
            (store, writer),
            stop,
        ));
    }
    let pushes = async {
        if let Some(pushes) = pushes {
            pushes::serve(pushes, told).await;
        }
    };
    let too_late = async {
        shutdown.clone().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        _ = futures::future::join(futures::future::join_all(controllers), pushes) => info!("all reconciles have finished"),
        () = monitor.health.beats() => {}
        () = too_late => warn!("some reconciles had not finished after {} s", DRAIN.as_secs()),
    }
}

/// Runs the controller of one namespace, or of all.
async fn run_scope(
    client: Client,
    context: Arc<Context>,
    scope: Option<&str>,
    (store, writer): (Store<Guarded>, Writer<Guarded>),
    shutdown: impl Future<Output = ()> + Clone + Send + 'static,
) {
    let kinds = Kinds {
        client,
        context: Arc::clone(&context),
    };
    let mut wakes: SelectAll<BoxStream<'static, Wake>> = SelectAll::from_iter([
        // First: a term that begins after resources were listed would take them for seen by a standby.
        leadership_wakes(Arc::clone(&context)).boxed(),
        kinds.coins(writer),
        check_namespace(scope, Arc::clone(&context)).boxed(),
    ]);
    for_each_kind!(K => {
        wakes.push(kinds.children::<K>());
    });
    let known = Arc::clone(&context);
    let requests = wakes
        .flat_map(move |wake| futures::stream::iter(requests(&known, &wake)))
        .map(Ok::<_, Infallible>)
        .take_until(shutdown.clone());
    let reconciler = |object, context| Box::pin(reconcile(object, context));
    let settings = controller::Config::default()
        .debounce(DEBOUNCE)
        .concurrency(reconciles_at_once(&context));
    // Before everything is listed no reconcile runs, so none has to finish.
    let unlisted = Arc::clone(&context);
    let ended = Arc::clone(&context.monitor);
    let told_to_stop = async move {
        shutdown.await;
        if unlisted.cluster.is_ready() {
            std::future::pending::<()>().await;
        }
    };
    let reconciles =
        applier(reconciler, on_error, context, store, requests, settings).for_each(|done| async {
            match done {
                Ok((resource, _)) => debug!(%resource, "reconciled"),
                // `on_error` has logged the first; a resource that is gone needs nothing.
                Err(
                    controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_),
                ) => {}
                Err(error) => warn!("{error}"),
            }
        });
    tokio::select! {
        () = reconciles => ended.health.deserts(),
        () = told_to_stop => {}
    }
}

/// How many reconciles kube's runtime runs at once. Without a limit it polls each one that waits at every wake. More than
/// there are workers, because a reconcile gives its permit back while a registry is waited for.
fn reconciles_at_once(context: &Context) -> u16 {
    let workers = context.monitor.health.workers.size();
    workers.saturating_mul(8).max(64)
}

/// A reason to reconcile.
struct Wake {
    /// The namespace; `None` after a list, which may have changed anything.
    namespace: Option<String>,
    what: String,
}

/// The reconciles for a wake.
fn requests(context: &Context, wake: &Wake) -> Vec<ReconcileRequest<Guarded>> {
    if !context.cluster.api.leadership().is_leading() {
        return Vec::new();
    }
    let request = |coins: &PartialObjectMeta<DockerCoins>| {
        context.woken(coins, &wake.what);
        Some(ReconcileRequest {
            obj_ref: ObjectRef::new(&coins.name_any())
                .within(&coins.namespace().unwrap_or_default()),
            reason: ReconcileReason::Custom {
                reason: wake.what.clone(),
            },
        })
    };
    let coins = &context.cluster.coins;
    coins.collect(wake.namespace.as_deref(), request)
}

/// The name of a kind. Those of the types in use are static.
fn kind_name<K: Kind>() -> &'static str {
    match K::kind(&()) {
        Cow::Borrowed(name) => name,
        Cow::Owned(name) => name.leak(),
    }
}

/// The first wake of each term: the new leader reconciles every resource.
fn leadership_wakes(context: Arc<Context>) -> impl Stream<Item = Wake> + Send + 'static {
    futures::stream::unfold(None, move |last| {
        let context = Arc::clone(&context);
        async move {
            let term = context.cluster.api.leadership().next_term(last).await;
            context.begin_anew();
            let wake = Wake {
                namespace: None,
                what: "it leads".to_owned(),
            };
            Some((wake, Some(term)))
        }
    })
}

/// The text of a failed watch for the log.
fn describe(failure: &WatchFailure) -> String {
    let error = Error::from(failure.clone());
    match failure {
        WatchFailure::Forbidden { target, .. } => match &target.namespace {
            Some(namespace) => {
                format!("{error}, or create the namespace {namespace} if it is missing")
            }
            None => error.to_string(),
        },
        WatchFailure::NotServed { .. } => error.to_string(),
        WatchFailure::Failed { .. } => format!("{error}. The operator retries"),
    }
}

/// The common parts of all watches.
struct Kinds {
    client: Client,
    context: Arc<Context>,
}

impl Kinds {
    /// Watches a kind; of the kinds that have only one `name`, that object.
    fn watch<K: Watchable>(
        &self,
        kind: &'static str,
        need: Need,
        name: Option<&'static str>,
    ) -> (
        Arc<Watch>,
        impl Stream<Item = Event<K>> + Send + 'static + use<K>,
    ) {
        let watch = self.context.cluster.watches.add(kind, need);
        let metrics = Arc::clone(&self.context.monitor.metrics);
        let on_failure = move || metrics.watch_failed(kind);
        let events = events(&self.client, Arc::clone(&watch), name, on_failure);
        (watch, events)
    }

    /// Watches DockerCoins, and keeps their cache and the store of the controller.
    fn coins(&self, writer: Writer<Guarded>) -> BoxStream<'static, Wake> {
        let (watch, events) = self.watch::<Guarded>("DockerCoins", Need::Required, None);
        let events = events.map(|event| Ok::<_, WatcherError>(event.modify(slim)));
        let context = Arc::clone(&self.context);
        let wakes = reflector::reflector(writer, events).filter_map(move |event| {
            let wake = event.ok().and_then(|event| observe_coins(&context, event));
            futures::future::ready(wake)
        });
        futures::stream::select(wakes, changes::<DockerCoins>(watch)).boxed()
    }

    /// Watches one kind of children, and keeps its cache.
    fn children<K: Kind>(&self) -> BoxStream<'static, Wake> {
        let need = match K::IS_REQUIRED {
            true => Need::Required,
            false => Need::Optional,
        };
        let (watch, events) = self.watch::<K>(kind_name::<K>(), need, K::NAME);
        let context = Arc::clone(&self.context);
        let wakes = events
            .filter_map(move |event| futures::future::ready(observe_child::<K>(&context, event)));
        futures::stream::select(wakes, changes::<K>(watch)).boxed()
    }
}

/// Puts an event of the watch of DockerCoins into the cache.
fn observe_coins(context: &Context, event: Event<Guarded>) -> Option<Wake> {
    if let Event::Apply(coins) | Event::InitApply(coins) = &event {
        context.seen(coins);
    }
    let wake = match &event {
        Event::Apply(coins) => Some(wake_of(coins)),
        Event::Delete(coins) => {
            context.forget(&coins.uid().unwrap_or_default());
            Some(wake_of(coins))
        }
        Event::Init | Event::InitApply(_) => None,
        Event::InitDone => Some(listed::<DockerCoins>()),
    };
    let is_listed = matches!(event, Event::InitDone);
    context.cluster.coins.observe(identity(event));
    if is_listed {
        context.forget_the_gone();
    }
    wake
}

/// The event with the resource's identity alone.
fn identity(event: Event<Guarded>) -> Event<PartialObjectMeta<DockerCoins>> {
    let identity = |coins: Guarded| {
        let meta = coins.meta();
        let meta = ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            creation_timestamp: meta.creation_timestamp.clone(),
            generation: meta.generation,
            deletion_timestamp: meta.deletion_timestamp.clone(),
            ..ObjectMeta::default()
        };
        meta.into_response_partial()
    };
    match event {
        Event::Apply(coins) => Event::Apply(identity(coins)),
        Event::Delete(coins) => Event::Delete(identity(coins)),
        Event::Init => Event::Init,
        Event::InitApply(coins) => Event::InitApply(identity(coins)),
        Event::InitDone => Event::InitDone,
    }
}

/// Puts an event of the watch of a child kind into the cache, if it concerns the operator.
fn observe_child<K: Kind>(context: &Context, event: Event<K>) -> Option<Wake> {
    let event = event.modify(slim_child);
    let wake = match &event {
        Event::Apply(object) | Event::Delete(object) => {
            is_of_interest(object).then(|| Some(wake_of(object)))
        }
        Event::InitApply(object) => is_of_interest(object).then_some(None),
        Event::Init => Some(None),
        Event::InitDone => Some(Some(listed::<K>())),
    };
    if wake.is_some() {
        K::cache(&context.cluster.caches).observe(event);
    }
    wake.flatten()
}

/// Wakes every resource when the watch of a kind fails or recovers, since each reports the failure.
fn changes<K: kube::Resource<DynamicType = ()>>(
    watch: Arc<Watch>,
) -> impl Stream<Item = Wake> + Send + 'static {
    watch.changes().map(|()| Wake {
        namespace: None,
        what: format!("watch of {}", K::kind(&())),
    })
}

fn wake_of<K: kube::Resource<DynamicType = ()>>(object: &K) -> Wake {
    Wake {
        namespace: object.namespace(),
        what: format!("{} {}", K::kind(&()), object.name_any()),
    }
}

/// The wake after a complete list: the first one, or one after the watch lost its place.
fn listed<K: kube::Resource<DynamicType = ()>>() -> Wake {
    Wake {
        namespace: None,
        what: format!("list of {}", K::kind(&())),
    }
}

/// Warns if the namespace does not exist, which a list cannot tell from an empty one. Wakes nothing.
fn check_namespace(
    scope: Option<&str>,
    context: Arc<Context>,
) -> impl Stream<Item = Wake> + Send + 'static {
    let namespace = scope.map(ToOwned::to_owned);
    let look = async move {
        let namespace = namespace?;
        // Only one task may wait for the store, and the applier does.
        while !matches!(context.cluster.watches.is_listed("DockerCoins"), Ok(true)) {
            tokio::time::sleep(NAMESPACE_CHECK).await;
        }
        let is_empty = context
            .cluster
            .coins
            .collect(Some(&namespace), |_| Some(()))
            .is_empty();
        if is_empty && !context.cluster.may_exist(&namespace).await {
            warn!(
                "namespace {namespace} does not exist: create it, or fix --namespace. Its resources are served as soon as it exists"
            );
        }
        None
    };
    futures::stream::once(look).filter_map(futures::future::ready)
}
