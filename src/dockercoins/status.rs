//! From the outcome of a reconcile, whatever it was, to the resource's status. Pure.
//!
//! The conditions follow kstatus, so that `kubectl wait`, Helm and Flux understand them. `Ready` and `ImagesResolved` are
//! always present, `Reconciling` and `Stalled` only while they are True. A failure that only a person can end is Stalled;
//! one that is retried is Reconciling.

mod pods;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::api::DockerCoinsStatus;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::ImageSource;
use crate::dockercoins::error::Error;
use crate::dockercoins::images::{ComponentImage, Images};
use crate::dockercoins::observed::{ClaimState, DeploymentState};
use crate::dockercoins::rollout::Rollout;
use crate::runtime::message::{Message, TEXT_MAX, truncate};
use crate::runtime::object_key::ObjectKey;
use crate::runtime::observe::Drift;
use pods::{component_rollout, component_status};

/// The message of `ImagesResolved` without warnings.
const RESOLVED: &str = "every image that is to be pinned is pinned to a digest";

/// The most warnings in a status; the CRD's bound.
const WARNINGS_MAX: usize = 32;

/// How a reconcile ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The images; `None` if the reconcile failed before it knew them.
    pub images: Option<Images>,
    /// What failed, the most telling first.
    pub faults: Vec<Error>,
    /// What stops nothing and should be known, such as a missing pull secret; `None` if nothing was read, so that the
    /// status keeps its warnings.
    pub warnings: Option<Vec<String>>,
    /// Our Deployments as last seen.
    pub deployments: BTreeMap<Component, DeploymentState>,
    /// When the registries are asked again for what they gave no digest of.
    pub next_attempt: Option<Timestamp>,
    /// The request by annotation that is done: every tag was resolved again.
    pub handled_request: Option<String>,
    /// Whether nothing is written yet: new digests are stored before they run, and until then the Deployments have
    /// rolled out an older spec.
    pub before_rollout: bool,
    /// The objects that differ from the spec and stay so, because the resource is suspended; `None` if it is not.
    pub pending_changes: Option<Vec<ObjectKey>>,
    /// The address of an external Redis.
    pub external_redis: Option<String>,
    /// The claim of the volume for the coins, if one is asked for.
    pub claim: Option<ClaimState>,
    /// What the Gateway says about the web page's HTTPRoute.
    pub route: Option<Message>,
    /// Fields that admission sets to other values than the operator applies, and that do not decide what runs.
    pub admission: Vec<(ObjectKey, Drift)>,
    /// Whether a kind that the resource asks for is still being listed, so that its objects are unknown.
    pub is_unlisted: bool,
}

impl Outcome {
    /// Whether a component has pods here.
    pub fn has_pods(&self, component: Component) -> bool {
        component != Component::Redis || self.external_redis.is_none()
    }
}

/// The status for this outcome.
///
/// `before` is the last status: fields that the outcome does not know stay, and a condition that does not change keeps its
/// time.
pub fn status(
    generation: Option<i64>,
    before: &DockerCoinsStatus,
    outcome: &Outcome,
    now: Timestamp,
) -> DockerCoinsStatus {
    let (ready, progress) = ready(outcome);
    let mut conditions = vec![ready, images_resolved(before, outcome)];
    conditions.extend(progress);
    let worker = outcome.deployments.get(&Component::Worker);
    DockerCoinsStatus {
        observed_generation: generation,
        last_handled_requested_at: outcome
            .handled_request
            .clone()
            .or_else(|| before.last_handled_requested_at.clone()),
        conditions: conditions
            .into_iter()
            .map(|draft| draft.at(generation, &before.conditions, now))
            .collect(),
        components: Component::ALL
            .into_iter()
            .map(|c| component_status(c, before, outcome))
            .collect(),
        warnings: bounded(warnings(before, outcome)),
        replicas: Some(worker.map_or(0, |worker| worker.pods)),
        selector: Some(format!("app={}", Component::Worker)),
    }
}

