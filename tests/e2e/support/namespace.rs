//! A test's own namespace, with a DockerCoins and its children.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};

use dockercoins_operator::api::{self, DockerCoins};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{self, Pod, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Client, Config, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::registry::{Images, Registry};
use super::{conditions, until};

/// The name of the resource in most tests.
pub const COINS: &str = "dockercoins";

/// The manager of what the tests themselves write.
pub const TESTER: &str = "tester";

/// A namespace, which is deleted when this is dropped.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// The API server, as cluster-admin.
    pub client: Client,
}

/// A client of the cluster that the environment names.
pub async fn client() -> Client {
    // Each test has a runtime of its own, and so a client.
    Client::try_from(Config::infer().await.expect("KUBECONFIG names a cluster")).unwrap()
}

/// Puts the CRD into the cluster, and waits until it serves.
pub async fn install_crd(client: &Client, crd: &CustomResourceDefinition) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply(TESTER).force();
    crds.patch(&crd.name_any(), &params, &Patch::Apply(crd))
        .await
        .unwrap();
    let kind = ApiResource::erase::<DockerCoins>(&());
    let coins: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    until("DockerCoins are served", async || {
        coins.list(&ListParams::default().limit(1)).await.map(drop)
    })
    .await;
}

impl Namespace {
    /// A new namespace of the cluster that the environment names, with the CRD installed.
    ///
    /// `subject` appears in its name, for people who look into the cluster while the tests run.
    pub async fn new(subject: &str) -> Self {
        static CRD: OnceCell<()> = OnceCell::const_new();
        let client = client().await;
        CRD.get_or_init(async || install_crd(&client, &api::crd()).await)
            .await;
        Self::of(client, subject).await
    }

    /// A new namespace of another cluster.
    pub async fn of(client: Client, subject: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{subject}-{}-{number}", std::process::id());
        let namespaces: Api<v1::Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        Self { name, client }
    }

