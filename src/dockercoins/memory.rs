//! What the operator remembers of a resource between reconciles, and may forget: timing alone. What must outlive the
//! process is in the resource's status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use resolver::{Reference, ResolveError};
use tokio::time::Instant;

use crate::api::DockerCoinsStatus;
use crate::dockercoins::component::Component;
use crate::dockercoins::images::Resolutions;
use crate::runtime::decide;
use crate::runtime::object_key::ObjectKey;
use crate::runtime::retry::{LAST_DELAY, Retry, backoff};

/// How long it takes at most until the operator notices that a CRD was upgraded, which sends no event.
const CRD_RETRY: Duration = Duration::from_secs(60);

/// What is remembered of one resource.
#[derive(Debug, Default)]
pub struct ResourceMemory {
    /// The retry of failures that have no retry of their own, in a row.
    pub retry: Option<Retry>,
    /// Why the registries gave no digest last, while that stands in the way of something.
    pub resolve_failure: Option<ResolveFailure>,
    /// The warnings about pull secrets and certificate authorities, from when they were last read.
    pub warnings: Option<Vec<String>>,
    /// When that was.
    pub secrets_read_at: Option<Instant>,
    /// When pinned tags are resolved again.
    pub refresh_at: Option<Instant>,
    /// The status as the API server stored it last, by this process.
    pub last_status: Option<LastWrittenStatus>,
    /// How often others overwrote the status.
    pub overwrites: Overwrites,
    /// The fields of the status that the cluster's CRD drops, though nothing may be rolled out without them.
    pub outdated_crd: Option<OutdatedCrd>,
    /// The generation that was last reported as undecodable.
    pub undecodable: Option<Option<i64>>,
    /// Whether the resource was seen while another replica led, and not reconciled since.
    pub is_of_standby: bool,
    /// The objects of the resource.
    pub objects: BTreeMap<ObjectKey, decide::Memory>,
}

/// Resolutions without digests, and when the registries are asked again.
#[derive(Debug)]
pub struct ResolveFailure {
    questions: Vec<(Component, Reference)>,
    errors: BTreeMap<Component, Arc<ResolveError>>,
    trigger: Trigger,
    retry: Retry,
    /// When the retry is due, for people.
    due: Timestamp,
}

/// Why registries are asked: what the resource says, and what the annotation requests. A change of either asks at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// The resource's generation.
    pub generation: Option<i64>,
    /// The request by annotation, unless it is done.
    pub requested: Option<String>,
}

/// The status that this process wrote last.
#[derive(Debug)]
pub struct LastWrittenStatus {
    /// The resource's version after the write.
    pub version: Option<String>,
    /// What was written, until the watch brings it.
    pub status: Option<DockerCoinsStatus>,
    /// The hash of what the API server stored.
    pub stored: u64,
    /// Whether it stored all of it: an older CRD drops the fields that it does not know.
    pub is_whole: bool,
    /// When it was written.
    pub at: Instant,
}

/// Writes of the status by others over ours: two operators without leader election.
#[derive(Debug, Default)]
pub struct Overwrites {
    count: u32,
    last: Option<Instant>,
    /// Until when the status is not written again.
    pub until: Option<Instant>,
}

/// The fields of the status that the cluster's CRD drops.
#[derive(Debug)]
pub struct OutdatedCrd {
    /// The fields, such as `status.components[].digest`.
    pub fields: String,
    /// The retry of the write.
    pub retry: Retry,
}

impl Overwrites {
    /// Counts a status that another wrote over ours. `random` is from 0 to 1.
    pub fn count(&mut self, now: Instant, random: f64) {
        let is_over = |last: Instant| now.saturating_duration_since(last) >= decide::PEACE;
        if self.last.is_none_or(is_over) {
            self.count = 0;
        }
        self.count += 1;
        self.last = Some(now);
        let beyond = self.count.checked_sub(decide::PATIENCE);
        self.until = beyond.map(|beyond| now + backoff(beyond + 1, random));
    }

    /// When the status was last overwritten, if that has happened this many times in a row.
    pub fn last_above(&self, count: u32) -> Option<Instant> {
        self.last.filter(|_| self.count >= count)
    }
}

impl ResourceMemory {
    /// Whether something failed that is retried.
    pub fn has_failed(&self) -> bool {
        self.retry.is_some() || self.objects.values().any(decide::Memory::has_failed)
    }

    /// What is remembered of a resource that was seen while another replica led: that it may have changed.
    pub fn of_standby() -> Self {
        Self {
            is_of_standby: true,
            ..Self::default()
        }
    }