/// The warnings as the CRD takes them.
fn bounded(warnings: Vec<String>) -> Vec<String> {
    let warnings = warnings.into_iter().take(WARNINGS_MAX);
    warnings
        .map(|warning| truncate(&warning, TEXT_MAX))
        .collect()
}

/// The conditions of a resource that cannot be decoded. The rest of its stored status stays.
pub fn unreadable(
    generation: Option<i64>,
    before: &[Condition],
    error: &Error,
    now: Timestamp,
) -> Vec<Condition> {
    let message = error.to_string();
    [
        ConditionDraft::new("Ready", "False", error.reason().name, message.clone()),
        ConditionDraft::new(
            "ImagesResolved",
            "Unknown",
            error.reason().name,
            "the resource can't be read".into(),
        ),
        ConditionDraft::new("Stalled", "True", error.reason().name, message),
    ]
    .map(|draft| draft.at(generation, before, now))
    .into()
}

/// The status of a resource whose objects cannot be watched. Only its conditions change.
pub fn unseen(
    generation: Option<i64>,
    before: &DockerCoinsStatus,
    fault: Error,
    now: Timestamp,
) -> DockerCoinsStatus {
    let outcome = Outcome {
        faults: vec![fault],
        ..Outcome::default()
    };
    DockerCoinsStatus {
        observed_generation: generation,
        conditions: status(generation, before, &outcome, now).conditions,
        ..before.clone()
    }
}

/// True if warnings are shown although all images are resolved. Nothing else would re-read the Secrets then.
pub fn has_warnings(status: &DockerCoinsStatus) -> bool {
    let is_resolved = |condition: &Condition| {
        condition.type_ == "ImagesResolved" && condition.reason == "Resolved"
    };
    !status.warnings.is_empty() && status.conditions.iter().any(is_resolved)
}

/// A condition without its times.
struct ConditionDraft {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl ConditionDraft {
    fn new(type_: &'static str, status: &'static str, reason: &str, message: String) -> Self {
        Self {
            type_,
            status,
            reason: reason.to_owned(),
            message: truncate(&message, TEXT_MAX),
        }
    }