    /// The objects of a kind in this namespace.
    pub fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The DockerCoins of this namespace, readable or not.
    pub fn raw_coins(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.name,
            &ApiResource::erase::<DockerCoins>(&()),
        )
    }

    /// The images of this namespace in the cluster's registry, under a path of its own.
    pub fn images(&self) -> Images {
        Registry::of_the_cluster().images(&self.name)
    }

    /// Pushes all five images to the cluster's registry.
    pub async fn push_images(&self) -> Images {
        let images = self.images();
        images.push_all().await;
        images
    }

    /// Creates a DockerCoins whose images are `images`, with these settings beside.
    pub async fn create(&self, name: &str, images: &Images, settings: Value) -> DockerCoins {
        let spec = merged(images.spec(), settings);
        self.create_spec(name, spec).await
    }

    /// Creates a DockerCoins of exactly this spec.
    pub async fn create_spec(&self, name: &str, spec: Value) -> DockerCoins {
        let coins = resource(name, spec);
        let coins = serde_json::from_value(coins).unwrap();
        let created = self
            .raw_coins()
            .create(&PostParams::default(), &coins)
            .await;
        created.unwrap().try_parse().unwrap()
    }

    /// Changes fields of the resource's spec; `null` takes one away.
    pub async fn edit(&self, name: &str, spec: Value) -> DockerCoins {
        self.patch(name, json!({ "spec": spec })).await
    }

    /// Changes an object as someone who isn't the operator.
    pub async fn patch<K>(&self, name: &str, change: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let params = PatchParams {
            field_manager: Some(TESTER.into()),
            ..PatchParams::default()
        };
        self.api::<K>()
            .patch(name, &params, &Patch::Merge(change))
            .await
            .unwrap()
    }

    /// Changes the resource to something that need not be readable.
    pub async fn patch_raw(&self, name: &str, change: Value) {
        let params = PatchParams::default();
        let patched = self
            .raw_coins()
            .patch(name, &params, &Patch::Merge(change))
            .await;
        patched.unwrap();
    }

    /// Creates an object from JSON.
    pub async fn make<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>()
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    /// An object that must be there.
    pub async fn get<K>(&self, name: &str) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>().get(name).await.unwrap()
    }

    /// Deletes an object, and leaves what follows from it to the garbage collector.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>()
            .delete(name, &DeleteParams::background())
            .await
            .unwrap();
    }

    /// Waits until an object is there and as `is` wants it.
    pub async fn until<K>(&self, name: &str, what: &str, mut is: impl FnMut(&K) -> bool) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let api = self.api::<K>();
        until(what, async || match api.get_opt(name).await {
            Ok(Some(object)) if is(&object) => Ok(object),
            Ok(Some(mut object)) => {
                object.managed_fields_mut().clear();
                Err(serde_saphyr::to_string(&object).unwrap())
            }
            Ok(None) => Err(format!("no {} {name}", K::kind(&()))),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// Waits until the resource is as `is` wants it.
    pub async fn until_coins(
        &self,
        name: &str,
        what: &str,
        is: impl FnMut(&DockerCoins) -> bool,
    ) -> DockerCoins {
        self.until(name, what, is).await
    }

    /// Waits until a condition of the resource has this status and this reason, for what is asked for now.
    pub async fn until_told(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> DockerCoins {
        self.until_coins(
            name,
            &format!("{type_} is {status} for {reason}"),
            |coins| {
                let told = coins
                    .status
                    .as_ref()
                    .is_some_and(|told| told.observed_generation == coins.metadata.generation);
                told && conditions(coins)
                    .iter()
                    .any(|c| (c.type_, c.status, c.reason) == (type_, status, reason))
            },
        )
        .await
    }

    /// Waits until the image that a Deployment names is this one.
    pub async fn until_image(&self, component: &str, image: &str) -> Deployment {
        self.until(
            component,
            &format!("{component} runs {image}"),
            |d: &Deployment| image_of(d) == image,
        )
        .await
    }

    /// The image that a Deployment names.
    pub async fn image(&self, component: &str) -> String {
        image_of(&self.get(component).await).to_owned()
    }

    /// The nine objects' names that are there, such as `Service rng`.
    pub async fn children(&self) -> BTreeSet<String> {
        let services = self
            .api::<Service>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let deployments = self
            .api::<Deployment>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let services = services
            .iter()
            .map(|service| format!("Service {}", service.name_any()));
        let deployments = deployments
            .iter()
            .map(|deployment| format!("Deployment {}", deployment.name_any()));
        services.chain(deployments).collect()
    }

    /// Waits until exactly these objects are there.
    pub async fn until_children(&self, wanted: &BTreeSet<String>) {
        until(&format!("these are there: {wanted:?}"), async || {
            let children = self.children().await;
            if children == *wanted {
                Ok(())
            } else {
                Err(format!("{children:?}"))
            }
        })
        .await;
    }

    /// Says that all pods are ready, in the place of a kubelet, until the resource says that it is Ready.
    pub async fn run_pods(&self, name: &str) -> DockerCoins {
        let pods = self.api::<Pod>();
        let coins = self.api::<DockerCoins>();
        until("the resource is Ready once its pods are", async || {
            let coins = coins.get(name).await.map_err(|error| error.to_string())?;
            let is_current = coins.status.as_ref().and_then(|s| s.observed_generation)
                == coins.metadata.generation;
            if is_current
                && conditions(&coins)
                    .iter()
                    .any(|c| (c.type_, c.status) == ("Ready", "True"))
            {
                return Ok(coins);
            }
            for pod in pods
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?
            {
                let is_ready =
                    pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
                if is_ready || pod.meta().deletion_timestamp.is_some() {
                    continue;
                }
                let status = json!({ "status": {
                    "phase": "Running",
                    "conditions": [{ "type": "Ready", "status": "True" }],
                } });
                // One that is gone meanwhile needs nothing.
                let params = PatchParams::default();
                let _ = pods
                    .patch_status(&pod.name_any(), &params, &Patch::Strategic(status))
                    .await;
            }
            Err(serde_saphyr::to_string(&coins.status).unwrap())
        })
        .await
    }

    /// The same for a resource's first rollout, until the operator has nothing left to write: its event follows the
    /// status.
    pub async fn run_pods_to_rest(&self, name: &str) -> DockerCoins {
        let coins = self.run_pods(name).await;
        self.until_event("Ready", |_| true).await;
        // The API server logs a request only after it has stored what was asked.
        until("the requests for the events are logged", async || {
            let stored = self.events().await.len();
            match self.requests().get("create events") {
                Some(logged) if *logged >= stored => Ok(()),
                logged => Err(format!("{logged:?} of {stored}")),
            }
        })
        .await;
        coins
    }

    /// Changes a note on the worker's pods, and waits until the operator has brought it to the Deployment: whatever
    /// else there was to do has been done before.
    pub async fn until_marked(&self, mark: &str) {
        let marked = json!({ "worker": { "podAnnotations": { "mark": mark } } });
        self.edit(COINS, marked).await;
        let is_marked = |d: &Deployment| {
            json!(d)["spec"]["template"]["metadata"]["annotations"]["mark"] == mark
        };
        self.until("worker", "a later change has come through", is_marked)
            .await;
    }

    /// What was told in events, oldest first: type, reason and note.
    pub async fn events(&self) -> Vec<(String, String, String)> {
        let events = self
            .api::<Event>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let mut ours: Vec<Event> = events
            .items
            .into_iter()
            .filter(|event| {
                event.reporting_controller.as_deref()
                    == Some("dockercoins.dev/dockercoins-operator")
            })
            .collect();
        ours.sort_by_key(|event| event.event_time.clone());
        ours.into_iter()
            .map(|e| {
                (
                    e.type_.unwrap_or_default(),
                    e.reason.unwrap_or_default(),
                    e.note.unwrap_or_default(),
                )
            })
            .collect()
    }

    /// The notes of the events with this reason, oldest first.
    pub async fn notes(&self, reason: &str) -> Vec<String> {
        let mut events = self.events().await;
        events.retain(|(_, told, _)| told == reason);
        events.into_iter().map(|(_, _, note)| note).collect()
    }

    /// Waits until an event with this reason has been told that `is` wants, and gives its note.
    pub async fn until_event(&self, reason: &str, is: impl Fn(&str) -> bool) -> String {
        until(
            &format!("an event {reason} tells what is expected"),
            async || {
                let events = self.events().await;
                let found = events.iter().find(|(_, r, note)| r == reason && is(note));
                found
                    .map(|(_, _, note)| note.clone())
                    .ok_or_else(|| format!("{events:#?}"))
            },
        )
        .await
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if variable_is_set("KEEP_NAMESPACES") {
            return;
        }
        // The runtime of the test cannot run while this waits, so a thread with a runtime of its own asks.
        let name = self.name.clone();
        let delete = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let namespaces: Api<v1::Namespace> = Api::all(client().await);
                namespaces.delete(&name, &DeleteParams::default()).await
            })
        });
        if !delete.join().is_ok_and(|deleted| deleted.is_ok()) {
            eprintln!("namespace {} could not be deleted", self.name);
        }
    }
}

fn variable_is_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// A DockerCoins as JSON.
pub fn resource(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "metadata": { "name": name },
        "spec": spec,
    })
}

/// The image of a Deployment's container.
pub fn image_of(deployment: &Deployment) -> &str {
    let pod = deployment
        .spec
        .template
        .spec
        .as_ref()
        .expect("a Deployment has pods");
    pod.containers[0]
        .image
        .as_deref()
        .expect("a container has an image")
}

/// `base` with `change` laid over it, as a merge patch does.
pub fn merged(mut base: Value, change: Value) -> Value {
    match (&mut base, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, value) in changes {
                let below = fields.remove(&key).unwrap_or(Value::Null);
                fields.insert(key, merged(below, value));
            }
            base
        }
        (_, change) => change,
    }
}
