//! The validated spec: defaults filled in, references parsed, contradictions rejected. Pure.
//!
//! The rest of the controller works with a [`Desired`], which is free of contradictions. The CRD's rules reject most of
//! them already; the checks here also cover resources that were stored before a rule existed.

mod exposure;
mod probes;
mod scaling;
mod storage;

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
pub use exposure::DesiredIngress;
pub use probes::{DesiredProbe, DesiredProbes, ProbeHandler};
pub use scaling::Scaling;
pub use storage::{ExternalRedis, Host, Storage, VolumeClaim};

/// The registry prefix of the default Redis image.
const REDIS_PREFIX: &str = "docker.io/library";
/// The tag of the default Redis image.
const REDIS_TAG: &str = "7";
/// Kubernetes' default progress deadline, in seconds.
const PROGRESS_DEADLINE: i32 = 600;
/// The shortest interval between refreshes of a pin.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
/// The longest value of a label.
const LONGEST_LABEL_VALUE: usize = 63;

/// A validated spec.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The resource's name, which its children carry in a label.
    pub name: String,
    /// The namespace of the resource and of its children.
    pub namespace: String,
    /// The owner reference of the children.
    pub owner: OwnerReference,
    /// The address of the prefix's registry, if it differs from the prefix's host.
    pub endpoint: Option<Endpoint>,
    /// The host of the registry prefix: the only one that `endpoint` and `certificate_authority` apply to.
    pub registry_host: String,
    /// The certificate authority of the prefix's registry, if it has its own.
    pub certificate_authority: Option<CertificateAuthorityRef>,
    /// The names of the pull secrets, in order. If there are none, those of the ServiceAccount `default` apply.
    pub pull_secrets: Vec<String>,
    /// The time between refreshes of a pin; `None` for no refresh.
    pub interval: Option<Duration>,
    /// Whether the children are left as they are.
    pub suspend: bool,
    /// The node selector of all pods.
    pub node_selector: BTreeMap<String, String>,
    /// The tolerations of all pods.
    pub tolerations: Vec<Toleration>,
    /// The affinity of all pods.
    pub affinity: Option<Affinity>,
    /// The web page's Service.
    pub webui_service: ServiceSpec,
    /// The web page's Ingress.
    pub ingress: Option<DesiredIngress>,
    /// The web page's HTTPRoute.
    pub http_route: Option<HttpRouteSpec>,
    /// Where the coins are stored.
    pub storage: Storage,
    /// Whether each component has a NetworkPolicy.
    pub has_network_policies: bool,
    /// The five components.
    pub components: PerComponent<DesiredComponent>,
}

/// The validated spec of one component.
#[derive(Clone, Debug)]
pub struct DesiredComponent {
    /// The component.
    pub component: Component,
    /// The requested image: with a tag, a digest or both.
    pub image: Reference,
    /// The field that sets the image, for messages.
    pub image_field: String,
    /// Where the digest of the image comes from.
    pub source: ImageSource,
    /// The probes of the container.
    pub probes: DesiredProbes,
    /// The HorizontalPodAutoscaler, if there is one.
    pub scaling: Option<Scaling>,
    /// The other fields, as written.
    pub spec: ComponentSpec,
}

/// Where the digest of a component's image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// From a registry, which resolves the tag.
    Registry {
        /// Whether a rollout waits for the digest (policy `Required`). Otherwise the tag runs until it is resolved
        /// (policy `BestEffort`).
        is_required: bool,
    },
    /// From the spec: the reference runs as written, because it has a digest or because the policy is `Never`.
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

    /// Whether a rollout waits for the digest.
    pub fn is_required(&self) -> bool {
        matches!(self, Self::Registry { is_required: true })
    }
}

/// The key of a ConfigMap or Secret that holds a certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAuthorityRef {
    /// Whether the object is a Secret; otherwise it is a ConfigMap.
    pub is_secret: bool,
    /// The name of the object, in the resource's namespace.
    pub name: String,
    /// The key.
    pub key: String,
}

