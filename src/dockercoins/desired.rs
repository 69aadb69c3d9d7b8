//! From the resource as written to what is wanted: defaults filled in, references parsed, contradictions
//! refused.
//!
//! Everything after this room works with a [`Desired`], in which nothing can be wrong any more. The schema's
//! rules have already refused most of what is checked here; the checks stand again for objects that were
//! stored before a rule was.

mod probes;
mod reach;
mod store;

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};
use resolver::{Endpoint, Prefix, Reference};
use std::collections::BTreeMap;

use crate::api::{
    CertificateAuthority, ComponentSpec, DockerCoins, DockerCoinsSpec, HttpRouteSpec,
    ResolvePolicy, ServiceSpec, StrategyType,
};
use crate::dockercoins::component::{Component, PerComponent};
pub use probes::{Check, CheckKind, Checks};
pub use reach::{DesiredIngress, Scaling};
pub use store::{Claim, Elsewhere, Host, Store};

/// Where the image of Redis comes from where nothing else is said: the official one.
const REDIS_PREFIX: &str = "docker.io/library";
/// Its tag.
const REDIS_TAG: &str = "7";
/// Kubernetes' own progress deadline, in seconds.
const PROGRESS_DEADLINE: i32 = 600;
/// The shortest interval in which a registry is asked again.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);

/// What is wanted, free of contradictions.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The resource's name, which its children carry in a label.
    pub name: String,
    /// The namespace of the resource and of its children.
    pub namespace: String,
    /// What makes a child the resource's own.
    pub owner: OwnerReference,
    /// Where the images on the prefix's host are asked for, if somewhere else.
    pub endpoint: Option<Endpoint>,
    /// The host of the prefix: the only one that `endpoint` speaks for.
    pub registry_host: String,
    /// Where the certificate authority of that host is kept, if it has one of its own.
    pub certificate_authority: Option<AuthorityAt>,
    /// The pull secrets' names, in order; with none, those of the ServiceAccount `default` serve.
    pub pull_secrets: Vec<String>,
    /// How often a pinned tag is asked for again; `None` for never.
    pub interval: Option<Duration>,
    /// Whether the children are to be left alone.
    pub suspend: bool,
    /// Node labels demanded by all pods.
    pub node_selector: BTreeMap<String, String>,
    /// Taints tolerated by all pods.
    pub tolerations: Vec<Toleration>,
    /// Scheduling preferences of all pods.
    pub affinity: Option<Affinity>,
    /// How the web page is reached.
    pub webui_service: ServiceSpec,
    /// By which name it is reached through an ingress controller.
    pub ingress: Option<DesiredIngress>,
    /// By which names it is reached through a Gateway.
    pub http_route: Option<HttpRouteSpec>,
    /// Where the coins are kept.
    pub store: Store,
    /// Whether the pods are closed to all who have no business there.
    pub is_closed: bool,
    /// The five components.
    pub components: PerComponent<DesiredComponent>,
}

/// What is wanted of one component.
#[derive(Clone, Debug)]
pub struct DesiredComponent {
    /// Which one.
    pub component: Component,
    /// Its image as asked for: with a tag, a digest or both.
    pub image: Reference,
    /// The field in which the image is set, for people who want to change it.
    pub image_field: String,
    /// Where the digest of the image comes from.
    pub source: ImageSource,
    /// Its health checks.
    pub checks: Checks,
    /// Who decides how many pods there are, if a HorizontalPodAutoscaler does.
    pub scaling: Option<Scaling>,
    /// The rest, as written.
    pub spec: ComponentSpec,
}

/// Where the digest of a component's image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// From a registry, which resolves the tag.
    Registry {
        /// Whether nothing new is rolled out without the digest (policy `Required`). Otherwise the tag runs until it
        /// is resolved (`BestEffort`).
        is_required: bool,
    },
    /// From the spec: the reference runs as written. It has a digest, or the policy is `Never`.
    Pinned,
}

impl ImageSource {
    fn new(image: &Reference, policy: ResolvePolicy) -> Self {
        match policy {
            _ if image.digest().is_some() => Self::Pinned,
            ResolvePolicy::Never => Self::Pinned,
            ResolvePolicy::Required => Self::Registry { is_required: true },
            ResolvePolicy::BestEffort => Self::Registry { is_required: false },
        }
    }

    /// Whether nothing new is rolled out without the digest.
    pub fn is_required(&self) -> bool {
        matches!(self, Self::Registry { is_required: true })
    }
}

