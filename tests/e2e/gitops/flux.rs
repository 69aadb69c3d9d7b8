//! Flux's kustomize-controller, with a server for the repository's content in place of source-controller.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use resolver::Digest;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::overlay::{PATH, Repository};
use crate::support::server::{Answer, Server};
use crate::support::{Namespace, until, variable};

/// The name of the GitRepository and of the Kustomization.
const NAME: &str = "dockercoins";

/// A running kustomize-controller for a namespace of its own, which is ended when this is dropped.
pub struct Flux {
    /// Where its objects are.
    pub namespace: Namespace,
    process: Child,
    log: PathBuf,
    archive: Arc<Mutex<Vec<u8>>>,
    server: Server,
}

impl Flux {
    /// Starts one with a GitRepository that has nothing yet.
    pub async fn start() -> Self {
        let namespace = Namespace::new("flux").await;
        static CRDS: OnceCell<()> = OnceCell::const_new();
        CRDS.get_or_init(async || install_crds(&namespace).await)
            .await;
        let archive: Arc<Mutex<Vec<u8>>> = Arc::default();
        let served = archive.clone();
        let server = Server::start(move |_| {
            let body = served.lock().unwrap().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            Answer::Bytes([head.as_bytes(), &body].concat())
        })
        .await;
        let log =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.log", namespace.name));
        let process = Command::new(variable("KUSTOMIZE_CONTROLLER"))
            .args(["--watch-all-namespaces=false", "--metrics-addr=0"])
            .args(["--health-addr=0", "--interval-jitter-percentage=0"])
            .env("KUBECONFIG", variable("KUBECONFIG"))
            .env("RUNTIME_NAMESPACE", &namespace.name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("KUSTOMIZE_CONTROLLER names it");
        let flux = Self {
            namespace,
            process,
            log,
            archive,
            server,
        };
        let repository = object(
            "GitRepository",
            json!({ "interval": "1h", "url": "https://git.example.com/training" }),
        );
        let created = flux
            .repositories()
            .create(&PostParams::default(), &repository)
            .await;
        created.unwrap();
        flux
    }

    /// Serves what the repository holds now, as a commit of this name, and says so as source-controller does.
    pub async fn push(&self, repository: &Repository, commit: &str) {
        let packed = Command::new("tar")
            .args(["--create", "--gzip", "--directory"])
            .arg(repository.folder())
            .arg(".")
            .output()
            .unwrap();
        assert!(packed.status.success());
        let artifact = json!({
            "digest": Digest::of(&packed.stdout).to_string(),
            "lastUpdateTime": "2026-11-29T08:00:00Z",
            "path": format!("gitrepository/{NAME}.tar.gz"),
            "revision": format!("main@sha1:{commit}"),
            "size": packed.stdout.len(),
            "url": format!("{}/{commit}.tar.gz", self.server.address),
        });
        *self.archive.lock().unwrap() = packed.stdout;
        let status = json!({ "status": { "observedGeneration": 1, "artifact": artifact } });
        let told = self
            .repositories()
            .patch_status(NAME, &PatchParams::default(), &Patch::Merge(status))
            .await;
        told.unwrap();
    }

    /// Has the overlay applied as the example's Kustomization says, but every second.
    pub async fn keep(&self) {
        let file = std::fs::read_to_string(format!(
            "{}/flux/dockercoins.yaml",
            super::overlay::EXAMPLES
        ));
        let example: Value = serde_saphyr::from_str(&file.unwrap()).unwrap();
        let mut spec = example["spec"].clone();
        for (field, value) in [
            ("path", PATH),
            ("interval", "1s"),
            ("retryInterval", "1s"),
            ("timeout", "1m"),
        ] {
            spec[field] = json!(value);
        }
        let kustomization = object("Kustomization", spec);
        let created = self
            .kustomizations()
            .create(&PostParams::default(), &kustomization)
            .await;
        created.unwrap();
    }

    /// Its Kustomizations.
    pub fn kustomizations(&self) -> Api<DynamicObject> {
        self.api("kustomize.toolkit.fluxcd.io", "Kustomization")
    }

    /// Waits until the Kustomization is Ready with this commit; gives the condition.
    pub async fn until_applied(&self, commit: &str) -> Value {
        self.until_told(["Ready", "True", "ReconciliationSucceeded"], commit)
            .await
    }

    /// Waits until a condition of the Kustomization has this type, status and reason, and a message that says
    /// something; gives the condition.
    pub async fn until_told(&self, condition: [&str; 3], says: &str) -> Value {
        until(
            &format!("the Kustomization is {condition:?}: {says}"),
            async || {
                let kept = self.kustomizations().get(NAME).await;
                let kept = kept.map_err(|error| error.to_string())?;
                let conditions = kept.data["status"]["conditions"].as_array().cloned();
                let told = conditions.unwrap_or_default();
                let is = |told: &&Value| {
                    ["type", "status", "reason"].map(|field| &told[field]) == condition
                        && told["message"].as_str().unwrap_or_default().contains(says)
                };
                match told.iter().find(is) {
                    Some(told) => Ok(told.clone()),
                    None => Err(format!("{:#}", json!(told))),
                }
            },
        )
        .await
    }

    /// How many times it has gone through.
    pub fn rounds(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.matches("Reconciliation finished").count()
    }

    fn repositories(&self) -> Api<DynamicObject> {
        self.api("source.toolkit.fluxcd.io", "GitRepository")
    }

    fn api(&self, group: &str, kind: &str) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(self.namespace.client.clone(), &self.namespace.name, &kind)
    }
}

impl Drop for Flux {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("kustomize-controller's log:\n{log}");
        }
        std::fs::remove_file(&self.log).ok();
        // No one is left who would look after its finalizers.
        let bare = json!({ "metadata": { "finalizers": [] } }).to_string();
        let kubectl = Command::new(crate::support::kubectl::program())
            .args([
                "--namespace",
                &self.namespace.name,
                "patch",
                "kustomizations.kustomize.toolkit.fluxcd.io",
                NAME,
            ])
            .args(["--type=merge", "--patch", &bare])
            .output();
        // It may be gone by the test itself.
        drop(kubectl);
    }
}

/// Puts the CRDs of Flux into the cluster, and that of Argo CD's Application.
pub async fn install_crds(namespace: &Namespace) {
    let files = |folder: &str| {
        let entries = std::fs::read_dir(variable(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
    };
    // kustomize-controller watches every kind of source.
    let flux = ["FLUX_KUSTOMIZE_CRDS", "FLUX_SOURCE_CRDS", "FLUX_HELM_CRDS"];
    let argo_cd = files("ARGO_CRDS").filter(|file| file.ends_with("/application-crd.yaml"));
    let files: Vec<String> = flux.into_iter().flat_map(files).chain(argo_cd).collect();
    let mut apply = vec!["apply", "--server-side", "--force-conflicts"];
    apply.extend(files.iter().flat_map(|file| ["--filename", file]));
    namespace.kubectl(&apply).await;
    namespace
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "kustomizations.kustomize.toolkit.fluxcd.io",
            "gitrepositories.source.toolkit.fluxcd.io",
            "helmreleases.helm.toolkit.fluxcd.io",
            "applications.argoproj.io",
        ])
        .await;
}

fn object(kind: &str, spec: Value) -> DynamicObject {
    let group = match kind {
        "Kustomization" => "kustomize.toolkit.fluxcd.io",
        _ => "source.toolkit.fluxcd.io",
    };
    let object = json!({
        "apiVersion": format!("{group}/v1"),
        "kind": kind,
        "metadata": { "name": NAME },
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}