    /// Whether pinned tags are due to be resolved again.
    ///
    /// After a restart no one knows when they were resolved last: the first refresh falls at random within one interval,
    /// so that many resources do not ask at once. `random` is from 0 to 1.
    pub fn is_refresh_due(
        &mut self,
        interval: Option<Duration>,
        now: Instant,
        random: f64,
    ) -> bool {
        let Some(interval) = interval else {
            self.refresh_at = None;
            return false;
        };
        let at = *self
            .refresh_at
            .get_or_insert_with(|| now + interval.mul_f64(random));
        // The interval may have been shortened since.
        self.refresh_at = Some(at.min(now + interval));
        now >= at
    }

    /// The last answers to the same questions, while the registries are not asked again.
    pub fn pending_failure(
        &self,
        questions: &[(Component, &Reference)],
        trigger: &Trigger,
        now: Instant,
    ) -> Option<Resolutions> {
        let failure = self.resolve_failure.as_ref()?;
        let was_asked = |(component, reference): &(Component, &Reference)| {
            let mut asked = failure.questions.iter();
            asked.any(|(c, r)| c == component && r == *reference)
        };
        let is_same = failure.trigger == *trigger
            && questions.len() <= failure.questions.len()
            && questions.iter().all(was_asked);
        (is_same && failure.retry.is_pending(now)).then(|| {
            let errors = failure.errors.iter();
            errors
                .map(|(component, error)| (*component, Err(Arc::clone(error))))
                .collect()
        })
    }

    /// When the pull secrets are read again although no registry is asked, to see whether their warnings still hold: at
    /// once after a restart.
    pub fn secrets_due_at(&self, now: Instant) -> Instant {
        self.secrets_read_at.map_or(now, |at| at + LAST_DELAY)
    }

    /// The oldest acceptable shared answer: `now - interval/10` for a refresh, the retry's due time for a retry, the time
    /// the spec was first seen otherwise.
    pub fn oldest_answer(
        &self,
        first_seen: Instant,
        is_refresh: bool,
        interval: Option<Duration>,
        now: Instant,
    ) -> Instant {
        let failure = self.resolve_failure.as_ref();
        let retry = failure.map(|failure| failure.retry.until.min(now));
        let refresh = interval
            .filter(|_| is_refresh)
            .map(|i| now.checked_sub(i / 10).unwrap_or(now));
        let due = [retry, refresh].into_iter().flatten();
        due.fold(first_seen, Instant::max)
    }

