//! The status step: written when it changed, not too often, and remembered.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, info_span, warn};

use super::{Context, Run, random};
use crate::api::{DockerCoins, DockerCoinsStatus, crd_check};
use crate::dockercoins::cluster::StoredStatus;
use crate::dockercoins::error::Error;
use crate::dockercoins::events;
use crate::dockercoins::images::{self, ImageSet, Images};
use crate::dockercoins::memory::{LastWrittenStatus, ResourceMemory};
use crate::dockercoins::status::{self, Outcome};
use crate::runtime::error::ApiError;
use crate::runtime::event::Event;
use crate::runtime::worker_pool::Permit;
use crate::telemetry::traces;

/// While only numbers of pods change, the status is written at most this often.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Stores new digests before anything runs by them: a restart must find what was rolled out.
    pub(super) async fn store_pins(&mut self, outcome: &mut Outcome) -> Result<(), Error> {
        let Some(images) = &outcome.images else {
            return Ok(());
        };
        let Some(set) = &images.set else {
            return Ok(());
        };
        let is_stored = self.are_pins_stored(images, set);
        self.retry_outdated_crd().await?;
        if is_stored {
            return Ok(());
        }
        self.observe_children(outcome);
        outcome.before_rollout = true;
        let status = self.status_of(outcome);
        outcome.before_rollout = false;
        let why = "the digests must be stored before they run";
        self.write_status(status, why).await?;
        self.check_crd()
    }

    fn are_pins_stored(&self, images: &Images, set: &ImageSet) -> bool {
        images.iter().all(|(component, image)| {
            let pin = image.pin.as_ref();
            let digest = pin.map(|pin| pin.resolution.digest.to_string());
            images::stored_component(&self.status, component)
                .is_some_and(|stored| stored.pinned == set[component] && stored.digest == digest)
        })
    }

    /// Writes the status once more from time to time, to see whether a CRD that dropped fields was upgraded.
    async fn retry_outdated_crd(&mut self) -> Result<(), Error> {
        let Some(outdated) = &self.memory.outdated_crd else {
            return Ok(());
        };
        if outdated.retry.is_pending(Instant::now()) {
            self.requeue.at(outdated.retry.until);
        } else {
            let why = "an upgraded CRD may keep what the last one dropped";
            self.write_status(self.status.clone(), why).await?;
        }
        self.check_crd()
    }

    fn check_crd(&self) -> Result<(), Error> {
        match &self.memory.outdated_crd {
            None => Ok(()),
            Some(outdated) => Err(Error::OutdatedCrd {
                fields: outdated.fields.clone(),
            }),
        }
    }

    fn status_of(&self, outcome: &Outcome) -> DockerCoinsStatus {
        let generation = self.coins.metadata.generation;
        status::status(generation, &self.status, outcome, Timestamp::now())
    }

    /// Writes the status if it changed and it is time to.
    pub(super) async fn report(&mut self, outcome: &Outcome) -> Result<(), Error> {
        let status = self.status_of(outcome);
        if status == self.status {
            return Ok(());
        }
        if let Some(due) = self
            .status_due_at(&status)
            .filter(|due| Instant::now() < *due)
        {
            self.requeue.at(due);
            return Ok(());
        }
        self.write_status(status, "the status changed").await
    }

    /// When a new status may be written, if it must wait.
    fn status_due_at(&self, status: &DockerCoinsStatus) -> Option<Instant> {
        if status.observed_generation != self.status.observed_generation {
            return None;
        }
        let last = self.memory.last_status.as_ref().map(|last| last.at);
        let interval = last
            .filter(|_| is_mere_progress(&self.status, status))
            .map(|last| last + STATUS_INTERVAL);
        interval.max(self.memory.overwrites.until)
    }

    async fn write_status(&mut self, status: DockerCoinsStatus, why: &str) -> Result<(), Error> {
        let cluster = &self.context.cluster;
        let written = cluster.write_status(&self.reference, &status, why);
        let StoredStatus {
            version,
            dropped,
            hash,
        } = written.instrument(info_span!("status")).await?;
        let needed: Vec<&str> = dropped
            .iter()
            .map(String::as_str)
            .filter(|field| crd_check::is_memory(field))
            .collect();
        self.memory
            .dropped(needed.join(", "), Instant::now(), random());
        self.reference.resource_version = version.clone();
        self.status = status.clone();
        self.memory.last_status = Some(LastWrittenStatus {
            version,
            status: Some(status),
            stored: hash,
            is_whole: dropped.is_empty(),
            at: Instant::now(),
        });
        Ok(())
    }

    /// Publishes the events. Of a status that is written twice in one reconcile, only the last counts: a failure that
    /// stays is no news, although new digests were stored in between.
    pub(super) async fn publish(&mut self) {
        if self.memory.outdated_crd.is_none() {
            let pins = events::of_pins(&self.initial_status, &self.status);
            self.events.extend(pins);
        }
        let changes = events::of_status(&self.initial_status, &self.status);
        self.events.extend(changes);
        for event in std::mem::take(&mut self.events) {
            self.context
                .cluster
                .api
                .publish(&self.reference, &event)
                .await;
        }
    }
}

