//! What is told: from the outcome of a reconcile, whatever it was, to the resource's status. Pure.
//!
//! Conditions follow kstatus, so that `kubectl wait`, Helm and Flux understand them: `Ready` and
//! `ImagesResolved` are always there, `Reconciling` and `Stalled` only while they are True. What only a person
//! can mend is Stalled; what is still being tried is Reconciling.

mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::api::DockerCoinsStatus;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::ImageSource;
use crate::dockercoins::error::Error;
use crate::dockercoins::gateway::HTTPRoute;
use crate::dockercoins::images::{ComponentImage, Images};
use crate::dockercoins::rollout::Rollout;
use pods::{component_rollout, component_status};

/// The longest message that a condition takes, in bytes; the CRD's bound is in characters.
const LONGEST_MESSAGE: usize = 1000;

/// What is told where there is nothing more to say of the images.
const RESOLVED: &str = "every image that is to be pinned is pinned to a digest";

/// How a reconcile ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What is known of the images; `None` if it did not come to that.
    pub images: Option<Images>,
    /// What failed, most telling first.
    pub faults: Vec<Error>,
    /// What doesn't stop anything and should be known, such as a pull secret that isn't there; `None` while no
    /// registry has been asked since the operator started, which leaves what was told before.
    pub notes: Option<Vec<String>>,
    /// Our Deployments as last seen.
    pub deployments: BTreeMap<Component, Arc<Deployment>>,
    /// When the registries are asked again for what they gave no digest of.
    pub next_attempt: Option<Timestamp>,
    /// What was requested by annotation and has been done: every tag has been asked for again.
    pub handled_request: Option<String>,
    /// Whether this is told before anything was written: new digests are stored before they run, and until then the
    /// Deployments are done with what is no longer asked for.
    pub is_ahead: bool,
    /// The objects that differ from what is wanted and are left so, because the resource is suspended;
    /// `None` if it isn't.
    pub held_back: Option<Vec<String>>,
    /// Where Redis is, if someone else runs it.
    pub elsewhere: Option<String>,
    /// The claim of the volume for the coins, if one is asked for.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// The web page's HTTPRoute, if one is asked for.
    pub route: Option<Arc<HTTPRoute>>,
    /// Whether a kind that the resource asks for is still being listed, so that nothing is known of its objects.
    pub is_unlisted: bool,
}

impl Outcome {
    /// Whether a component has pods here.
    pub fn runs(&self, component: Component) -> bool {
        component != Component::Redis || self.elsewhere.is_none()
    }
}

/// The status that tells this outcome.
///
/// `before` is the status so far: what the outcome says nothing about stays, and a condition that stays as it
/// was keeps its time.
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
            .map(|told| told.at(generation, &before.conditions, now))
            .collect(),
        components: Component::ALL
            .into_iter()
            .map(|c| component_status(c, before, outcome))
            .collect(),
        replicas: Some(
            worker
                .and_then(|d| d.status.as_ref()?.replicas)
                .unwrap_or(0),
        ),
        selector: Some(format!("app={}", Component::Worker)),
    }
}

/// The conditions of a resource that can't be read, which has no status to speak of: the rest of what is
/// stored there stays.
pub fn unreadable(
    generation: Option<i64>,
    before: &[Condition],
    error: &Error,
    now: Timestamp,
) -> Vec<Condition> {
    let message = error.to_string();
    [
        Told::new("Ready", "False", error.reason(), message.clone()),
        Told::new(
            "ImagesResolved",
            "Unknown",
            error.reason(),
            "the resource can't be read".into(),
        ),
        Told::new("Stalled", "True", error.reason(), message),
    ]
    .map(|told| told.at(generation, before, now))
    .into()
}

/// The status of a resource whose objects can't be seen, and why not: of them nothing new is known, so that the rest of
/// what was told stays.
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

/// Whether something was told of the pull secrets beside images that are all resolved: no registry is asked then,
/// so that no one would notice that it was mended.
pub fn has_notes(status: &DockerCoinsStatus) -> bool {
    let known = status.components.iter().filter(|c| !c.platforms.is_empty());
    let unserved: Vec<_> = known
        .filter_map(|c| {
            Some((
                Component::named(&c.name)?.name(),
                c.unserved_platforms.clone(),
            ))
        })
        .collect();
    let clean = resolved_as(&unserved);
    status.conditions.iter().any(|told| {
        told.type_ == "ImagesResolved" && told.reason == "Resolved" && told.message != clean
    })
}

