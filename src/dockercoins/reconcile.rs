//! One reconcile, step by step: validate, resolve, plan, apply, prune, report.
//!
//! `Run::pursue` goes as far as it can. Whatever stopped it, the status says how it ended.

mod context;
mod resolve;
mod status;
mod write;

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, field, info_span, warn};

use crate::api::{DockerCoins, DockerCoinsStatus, Guarded};
use crate::dockercoins::cluster::{Sibling, hash_of_status};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Storage};
use crate::dockercoins::error::Error;
use crate::dockercoins::events;
use crate::dockercoins::images::Images;
use crate::dockercoins::kinds;
use crate::dockercoins::kinds::{Deployment, HTTPRoute, Listed, PersistentVolumeClaim};
use crate::dockercoins::memory::ResourceMemory;
use crate::dockercoins::observed::{ClaimState, DeploymentState};
use crate::dockercoins::reason::Wake;
use crate::dockercoins::status::Outcome;
use crate::runtime::api_client::reference_to;
use crate::runtime::decide::{OTHER_OPERATOR, PATIENCE, PEACE};
use crate::runtime::event::Event;
use crate::runtime::field_path::FieldPath;
use crate::runtime::object_key::ObjectKey;
use crate::runtime::observe::controller_uid;
use crate::runtime::requeue::Requeue;
use crate::runtime::retry::{FIRST_DELAY, LAST_DELAY, Retry};
use crate::runtime::worker_pool::Permit;
use crate::telemetry::metrics::ReconcileResult;
use crate::telemetry::traces;
pub use context::Context;

/// Longest retry delay after a missing permission or a missing kind: fixing those sends no event.
const PERMISSION_RETRY: Duration = Duration::from_secs(60);

/// A number from 0 to 1, for jitter.
fn random() -> f64 {
    fastrand::f64()
}

/// Brings the cluster closer to the spec of one resource, and reports in its status how that went. Only the leader does;
/// when it loses the lease in between, the reconcile ends as if the process had ended.
///
/// # Errors
/// Only if the status could not be written: every other failure is in the status.
pub async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = object.uid().unwrap_or_default();
    let woken_by = context.woken_by(&uid);
    let span = info_span!(
        "reconcile",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        k8s.namespace.name = object.namespace(),
        name = object.name_any(),
        uid,
        generation = object.meta().generation,
        woken_by = woken_by.as_deref().unwrap_or("itself"),
        result = field::Empty,
    );
    let leadership = context.cluster.api.leadership();
    let work = leadership.while_leading(in_turn(object, &context));
    let (result, done) = match work.instrument(span.clone()).await {
        // The next term begins with a reconcile of every resource.
        None => ("deposed", Ok(Action::await_change())),
        Some(Err(error)) if error.is_not_leading() => ("deposed", Ok(Action::await_change())),
        Some(Ok(action)) if action == Action::await_change() => ("success", Ok(action)),
        Some(Ok(action)) => ("requeue_after", Ok(action)),
        Some(Err(error)) => {
            traces::failed(&span, error.reason().name);
            ("error", Err(error))
        }
    };
    span.record("result", result);
    done
}

