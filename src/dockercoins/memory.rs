//! What the operator keeps in mind of a resource between reconciles, and may forget.
//!
//! Only timing: when to ask again, what was just written, who fights a heal. What must outlive the process is
//! in the resource's status.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use resolver::{Reference, ResolveError};
use tokio::time::Instant;

use crate::api::DockerCoinsStatus;
use crate::dockercoins::component::Component;
use crate::dockercoins::error::Error;
use crate::dockercoins::images::Answers;
use crate::runtime::backoff::{LAST_RETRY, backoff};

/// How long it takes at most until it is seen that a CRD has been upgraded, which wakes no one.
const UNTIL_UPGRADED: Duration = Duration::from_secs(60);
/// How many heals of one object go unanswered before they slow down.
const PATIENCE: u32 = 5;
/// The time after which a heal is no longer counted as part of a fight.
const PEACE: Duration = Duration::from_secs(600);

/// What is kept in mind of one resource.
#[derive(Debug, Default)]
pub struct Memory {
    /// How often in a row the API server has refused something.
    pub failures: u32,
    /// What the registries said last, while that stands in the way of something.
    pub refusal: Option<Refusal>,
    /// What is to be known of the pull secrets, from when they were last read.
    pub notes: Option<Vec<String>>,
    /// When that was.
    pub secrets_read_at: Option<Instant>,
    /// When pinned tags are asked for again.
    pub refresh_at: Option<Instant>,
    /// The status that was last written, until the watch has brought it.
    pub told: Option<Told>,
    /// When that was.
    pub told_at: Option<Instant>,
    /// What was dropped of it that nothing may be rolled out without.
    pub forgotten: Option<Forgotten>,
    /// What was last said of a resource that can't be read, and of which generation.
    pub unreadable: Option<(Option<i64>, String)>,
    /// Whether the resource was seen while another led, and not looked at since.
    pub is_of_standby: bool,
    /// The objects that have been seen to be the resource's, or were written, by their titles.
    pub ours: BTreeSet<String>,
    heals: HashMap<String, Heals>,
    rejections: HashMap<String, Rejection>,
}

/// Answers without digests, and when they are asked for again.
#[derive(Debug)]
pub struct Refusal {
    /// What was asked.
    questions: Vec<(Component, Reference)>,
    /// What was answered.
    answers: BTreeMap<Component, Arc<ResolveError>>,
    /// On what occasion.
    occasion: Occasion,
    /// Until when the registries are left alone.
    until: Instant,
    /// The same by the clock, for people.
    until_time: Timestamp,
    failures: u32,
}

/// On what occasion registries are asked: what the resource says, and what was requested by annotation. Whoever
/// changes either is answered at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occasion {
    /// The resource's generation.
    pub generation: Option<i64>,
    /// What was requested, unless it is done.
    pub requested: Option<String>,
}

/// A write that the API server refused.
#[derive(Debug)]
struct Rejection {
    /// The stamp of what was to be written: something else is tried at once.
    stamp: Option<String>,
    error: Error,
    until: Instant,
    failures: u32,
}

/// A status that was written.
#[derive(Debug)]
pub struct Told {
    /// The resource's version after it.
    pub version: Option<String>,
    /// What was written.
    pub status: DockerCoinsStatus,
    /// Whether all of it was stored: a CRD that is older than the operator drops what it doesn't know.
    pub is_whole: bool,
}

/// What the cluster's CRD dropped of a status though it must be remembered.
#[derive(Debug)]
pub struct Forgotten {
    /// The fields, such as `status.components[].digest`.
    pub fields: String,
    /// Until when that is not tried again.
    pub until: Instant,
    failures: u32,
}

#[derive(Debug)]
struct Heals {
    count: u32,
    last: Instant,
}

impl Memory {
    /// What is in mind of a resource that was seen while another led: nothing, and that it may have changed.
    pub fn of_standby() -> Self {
        Self {
            is_of_standby: true,
            ..Self::default()
        }
    }