/// Where a certificate authority is kept: a key of a ConfigMap or Secret of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityAt {
    /// Whether it is a Secret.
    pub is_secret: bool,
    /// The object's name.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// A field that contradicts itself or another, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field's path, such as `spec.worker.tag`.
    pub field: String,
    /// What is wrong, and what to write.
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl Desired {
    /// What the resource wants.
    ///
    /// # Errors
    /// Every contradiction found, not only the first.
    pub fn from_resource(coins: &DockerCoins) -> Result<Self, Vec<Invalid>> {
        let spec = &coins.spec;
        let mut faults = Faults::default();

        let name = coins.name_any();
        if name.len() > 63 {
            faults.add(
                "metadata.name",
                "it becomes a label's value: use a name of at most 63 characters",
            );
        }
        let prefix = faults.take("spec.registry.prefix", Prefix::parse(&spec.registry.prefix));
        let endpoint = spec
            .registry
            .endpoint
            .as_deref()
            .and_then(|text| faults.take("spec.registry.endpoint", Endpoint::parse(text)));
        let interval = spec
            .resolve
            .interval
            .as_deref()
            .and_then(|text| faults.take("spec.resolve.interval", parse_interval(text)));
        let certificate_authority = spec
            .registry
            .certificate_authority
            .as_ref()
            .and_then(|at| faults.take("spec.registry.certificateAuthority", authority_at(at)));
        let webui_service = spec.webui.service.clone().unwrap_or_default();
        faults.check_service(&webui_service);
        let ingress = spec.webui.ingress.as_ref();
        let ingress = ingress.and_then(|ingress| faults.ingress(ingress));
        let http_route = spec.webui.http_route.clone();
        if http_route
            .as_ref()
            .is_some_and(|route| route.parent_refs.is_empty())
        {
            faults.add(
                "spec.webui.httpRoute.parentRefs",
                "a route needs a Gateway: write the name of one",
            );
        }
        let store = faults.store(&spec.redis);
        let components =
            PerComponent::from_fn(|component| faults.component(spec, prefix.as_ref(), component));

        let registry_host = prefix.as_ref().map(|prefix| prefix.host().to_owned());
        match (registry_host, components.all(), store, faults.0.is_empty()) {
            (Some(registry_host), Some(components), Some(store), true) => Ok(Self {
                namespace: coins.namespace().unwrap_or_default(),
                owner: owner_of(coins),
                endpoint,
                registry_host,
                pull_secrets: spec
                    .image_pull_secrets
                    .iter()
                    .map(|secret| secret.name.clone())
                    .collect(),
                interval,
                certificate_authority,
                suspend: spec.suspend,
                node_selector: spec.node_selector.clone(),
                tolerations: spec.tolerations.clone(),
                // An empty one is dropped by the API server.
                affinity: spec
                    .affinity
                    .clone()
                    .filter(|affinity| *affinity != Affinity::default()),
                webui_service,
                ingress,
                http_route,
                store,
                is_closed: spec
                    .network_policy
                    .as_ref()
                    .is_some_and(|policy| policy.enabled),
                components,
                name,
            }),
            _ => Err(faults.0),
        }
    }

    /// What is wanted of one component.
    pub fn component(&self, component: Component) -> &DesiredComponent {
        &self.components[component]
    }

    /// Whether this component has pods here, and so a Deployment and an image: Redis may be elsewhere.
    pub fn has_pods(&self, component: Component) -> bool {
        component != Component::Redis || !matches!(self.store, Store::Elsewhere(_))
    }

    /// The components that have pods here.
    pub fn running(&self) -> impl Iterator<Item = &DesiredComponent> + Clone {
        let components = self.components.iter();
        components
            .filter(|(component, _)| self.has_pods(*component))
            .map(|(_, wanted)| wanted)
    }

    /// Where the component's registry is asked, if not at the image's own host: the endpoint speaks for the
    /// prefix's host alone.
    pub fn endpoint_for(&self, image: &Reference) -> Option<&Endpoint> {
        self.endpoint
            .as_ref()
            .filter(|_| image.host() == self.registry_host)
    }
}

/// The owner reference that makes a child the resource's own, and has it collected when the resource goes.
fn owner_of(coins: &DockerCoins) -> OwnerReference {
    OwnerReference {
        api_version: DockerCoins::api_version(&()).into_owned(),
        kind: DockerCoins::kind(&()).into_owned(),
        name: coins.name_any(),
        uid: coins.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// What was written of one component.
pub fn component_spec(spec: &DockerCoinsSpec, component: Component) -> &ComponentSpec {
    match component {
        Component::Hasher => &spec.hasher,
        Component::Redis => &spec.redis.component,
        Component::Rng => &spec.rng,
        Component::Webui => &spec.webui.component,
        Component::Worker => &spec.worker,
    }
}

fn authority_at(written: &CertificateAuthority) -> Result<AuthorityAt, &'static str> {
    let (is_secret, at) = match (&written.config_map_key_ref, &written.secret_key_ref) {
        (Some(at), None) => (false, at),
        (None, Some(at)) => (true, at),
        _ => return Err("it is in one place: write either configMapKeyRef or secretKeyRef"),
    };
    Ok(AuthorityAt {
        is_secret,
        name: at.name.clone(),
        key: at.key.clone(),
    })
}

/// Reads an interval in Go's notation, such as `10m` or `1h30m`.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval: kube::core::Duration = text.parse().map_err(|_| {
        format!("{text:?} is no interval: write a number and a unit, such as 10m, or leave the field out")
    })?;
    if interval < SHORTEST_INTERVAL {
        return Err(format!(
            "{text:?} is too short: write at least {}s",
            SHORTEST_INTERVAL.as_secs()
        ));
    }
    Ok(interval.into())
}

