//! The story of one reconcile: validate, resolve, plan, compare, apply, prune, tell.
//!
//! `Case::pursue` goes as far as it can and stops at what it can't pass; [`reconcile`] then tells how it ended,
//! whatever that was.

mod ask;
mod context;
mod tell;
mod write;

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, field, info_span, warn};

use crate::api::{DockerCoins, DockerCoinsStatus};
use crate::dockercoins::cluster::Sibling;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::{Desired, Store};
use crate::dockercoins::error::Error;
use crate::dockercoins::events::{self, News};
use crate::dockercoins::images::Images;
use crate::dockercoins::memory::{Memory, Told, backoff};
use crate::dockercoins::plan;
use crate::dockercoins::status::Outcome;
use crate::runtime::worker_pool::Turn;
use crate::telemetry::metrics::ReconcileResult;
use crate::telemetry::traces;
pub use context::Context;

/// A resource as it comes from the API server, readable or not.
pub type Guarded = DeserializeGuard<DockerCoins>;

/// How long a resource waits at most until it is tried again what the operator may not do, or the CRD doesn't keep:
/// neither wakes anyone when it is mended.
const UNTIL_ALLOWED: Duration = Duration::from_secs(60);

/// A number from 0 to 1, for spreading things in time.
fn chance() -> f64 {
    fastrand::f64()
}

/// Brings the cluster closer to what the resource says, and says in its status how that went. Only whoever leads
/// does; where that ends in the middle, so does this, as though the process had ended.
///
/// # Errors
/// Only where the status itself could not be written: every other failure is told there.
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
    let leadership = &context.cluster.leadership;
    let work = leadership.while_leading(in_turn(object, &context));
    let (result, done) = match work.instrument(span.clone()).await {
        // The next term begins with a look at everything.
        None | Some(Err(Error::Deposed { .. })) => ("deposed", Ok(Action::await_change())),
        Some(Ok(action)) if action == Action::await_change() => ("success", Ok(action)),
        Some(Ok(action)) => ("requeue_after", Ok(action)),
        Some(Err(error)) => {
            traces::failed(&span, error.reason());
            ("error", Err(error))
        }
    };
    span.record("result", result);
    done
}

/// Does it, when it is this resource's turn.
async fn in_turn(object: Arc<Guarded>, context: &Context) -> Result<Action, Error> {
    let memory = context.memory(&object.uid().unwrap_or_default());
    let mut memory = memory.lock().await;
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let unseen = match context.cluster.is_ready() {
        true => None,
        // Before everything is listed, children would seem to be missing, and others' resources too.
        false => match context.cluster.blind.why() {
            // The end of the list wakes everyone.
            None => return Ok(Action::await_change()),
            why => why,
        },
    };
    let turn = context.turn().await;
    let began = Instant::now();
    let mut is_seen = true;
    let done = match (&object.0, unseen) {
        // In a box, so that the many that wait for a turn take little room.
        (Ok(coins), None) => Box::pin(contained(serve(coins, &mut memory, context, turn))).await,
        (Ok(coins), Some(why)) => {
            is_seen = false;
            contained(tell::unseen(coins, &mut memory, context, turn, why)).await
        }
        (Err(unreadable), _) => {
            let error = Error::Undecodable {
                message: unreadable.error.clone(),
            };
            tell::unreadable(
                object.meta().generation,
                &reference_to(object.as_ref()),
                error,
                &mut memory,
                context,
            )
            .await
        }
    };
    if let Some(ended) = ended(&done, !is_seen || memory.failures > 0) {
        context.monitor.metrics.reconciled(ended, began.elapsed());
    }
    match done {
        // Someone else wrote meanwhile; the watch brings what they wrote, and with it the next reconcile.
        Err(Error::Outdated { what, message }) => {
            debug!(what, message, "outdated");
            memory.failures += 1;
            Ok(Action::requeue(backoff(memory.failures, chance())))
        }
        Err(error) => {
            memory.failures += 1;
            Err(error)
        }
        Ok(action) => Ok(action),
    }
}

/// How a reconcile ended, as it is counted: with an error if anything failed that is tried again (`has_failed`), told
/// in status or not. One that was left to another replica is not counted.
fn ended(done: &Result<Action, Error>, has_failed: bool) -> Option<ReconcileResult> {
    match done {
        Err(Error::Deposed { .. }) => None,
        Err(Error::Outdated { .. }) => Some(ReconcileResult::RequeueAfter),
        Err(_) => Some(ReconcileResult::Error),
        Ok(_) if has_failed => Some(ReconcileResult::Error),
        Ok(action) if *action == Action::await_change() => Some(ReconcileResult::Success),
        Ok(_) => Some(ReconcileResult::RequeueAfter),
    }
}