/// A field that is invalid, or that contradicts another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The path of the field, such as `spec.worker.tag`.
    pub field: String,
    /// What is wrong, and how to fix it.
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl Desired {
    /// Validates a resource.
    ///
    /// # Errors
    /// All violations, not only the first.
    pub fn from_resource(coins: &DockerCoins) -> Result<Self, Vec<Invalid>> {
        let spec = &coins.spec;
        let mut violations = Violations::default();

        let name = coins.name_any();
        if name.len() > LONGEST_LABEL_VALUE {
            violations.add(
                "metadata.name",
                format!(
                    "the name is also a label value: use at most {LONGEST_LABEL_VALUE} characters"
                ),
            );
        }
        let registry = &spec.registry;
        let prefix = violations.take("spec.registry.prefix", Prefix::parse(&registry.prefix));
        let endpoint = registry
            .endpoint
            .as_deref()
            .and_then(|text| violations.take("spec.registry.endpoint", Endpoint::parse(text)));
        let interval = spec
            .resolve
            .interval
            .as_deref()
            .and_then(|text| violations.take("spec.resolve.interval", parse_interval(text)));
        let certificate_authority = registry.certificate_authority.as_ref().and_then(|spec| {
            let reference = certificate_authority_ref(spec);
            violations.take("spec.registry.certificateAuthority", reference)
        });
        let webui = &spec.webui;
        let webui_service = webui.service.clone().unwrap_or_default();
        violations.check_service(&webui_service);
        let ingress = webui.ingress.as_ref();
        let ingress = ingress.and_then(|ingress| violations.ingress(ingress));
        if let Some(route) = &webui.http_route {
            violations.check_http_route(route);
        }
        let storage = violations.storage(&spec.redis);
        let components = PerComponent::from_fn(|component| {
            violations.component(spec, prefix.as_ref(), component)
        });

        let (Some(prefix), Some(storage), Some(components), []) =
            (prefix, storage, components.all(), violations.0.as_slice())
        else {
            return Err(violations.0);
        };
        let secrets = spec.image_pull_secrets.iter();
        let affinity = spec.affinity.clone();
        Ok(Self {
            name,
            namespace: coins.namespace().unwrap_or_default(),
            owner: owner_reference(coins),
            endpoint,
            registry_host: prefix.host().to_owned(),
            certificate_authority,
            pull_secrets: secrets.map(|secret| secret.name.clone()).collect(),
            interval,
            suspend: spec.suspend,
            node_selector: spec.node_selector.clone(),
            tolerations: spec.tolerations.clone(),
            // The API server drops an empty affinity: sent, it would be drift forever.
            affinity: affinity.filter(|affinity| *affinity != Affinity::default()),
            webui_service,
            ingress,
            http_route: webui.http_route.clone(),
            storage,
            has_network_policies: spec
                .network_policy
                .as_ref()
                .is_some_and(|policy| policy.enabled),
            components,
        })
    }

    /// The validated spec of one component.
    pub fn component(&self, component: Component) -> &DesiredComponent {
        &self.components[component]
    }

    /// Whether the component has a Deployment: an external Redis has none.
    pub fn has_pods(&self, component: Component) -> bool {
        component != Component::Redis || !matches!(self.storage, Storage::External(_))
    }

    /// The components that have a Deployment.
    pub fn running(&self) -> impl Iterator<Item = &DesiredComponent> + Clone {
        let components = self.components.iter();
        components
            .filter(|(component, _)| self.has_pods(*component))
            .map(|(_, wanted)| wanted)
    }

    /// The address of the image's registry, if it differs from the image's host. The endpoint applies to the prefix's
    /// host alone.
    pub fn endpoint_for(&self, image: &Reference) -> Option<&Endpoint> {
        self.endpoint
            .as_ref()
            .filter(|_| image.host() == self.registry_host)
    }
}