    /// Whether it is time to ask again for tags that are pinned.
    ///
    /// After a restart no one knows when they were last asked for: the next time falls at random within one
    /// interval, so that many resources don't ask at once. `chance` is from 0 to 1.
    pub fn is_refresh_due(
        &mut self,
        interval: Option<Duration>,
        now: Instant,
        chance: f64,
    ) -> bool {
        let Some(interval) = interval else {
            self.refresh_at = None;
            return false;
        };
        let at = *self
            .refresh_at
            .get_or_insert_with(|| now + interval.mul_f64(chance));
        // The interval may have been shortened since.
        self.refresh_at = Some(at.min(now + interval));
        now >= at
    }

    /// What the registries said to the same questions, if they are not to be asked again yet.
    pub fn standing_refusal(
        &self,
        questions: &[(Component, &Reference)],
        occasion: &Occasion,
        now: Instant,
    ) -> Option<Answers> {
        let refusal = self.refusal.as_ref()?;
        let is_same = refusal.occasion == *occasion
            && questions.len() <= refusal.questions.len()
            && questions.iter().all(|(component, reference)| {
                refusal
                    .questions
                    .iter()
                    .any(|(c, r)| c == component && r == *reference)
            });
        (is_same && now < refusal.until).then(|| {
            refusal
                .answers
                .iter()
                .map(|(component, error)| (*component, Err(Arc::clone(error))))
                .collect()
        })
    }

    /// When the pull secrets are read again though no registry is asked, to see whether what was told of them has
    /// been mended: at once after a restart.
    pub fn reads_secrets_at(&self, now: Instant) -> Instant {
        self.secrets_read_at.map_or(now, |at| at + LAST_RETRY)
    }

    /// How old an answer may be that someone else was given. A question that comes again and again may be answered
    /// by one a tenth of its interval old; one that failed, by any since it was to be asked again; and one that is
    /// new by any since the resource was seen to say so (`sight`).
    pub fn takes_answers_since(
        &self,
        sight: Instant,
        is_due: bool,
        interval: Option<Duration>,
        now: Instant,
    ) -> Instant {
        let again = self.refusal.as_ref().map(|refusal| refusal.until.min(now));
        let refresh = interval
            .filter(|_| is_due)
            .map(|i| now.checked_sub(i / 10).unwrap_or(now));
        [again, refresh]
            .into_iter()
            .flatten()
            .fold(sight, Instant::max)
    }

