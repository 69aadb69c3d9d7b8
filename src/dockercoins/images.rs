//! Which image each Deployment runs: the references to resolve, and the images that follow from the resolutions. Pure.
//!
//! Status is the only memory. For each component it holds the pin of the requested reference (`image`, `digest`), and
//! the image of the Deployment (`pinned`). The five `pinned` are the last complete set of images: a new set replaces it
//! only as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use resolver::{Digest, Reference, ResolveError};

use crate::api::{ComponentStatus, DockerCoinsStatus};
use crate::dockercoins::component::{Component, PerComponent};
use crate::dockercoins::desired::{Desired, DesiredComponent, ImageSource};
use crate::dockercoins::error::Error;

/// The registries' answers, by component.
pub type Resolutions = BTreeMap<Component, Result<Resolution, Arc<ResolveError>>>;

/// A digest, and the details of its resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The digest.
    pub digest: Digest,
    /// The address of the registry that gave the digest; empty if unknown.
    pub registry: String,
    /// The source of the credential for the registry, such as `Secret regcred`.
    pub login: Option<String>,
    /// The platforms of the image; empty if unknown.
    pub platforms: Vec<String>,
    /// The platforms of nodes that the image lacks; `None` if unknown.
    pub missing_platforms: Option<Vec<String>>,
}

impl From<Digest> for Resolution {
    /// A digest without details.
    fn from(digest: Digest) -> Self {
        Self {
            digest,
            registry: String::new(),
            login: None,
            platforms: Vec::new(),
            missing_platforms: None,
        }
    }
}

/// The resolution of a reference, and the time at which its digest was new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The resolution.
    pub resolution: Resolution,
    /// When the reference first resolved to this digest.
    pub since: Time,
}

/// The images of a DockerCoins after resolving.
#[derive(Clone, Debug)]
pub struct Images {
    /// The image of each component; `None` for a component without pods.
    pub components: PerComponent<Option<ComponentImage>>,
    /// The images that the Deployments run: the new set if it is complete, else the last complete one; `None` if there
    /// has never been one.
    pub set: Option<ImageSet>,
}

/// The image that each component's Deployment runs; `None` for a component without pods.
pub type ImageSet = PerComponent<Option<String>>;

/// The image of one component after resolving.
#[derive(Clone, Debug)]
pub struct ComponentImage {
    /// The reference that the spec requests.
    pub requested: Reference,
    /// Where the digest of the requested reference comes from.
    pub source: ImageSource,
    /// The pin of the requested reference, if it was resolved.
    pub pin: Option<Pin>,
    /// The image that satisfies the spec; `None` while a required resolution is missing.
    pub image: Option<String>,
    /// Why the last resolution failed.
    pub failure: Option<Arc<ResolveError>>,
}

impl ComponentImage {
    /// Whether the component runs a tag that is to be replaced by a digest.
    pub fn is_unpinned(&self) -> bool {
        matches!(self.source, ImageSource::Registry { .. }) && self.pin.is_none()
    }
}

impl Images {
    /// Whether every component has an image that satisfies the spec.
    pub fn are_complete(&self) -> bool {
        self.iter().all(|(_, image)| image.image.is_some())
    }

    /// The components that have pods, with their images.
    pub fn iter(&self) -> impl Iterator<Item = (Component, &ComponentImage)> {
        self.components
            .iter()
            .filter_map(|(component, image)| Some((component, image.as_ref()?)))
    }

    /// The failed resolutions.
    pub fn failures(&self) -> impl Iterator<Item = Error> + '_ {
        self.iter().filter_map(|(component, image)| {
            let error = image.failure.clone()?;
            Some(Error::Unresolved { component, error })
        })
    }
}

/// The references to resolve: all tags if a refresh is due, else those that status has no pin for.
pub fn to_resolve<'a>(
    desired: &'a Desired,
    status: &DockerCoinsStatus,
    is_refresh_due: bool,
    now: Timestamp,
) -> Vec<(Component, &'a Reference)> {
    desired
        .running()
        .filter(|wanted| match &wanted.source {
            ImageSource::Registry { .. } => {
                is_refresh_due || stored_pin(status, wanted, now).is_none()
            }
            ImageSource::Pinned => false,
        })
        .map(|wanted| (wanted.component, &wanted.image))
        .collect()
}

/// Selects the images to run, from the new resolutions and from the pins in status.
pub fn select_images(
    desired: &Desired,
    status: &DockerCoinsStatus,
    resolutions: &Resolutions,
    now: Timestamp,
) -> Images {
    // All or nothing: if one required image fails to resolve, the others keep the digests that they run.
    let keep_pins = desired.running().any(|wanted| {
        let resolution = resolutions.get(&wanted.component);
        wanted.source.is_required() && matches!(resolution, Some(Err(_)))
    });
    let components = PerComponent::from_fn(|component| {
        let wanted = desired.component(component);
        let resolution = resolutions.get(&component);
        desired
            .has_pods(component)
            .then(|| select_image(wanted, status, resolution, keep_pins, now))
    });
    let new_set = image_set(desired, |component| {
        components[component].as_ref()?.image.clone()
    });
    let last_set = || {
        image_set(desired, |component| {
            stored_component(status, component)?.pinned.clone()
        })
    };
    Images {
        set: new_set.or_else(last_set),
        components,
    }
}