/// A condition without its times.
struct Told {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Told {
    fn new(type_: &'static str, status: &'static str, reason: &str, message: String) -> Self {
        Self {
            type_,
            status,
            reason: reason.to_owned(),
            message: clipped(message),
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

/// A text cut to what a condition, or an event, takes.
pub fn clipped(message: String) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message;
    }
    let mut end = LONGEST_MESSAGE;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

/// `Ready`, and `Reconciling` or `Stalled` if it isn't.
fn ready(outcome: &Outcome) -> (Told, Option<Told>) {
    let not_ready = |reason: &str, message: String, needs_a_person: bool| {
        let type_ = if needs_a_person {
            "Stalled"
        } else {
            "Reconciling"
        };
        (
            Told::new("Ready", "False", reason, message.clone()),
            Some(Told::new(type_, "True", reason, message)),
        )
    };

    let image_faults: Vec<Error> = match &outcome.images {
        Some(images) if !images.are_complete() => images.failures().collect(),
        _ => Vec::new(),
    };
    let faults: Vec<&Error> = outcome.faults.iter().chain(&image_faults).collect();
    let worst = faults
        .iter()
        .find(|fault| fault.needs_a_person())
        .or(faults.first());
    if let Some(worst) = worst {
        let mut told = vec![told_once(faults.iter().copied())];
        if !image_faults.is_empty() {
            told.push(meanwhile(outcome).to_owned());
        }
        return not_ready(
            worst.reason(),
            sentences(told.into_iter()),
            worst.needs_a_person(),
        );
    }
    if let Some(held_back) = outcome.held_back.as_ref().filter(|held| !held.is_empty()) {
        let message = format!(
            "suspended, and these are not as wanted: {}. Set spec.suspend to false to have them written",
            held_back.join(", ")
        );
        return (Told::new("Ready", "False", "Suspended", message), None);
    }

    if outcome.is_ahead {
        let message = "new images are about to be rolled out".to_owned();
        return not_ready("RolloutInProgress", message, false);
    }

    let running = Component::ALL.into_iter().filter(|c| outcome.runs(*c));
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
    let elsewhere = outcome.elsewhere.as_ref().map(|address| {
        format!("Redis is run by someone else, at {address}: whether it is there, and well, was not looked at")
    });
    let route = outcome.route.as_ref().and_then(|route| route.problem());
    let told = ["every component runs as asked for".to_owned()];
    let told = sentences(told.into_iter().chain(elsewhere).chain(route));
    (Told::new("Ready", "True", "Ready", told), None)
}

fn images_resolved(before: &DockerCoinsStatus, outcome: &Outcome) -> Told {
    let told = |status, reason: &str, message: String| {
        let message =
            sentences(std::iter::once(message).chain(outcome.notes.iter().flatten().cloned()));
        Told::new("ImagesResolved", status, reason, message)
    };
    let Some(images) = &outcome.images else {
        let reason = outcome.faults.first().map_or("Unknown", Error::reason);
        let message = match before.components.iter().any(|c| c.pinned.is_some()) {
            true => "the last images run on; what is asked for now is not known",
            false => "it did not come to asking for images",
        };
        return told("Unknown", reason, message.into());
    };
    let failures: Vec<Error> = images.failures().collect();
    let reason = failures.first().map_or("Unresolved", Error::reason);
    let failed = told_once(&failures);
    if !images.are_complete() {
        if failures.is_empty() {
            let message = "not every image is pinned, and no registry is asked while the resource is suspended";
            return told("False", "Suspended", message.into());
        }
        let again = asked_again(outcome);
        return told(
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
            asked_again(outcome)
        );
        return told("False", "Unpinned", message);
    }
    if !failures.is_empty() {
        return told(
            "True",
            "RefreshFailed",
            format!(
                "the last good digests stay, since asking again failed: {failed}{}",
                asked_again(outcome)
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
        return Told::new("ImagesResolved", "True", "NotRequired", message);
    }
    let resolved = |condition: &&Condition| {
        condition.type_ == "ImagesResolved" && condition.reason == "Resolved"
    };
    match before
        .conditions
        .iter()
        .find(resolved)
        .filter(|_| outcome.notes.is_none())
    {
        Some(before) => told("True", "Resolved", before.message.clone()),
        None => told("True", "Resolved", resolved_as(&platforms_of(images))),
    }
}

/// What is told where there is nothing more to say of the images than on which nodes they can run.
fn resolved_as(unserved: &[(&'static str, Option<Vec<String>>)]) -> String {
    let mut told = vec![RESOLVED.to_owned()];
    for (component, platforms) in unserved {
        match platforms.as_deref() {
            Some([]) => {}
            Some(platforms) => told.push(format!(
                "{component} has no image for {}, as nodes here are: its pods can't start there",
                platforms.join(", ")
            )),
            None => {}
        }
    }
    if unserved.iter().any(|(_, platforms)| platforms.is_none()) {
        told.push(
            "whether the images are for the nodes' platforms was not checked: the nodes could not be listed, see the operator's log"
                .to_owned(),
        );
    }
    sentences(told.into_iter())
}

/// What is known of the nodes' platforms, for the images whose own are known.
fn platforms_of(images: &Images) -> Vec<(&'static str, Option<Vec<String>>)> {
    images
        .iter()
        .filter_map(|(component, image)| Some((component, &image.pin.as_ref()?.resolution)))
        .filter(|(_, answered)| !answered.platforms.is_empty())
        .map(|(component, answered)| (component.name(), answered.missing_platforms.clone()))
        .collect()
}

/// When the registries are asked again, for the end of a message.
fn asked_again(outcome: &Outcome) -> String {
    match outcome.next_attempt {
        Some(at) => format!(". It is asked again at {at:.0}, or when the resource changes"),
        None => String::new(),
    }
}

/// What happens to the application while its new images are incomplete.
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

/// What went wrong, in full once for each kind of failure: a tag that isn't there is missing for four images,
/// and someone else's manifests are nine objects.
fn told_once<'a>(faults: impl IntoIterator<Item = &'a Error>) -> String {
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
