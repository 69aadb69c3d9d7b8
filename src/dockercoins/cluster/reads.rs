//! Objects that are read when they are needed, and not watched: pull secrets, certificate authorities, nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret, ServiceAccount};
use kube::api::{Api, ListParams};
use resolver::{Format, Keyring};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Cluster;
use crate::dockercoins::desired::CertificateAuthorityRef;
use crate::runtime::error::{ApiError, Request, Scope, Verb};

/// How long the list of nodes is reused.
const NODES_KEPT: Duration = Duration::from_secs(60);

/// How long a failed list of nodes is not retried.
const NODES_RETRY: Duration = Duration::from_secs(10);

impl Cluster {
    /// Whether a namespace may exist, by its ServiceAccount `default`; without an answer it may. Any replica may ask.
    pub async fn may_exist(&self, namespace: &str) -> bool {
        let api: Api<ServiceAccount> = Api::namespaced(self.api.client(), namespace);
        let request = Request::about(Verb::Read, "ServiceAccount", namespace, "default");
        let why = "a namespace that exists has it";
        let sent = api.get_opt("default");
        let account = self.api.for_any_replica().send(request, why, sent).await;
        !matches!(account, Ok(None))
    }

    /// The credentials in the named Secrets of a namespace, and warnings about Secrets without any. If none is named, those
    /// of the ServiceAccount `default` are used, as the API server's admission does for pods.
    ///
    /// As for the kubelet, a missing or unusable Secret is only a warning: the image may not need it.
    pub async fn keyring(&self, namespace: &str, names: &[String]) -> (Keyring, Vec<String>) {
        let (names, first) = match names {
            [] => match self.default_pull_secrets(namespace).await {
                Ok(names) => (names, None),
                Err(error) => (Vec::new(), Some(warning(&error))),
            },
            names => (names.to_vec(), None),
        };
        let secrets = futures::future::join_all(
            names
                .iter()
                .map(|name| self.read::<Secret>(namespace, name, "a registry may need its login")),
        );
        let mut keyring = Keyring::new();
        let mut warnings = Vec::from_iter(first);
        for (name, secret) in names.iter().zip(secrets.await) {
            match secret {
                Ok(Some(secret)) => warnings.extend(add_secret(&mut keyring, name, &secret)),
                Ok(None) => warnings.push(format!(
                    "pull secret {name} is not in this namespace: create it with `kubectl create secret docker-registry {name}`, or take it out of spec.imagePullSecrets"
                )),
                Err(error) => warnings.push(warning(&error)),
            }
        }
        (keyring, warnings)
    }

    /// A certificate authority from a ConfigMap or Secret of a namespace.
    ///
    /// # Errors
    /// The warning for the resource, if the authority is not there.
    pub async fn certificate_authority(
        &self,
        namespace: &str,
        at: &CertificateAuthorityRef,
    ) -> Result<Vec<u8>, String> {
        let CertificateAuthorityRef {
            is_secret,
            name,
            key,
        } = at;
        let kind = if *is_secret { "Secret" } else { "ConfigMap" };
        let why = "it holds a registry's certificate authority";
        let of_secret = |secret: Secret| Some(secret.data?.remove(key)?.0);
        let of_map = |map: ConfigMap| Some(map.data?.remove(key)?.into_bytes());
        let held = match is_secret {
            true => self
                .read(namespace, name, why)
                .await
                .map(|it| it.map(of_secret)),
            false => self
                .read(namespace, name, why)
                .await
                .map(|it| it.map(of_map)),
        };
        match held {
            Ok(Some(Some(authority))) => Ok(authority),
            Ok(Some(None)) => Err(format!(
                "{kind} {name} has no key {key}: put the registry's certificate authority there, or mend spec.registry.certificateAuthority"
            )),
            Ok(None) => Err(format!(
                "{kind} {name} is not in this namespace: create it with the registry's certificate authority under {key}, or mend spec.registry.certificateAuthority"
            )),
            Err(error) => Err(warning(&error)),
        }
    }