/// Reconciles once a worker is free.
async fn in_turn(object: Arc<Guarded>, context: &Context) -> Result<Action, Error> {
    let memory = context.memory(&object.uid().unwrap_or_default());
    let mut memory = memory.lock().await;
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let unseen = match context.cluster.is_ready() {
        true => None,
        // Before every list is read, children would seem to be missing, and others' objects too.
        false => match context.cluster.watch_failure() {
            // The end of the list wakes every resource.
            None => return Ok(Action::await_change()),
            why => why,
        },
    };
    let permit = context.permit().await;
    let began = Instant::now();
    let mut is_seen = true;
    let done = match (&object.0, unseen) {
        // In a box, because many wait here.
        (Ok(coins), None) => Box::pin(contained(serve(coins, &mut memory, context, permit))).await,
        (Ok(coins), Some(why)) => {
            is_seen = false;
            contained(status::report_unseen(
                coins,
                &mut memory,
                context,
                permit,
                why,
            ))
            .await
        }
        (Err(undecodable), _) => {
            let error = Error::Undecodable {
                message: undecodable.error.as_str().into(),
            };
            let (generation, reference) = (object.meta().generation, reference_to(object.as_ref()));
            status::report_undecodable(generation, &reference, error, &mut memory, context).await
        }
    };
    if let Some(ended) = ended(&done, !is_seen || memory.has_failed()) {
        context.monitor.metrics.reconciled(ended, began.elapsed());
    }
    let Err(error) = done else { return done };
    let retry = Retry::after(memory.retry, Instant::now(), random());
    memory.retry = Some(retry);
    match status::is_outdated(&error) {
        // The watch brings what another wrote meanwhile, and wakes the resource.
        true => {
            debug!("outdated: {error}");
            let mut requeue = Requeue::default();
            requeue.at(retry.until);
            Ok(requeue.action(Instant::now()))
        }
        false => Err(error),
    }
}

/// How metrics count a reconcile. One that another replica must do is not counted.
fn ended(done: &Result<Action, Error>, has_failed: bool) -> Option<ReconcileResult> {
    match done {
        Err(error) if error.is_not_leading() => None,
        Err(error) if status::is_outdated(error) => Some(ReconcileResult::RequeueAfter),
        Err(_) => Some(ReconcileResult::Error),
        Ok(_) if has_failed => Some(ReconcileResult::Error),
        Ok(action) if *action == Action::await_change() => Some(ReconcileResult::Success),
        Ok(_) => Some(ReconcileResult::RequeueAfter),
    }
}

/// When to retry after a status that could not be written.
pub fn on_error(object: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let memory = context.memory(&object.uid().unwrap_or_default());
    let retry = memory.try_lock().ok().and_then(|memory| memory.retry);
    let now = Instant::now();
    let mut requeue = Requeue::default();
    requeue.at(retry.map_or(now + FIRST_DELAY, |retry| retry.until));
    warn!("the status could not be written: {error}");
    requeue.action(now)
}

/// Turns a panic into an error, so that it ends one reconcile and nothing else.
async fn contained<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| "no message".to_owned(), |text| (*text).to_owned()),
    };
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(Error::Panicked {
            message: text(panic).into(),
        }),
    }
}

/// One reconcile of one resource.
struct Run<'a> {
    coins: &'a DockerCoins,
    reference: ObjectReference,
    /// The status before this reconcile.
    initial_status: DockerCoinsStatus,
    /// The status as written last.
    status: DockerCoinsStatus,
    memory: &'a mut ResourceMemory,
    /// Whether nothing was remembered of its objects.
    is_first: bool,
    context: &'a Context,
    /// The permit to work, given back while a registry is waited for: a slow one must not hold up other resources.
    permit: Option<Permit<'a>>,
    /// The longest delay of a retry of what failed without a retry of its own.
    retry_within: Option<Duration>,
    requeue: Requeue,
    events: Vec<Event>,
}

async fn serve(
    coins: &DockerCoins,
    memory: &mut ResourceMemory,
    context: &Context,
    permit: Permit<'_>,
) -> Result<Action, Error> {
    memory.undecodable = None;
    if memory.is_of_standby {
        // The watch may be behind what another replica has written.
        context.cluster.is_current(&reference_to(coins)).await?;
        memory.is_of_standby = false;
    }
    let mut run = Run::new(coins, memory, context, permit);
    run.report_unknown_fields();
    let mut outcome = Outcome::default();
    if let Err(fault) = contained(run.pursue(&mut outcome)).await {
        run.retries(&fault);
        outcome.faults.push(fault);
    }
    outcome.faults.extend(context.cluster.watch_failure());
    outcome.faults.extend(run.status_contention());
    let of_images = outcome.images.iter().flat_map(Images::failures);
    if let Some(fault) = outcome.faults.iter().cloned().chain(of_images).next() {
        traces::failed(&Span::current(), fault.reason().name);
    }
    run.observe_children(&mut outcome);
    // Until a kind that the resource asks for is listed, its status would be wrong. The end of the list wakes it.
    let reported = match outcome.is_unlisted {
        true => Ok(()),
        false => run.report(&outcome).await,
    };
    run.publish().await;
    if let Err(error) = reported {
        run.memory.refresh_now(Instant::now());
        return Err(error);
    }
    Ok(run.finish())
}