    fn at(self, generation: Option<i64>, before: &[Condition], now: Timestamp) -> Condition {
        let since = before
            .iter()
            .find(|condition| condition.type_ == self.type_ && condition.status == self.status)
            .map(|condition| condition.last_transition_time.clone());
        Condition {
            type_: self.type_.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason,
            message: self.message,
            observed_generation: generation,
            last_transition_time: since.unwrap_or(Time(now)),
        }
    }
}

/// `Ready`, and `Reconciling` or `Stalled` if it isn't.
fn ready(outcome: &Outcome) -> (ConditionDraft, Option<ConditionDraft>) {
    let not_ready = |reason: &str, message: String, is_stalled: bool| {
        let type_ = if is_stalled { "Stalled" } else { "Reconciling" };
        (
            ConditionDraft::new("Ready", "False", reason, message.clone()),
            Some(ConditionDraft::new(type_, "True", reason, message)),
        )
    };

    let image_faults: Vec<Error> = match &outcome.images {
        Some(images) if !images.are_complete() => images.failures().collect(),
        _ => Vec::new(),
    };
    let faults: Vec<&Error> = outcome.faults.iter().chain(&image_faults).collect();
    let worst = faults
        .iter()
        .find(|fault| fault.is_stalled())
        .or(faults.first());
    if let Some(worst) = worst {
        let mut draft = vec![joined(faults.iter().copied())];
        if !image_faults.is_empty() {
            draft.push(meanwhile(outcome).to_owned());
        }
        return not_ready(
            worst.reason().name,
            sentences(draft.into_iter()),
            worst.is_stalled(),
        );
    }
    if let Some(pending) = outcome
        .pending_changes
        .as_ref()
        .filter(|changes| !changes.is_empty())
    {
        let mut names: Vec<String> = pending.iter().map(ToString::to_string).collect();
        if outcome
            .images
            .as_ref()
            .is_some_and(|images| !images.are_complete())
        {
            names.push("images that no registry has been asked for".to_owned());
        }
        let message = format!(
            "suspended, and these are not as wanted: {}. Set spec.suspend to false to have them written",
            names.join(", ")
        );
        return (
            ConditionDraft::new("Ready", "False", "Suspended", message),
            None,
        );
    }

    if outcome.before_rollout {
        let message = "new images are about to be rolled out".to_owned();
        return not_ready("RolloutInProgress", message, false);
    }

    let running = Component::ALL.into_iter().filter(|c| outcome.has_pods(*c));
    let rollouts: Vec<_> = running
        .map(|component| (component, component_rollout(component, outcome)))
        .collect();
    let of_kind = |is_kind: fn(&Rollout) -> bool| {
        sentences(rollouts.iter().filter(|(_, rollout)| is_kind(rollout)).map(
            |(component, rollout)| match rollout {
                Rollout::Complete => component.to_string(),
                Rollout::Progressing(why) | Rollout::DeadlineExceeded(why) => {
                    format!("{component}: {why}")
                }
            },
        ))
    };
    let stuck = of_kind(|rollout| matches!(rollout, Rollout::DeadlineExceeded(_)));
    if !stuck.is_empty() {
        let whose: Vec<&str> = rollouts
            .iter()
            .filter(|(_, rollout)| matches!(rollout, Rollout::DeadlineExceeded(_)))
            .map(|(component, _)| component.name())
            .collect();
        let which = match whose.as_slice() {
            [one] => format!("app={one}"),
            some => format!("'app in ({})'", some.join(",")),
        };
        let message = format!(
            "{stuck}. That has not changed for longer than the progress deadline: `kubectl describe pods -l {which}` tells why"
        );
        return not_ready("ProgressDeadlineExceeded", message, true);
    }
    let moving = of_kind(|rollout| matches!(rollout, Rollout::Progressing(_)));
    if !moving.is_empty() {
        return not_ready("RolloutInProgress", moving, false);
    }
    let external = outcome.external_redis.as_ref().map(|address| {
        format!("Redis is run by someone else, at {address}: whether it is there, and well, was not looked at")
    });
    let route = outcome.route.as_ref().map(ToString::to_string);
    let admission = outcome.admission.iter().map(|(object, drift)| {
        let path = &drift.path;
        format!("admission sets {path} of {object} to another value than the operator applies")
    });
    let draft = ["every component runs as asked for".to_owned()];
    let draft = draft
        .into_iter()
        .chain(external)
        .chain(route)
        .chain(admission);
    let draft = sentences(draft);
    (ConditionDraft::new("Ready", "True", "Ready", draft), None)
}

fn images_resolved(before: &DockerCoinsStatus, outcome: &Outcome) -> ConditionDraft {
    let draft = |status, reason: &str, message: String| {
        let message = sentences(std::iter::once(message).chain(warnings(before, outcome)));
        ConditionDraft::new("ImagesResolved", status, reason, message)
    };
    let Some(images) = &outcome.images else {
        let reason = outcome
            .faults
            .first()
            .map_or("Outdated", |fault| fault.reason().name);
        let message = match before.components.iter().any(|c| c.pinned.is_some()) {
            true => "the last images run on; what is asked for now is not known",
            false => "it did not come to asking for images",
        };
        return draft("Unknown", reason, message.into());
    };
    let failures: Vec<Error> = images.failures().collect();
    let worst = failures.iter().find(|failure| failure.is_stalled());
    let reason = worst.or(failures.first());
    let reason = reason.map_or("Suspended", |failure| failure.reason().name);
    let failed = joined(&failures);
    if !images.are_complete() {
        if failures.is_empty() {
            let message = "not every image is pinned, and no registry is asked while the resource is suspended";
            return draft("False", "Suspended", message.into());
        }
        let again = next_attempt(outcome);
        return draft(
            "False",
            reason,
            format!("{failed}. {}{again}", meanwhile(outcome)),
        );
    }
    let unpinned: Vec<&str> = images
        .iter()
        .filter(|(_, image)| image.is_unpinned())
        .map(|(component, _)| component.name())
        .collect();
    if !unpinned.is_empty() {
        let message = format!(
            "{} run by tag until they can be pinned: {failed}{}",
            unpinned.join(", "),
            next_attempt(outcome)
        );
        return draft("False", "Unpinned", message);
    }
    if !failures.is_empty() {
        return draft(
            "True",
            "RefreshFailed",
            format!(
                "the last good digests stay, since asking again failed: {failed}{}",
                next_attempt(outcome)
            ),
        );
    }
    let is_pinned = |image: &ComponentImage| match image.source {
        ImageSource::Pinned => true,
        ImageSource::Registry { .. } => false,
    };
    let has_tag = |image: &ComponentImage| image.requested.digest().is_none();
    if images.iter().all(|(_, image)| is_pinned(image))
        && images.iter().any(|(_, image)| has_tag(image))
    {
        let message = "tags are used as written".into();
        return ConditionDraft::new("ImagesResolved", "True", "NotRequired", message);
    }
    draft("True", "Resolved", resolved_as(&platforms_of(images)))
}

/// The warnings of this reconcile, or those of the status where nothing was read.
fn warnings(before: &DockerCoinsStatus, outcome: &Outcome) -> Vec<String> {
    outcome
        .warnings
        .clone()
        .unwrap_or_else(|| before.warnings.clone())
}

/// The message of `ImagesResolved`, with the platforms that images lack.
fn resolved_as(unserved: &[(&'static str, Option<Vec<String>>)]) -> String {
    let mut draft = vec![RESOLVED.to_owned()];
    for (component, platforms) in unserved {
        match platforms.as_deref() {
            Some([]) => {}
            Some(platforms) => draft.push(format!(
                "{component} has no image for {}, as nodes here are: its pods can't start there",
                platforms.join(", ")
            )),
            None => {}
        }
    }
    if unserved.iter().any(|(_, platforms)| platforms.is_none()) {
        draft.push(
            "whether the images are for the nodes' platforms was not checked: the nodes could not be listed, see the operator's log"
                .to_owned(),
        );
    }
    sentences(draft.into_iter())
}

/// The platforms that each image lacks, if its own are known.
fn platforms_of(images: &Images) -> Vec<(&'static str, Option<Vec<String>>)> {
    images
        .iter()
        .filter_map(|(component, image)| Some((component, &image.pin.as_ref()?.resolution)))
        .filter(|(_, answered)| !answered.platforms.is_empty())
        .map(|(component, answered)| (component.name(), answered.missing_platforms.clone()))
        .collect()
}

/// The end of a message that says when the registries are asked again.
fn next_attempt(outcome: &Outcome) -> String {
    match outcome.next_attempt {
        Some(at) => format!(". It is asked again at {at:.0}, or when the resource changes"),
        None => String::new(),
    }
}

/// What runs while the new images are incomplete.
fn meanwhile(outcome: &Outcome) -> &'static str {
    match outcome
        .images
        .as_ref()
        .is_some_and(|images| images.set.is_some())
    {
        true => "The last complete set of images runs on",
        false => "Nothing is deployed before every image is resolved",
    }
}

/// The failures as sentences; failures that differ in their subject alone are one sentence.
fn joined<'a>(faults: impl IntoIterator<Item = &'a Error>) -> String {
    let mut kinds: Vec<(&Error, Vec<String>)> = Vec::new();
    for fault in faults {
        let subject = fault.subject();
        let like = |(first, _): &&mut (&Error, _)| first.is_like(fault);
        match (subject, kinds.iter_mut().find(like)) {
            (Some(subject), Some((_, others))) => others.push(subject),
            _ => kinds.push((fault, Vec::new())),
        }
    }
    sentences(
        kinds
            .into_iter()
            .map(|(first, others)| match others.as_slice() {
                [] => first.to_string(),
                others => format!("{first}. The same goes for {}", others.join(", ")),
            }),
    )
}

fn sentences(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(". ")
}

#[cfg(test)]
mod tests;