    /// An object of a namespace by its name, if it is there.
    async fn read<K>(&self, namespace: &str, name: &str, why: &str) -> Result<Option<K>, ApiError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.api.client(), namespace);
        let request = Request::about(Verb::Read, K::kind(&()), namespace, name);
        self.api.send(request, why, api.get_opt(name)).await
    }

    /// The pull secrets of pods that name none and run as no ServiceAccount of their own.
    async fn default_pull_secrets(&self, namespace: &str) -> Result<Vec<String>, ApiError> {
        let why = "its pull secrets are those of pods that name none";
        let account = self
            .read::<ServiceAccount>(namespace, "default", why)
            .await?;
        let secrets = account.and_then(|account| account.image_pull_secrets);
        let names = secrets.into_iter().flatten().map(|secret| secret.name);
        Ok(names.filter(|name| !name.is_empty()).collect())
    }

    /// The platforms of the nodes with these labels, such as `linux/amd64`; `None` if the nodes cannot be listed.
    pub async fn platforms(&self, labels: &BTreeMap<String, String>) -> Option<BTreeSet<String>> {
        let mut seen = self.nodes.lock().await;
        let is_fresh = |seen: &SeenNodes| match &seen.nodes {
            Some(_) => seen.at.elapsed() < NODES_KEPT,
            None => seen.at.elapsed() < NODES_RETRY,
        };
        if !seen.as_ref().is_some_and(is_fresh) {
            let at = Instant::now();
            let nodes = match self.list_nodes().await {
                Ok(nodes) => Some(nodes),
                // Not an answer about the nodes.
                Err(ApiError::NotLeading { .. }) => return None,
                Err(error) => {
                    tracing::info!("the platforms of the nodes are not known: {error}");
                    None
                }
            };
            *seen = Some(SeenNodes { at, nodes });
        }
        let nodes = seen.as_ref()?.nodes.as_ref()?;
        let has_labels = |node: &&NodeGist| {
            labels
                .iter()
                .all(|(key, value)| node.labels.get(key) == Some(value))
        };
        let fit = nodes.iter().filter(has_labels);
        Some(fit.map(|node| node.platform.clone()).collect())
    }

    async fn list_nodes(&self) -> Result<Vec<NodeGist>, ApiError> {
        let api: Api<Node> = Api::all(self.api.client());
        let mut nodes = Vec::new();
        let mut params = ListParams::default().limit(100);
        loop {
            let why = "an image may not be there for their platforms";
            let request = Request {
                verb: Verb::List,
                kind: "Node".into(),
                scope: Scope::Cluster,
                name: None,
            };
            let page = self.api.send(request, why, api.list(&params)).await?;
            nodes.extend(page.items.into_iter().filter_map(NodeGist::of));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(nodes),
            }
        }
    }
}

/// The warning that images are resolved without an object that could not be read.
fn warning(error: &ApiError) -> String {
    // The leader reads the object, and logs the failure.
    if !matches!(error, ApiError::NotLeading { .. }) {
        tracing::warn!("images are resolved without it: {error}");
    }
    error.to_string()
}

/// The last list of nodes.
pub(super) struct SeenNodes {
    at: Instant,
    nodes: Option<Vec<NodeGist>>,
}

/// The labels and the platform of a node.
struct NodeGist {
    labels: BTreeMap<String, String>,
    platform: String,
}

impl NodeGist {
    fn of(node: Node) -> Option<Self> {
        let info = node.status?.node_info?;
        Some(Self {
            labels: node.metadata.labels.unwrap_or_default(),
            platform: format!("{}/{}", info.operating_system, info.architecture),
        })
    }
}

/// Adds a Secret's credentials, and returns warnings about unusable ones.
fn add_secret(keyring: &mut Keyring, name: &str, secret: &Secret) -> Vec<String> {
    let type_ = secret.type_.as_deref().unwrap_or("Opaque");
    let Some(format) = Format::of_secret_type(type_) else {
        return vec![format!(
            "pull secret {name} has the type {type_}, which holds no registry logins: create one with `kubectl create secret docker-registry`"
        )];
    };
    let payload = secret
        .data
        .as_ref()
        .and_then(|data| data.get(format.data_key()));
    let payload = payload.map(|bytes| bytes.0.as_slice()).unwrap_or_default();
    match keyring.add(&format!("Secret {name}"), payload, format) {
        Ok(skipped) => skipped.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}