/// Collects what is wrong while the rest is read on.
#[derive(Default)]
struct Faults(Vec<Invalid>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, problem: impl fmt::Display) {
        let invalid = Invalid {
            field: field.into(),
            problem: problem.to_string(),
        };
        // The common tag is read for four components, and wrong once.
        if !self.0.contains(&invalid) {
            self.0.push(invalid);
        }
    }

    fn take<T>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, impl fmt::Display>,
    ) -> Option<T> {
        result.map_err(|problem| self.add(field, problem)).ok()
    }

    fn check_service(&mut self, service: &ServiceSpec) {
        use crate::api::ServiceType::ClusterIP;
        if service.node_port.is_some() && service.type_.unwrap_or_default() == ClusterIP {
            self.add(
                "spec.webui.service.nodePort",
                "only NodePort and LoadBalancer have one: write type: NodePort beside it, or leave it out",
            );
        }
    }

    fn component(
        &mut self,
        spec: &DockerCoinsSpec,
        prefix: Option<&Prefix>,
        component: Component,
    ) -> Option<DesiredComponent> {
        let written = component_spec(spec, component);
        let at = |field: &str| format!("spec.{component}.{field}");

        if let Some(replicas) = written.replicas {
            if replicas < 0 {
                self.add(
                    at("replicas"),
                    format!("{replicas} is negative: write 0 or more, or leave it out"),
                );
            }
            if component == Component::Redis && replicas > 1 {
                self.add(
                    at("replicas"),
                    "two Redis pods would split the counters between them: write 1, 0, or leave it out",
                );
            }
        }
        if let Some(strategy) = &written.strategy
            && strategy.rolling_update.is_some()
            && strategy.type_ == Some(StrategyType::Recreate)
        {
            self.add(
                at("strategy.rollingUpdate"),
                "it belongs to type RollingUpdate: write that type, or leave it out",
            );
        }
        let deadline = written
            .progress_deadline_seconds
            .unwrap_or(PROGRESS_DEADLINE);
        if written
            .min_ready_seconds
            .is_some_and(|ready| ready >= deadline)
        {
            self.add(
                at("minReadySeconds"),
                format!("it isn't below progressDeadlineSeconds, which is {deadline}: write that above it"),
            );
        }
        let checks = self.checks(written, component);
        let scaling = self.scaling(written, component);
        let (image, image_field) = self.image(spec, prefix, component)?;
        let own_policy = written.resolve.as_ref().and_then(|resolve| resolve.policy);
        let policy = own_policy.unwrap_or(spec.resolve.policy);
        Some(DesiredComponent {
            component,
            source: ImageSource::new(&image, policy),
            image,
            image_field,
            checks: checks?,
            scaling,
            spec: written.clone(),
        })
    }

    /// The component's image, and the field that sets it.
    fn image(
        &mut self,
        spec: &DockerCoinsSpec,
        prefix: Option<&Prefix>,
        component: Component,
    ) -> Option<(Reference, String)> {
        let written = component_spec(spec, component);
        let at = |field: &str| format!("spec.{component}.{field}");
        match (&written.image, &written.tag) {
            (Some(_), Some(_)) => {
                self.add(
                    at("image"),
                    format!("it excludes spec.{component}.tag: write the whole reference in image, or only a tag in tag"),
                );
                None
            }
            (Some(image), None) => {
                let image = self.take(at("image"), Reference::parse(image))?;
                Some((image.or_latest(), at("image")))
            }
            (None, tag) => {
                let field = match tag {
                    Some(_) => at("tag"),
                    None if component == Component::Redis => at("image"),
                    None => "spec.tag".to_owned(),
                };
                let image = if component == Component::Redis {
                    let tag = tag.as_deref().unwrap_or(REDIS_TAG);
                    Prefix::parse(REDIS_PREFIX).and_then(|prefix| prefix.image("redis", tag))
                } else {
                    prefix?.image(component.name(), tag.as_deref().unwrap_or(&spec.tag))
                };
                Some((self.take(field.clone(), image)?, field))
            }
        }
    }
}

#[cfg(test)]
mod tests;
