//! A classroom: the cluster before the first page, and the check that each page restores it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::page::{Expected, Page, Step};
use super::session::Session;
use crate::support::kubectl::{self, program};
use crate::support::namespace::COINS;
use crate::support::{Namespace, Operator, rights, until, variable};

/// The page with the table of all others, and what a learner does before the first of them.
pub const INDEX: &str = "docs/course/README.md";

/// The kinds whose objects come and go by themselves. Pods do where something owns them.
const PASSING: [&str; 8] = [
    "controllerrevisions.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "pods",
    "pods.metrics.k8s.io",
    "replicasets.apps",
];

/// The programs that a learner has, and the variables that name them in `make test`.
const PROGRAMS: [(&str, &str); 4] = [
    ("kubectl", "KUBECTL"),
    ("helm", "HELM"),
    ("kustomize", "KUSTOMIZE"),
    ("crane", "CRANE"),
];

/// Reads a page.
pub fn page(path: &str) -> Page {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page::read(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Does all that a page says, in a namespace of its own, and sees that it leaves that as it found it.
pub async fn learn(name: &str) {
    let class = Class::open(name).await;
    class.follow(&format!("docs/course/{name}.md")).await;
}

/// Does all that the index says.
pub async fn begin() {
    let mut class = Class::open("index").await;
    class.steps(INDEX, |_| true).await;
}

struct Class {
    namespace: Namespace,
    session: Session,
    _operator: Operator,
    _folder: TempDir,
}

impl Class {
    /// What a learner has before a page.
    async fn open(subject: &str) -> Self {
        let namespace = Namespace::new(&format!("course-{subject}")).await;
        let label = "pod-security.kubernetes.io/enforce=restricted";
        namespace
            .kubectl(&["label", "namespace", &namespace.name, label])
            .await;
        let operator = operator(&namespace);
        let folder = TempDir::new().unwrap();
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        programs(Path::new(&place("bin")));
        std::fs::create_dir(place("tmp")).unwrap();
        kubeconfig(Path::new(&place("kubeconfig")), &namespace.name);
        let path = format!("{}:{}", place("bin"), variable("PATH"));
        let variables = [
            ("PATH", path.as_str()),
            ("KUBECONFIG", &place("kubeconfig")),
            ("TMPDIR", &place("tmp")),
            // Logins of a page's are none of this user's.
            ("DOCKER_CONFIG", &place("docker")),
            ("REGISTRY", &variable("REGISTRY")),
            ("INSTANCE", &variable("INSTANCE")),
        ];
        let session = Session::open(&variables, folder.path()).await;
        Self {
            namespace,
            session,
            _operator: operator,
            _folder: folder,
        }
    }

    async fn follow(mut self, path: &str) {
        // To look at it, as the index says then, takes its time and changes nothing.
        self.steps(INDEX, |step| step.seen == Expected::Success)
            .await;
        let before = until("what is in the namespace is told", async || {
            self.found().await
        })
        .await;
        self.steps(path, |_| true).await;
        let what = format!("{path} leaves the namespace as it found it, which was\n{before:#}");
        until(&what, async || {
            let after = self.found().await?;
            match after == before {
                true => Ok(()),
                false => Err(format!("{after:#}")),
            }
        })
        .await;
        self.namespace
            .until_told(COINS, "Ready", "True", "Ready")
            .await;
    }

    /// Does those steps of a page that are meant.
    async fn steps(&mut self, path: &str, are_meant: impl Fn(&Step) -> bool) {
        for step in page(path).steps.into_iter().filter(are_meant) {
            println!("{path}:{}  {}", step.line, step.commands);
            if let Err(error) = self.session.follow(&step).await {
                panic!("{path}, {error}");
            }
        }
    }

    /// What is in the namespace, but for what changes by itself; or what the API server says, which may know a kind whose
    /// server is away for a moment.
    async fn found(&self) -> Result<Value, String> {
        let kinds = [
            "api-resources",
            "--namespaced",
            "--verbs=list",
            "--output=name",
        ];
        let kinds = self.namespace.try_kubectl(&kinds, "").await.ok()?;
        let kinds = kinds.lines().filter(|kind| !PASSING.contains(kind));
        let kinds = kinds.collect::<Vec<_>>().join(",");
        let of_kinds = ["get", &kinds, "--output=name"];
        let names = self.namespace.try_kubectl(&of_kinds, "").await.ok()?;
        let mut names: Vec<&str> = names.lines().collect();
        names.sort_unstable();
        let pods = self.listed("pods").await?;
        let pods = pods
            .iter()
            .filter(|pod| pod["metadata"]["ownerReferences"].is_null());
        let pods: Vec<&Value> = pods.map(|pod| &pod["metadata"]["name"]).collect();
        let specs = self.listed("coins,deployments,services").await?;
        let specs: Vec<&Value> = specs.iter().map(|object| &object["spec"]).collect();
        Ok(json!({ "names": names, "pods of no one": pods, "specs": specs }))
    }

    /// The objects of some kinds.
    async fn listed(&self, kinds: &str) -> Result<Vec<Value>, String> {
        let get = ["get", kinds, "--output=json"];
        let list = self.namespace.try_kubectl(&get, "").await.ok()?;
        let mut list: Value = serde_json::from_str(&list).unwrap();
        Ok(serde_json::from_value(list["items"].take()).expect("a list has items"))
    }
}

/// An operator for this namespace on the node's network, where one that runs as a pod finds what it asks.
fn operator(namespace: &Namespace) -> Operator {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", variable("NETNS")))
        .arg(env!("CARGO_BIN_EXE_dockercoins-operator"))
        .args(["run", "--log-format=text", "--namespace", &namespace.name])
        .args(["--allow-registry-network", "127.0.0.0/8"])
        .env("KUBECONFIG", rights::suite());
    Operator::spawn(&mut command)
}

/// Makes a folder with the programs that a learner has.
fn programs(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let operator = env!("CARGO_BIN_EXE_dockercoins-operator").to_owned();
    let others = PROGRAMS.map(|(name, variable_of)| (name, variable(variable_of)));
    for (name, path) in others
        .into_iter()
        .chain([("dockercoins-operator", operator)])
    {
        std::os::unix::fs::symlink(path, folder.join(name)).unwrap();
    }
}

/// Makes a copy of the cluster's kubeconfig whose current namespace is this one.
fn kubeconfig(file: &Path, namespace: &str) {
    let original = kubectl::kubeconfig(None, &[], None);
    std::fs::copy(original.path(), file).unwrap();
    let set = Command::new(program())
        .args([
            "config",
            "set-context",
            "--current",
            "--namespace",
            namespace,
        ])
        .env("KUBECONFIG", file)
        .output()
        .unwrap();
    assert!(set.status.success(), "{set:?}");
}
