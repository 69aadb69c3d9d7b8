//! What to do about one object: from what was observed and remembered of it to one action. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::error::ApiError;
use super::field_path::FieldPath;
use super::names::APPLIED_HASH;
use super::observe::{Drift, Observed, Ownership};
use super::retry::{Retry, backoff};

/// How many times in a row the same object is written again at once.
pub const PATIENCE: u32 = 5;
/// After this long without a write, a fight is over.
pub const PEACE: Duration = Duration::from_secs(600);
/// The manager that is named where an object carries the hash of another operator under our own name.
pub const OTHER_OPERATOR: &str = "another dockercoins-operator";

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing: it is as wanted.
    Keep,
    /// Apply it.
    Write(Cause),
    /// Wait until it is deleted, and create it then.
    AwaitDeletion,
    /// Leave it alone: it is not ours. The kind and name of its controller, if it has one.
    Leave(Option<String>),
    /// Wait: the last apply of the same object failed.
    BackOff(Instant),
    /// Wait: each apply is undone.
    Contend(Instant, Cause),
}

/// Why an object is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// It does not exist.
    Create,
    /// It was deleted by someone else.
    Recreate,
    /// The resource changed.
    Update,
    /// Someone else changed these fields.
    Heal(Vec<Drift>),
    /// Its annotation hands it over.
    Adopt,
}

/// What is remembered of an object between reconciles. A restart loses it.
#[derive(Debug, Default)]
pub struct Memory {
    /// Whether the object was there as ours before.
    is_known: bool,
    /// The hash that was last applied, or found to be as wanted.
    applied_hash: Option<String>,
    /// The last writes, all of one hash.
    writes: Option<Writes>,
    /// The last write or deletion, if it failed.
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Writes {
    hash: Option<String>,
    count: u32,
    last: Instant,
    /// Until when the next write of this hash waits.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Failure {
    /// The hash that was to be applied; `None` for a deletion. Another hash is tried at once.
    hash: Option<String>,
    error: ApiError,
    retry: Retry,
}

impl Memory {
    /// An object that was ours before the operator started, by the status of its resource.
    pub fn of_known() -> Self {
        Self {
            is_known: true,
            ..Self::default()
        }
    }

    /// Whether the last write or deletion failed.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The object was found to be as wanted.
    pub fn kept(&mut self, hash: Option<String>) {
        self.is_known = true;
        self.applied_hash = hash;
        self.failure = None;
    }

    /// The object was applied. `random` is from 0 to 1.
    pub fn written(&mut self, hash: Option<String>, now: Instant, random: f64) {
        let before = self.writes.take().filter(|before| {
            before.hash == hash && now.saturating_duration_since(before.last) < PEACE
        });
        let count = before.map_or(0, |before| before.count) + 1;
        let beyond = count.checked_sub(PATIENCE + 1);
        self.writes = Some(Writes {
            hash: hash.clone(),
            count,
            last: now,
            until: beyond.map(|beyond| now + backoff(beyond + 1, random)),
        });
        self.kept(hash);
    }

    /// A write of this hash failed, or a deletion (`None`). Returns when it is retried. `random` is from 0 to 1.
    pub fn failed(
        &mut self,
        hash: Option<String>,
        error: ApiError,
        now: Instant,
        random: f64,
    ) -> Instant {
        let before = self.failure.take().filter(|before| before.hash == hash);
        let retry = Retry::after(before.map(|before| before.retry), now, random);
        self.failure = Some(Failure { hash, error, retry });
        retry.until
    }

    /// The error of the last write of this hash, while the next one waits.
    pub fn pending_failure(
        &self,
        hash: Option<&str>,
        now: Instant,
    ) -> Option<(&ApiError, Instant)> {
        let failure = self.failure.as_ref()?;
        let is_pending = failure.hash.as_deref() == hash && failure.retry.is_pending(now);
        is_pending.then_some((&failure.error, failure.retry.until))
    }

    /// Until when the next write of this hash waits, because each one is undone.
    fn contended_until(&self, hash: Option<&str>, now: Instant) -> Option<Instant> {
        let writes = self.writes.as_ref()?;
        let is_same = writes.hash.as_deref() == hash;
        writes.until.filter(|until| is_same && now < *until)
    }
}

/// Decides about one object. `observed` is `None` if it does not exist; `wanted_hash` is the hash of the object that is
/// wanted.
pub fn decide(
    observed: Option<&Observed>,
    wanted_hash: Option<&str>,
    memory: &Memory,
    now: Instant,
) -> Action {
    let cause = match observed {
        None if memory.is_known => Cause::Recreate,
        None => Cause::Create,
        Some(observed) => match (&observed.ownership, observed.is_terminating) {
            (Ownership::Foreign(Some(controller)), _) => {
                return Action::Leave(Some(controller.clone()));
            }
            (_, true) | (Ownership::OwnerGone, false) => return Action::AwaitDeletion,
            (Ownership::Foreign(None), false) => return Action::Leave(None),
            (Ownership::HandedOver, false) => Cause::Adopt,
            (Ownership::Ours, false) => match difference(observed, wanted_hash, memory) {
                None => return Action::Keep,
                Some(cause) => cause,
            },
        },
    };
    if let Some((_, until)) = memory.pending_failure(wanted_hash, now) {
        return Action::BackOff(until);
    }
    match memory.contended_until(wanted_hash, now) {
        Some(until) => Action::Contend(until, cause),
        None => Action::Write(cause),
    }
}

/// Why an object of ours is applied; `None` if it is as wanted.
fn difference(observed: &Observed, wanted_hash: Option<&str>, memory: &Memory) -> Option<Cause> {
    if observed.applied_hash.as_deref() == wanted_hash {
        let is_changed = !observed.drift.is_empty();
        return is_changed.then(|| Cause::Heal(observed.drift.clone()));
    }
    // The hash is ours by its manager, but it is not the one that we applied.
    let is_of_other_operator =
        memory.applied_hash.is_some() && memory.applied_hash.as_deref() == wanted_hash;
    let is_ours = observed.applied_hash.is_some() && observed.hash_writer.is_none();
    match (is_ours, is_of_other_operator) {
        (true, false) => Some(Cause::Update),
        (true, true) => Some(Cause::Heal(vec![Drift {
            path: FieldPath::fields(["metadata", "annotations", APPLIED_HASH]),
            found: observed.applied_hash.clone().map(Into::into),
            wanted: wanted_hash.into(),
            manager: Some(OTHER_OPERATOR.to_owned()),
        }])),
        (false, _) => Some(Cause::Heal(observed.drift.clone())),
    }
}

#[cfg(test)]
mod tests;