/// Finds the digest of one component's image, and with it the image to run.
fn select_image(
    wanted: &DesiredComponent,
    status: &DockerCoinsStatus,
    resolution: Option<&Result<Resolution, Arc<ResolveError>>>,
    keep_pin: bool,
    now: Timestamp,
) -> ComponentImage {
    let as_written = ComponentImage {
        requested: wanted.image.clone(),
        source: wanted.source.clone(),
        pin: None,
        image: Some(wanted.image.to_string()),
        failure: None,
    };
    match &wanted.source {
        ImageSource::Pinned => as_written,
        ImageSource::Registry { is_required } => {
            let stored = stored_pin(status, wanted, now);
            let (new, failure) = match resolution {
                Some(Ok(new)) => (Some(new), None),
                Some(Err(failure)) => (None, Some(Arc::clone(failure))),
                None => (None, None),
            };
            let pin = select_pin(stored, new, keep_pin, now);
            let by_digest = |pin: &Pin| wanted.image.with_digest(&pin.resolution.digest);
            let image = match &pin {
                Some(pin) => Some(by_digest(pin).to_string()),
                None => as_written.image.filter(|_| !is_required),
            };
            ComponentImage {
                pin,
                image,
                failure,
                ..as_written
            }
        }
    }
}

/// Selects between the stored pin and a new resolution. The time of a pin changes only with its digest.
fn select_pin(
    stored: Option<Pin>,
    new: Option<&Resolution>,
    keep_stored: bool,
    now: Timestamp,
) -> Option<Pin> {
    let Some(new) = new else {
        return stored;
    };
    let since = match stored {
        Some(stored) if keep_stored => return Some(stored),
        Some(stored) if stored.resolution.digest == new.digest => stored.since,
        _ => Time(now),
    };
    Some(Pin {
        resolution: new.clone(),
        since,
    })
}

/// The set of these images; `None` if a component that has pods lacks one.
fn image_set(desired: &Desired, image: impl Fn(Component) -> Option<String>) -> Option<ImageSet> {
    PerComponent::from_fn(|component| match desired.has_pods(component) {
        true => image(component).map(Some),
        false => Some(None),
    })
    .all()
}

/// The entry of `status.components` for this component.
pub fn stored_component(
    status: &DockerCoinsStatus,
    component: Component,
) -> Option<&ComponentStatus> {
    status
        .components
        .iter()
        .find(|stored| stored.name == component.name())
}

/// The pin that status holds for exactly the requested reference.
///
/// The image of the Deployment counts too: a tag that was replaced by one that does not exist, and then restored, needs
/// no registry.
fn stored_pin(
    status: &DockerCoinsStatus,
    wanted: &DesiredComponent,
    now: Timestamp,
) -> Option<Pin> {
    let stored = stored_component(status, wanted.component)?;
    if stored.image.as_deref() == Some(wanted.image.to_string().as_str())
        && let Some(digest) = stored
            .digest
            .as_deref()
            .and_then(|text| Digest::parse(text).ok())
    {
        return Some(Pin {
            resolution: Resolution {
                digest,
                registry: stored.registry.clone().unwrap_or_default(),
                login: stored.login.clone(),
                platforms: stored.platforms.clone(),
                missing_platforms: stored.unserved_platforms.clone(),
            },
            since: stored.resolved_at.clone().unwrap_or(Time(now)),
        });
    }
    let running = Reference::parse(stored.pinned.as_deref()?).ok()?;
    let digest = running.digest()?.clone();
    (running.without_digest() == wanted.image).then(|| Pin {
        resolution: digest.into(),
        since: Time(now),
    })
}

/// The resolution that status holds for the requested reference, if it has this digest.
pub fn stored_resolution(
    status: &DockerCoinsStatus,
    wanted: &DesiredComponent,
    digest: &Digest,
) -> Option<Resolution> {
    let pin = stored_pin(status, wanted, Timestamp::UNIX_EPOCH)?;
    (pin.resolution.digest == *digest).then_some(pin.resolution)
}

/// The platforms of nodes, such as `linux/arm64`, that an image of these platforms lacks.
///
/// A platform with a variant (`linux/arm/v7`) counts for all nodes of its architecture: nodes don't report variants.
pub fn missing_platforms(platforms: &[String], of_nodes: &BTreeSet<String>) -> Vec<String> {
    let is_present = |node: &str| {
        platforms.iter().any(|platform| {
            let rest = platform.strip_prefix(node);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    of_nodes
        .iter()
        .filter(|node| !is_present(node))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
