//! The telling part of a reconcile: the status, when it changed and not too often, and what is remembered by it.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, info, info_span, warn};

use crate::api::crd_check;
use crate::api::{DockerCoins, DockerCoinsStatus};
use crate::dockercoins::error::Error;
use crate::dockercoins::events::{self, News};
use crate::dockercoins::images;
use crate::dockercoins::memory::{Memory, Told};
use crate::dockercoins::status::{self, Outcome};
use crate::runtime::worker_pool::Turn;
use crate::telemetry::traces;

use super::{Case, Context, UNTIL_ALLOWED, chance};

/// While nothing but numbers of pods changes, status is written at most this often.
const STATUS_PACE: Duration = Duration::from_secs(1);

impl Case<'_> {
    /// Stores new digests before anything runs by them: a restart must find what it may have rolled out.
    pub(super) async fn store_pins(&mut self, outcome: &mut Outcome) -> Result<(), Error> {
        let Some(images) = &outcome.images else {
            return Ok(());
        };
        let Some(set) = &images.set else {
            return Ok(());
        };
        self.try_to_remember().await?;
        let is_stored = images.iter().all(|(component, image)| {
            let memory = images::stored_component(&self.before, component);
            memory.is_some_and(|memory| {
                let pin = image.pin.as_ref();
                let digest = pin.map(|pin| pin.resolution.digest.to_string());
                memory.pinned == set[component] && memory.digest == digest
            })
        });
        if is_stored {
            return Ok(());
        }
        self.see(outcome);
        outcome.is_ahead = true;
        let status = self.status_of(outcome);
        outcome.is_ahead = false;
        let why = "the images' digests must be stored before they run";
        self.write_status(status, why).await?;
        self.remembers()
    }

    /// Sees, from time to time, whether a CRD that drops what must be remembered has been upgraded: by writing once
    /// more what is told, which changes nothing where it has not.
    async fn try_to_remember(&mut self) -> Result<(), Error> {
        let Some(forgotten) = &self.memory.forgotten else {
            return Ok(());
        };
        if Instant::now() < forgotten.until {
            self.wakes.push(forgotten.until);
        } else {
            let why = "the CRD may keep by now what it dropped";
            self.write_status(self.before.clone(), why).await?;
        }
        self.remembers()
    }

    /// Whether what was written last is remembered.
    fn remembers(&self) -> Result<(), Error> {
        match &self.memory.forgotten {
            None => Ok(()),
            Some(forgotten) => Err(Error::Forgotten {
                fields: forgotten.fields.clone(),
            }),
        }
    }

    fn status_of(&self, outcome: &Outcome) -> DockerCoinsStatus {
        status::status(
            self.coins.metadata.generation,
            &self.before,
            outcome,
            Timestamp::now(),
        )
    }

    /// Writes the status if it changed. Gives how long to wait where it is too early to write it.
    pub(super) async fn tell(&mut self, outcome: &Outcome) -> Result<Option<Duration>, Error> {
        let status = self.status_of(outcome);
        if status == self.before {
            return Ok(None);
        }
        if is_mere_progress(&self.before, &status)
            && let Some(at) = self.memory.told_at
            && let Some(wait) = STATUS_PACE.checked_sub(at.elapsed())
            && !wait.is_zero()
        {
            return Ok(Some(wait));
        }
        self.write_status(status, "what is told has changed")
            .await?;
        Ok(None)
    }

    async fn write_status(&mut self, status: DockerCoinsStatus, why: &str) -> Result<(), Error> {
        let cluster = &self.context.cluster;
        let written = cluster.write_status(&self.reference, &status, why);
        let (version, dropped) = written.instrument(info_span!("status")).await?;
        let needed: Vec<&str> = dropped
            .iter()
            .map(String::as_str)
            .filter(|field| crd_check::is_memory(field))
            .collect();
        self.memory
            .forgets(needed.join(", "), Instant::now(), chance());
        self.reference.resource_version = version.clone();
        self.before = status.clone();
        self.memory.told = Some(Told {
            version,
            status,
            is_whole: dropped.is_empty(),
        });
        self.memory.told_at = Some(Instant::now());
        Ok(())
    }

    /// Tells people what is new. Of a status that is written twice in one reconcile, only what came of it: a failure
    /// that stays is no news, though new digests were stored in between.
    pub(super) async fn publish(&mut self) {
        if self.memory.forgotten.is_none() {
            let pins = events::of_pins(&self.started_with, &self.before);
            self.news.extend(pins);
        }
        let changes = events::of_status(&self.started_with, &self.before);
        self.news.extend(changes);
        for news in std::mem::take(&mut self.news) {
            match news.warning {
                true => warn!(reason = %news.reason, "{}", news.note),
                false => info!(reason = %news.reason, "{}", news.note),
            }
            self.context.cluster.publish(&self.reference, &news).await;
        }
    }
}

/// Says of a resource that its objects can't be seen, and why not. None of them is touched.
pub(super) async fn unseen(
    coins: &DockerCoins,
    memory: &mut Memory,
    context: &Context,
    turn: Turn<'_>,
    why: Error,
) -> Result<Action, Error> {
    traces::failed(&Span::current(), why.reason());
    let mut case = Case::new(coins, memory, context, turn);
    let generation = coins.metadata.generation;
    let status = status::unseen(generation, &case.before, why, Timestamp::now());
    if status != case.before {
        case.write_status(status, "its objects can't be seen")
            .await?;
        case.publish().await;
    }
    Ok(Action::requeue(UNTIL_ALLOWED))
}

/// Says of a resource that can't be read that it can't, once for each state of it.
pub(super) async fn unreadable(
    generation: Option<i64>,
    reference: &ObjectReference,
    error: Error,
    memory: &mut Memory,
    context: &Context,
) -> Result<Action, Error> {
    let text = error.to_string();
    let unreadable = Some((generation, text.clone()));
    if memory.unreadable == unreadable {
        return Ok(Action::await_change());
    }
    warn!("{text}");
    let cluster = &context.cluster;
    let (observed, before) = cluster.conditions(reference).await?;
    let conditions = status::unreadable(generation, &before, &error, Timestamp::now());
    if (observed, &before) != (generation, &conditions) {
        cluster
            .write_conditions(reference, generation, &conditions)
            .await?;
    }
    let is_told =
        |told: &Condition| told.type_ == "Stalled" && told.message == conditions[2].message;
    if !before.iter().any(is_told) {
        let news = News {
            warning: true,
            reason: error.reason().to_owned(),
            action: "Read",
            note: text,
        };
        cluster.publish(reference, &news).await;
    }
    memory.unreadable = unreadable;
    Ok(Action::await_change())
}

/// Whether two statuses differ in how far things are, and in nothing that anyone waits for.
fn is_mere_progress(before: &DockerCoinsStatus, after: &DockerCoinsStatus) -> bool {
    let gist = |status: &DockerCoinsStatus| {
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .map(|condition| {
                (
                    condition.type_.clone(),
                    condition.status.clone(),
                    condition.reason.clone(),
                )
            })
            .collect();
        (status.observed_generation, conditions)
    };
    gist(before) == gist(after)
}
