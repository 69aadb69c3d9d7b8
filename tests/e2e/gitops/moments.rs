//! Records every state of a resource, and the health that others derive from it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt as _;
use kube::api::{WatchEvent, WatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::kubectl::program;
use crate::support::server::{Server, reply};
use crate::support::{Namespace, until};

/// A watch that keeps what it sees.
pub struct Recorder {
    states: Arc<Mutex<Vec<Value>>>,
}

impl Recorder {
    /// Starts one, for the resources of a namespace that has none yet.
    pub async fn start(namespace: &Namespace) -> Self {
        let states: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = states.clone();
        let coins = namespace.raw_coins();
        let list = coins.list(&Default::default()).await.unwrap();
        let from = list.metadata.resource_version.unwrap();
        tokio::spawn(async move {
            let watch = coins.watch(&WatchParams::default(), &from).await.unwrap();
            let mut watch = std::pin::pin!(watch);
            while let Some(event) = watch.try_next().await.unwrap() {
                if let WatchEvent::Added(state) | WatchEvent::Modified(state) = event {
                    kept.lock().unwrap().push(json!(state));
                }
            }
        });
        Self { states }
    }

    /// The states so far.
    pub fn states(&self) -> Vec<Value> {
        self.states.lock().unwrap().clone()
    }

    /// Waits until a state has come that `is` wants.
    pub async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) {
        until(what, async || match self.states().iter().any(&is) {
            true => Ok(()),
            false => Err("no such state has come".to_owned()),
        })
        .await;
    }
}

/// The status and reason of a condition, if it is there.
pub fn told<'a>(state: &'a Value, type_: &str) -> Option<(&'a str, &'a str)> {
    let conditions = state["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|c| c["type"] == type_)?;
    Some((condition["status"].as_str()?, condition["reason"].as_str()?))
}

/// Whether the conditions speak of the resource as it is now.
pub fn is_observed(state: &Value) -> bool {
    state["status"]["observedGeneration"] == state["metadata"]["generation"]
}

/// Which of these states `kubectl wait --for=condition=Ready` is content with.
pub async fn waited_for(states: &[Value]) -> Vec<bool> {
    let answers: Vec<String> = states.iter().map(Value::to_string).collect();
    // The namespace that is asked for says which state is meant.
    let server = Server::start(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let state = path
            .strip_prefix("/apis/dockercoins.dev/v1alpha1/namespaces/state-")
            .and_then(|rest| rest.strip_suffix("/dockercoins/dockercoins"))
            .and_then(|number| answers.get(number.parse::<usize>().ok()?).cloned());
        match state.or_else(|| discovery(path)) {
            Some(body) => reply(
                request,
                "200 OK",
                &[("Content-Type", "application/json")],
                &body,
            ),
            None => reply(request, "404 Not Found", &[], ""),
        }
    })
    .await;
    let cache = TempDir::new().unwrap();
    let mut met = Vec::new();
    for number in 0..states.len() {
        let output = Command::new(program())
            .env("KUBECONFIG", "/dev/null")
            .args(["--server", &server.address, "--cache-dir"])
            .arg(cache.path())
            .args(["--namespace", &format!("state-{number}")])
            .args([
                "wait",
                "--for=condition=Ready",
                "--timeout=0",
                "dockercoins/dockercoins",
            ])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_unmet = said.contains("condition not met for dockercoins/dockercoins");
        assert!(output.status.success() != is_unmet, "kubectl wait: {said}");
        met.push(output.status.success());
    }
    met
}

/// What an API server answers that serves DockerCoins alone.
fn discovery(path: &str) -> Option<String> {
    let resource = json!({
        "name": "dockercoins", "singularName": "dockercoins", "namespaced": true, "kind": "DockerCoins",
        "verbs": ["get", "list", "watch"],
    });
    let version = json!({ "groupVersion": "dockercoins.dev/v1alpha1", "version": "v1alpha1" });
    let group =
        json!({ "name": "dockercoins.dev", "versions": [version], "preferredVersion": version });
    let answer = match path {
        "/api" => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        "/api/v1" => json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [] }),
        "/apis" => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group] }),
        "/apis/dockercoins.dev/v1alpha1" => json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "dockercoins.dev/v1alpha1",
            "resources": [resource],
        }),
        _ => return None,
    };
    Some(answer.to_string())
}

/// The reasons of Ready in these states.
pub fn reasons(states: &[Value]) -> BTreeSet<&str> {
    let ready = states.iter().filter_map(|state| told(state, "Ready"));
    ready.map(|(_, reason)| reason).collect()
}