impl<'a> Run<'a> {
    /// The cached resource may be older than the last write of its status: the newer status counts.
    fn new(
        coins: &'a DockerCoins,
        memory: &'a mut ResourceMemory,
        context: &'a Context,
        permit: Permit<'a>,
    ) -> Self {
        let mut reference = reference_to(coins);
        let mut status = coins.status.clone().unwrap_or_default();
        let number = |version: &Option<String>| version.as_ref()?.parse::<u64>().ok();
        let cached = number(&coins.resource_version());
        if let Some(last) = &mut memory.last_status {
            let written = number(&last.version);
            // An older CRD stored only a part, which would be written again and again.
            let is_newer = written > cached || (!last.is_whole && written == cached);
            match last.status.as_ref().filter(|_| is_newer) {
                Some(newer) => {
                    status = newer.clone();
                    reference.resource_version.clone_from(&last.version);
                }
                None => {
                    last.status = None;
                    let stored = hash_of_status(&status);
                    if last.is_whole && written < cached && stored != last.stored {
                        memory.overwrites.count(Instant::now(), random());
                    }
                    last.stored = stored;
                    last.version = coins.resource_version();
                }
            }
        }
        Self {
            coins,
            reference,
            initial_status: status.clone(),
            status,
            is_first: memory.objects.is_empty(),
            memory,
            context,
            permit: Some(permit),
            retry_within: None,
            requeue: Requeue::default(),
            events: Vec::new(),
        }
    }

    /// Publishes, once for each generation, which fields this operator does not know.
    fn report_unknown_fields(&mut self) {
        if self.context.compares(self.coins) {
            let unknown = self.context.fields.unknown(self.coins.managed_fields());
            self.events.extend(events::of_unknown(&unknown));
        }
    }

    /// Goes from the resource to the cluster, and puts into `outcome` what each step found.
    async fn pursue(&mut self, outcome: &mut Outcome) -> Result<(), Error> {
        let desired = info_span!("validate").in_scope(|| self.validate())?;
        if let Storage::External(redis) = &desired.storage {
            outcome.external_redis = Some(redis.to_string());
        }
        let images = self
            .resolve(&desired, outcome)
            .instrument(info_span!("resolve"))
            .await?;
        let plan = info_span!("plan").in_scope(|| kinds::plan(&desired, images.set.as_ref()));
        outcome.images = Some(images);

        if desired.suspend {
            let pending = self.pending_changes(&desired, &plan);
            outcome.is_unlisted |= pending.is_unlisted;
            outcome.pending_changes = Some(pending.objects);
            return Ok(());
        }
        self.store_pins(outcome).await?;
        let writes = self.write(&desired, &plan).await;
        outcome.is_unlisted |= writes.is_unlisted;
        outcome.admission = writes.admission;
        outcome.faults.extend(writes.faults);
        let prune = self.prune(&desired, &plan).instrument(info_span!("prune"));
        outcome.faults.extend(prune.await);
        Ok(())
    }

    /// What is wanted, if the spec is valid and the resource holds the names in its namespace.
    fn validate(&self) -> Result<Desired, Error> {
        let desired = Desired::from_resource(self.coins).map_err(Error::Invalid)?;
        let siblings = self.context.cluster.siblings(&desired.namespace);
        let owners = self.owners(&desired.namespace);
        match holder(&siblings, &owners) {
            Some(holder) if holder.uid != desired.owner.uid => Err(Error::NamesHeld {
                holder: holder.name.clone(),
            }),
            _ => Ok(desired),
        }
    }