/// When to try again after an error that could not even be told.
pub fn on_error(object: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let uid = object.uid().unwrap_or_default();
    let memory = {
        let all = context.known();
        all.get(&uid).map(|known| Arc::clone(&known.memory))
    };
    let failures = memory
        .and_then(|memory| Some(memory.try_lock().ok()?.failures))
        .unwrap_or(1);
    let wait = wait_after(failures, [error]);
    warn!(
        wait_seconds = wait.as_secs(),
        "the status could not be written: {error}"
    );
    Action::requeue(wait)
}

/// How long to wait after failures in a row, of which these are the last.
fn wait_after<'a>(failures: u32, faults: impl IntoIterator<Item = &'a Error>) -> Duration {
    let wait = backoff(failures, chance());
    let is_granted = |fault: &Error| {
        matches!(
            fault,
            Error::Forbidden { .. } | Error::NotServed { .. } | Error::Forgotten { .. }
        )
    };
    match faults.into_iter().any(is_granted) {
        true => wait.min(UNTIL_ALLOWED),
        false => wait,
    }
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
            message: text(panic),
        }),
    }
}

/// A resource in the course of one reconcile.
struct Case<'a> {
    coins: &'a DockerCoins,
    reference: ObjectReference,
    /// What was told before this reconcile.
    started_with: DockerCoinsStatus,
    /// What is told now.
    before: DockerCoinsStatus,
    memory: &'a mut Memory,
    context: &'a Context,
    /// The right to work, given back while a registry is waited for: one that is slow must not hold up others.
    turn: Option<Turn<'a>>,
    /// When something that waits may go ahead: a question to a registry, a heal.
    wakes: Vec<Instant>,
    news: Vec<News>,
}

async fn serve(
    coins: &DockerCoins,
    memory: &mut Memory,
    context: &Context,
    turn: Turn<'_>,
) -> Result<Action, Error> {
    memory.unreadable = None;
    if memory.is_of_standby {
        // Its watch may have fallen silent, and another has written meanwhile.
        context.cluster.is_current(&reference_to(coins)).await?;
        memory.is_of_standby = false;
    }
    let mut case = Case::new(coins, memory, context, turn);
    case.compare_fields();
    let mut outcome = Outcome::default();
    if let Err(fault) = contained(case.pursue(&mut outcome)).await {
        outcome.faults.push(fault);
    }
    let of_images = outcome.images.iter().flat_map(Images::failures);
    if let Some(fault) = outcome.faults.iter().cloned().chain(of_images).next() {
        traces::failed(&Span::current(), fault.reason());
    }
    outcome.faults.extend(context.cluster.blind.why());
    case.see(&mut outcome);
    // What is there of a kind that the resource asks for is about to be known: until then it would be told wrongly. The
    // end of the list wakes everyone.
    let told = match outcome.is_unlisted {
        true => Ok(None),
        false => case.tell(&outcome).await,
    };
    case.publish().await;
    if told.is_err() {
        case.memory.ask_again(Instant::now());
    }
    let pending = told?;
    Ok(case.next(&outcome, pending))
}

