//! Which images the Deployments name: what must be asked, and what follows from the answers.
//!
//! Status is the memory. It keeps, for each component, the answer to what is asked for now (`image`,
//! `digest`), and what the Deployment names (`pinned`): the last set of images that was complete. A new set is
//! rolled out only as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use resolver::{Digest, Reference, ResolveError};

use crate::api::{ComponentStatus, DockerCoinsStatus, ResolvePolicy};
use crate::component::Component;
use crate::desired::{Desired, DesiredComponent};
use crate::error::Error;

/// What a registry said about each component that was asked for.
pub type Answers = BTreeMap<Component, Result<Digest, Arc<ResolveError>>>;

/// What is known of the images after asking.
#[derive(Clone, Debug)]
pub struct Images {
    /// The five components' images, in the order of [`Component::ALL`].
    pub components: [Image; 5],
    /// What the Deployments are to name, in the same order: the new set if it is complete, else the last one
    /// that was; `None` while there has never been one.
    pub set: Option<[String; 5]>,
}

/// What is known of one component's image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What is asked for.
    pub asked: Reference,
    /// The digest that answers it, and since when.
    pub answer: Option<(Digest, Time)>,
    /// What its Deployment should name; `None` while it must wait for an answer.
    pub wanted: Option<String>,
    /// Why the registry's last answer gave no digest.
    pub failure: Option<Arc<ResolveError>>,
    /// Whether the registry has a say in it at all.
    pub policy: ResolvePolicy,
}

impl Images {
    /// Whether what the Deployments are to name is what is asked for.
    pub fn are_complete(&self) -> bool {
        self.components.iter().all(|image| image.wanted.is_some())
    }

    /// What stands in the way of a complete set, or of pins where tags are used for want of one.
    pub fn failures(&self) -> impl Iterator<Item = Error> + '_ {
        Component::ALL
            .into_iter()
            .zip(&self.components)
            .filter_map(|(component, image)| {
                let error = image.failure.clone()?;
                Some(Error::Unresolved { component, error })
            })
    }
}

/// The image of one component as status remembers it.
pub fn remembered(status: &DockerCoinsStatus, component: Component) -> Option<&ComponentStatus> {
    status
        .components
        .iter()
        .find(|c| c.name == component.name())
}

/// The digest that status remembers for exactly this reference, and since when.
///
/// What the Deployment names answers too: who writes a tag that can't be resolved, and then takes it back, is
/// where they were, even while the registry is down.
fn pin(
    status: &DockerCoinsStatus,
    wanted: &DesiredComponent,
    now: Timestamp,
) -> Option<(Digest, Time)> {
    let memory = remembered(status, wanted.component)?;
    if memory.image.as_deref() == Some(wanted.image.to_string().as_str())
        && let Some(digest) = memory
            .digest
            .as_deref()
            .and_then(|text| Digest::parse(text).ok())
    {
        return Some((digest, memory.resolved_at.clone().unwrap_or(Time(now))));
    }
    let pinned = Reference::parse(memory.pinned.as_deref()?).ok()?;
    let digest = pinned.digest()?.clone();
    (pinned.without_digest() == wanted.image).then_some((digest, Time(now)))
}

/// Whether the registry has a say: not with the policy Never, and not where a digest is written.
fn is_askable(wanted: &DesiredComponent) -> bool {
    wanted.policy != ResolvePolicy::Never && wanted.image.digest().is_none()
}

/// Which components a registry must be asked for: those without a pin for their reference; all that have a
/// tag, if it is `due`.
pub fn questions<'a>(
    desired: &'a Desired,
    status: &DockerCoinsStatus,
    due: bool,
    now: Timestamp,
) -> Vec<(Component, &'a Reference)> {
    desired
        .components
        .iter()
        .filter(|wanted| is_askable(wanted) && (due || pin(status, wanted, now).is_none()))
        .map(|wanted| (wanted.component, &wanted.image))
        .collect()
}

/// Puts answers and memory together.
pub fn settle(
    desired: &Desired,
    status: &DockerCoinsStatus,
    answers: &Answers,
    now: Timestamp,
) -> Images {
    // One that must be asked again and gave nothing holds back what the others' tags have moved to.
    let is_held = desired.components.iter().any(|wanted| {
        wanted.policy == ResolvePolicy::Required
            && matches!(answers.get(&wanted.component), Some(Err(_)))
    });
    let components =
        std::array::from_fn(|i| settle_one(&desired.components[i], status, answers, is_held, now));
    let complete: Option<Vec<String>> = components
        .iter()
        .map(|image: &Image| image.wanted.clone())
        .collect();
    let last: Option<Vec<String>> = Component::ALL
        .into_iter()
        .map(|component| remembered(status, component)?.pinned.clone())
        .collect();
    let set = complete.or(last).and_then(|set| set.try_into().ok());
    Images { components, set }
}

fn settle_one(
    wanted: &DesiredComponent,
    status: &DockerCoinsStatus,
    answers: &Answers,
    is_held: bool,
    now: Timestamp,
) -> Image {
    let written = wanted.image.to_string();
    let mut image = Image {
        asked: wanted.image.clone(),
        answer: None,
        wanted: Some(written),
        failure: None,
        policy: wanted.policy,
    };
    if !is_askable(wanted) {
        return image;
    }
    let pin = pin(status, wanted, now);
    image.answer = match answers.get(&wanted.component) {
        // The same digest again is no news: the time stays.
        Some(Ok(digest)) => match pin {
            Some((pinned, since)) if is_held || pinned == *digest => Some((pinned, since)),
            _ => Some((digest.clone(), Time(now))),
        },
        Some(Err(failure)) => {
            image.failure = Some(Arc::clone(failure));
            pin
        }
        None => pin,
    };
    match &image.answer {
        Some((digest, _)) => image.wanted = Some(wanted.image.with_digest(digest).to_string()),
        None if wanted.policy == ResolvePolicy::Required => image.wanted = None,
        None => {}
    }
    image
}

#[cfg(test)]
mod tests;