/// The owner reference of the children: it makes them the resource's, and the garbage collector deletes them with it.
fn owner_reference(coins: &DockerCoins) -> OwnerReference {
    OwnerReference {
        api_version: DockerCoins::api_version(&()).into_owned(),
        kind: DockerCoins::kind(&()).into_owned(),
        name: coins.name_any(),
        uid: coins.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The spec of one component, as written.
pub fn component_spec(spec: &DockerCoinsSpec, component: Component) -> &ComponentSpec {
    match component {
        Component::Hasher => &spec.hasher,
        Component::Redis => &spec.redis.component,
        Component::Rng => &spec.rng,
        Component::Webui => &spec.webui.component,
        Component::Worker => &spec.worker,
    }
}

fn certificate_authority_ref(
    spec: &CertificateAuthority,
) -> Result<CertificateAuthorityRef, &'static str> {
    let (is_secret, selector) = match (&spec.config_map_key_ref, &spec.secret_key_ref) {
        (Some(selector), None) => (false, selector),
        (None, Some(selector)) => (true, selector),
        _ => return Err("set exactly one of configMapKeyRef and secretKeyRef"),
    };
    Ok(CertificateAuthorityRef {
        is_secret,
        name: selector.name.clone(),
        key: selector.key.clone(),
    })
}

/// Parses a duration in Go's notation, such as `10m` or `1h30m`.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval: kube::core::Duration = text.parse().map_err(|_| {
        format!("{text:?} is not a duration: set one such as 10m, or remove interval")
    })?;
    if interval < SHORTEST_INTERVAL {
        return Err(format!(
            "{text:?} is too short: set at least {}s",
            SHORTEST_INTERVAL.as_secs()
        ));
    }
    Ok(interval.into())
}

/// The violations found so far. Validation goes on after the first, to report all at once.
#[derive(Default)]
struct Violations(Vec<Invalid>);

impl Violations {
    fn add(&mut self, field: impl Into<String>, problem: impl fmt::Display) {
        let invalid = Invalid {
            field: field.into(),
            problem: problem.to_string(),
        };
        // Four components use `spec.tag`, which is to be reported once.
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

    fn component(
        &mut self,
        spec: &DockerCoinsSpec,
        prefix: Option<&Prefix>,
        component: Component,
    ) -> Option<DesiredComponent> {
        let written = component_spec(spec, component);
        self.check_replicas(written, component);
        self.check_rollout(written, component);
        let probes = self.probes(written, component);
        let scaling = self.scaling(written, component);
        let (image, image_field) = self.image(spec, prefix, component)?;
        let own_policy = written.resolve.as_ref().and_then(|resolve| resolve.policy);
        let policy = own_policy.unwrap_or(spec.resolve.policy);
        Some(DesiredComponent {
            component,
            source: ImageSource::new(&image, policy),
            image,
            image_field,
            probes: probes?,
            scaling,
            spec: written.clone(),
        })
    }

    fn check_rollout(&mut self, spec: &ComponentSpec, component: Component) {
        if let Some(strategy) = &spec.strategy
            && strategy.rolling_update.is_some()
            && strategy.type_ == Some(StrategyType::Recreate)
        {
            self.add(
                format!("spec.{component}.strategy.rollingUpdate"),
                "only type RollingUpdate has rollingUpdate: set that type, or remove rollingUpdate",
            );
        }
        let deadline = spec.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE);
        if spec
            .min_ready_seconds
            .is_some_and(|ready| ready >= deadline)
        {
            self.add(
                format!("spec.{component}.minReadySeconds"),
                format!("no pod can be available within progressDeadlineSeconds ({deadline}): lower minReadySeconds, or raise progressDeadlineSeconds"),
            );
        }
    }

    /// The component's image, and the field that sets it.
    fn image(
        &mut self,
        spec: &DockerCoinsSpec,
        prefix: Option<&Prefix>,
        component: Component,
    ) -> Option<(Reference, String)> {
        let written = component_spec(spec, component);
        let own_field = |field: &str| format!("spec.{component}.{field}");
        match (&written.image, &written.tag) {
            (Some(_), Some(_)) => {
                self.add(
                    own_field("image"),
                    "image and tag exclude each other: put the tag into image, or remove image",
                );
                None
            }
            (Some(image), None) => {
                let image = self.take(own_field("image"), Reference::parse(image))?;
                Some((image.or_latest(), own_field("image")))
            }
            (None, tag) => {
                let field = match tag {
                    Some(_) => own_field("tag"),
                    None if component == Component::Redis => own_field("image"),
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