impl<'a> Case<'a> {
    /// The cached resource may be older than what was last written to it: the newer status counts.
    fn new(
        coins: &'a DockerCoins,
        memory: &'a mut Memory,
        context: &'a Context,
        turn: Turn<'a>,
    ) -> Self {
        let mut reference = reference_to(coins);
        let mut before = coins.status.clone().unwrap_or_default();
        let number = |version: &Option<String>| {
            version
                .as_ref()
                .and_then(|version| version.parse::<u64>().ok())
        };
        let is_newer = |told: &Told| match told.is_whole {
            true => number(&told.version) > number(&coins.resource_version()),
            // What was dropped of it is nowhere else, and would be written again and again.
            false => number(&told.version) >= number(&coins.resource_version()),
        };
        match &memory.told {
            Some(told) if is_newer(told) => {
                before = told.status.clone();
                reference.resource_version = told.version.clone();
            }
            // The watch has brought it, or something newer.
            _ => memory.told = None,
        }
        Self {
            coins,
            reference,
            started_with: before.clone(),
            before,
            memory,
            context,
            turn: Some(turn),
            wakes: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Tells, once for each generation, which fields are not looked at because this operator doesn't know them.
    fn compare_fields(&mut self) {
        if self.context.compares(self.coins) {
            let unknown = self.context.fields.unknown(self.coins.managed_fields());
            self.news.extend(events::of_unknown(&unknown));
        }
    }

    /// Goes from the resource to the cluster, step by step, and notes in `outcome` what came of it.
    async fn pursue(&mut self, outcome: &mut Outcome) -> Result<(), Error> {
        let desired = info_span!("validate").in_scope(|| self.validate())?;
        if let Store::Elsewhere(redis) = &desired.store {
            outcome.elsewhere = Some(redis.to_string());
        }
        let images = self
            .resolve(&desired, outcome)
            .instrument(info_span!("resolve"))
            .await?;
        let plan = info_span!("plan").in_scope(|| plan::plan(&desired, images.set.as_ref()));
        let is_complete = images.are_complete();
        outcome.images = Some(images);

        if desired.suspend {
            outcome.held_back = Some(self.held_back(&desired, &plan, is_complete, outcome));
            return Ok(());
        }
        self.store_pins(outcome).await?;
        self.write(&desired, &plan, outcome).await;
        self.prune(&desired, &plan, outcome)
            .instrument(info_span!("prune"))
            .await;
        Ok(())
    }

    /// What is wanted, if it can be, and if this resource may have it.
    fn validate(&self) -> Result<Desired, Error> {
        let desired = Desired::from_resource(self.coins).map_err(Error::Invalid)?;
        self.holds_the_names(&desired)?;
        Ok(desired)
    }

    /// Whether the names in this namespace are this resource's: they are the owner's of the objects that
    /// exist, else the oldest resource's.
    fn holds_the_names(&self, desired: &Desired) -> Result<(), Error> {
        let cluster = &self.context.cluster;
        let owners = self.owners(&desired.namespace);
        let siblings = cluster.siblings(&desired.namespace);
        match holder(&siblings, &owners) {
            Some(holder) if holder.uid != desired.owner.uid => Err(Error::NamesHeld {
                holder: holder.name.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Notes how our Deployments are now, and the claim and the route beside them.
    fn see(&self, outcome: &mut Outcome) {
        let cluster = &self.context.cluster;
        let spec = &self.coins.spec;
        let namespace = self.coins.namespace().unwrap_or_default();
        let uid = self.coins.uid().unwrap_or_default();
        for component in Component::ALL {
            let live = self
                .context
                .cluster
                .deployments
                .get(&namespace, component.name());
            let is_ours = |live: &Arc<Deployment>| controller_uid(live.as_ref()) == Some(&uid);
            match live.filter(|live| outcome.runs(component) && is_ours(live)) {
                Some(live) => outcome.deployments.insert(component, live),
                None => outcome.deployments.remove(&component),
            };
        }
        let claim = cluster.claims.get(&namespace, Component::Redis.name());
        outcome.claim = claim.filter(|_| spec.redis.storage.is_some());
        let route = cluster.routes.get(&namespace, Component::Webui.name());
        outcome.route = route.filter(|_| spec.webui.http_route.is_some());
    }

    /// When to come back without being woken: for a failure, a status that waits its turn, a refresh.
    fn next(&mut self, outcome: &Outcome, pending: Option<Duration>) -> Action {
        let now = Instant::now();
        let is_retried =
            |fault: &&Error| !fault.is_woken() && !matches!(fault, Error::Contended { .. });
        self.memory.failures = match outcome.faults.iter().find(is_retried) {
            Some(_) => self.memory.failures + 1,
            None => 0,
        };
        let retry =
            (self.memory.failures > 0).then(|| wait_after(self.memory.failures, &outcome.faults));
        let wakes = self
            .wakes
            .iter()
            .map(|at| at.saturating_duration_since(now));
        let waits = [pending, retry];
        match waits.into_iter().flatten().chain(wakes).min() {
            Some(wait) => {
                debug!(wait_seconds = wait.as_secs_f32(), "coming back");
                Action::requeue(wait)
            }
            None => Action::await_change(),
        }
    }
}

/// Which of a namespace's resources has the names: the one that controls what is there, else the first.
fn holder<'a>(siblings: &'a [Sibling], owners: &[String]) -> Option<&'a Sibling> {
    siblings
        .iter()
        .find(|sibling| owners.contains(&sibling.uid))
        .or(siblings.first())
}

/// The resource in the state in which it was read, for a write that must not meet another.
fn reference_to<K: kube::Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    ObjectReference {
        resource_version: object.resource_version(),
        ..object.object_ref(&())
    }
}

fn controller_uid<K: kube::Resource>(object: &K) -> Option<&String> {
    object
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| &owner.uid)
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
        assert_eq!(message, "the sky is falling");
    }
}