    /// Reads the numbers of the children that the status reports.
    fn observe_children(&self, outcome: &mut Outcome) {
        let caches = &self.context.cluster.caches;
        let spec = &self.coins.spec;
        let namespace = self.coins.namespace().unwrap_or_default();
        let uid = self.coins.uid();
        outcome.deployments = Component::ALL
            .into_iter()
            .filter(|component| outcome.has_pods(*component))
            .filter_map(|component| {
                let cache = Deployment::cache(caches);
                let state = cache.read(&namespace, component.name(), |live| {
                    let ours = live.filter(|live| controller_uid(*live) == uid.as_ref());
                    ours.map(DeploymentState::from)
                });
                Some((component, state?))
            })
            .collect();
        let claims = PersistentVolumeClaim::cache(caches);
        outcome.claim = spec.redis.storage.as_ref().and_then(|_| {
            let claim = Component::Redis.name();
            claims.read(&namespace, claim, |live| live.map(ClaimState::from))
        });
        let routes = HTTPRoute::cache(caches);
        outcome.route = spec.webui.http_route.as_ref().and_then(|_| {
            let route = Component::Webui.name();
            let problem = routes.read(&namespace, route, |live| live.and_then(HTTPRoute::problem));
            problem.map(Into::into)
        });
    }

    /// The fault to report while another operator keeps writing the status.
    fn status_contention(&mut self) -> Option<Error> {
        let overwrites = &self.memory.overwrites;
        let over_at = overwrites.last_above(PATIENCE)? + PEACE;
        (Instant::now() < over_at).then(|| {
            self.requeue.at(over_at);
            Error::Contended {
                object: ObjectKey::of(self.coins),
                field: Some(FieldPath::fields(["status"])),
                manager: Some(OTHER_OPERATOR.to_owned()),
                edit: None,
            }
        })
    }

    /// Notes a failure that has no retry of its own. The end of one that wakes the resource needs no timer.
    fn retries(&mut self, fault: &Error) {
        let longest = match fault.reason().wake {
            // The registries' retry is in the memory of the resolve step.
            Wake::Event | Wake::Registry => return,
            Wake::Timer => LAST_DELAY,
            Wake::ShortTimer => PERMISSION_RETRY,
        };
        let within = self
            .retry_within
            .map_or(longest, |within| within.min(longest));
        self.retry_within = Some(within);
    }

    /// When to look at the resource again without an event: the one place that decides.
    fn finish(&mut self) -> Action {
        let now = Instant::now();
        self.memory.retry = self.retry_within.map(|longest| {
            let pending = self.memory.retry.filter(|retry| retry.is_pending(now));
            let next = || Retry::after_at_most(self.memory.retry, longest, now, random());
            pending.unwrap_or_else(next)
        });
        self.requeue
            .extend(self.memory.retry.map(|retry| retry.until));
        self.requeue.action(now)
    }
}

/// Which of a namespace's resources has the names: the one that controls what is there, else the first.
fn holder<'a>(siblings: &'a [Sibling], owners: &[String]) -> Option<&'a Sibling> {
    siblings
        .iter()
        .find(|sibling| owners.contains(&sibling.uid))
        .or(siblings.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sibling(name: &str) -> Sibling {
        Sibling {
            created: None,
            uid: format!("uid-of-{name}"),
            name: name.to_owned(),
        }
    }

    #[test]
    fn the_owner_of_what_exists_holds_the_names_before_the_oldest() {
        let siblings = [sibling("old"), sibling("young")];
        assert_eq!(
            holder(&siblings, &["uid-of-young".into()]),
            Some(&siblings[1])
        );
    }

    #[test]
    fn the_oldest_holds_the_names_where_nothing_exists_or_its_owner_is_gone() {
        let siblings = [sibling("old"), sibling("young")];
        assert_eq!(holder(&siblings, &[]), Some(&siblings[0]));
        assert_eq!(
            holder(&siblings, &["uid-of-gone".into()]),
            Some(&siblings[0])
        );
    }

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        let result: Result<(), Error> =
            contained(async { panic!("the sky is {}", "falling") }).await;
        let Err(Error::Panicked { message }) = result else {
            unreachable!("it panicked")
        };
        assert_eq!(message.to_string(), "the sky is falling");
    }
}