/// Reports that the objects of a resource cannot be watched, and touches none of them.
pub(super) async fn report_unseen(
    coins: &DockerCoins,
    memory: &mut ResourceMemory,
    context: &Context,
    permit: Permit<'_>,
    why: Error,
) -> Result<Action, Error> {
    traces::failed(&Span::current(), why.reason().name);
    let mut run = Run::new(coins, memory, context, permit);
    let generation = coins.metadata.generation;
    run.retries(&why);
    let status = status::unseen(generation, &run.status, why, Timestamp::now());
    if status != run.status {
        run.write_status(status, "its objects cannot be watched")
            .await?;
        run.publish().await;
    }
    Ok(run.finish())
}

/// Reports that a resource cannot be read, once for each generation.
pub(super) async fn report_undecodable(
    generation: Option<i64>,
    reference: &ObjectReference,
    error: Error,
    memory: &mut ResourceMemory,
    context: &Context,
) -> Result<Action, Error> {
    if memory.undecodable == Some(generation) {
        return Ok(Action::await_change());
    }
    let cluster = &context.cluster;
    let (observed, before) = cluster.conditions(reference).await?;
    let conditions = status::unreadable(generation, &before, &error, Timestamp::now());
    if (observed, &before) != (generation, &conditions) {
        cluster
            .write_conditions(reference, generation, &conditions)
            .await?;
    }
    let is_reported = |condition: &Condition| {
        condition.type_ == "Stalled"
            && condition.reason == error.reason().name
            && condition.observed_generation == generation
    };
    if before.iter().any(is_reported) {
        warn!("{error}");
    } else {
        let event = Event {
            is_warning: true,
            reason: error.reason().name,
            action: "Read",
            note: error.to_string().into(),
        };
        cluster.api.publish(reference, &event).await;
    }
    memory.undecodable = Some(generation);
    Ok(Action::await_change())
}

/// Whether a conflict with another write of the resource, which the watch brings, is all that failed.
pub(super) fn is_outdated(error: &Error) -> bool {
    matches!(
        error,
        Error::Outdated | Error::Api(ApiError::Conflict { .. })
    )
}

/// Whether two statuses differ in numbers alone, and in no condition.
fn is_mere_progress(before: &DockerCoinsStatus, after: &DockerCoinsStatus) -> bool {
    let conditions = |status: &DockerCoinsStatus| -> Vec<[String; 3]> {
        let conditions = status.conditions.iter();
        conditions
            .map(|it| [it.type_.clone(), it.status.clone(), it.reason.clone()])
            .collect()
    };
    conditions(before) == conditions(after)
}