    /// The time at which the registries are asked again for what they gave no digest of.
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.refusal.as_ref().map(|refusal| refusal.until_time)
    }

    /// When registries are to be asked again, without anything having changed.
    pub fn asks_again_at(&self) -> Option<Instant> {
        match &self.refusal {
            Some(refusal) => Some(refusal.until),
            None => self.refresh_at,
        }
    }

    /// Takes note that what was due has been asked for, if anything had to be. A question in between, for one new
    /// tag, doesn't put off the others.
    pub fn refreshed(&mut self, interval: Option<Duration>, now: Instant) {
        if self.refresh_at.is_none_or(|at| at <= now) {
            self.refresh_at = interval.map(|interval| now + interval);
        }
    }

    /// Has what was asked for asked again: it could not be stored.
    pub fn ask_again(&mut self, now: Instant) {
        self.refresh_at = self.refresh_at.map(|_| now);
    }

    /// Keeps what registries answered: how long they are left alone if one gave no digest, and when they are
    /// asked again if all did.
    pub fn keep_answers(
        &mut self,
        questions: &[(Component, &Reference)],
        answers: &Answers,
        occasion: Occasion,
        interval: Option<Duration>,
        (now, clock): (Instant, Timestamp),
        chance: f64,
    ) {
        let failed: BTreeMap<_, _> = answers
            .iter()
            .filter_map(|(component, answer)| {
                Some((*component, Arc::clone(answer.as_ref().err()?)))
            })
            .collect();
        if failed.is_empty() {
            self.refusal = None;
            self.refreshed(interval, now);
            return;
        }
        let before = self
            .refusal
            .take()
            .filter(|refusal| refusal.occasion == occasion);
        let failures = before.map_or(0, |refusal| refusal.failures) + 1;
        let asked_for = failed
            .values()
            .filter_map(|error| error.retry_after())
            .max()
            .unwrap_or_default();
        let wait = backoff(failures, chance).max(asked_for);
        self.refusal = Some(Refusal {
            questions: questions
                .iter()
                .map(|(component, reference)| (*component, (*reference).clone()))
                .collect(),
            answers: failed,
            occasion,
            until: now + wait,
            until_time: clock.saturating_add(wait).unwrap_or(clock),
            failures,
        });
    }

    /// What the API server said when this was last to be written to the object, and until when it isn't asked
    /// again. Every wake would ask it otherwise, and its answer, where the text varies, be the next wake.
    pub fn standing_rejection(
        &self,
        object: &str,
        stamp: Option<&String>,
        now: Instant,
    ) -> Option<(Error, Instant)> {
        let rejection = self.rejections.get(object)?;
        let stands = rejection.stamp.as_ref() == stamp && now < rejection.until;
        stands.then(|| (rejection.error.clone(), rejection.until))
    }

    /// Keeps which fields of a status were dropped that must be remembered, none of them if all is well. `chance` is
    /// from 0 to 1.
    pub fn forgets(&mut self, fields: String, now: Instant, chance: f64) {
        let before = self.forgotten.take();
        self.forgotten = (!fields.is_empty()).then(|| match before {
            Some(before) if now < before.until => Forgotten { fields, ..before },
            before => {
                let failures = before.map_or(0, |before| before.failures) + 1;
                let until = now + backoff(failures, chance).min(UNTIL_UPGRADED);
                Forgotten {
                    fields,
                    until,
                    failures,
                }
            }
        });
    }

    /// Keeps that the API server refused a write.
    pub fn rejected(
        &mut self,
        object: &str,
        stamp: Option<String>,
        error: Error,
        now: Instant,
        chance: f64,
    ) {
        let before = self
            .rejections
            .remove(object)
            .filter(|before| before.stamp == stamp);
        let failures = before.map_or(0, |before| before.failures) + 1;
        let until = now + backoff(failures, chance);
        let rejection = Rejection {
            stamp,
            error,
            until,
            failures,
        };
        self.rejections.insert(object.to_owned(), rejection);
    }

    /// Forgets that a write was refused: one has gone through, or none is needed.
    pub fn accepted(&mut self, object: &str) {
        self.rejections.remove(object);
    }

    /// Until when a heal of this object must wait, because someone undoes every one; `None` if it may go
    /// ahead. `chance` is from 0 to 1.
    pub fn heal_waits_until(&mut self, object: &str, now: Instant, chance: f64) -> Option<Instant> {
        self.heals
            .retain(|_, heals| now.duration_since(heals.last) < PEACE);
        let heals = self.heals.get(object)?;
        let beyond = heals.count.checked_sub(PATIENCE)?;
        let until = heals.last + backoff(beyond + 1, chance.max(0.5));
        (now < until).then_some(until)
    }

    /// Counts a heal of this object. One that the API server refused is none.
    pub fn healed(&mut self, object: &str, now: Instant) {
        let heals = self.heals.entry(object.to_owned()).or_insert(Heals {
            count: 0,
            last: now,
        });
        heals.count += 1;
        heals.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_slows_the_heals_down_and_peace_forgets_it() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut memory = Memory::default();
        for _ in 0..PATIENCE {
            assert_eq!(memory.heal_waits_until("Deployment rng", start, 1.0), None);
            memory.healed("Deployment rng", start);
        }
        let mut at = |object: &str, now| memory.heal_waits_until(object, now, 1.0);
        assert_eq!(at("Deployment rng", start), Some(start + second));
        assert_eq!(at("Deployment rng", start + second), None);
        assert_eq!(
            at("Service rng", start),
            None,
            "another object is not in that fight"
        );
        memory.healed("Deployment rng", start + second);
        let mut at = |object: &str, now| memory.heal_waits_until(object, now, 1.0);
        assert_eq!(
            at("Deployment rng", start + second),
            Some(start + 3 * second)
        );
        assert_eq!(at("Deployment rng", start + second + PEACE), None);
        memory.healed("Deployment rng", start + second + PEACE);
        let again = memory.heal_waits_until("Deployment rng", start + second + PEACE, 1.0);
        assert_eq!(again, None);
    }

    #[test]
    fn what_a_crd_drops_is_tried_again_ever_more_slowly_up_to_a_minute_until_it_is_kept() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..8 {
            memory.forgets("status.components".into(), now, 1.0);
            // Another write before that is no try.
            memory.forgets("status.components".into(), now, 1.0);
            let until = memory.forgotten.as_ref().unwrap().until;
            waits.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        memory.forgets(String::new(), now, 1.0);
        assert!(memory.forgotten.is_none());
    }

    #[test]
    fn a_refused_write_waits_ever_longer_and_another_is_tried_at_once() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let (what, message) = ("to apply Service rng".into(), "no".into());
        let error = Error::Rejected { what, message };
        let stamp = Some("one".to_owned());
        let mut memory = Memory::default();
        memory.rejected("Service rng", stamp.clone(), error.clone(), start, 1.0);
        let until = |memory: &Memory, stamp: &str, now| {
            let standing = memory.standing_rejection("Service rng", Some(&stamp.to_owned()), now);
            standing.map(|(_, until)| until)
        };
        assert_eq!(until(&memory, "one", start), Some(start + second));
        assert_eq!(until(&memory, "another", start), None);
        assert_eq!(until(&memory, "one", start + second), None);
        memory.rejected("Service rng", stamp, error, start + second, 1.0);
        assert_eq!(
            until(&memory, "one", start + second),
            Some(start + 3 * second)
        );
        memory.accepted("Service rng");
        assert_eq!(until(&memory, "one", start + second), None);
    }

    #[test]
    fn after_a_restart_the_first_refresh_falls_within_one_interval() {
        let start = Instant::now();
        let interval = Duration::from_secs(600);
        let mut memory = Memory::default();
        assert!(!memory.is_refresh_due(Some(interval), start, 0.5));
        assert_eq!(memory.refresh_at, Some(start + interval / 2));
        assert!(memory.is_refresh_due(Some(interval), start + interval / 2, 0.9));
    }

    #[test]
    fn a_question_in_between_does_not_put_the_refresh_off() {
        let start = Instant::now();
        let interval = Some(Duration::from_secs(600));
        let mut memory = Memory::default();
        let mut answered = |now| {
            memory.is_refresh_due(interval, now, 1.0);
            let when = (now, Timestamp::UNIX_EPOCH);
            let occasion = Occasion::default();
            memory.keep_answers(&[], &Answers::new(), occasion, interval, when, 1.0);
            memory.refresh_at.unwrap() - start
        };
        let second = Duration::from_secs(1);
        assert_eq!(answered(start), 600 * second);
        assert_eq!(answered(start + 300 * second), 600 * second);
        assert_eq!(answered(start + 700 * second), 1300 * second);
    }

    #[test]
    fn pull_secrets_are_read_again_at_once_after_a_restart_and_then_every_five_minutes() {
        let now = Instant::now();
        let mut memory = Memory::default();
        assert_eq!(memory.reads_secrets_at(now), now);
        memory.secrets_read_at = Some(now);
        assert_eq!(memory.reads_secrets_at(now), now + LAST_RETRY);
    }

    #[test]
    fn with_nothing_to_ask_for_a_due_refresh_is_over() {
        let start = Instant::now();
        let interval = Duration::from_secs(600);
        let mut memory = Memory::default();
        assert!(memory.is_refresh_due(Some(interval), start, 0.0));
        memory.refreshed(Some(interval), start);
        assert_eq!(memory.asks_again_at(), Some(start + interval));
    }

    #[test]
    fn a_refusal_stands_until_the_resource_changes_or_someone_requests_it() {
        let start = Instant::now();
        let reference = Reference::parse("redis:7").unwrap();
        let failure = resolver::Failure::InvalidReference { host: "x".into() };
        let error = ResolveError::new(reference.clone(), None, failure);
        let questions = [(Component::Redis, &reference)];
        let answers: Answers = [(Component::Redis, Err(Arc::new(error)))].into();
        let occasion = |generation, requested: Option<&str>| Occasion {
            generation: Some(generation),
            requested: requested.map(str::to_owned),
        };
        let mut memory = Memory::default();
        let when = (start, Timestamp::UNIX_EPOCH);
        memory.keep_answers(&questions, &answers, occasion(1, None), None, when, 1.0);
        let stands = |occasion| {
            memory
                .standing_refusal(&questions, &occasion, start)
                .is_some()
        };
        assert!(stands(occasion(1, None)));
        assert!(!stands(occasion(2, None)));
        assert!(!stands(occasion(1, Some("now"))));
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        assert!(!Memory::default().is_refresh_due(None, Instant::now(), 0.0));
    }
}
