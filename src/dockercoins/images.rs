//! Which images the Deployments name: what must be asked, and what follows from the answers.
//!
//! Status is the memory. It keeps, for each component, the answer to what is asked for now (`image`,
//! `digest`), and what the Deployment names (`pinned`): the last set of images that was complete. A new set is
//! rolled out only as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use resolver::{Digest, Reference, ResolveError};

use crate::api::{ComponentStatus, DockerCoinsStatus, ResolvePolicy};
use crate::dockercoins::component::{Component, PerComponent};
use crate::dockercoins::desired::{Desired, DesiredComponent};
use crate::dockercoins::error::Error;

/// What a registry said about each component that was asked for.
pub type Answers = BTreeMap<Component, Result<Answered, Arc<ResolveError>>>;

/// What is known of the digest that a tag stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The digest.
    pub digest: Digest,
    /// Where it was asked for; empty where that has been forgotten.
    pub registry: String,
    /// Whose login was used, such as `Secret regcred`.
    pub login: Option<String>,
    /// For which platforms there is an image under it; empty where that isn't known.
    pub platforms: Vec<String>,
    /// The platforms of nodes for which there is none; `None` where that isn't known.
    pub unserved: Option<Vec<String>>,
}

impl From<Digest> for Answered {
    /// A digest of which nothing else is known.
    fn from(digest: Digest) -> Self {
        Self {
            digest,
            registry: String::new(),
            login: None,
            platforms: Vec::new(),
            unserved: None,
        }
    }
}

/// What is known of the images after asking.
#[derive(Clone, Debug)]
pub struct Images {
    /// The image of each component; `None` for a component without pods.
    pub components: PerComponent<Option<Image>>,
    /// What the Deployments are to name: the new set if it is complete, else the last one that was; `None` while
    /// there has never been one.
    pub set: Option<ImageSet>,
}

/// The image that each component's Deployment names; `None` for a component without pods.
pub type ImageSet = PerComponent<Option<String>>;

/// What is known of one component's image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What is asked for.
    pub asked: Reference,
    /// What answers it, and since when it is that digest.
    pub answer: Option<(Answered, Time)>,
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
        self.iter().all(|(_, image)| image.wanted.is_some())
    }

    /// The components that have pods, with their images.
    pub fn iter(&self) -> impl Iterator<Item = (Component, &Image)> {
        self.components
            .iter()
            .filter_map(|(component, image)| Some((component, image.as_ref()?)))
    }

    /// What stands in the way of a complete set, or of pins where tags are used for want of one.
    pub fn failures(&self) -> impl Iterator<Item = Error> + '_ {
        self.iter().filter_map(|(component, image)| {
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
) -> Option<(Answered, Time)> {
    let memory = remembered(status, wanted.component)?;
    if memory.image.as_deref() == Some(wanted.image.to_string().as_str())
        && let Some(digest) = memory
            .digest
            .as_deref()
            .and_then(|text| Digest::parse(text).ok())
    {
        let answered = Answered {
            digest,
            registry: memory.registry.clone().unwrap_or_default(),
            login: memory.login.clone(),
            platforms: memory.platforms.clone(),
            unserved: memory.unserved_platforms.clone(),
        };
        return Some((answered, memory.resolved_at.clone().unwrap_or(Time(now))));
    }
    let pinned = Reference::parse(memory.pinned.as_deref()?).ok()?;
    let digest = pinned.digest()?.clone();
    (pinned.without_digest() == wanted.image).then_some((digest.into(), Time(now)))
}

/// What status remembers of this digest, if it answers what is asked for now.
pub fn known(
    status: &DockerCoinsStatus,
    wanted: &DesiredComponent,
    digest: &Digest,
) -> Option<Answered> {
    let (answered, _) = pin(status, wanted, Timestamp::UNIX_EPOCH)?;
    (answered.digest == *digest).then_some(answered)
}

/// The platforms of nodes, such as `linux/arm64`, for which an image of these platforms does not serve. One that
/// names a variant (`linux/arm/v7`) serves nodes of the same kind, which don't tell theirs.
pub fn unserved(platforms: &[String], of_nodes: &BTreeSet<String>) -> Vec<String> {
    let serves = |node: &str| {
        platforms.iter().any(|platform| {
            let rest = platform.strip_prefix(node);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    of_nodes
        .iter()
        .filter(|node| !serves(node))
        .cloned()
        .collect()
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
        .running()
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
    let is_held = desired.running().any(|wanted| {
        wanted.policy == ResolvePolicy::Required
            && matches!(answers.get(&wanted.component), Some(Err(_)))
    });
    let components = PerComponent::from_fn(|component| {
        let wanted = desired.component(component);
        let runs = desired.runs(component);
        runs.then(|| settle_one(wanted, status, answers, is_held, now))
    });
    let complete = image_set(desired, |component| {
        components[component].as_ref()?.wanted.clone()
    });
    let last = || {
        image_set(desired, |component| {
            remembered(status, component)?.pinned.clone()
        })
    };
    Images {
        set: complete.or_else(last),
        components,
    }
}

/// The set of these images, if no component with pods lacks one.
fn image_set(desired: &Desired, image: impl Fn(Component) -> Option<String>) -> Option<ImageSet> {
    PerComponent::from_fn(|component| match desired.runs(component) {
        true => image(component).map(Some),
        false => Some(None),
    })
    .all()
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
        Some(Ok(answered)) => match pin {
            Some(pin) if is_held => Some(pin),
            // The same digest again is no news: the time stays.
            Some((pinned, since)) if pinned.digest == answered.digest => {
                Some((answered.clone(), since))
            }
            _ => Some((answered.clone(), Time(now))),
        },
        Some(Err(failure)) => {
            image.failure = Some(Arc::clone(failure));
            pin
        }
        None => pin,
    };
    match &image.answer {
        Some((answered, _)) => {
            image.wanted = Some(wanted.image.with_digest(&answered.digest).to_string());
        }
        None if wanted.policy == ResolvePolicy::Required => image.wanted = None,
        None => {}
    }
    image
}

#[cfg(test)]
mod tests;