    /// When the registries are asked again for what they gave no digest of, for people.
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.resolve_failure.as_ref().map(|failure| failure.due)
    }

    /// When registries are asked again without any change.
    pub fn resolve_due_at(&self) -> Option<Instant> {
        match &self.resolve_failure {
            Some(failure) => Some(failure.retry.until),
            None => self.refresh_at,
        }
    }

    /// A refresh that was due is done. A resolve in between, for one new tag, does not put off the others.
    pub fn refreshed(&mut self, interval: Option<Duration>, now: Instant) {
        if self.refresh_at.is_none_or(|at| at <= now) {
            self.refresh_at = interval.map(|interval| now + interval);
        }
    }

    /// Makes the refresh due now, because the status could not be written.
    pub fn refresh_now(&mut self, now: Instant) {
        self.refresh_at = self.refresh_at.map(|_| now);
    }

    /// Takes the registries' answers: the retry if one gave no digest, the next refresh if all did. `random` is from 0
    /// to 1.
    pub fn resolved(
        &mut self,
        questions: &[(Component, &Reference)],
        answers: &Resolutions,
        trigger: Trigger,
        interval: Option<Duration>,
        (now, clock): (Instant, Timestamp),
        random: f64,
    ) {
        let errors: BTreeMap<_, _> = answers
            .iter()
            .filter_map(|(component, answer)| {
                Some((*component, Arc::clone(answer.as_ref().err()?)))
            })
            .collect();
        if errors.is_empty() {
            self.resolve_failure = None;
            self.refreshed(interval, now);
            return;
        }
        let before = self.resolve_failure.take();
        let before = before.filter(|failure| failure.trigger == trigger);
        let mut retry = Retry::after(before.map(|failure| failure.retry), now, random);
        // The registry's own Retry-After.
        let demanded = errors
            .values()
            .filter_map(|error| error.retry_after())
            .max();
        retry.until = retry.until.max(now + demanded.unwrap_or_default());
        let delay = retry.until - now;
        self.resolve_failure = Some(ResolveFailure {
            questions: questions
                .iter()
                .map(|(component, reference)| (*component, (*reference).clone()))
                .collect(),
            errors,
            trigger,
            retry,
            due: clock.saturating_add(delay).unwrap_or(clock),
        });
    }

    /// Notes which fields of a status the API server dropped, none if it stored all. `random` is from 0 to 1.
    pub fn dropped(&mut self, fields: String, now: Instant, random: f64) {
        let before = self.outdated_crd.take();
        self.outdated_crd = (!fields.is_empty()).then(|| match before {
            // Another write before the retry is due is no try.
            Some(before) if before.retry.is_pending(now) => OutdatedCrd { fields, ..before },
            before => {
                let before = before.map(|before| before.retry);
                let retry = Retry::after_at_most(before, CRD_RETRY, now, random);
                OutdatedCrd { fields, retry }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outdated_crd_is_retried_within_a_minute_until_it_is_upgraded() {
        let mut memory = ResourceMemory::default();
        let mut now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..8 {
            memory.dropped("status.components".into(), now, 1.0);
            memory.dropped("status.components".into(), now, 1.0);
            let until = memory.outdated_crd.as_ref().unwrap().retry.until;
            delays.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        memory.dropped(String::new(), now, 1.0);
        assert!(memory.outdated_crd.is_none());
    }

    #[test]
    fn status_writes_slow_down_when_others_overwrite_them() {
        let start = Instant::now();
        let mut overwrites = Overwrites::default();
        for _ in 1..decide::PATIENCE {
            overwrites.count(start, 1.0);
            assert_eq!(overwrites.until, None);
        }
        overwrites.count(start, 1.0);
        assert_eq!(overwrites.until, Some(start + SECOND));
        overwrites.count(start + SECOND, 1.0);
        assert_eq!(overwrites.until, Some(start + 3 * SECOND));
        overwrites.count(start + SECOND + decide::PEACE, 1.0);
        assert_eq!(overwrites.until, None);
    }

    #[test]
    fn after_a_restart_the_first_refresh_falls_within_one_interval() {
        let start = Instant::now();
        let interval = 600 * SECOND;
        let mut memory = ResourceMemory::default();
        assert!(!memory.is_refresh_due(Some(interval), start, 0.5));
        assert_eq!(memory.refresh_at, Some(start + interval / 2));
        assert!(memory.is_refresh_due(Some(interval), start + interval / 2, 0.9));
    }

    #[test]
    fn a_resolve_in_between_does_not_put_off_the_refresh() {
        let start = Instant::now();
        let interval = Some(600 * SECOND);
        let mut memory = ResourceMemory::default();
        let mut answered = |now| {
            memory.is_refresh_due(interval, now, 1.0);
            let when = (now, Timestamp::UNIX_EPOCH);
            memory.resolved(
                &[],
                &Resolutions::new(),
                Trigger::default(),
                interval,
                when,
                1.0,
            );
            memory.refresh_at.unwrap() - start
        };
        assert_eq!(answered(start), 600 * SECOND);
        assert_eq!(answered(start + 300 * SECOND), 600 * SECOND);
        assert_eq!(answered(start + 700 * SECOND), 1300 * SECOND);
    }

    #[test]
    fn pull_secrets_are_read_after_a_restart_and_every_five_minutes() {
        let now = Instant::now();
        let mut memory = ResourceMemory::default();
        assert_eq!(memory.secrets_due_at(now), now);
        memory.secrets_read_at = Some(now);
        assert_eq!(memory.secrets_due_at(now), now + LAST_DELAY);
    }

    #[test]
    fn a_refresh_with_nothing_to_resolve_is_done() {
        let start = Instant::now();
        let interval = 600 * SECOND;
        let mut memory = ResourceMemory::default();
        assert!(memory.is_refresh_due(Some(interval), start, 0.0));
        memory.refreshed(Some(interval), start);
        assert_eq!(memory.resolve_due_at(), Some(start + interval));
    }

    #[test]
    fn a_failed_resolve_stands_until_the_resource_or_the_request_changes() {
        let start = Instant::now();
        let reference = Reference::parse("redis:7").unwrap();
        let failure = resolver::Failure::InvalidReference { host: "x".into() };
        let error = ResolveError::new(reference.clone(), None, failure);
        let questions = [(Component::Redis, &reference)];
        let answers: Resolutions = [(Component::Redis, Err(Arc::new(error)))].into();
        let trigger = |generation, requested: Option<&str>| Trigger {
            generation: Some(generation),
            requested: requested.map(str::to_owned),
        };
        let mut memory = ResourceMemory::default();
        let when = (start, Timestamp::UNIX_EPOCH);
        memory.resolved(&questions, &answers, trigger(1, None), None, when, 1.0);
        let is_pending = |trigger| {
            memory
                .pending_failure(&questions, &trigger, start)
                .is_some()
        };
        assert!(is_pending(trigger(1, None)));
        assert!(!is_pending(trigger(2, None)));
        assert!(!is_pending(trigger(1, Some("now"))));
    }

    #[test]
    fn without_an_interval_no_refresh_is_due() {
        let mut memory = ResourceMemory::default();
        assert!(!memory.is_refresh_due(None, Instant::now(), 0.0));
    }
}
