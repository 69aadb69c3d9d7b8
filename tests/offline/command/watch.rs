//! The command `watch`, against a server with prepared answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::online::{registry, reply};
use super::{run, run_with, text};

/// A DockerCoins that is ready, with two workers.
fn ready() -> Value {
    json!({
        "apiVersion": "dockercoins.dev/v1alpha1", "kind": "DockerCoins",
        "metadata": { "name": "dockercoins", "namespace": "demo", "uid": "1" },
        "spec": {},
        "status": {
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "all is well",
                "lastTransitionTime": "2026-08-01T00:00:00Z",
            }],
            "components": [{ "name": "worker", "replicas": 2, "readyReplicas": 2 }],
        },
    })
}

/// A kubeconfig for an API server that has these resources, and this answer for the web page.
fn cluster(
    resources: Vec<Value>,
    page: impl Fn() -> (&'static str, String) + Send + 'static,
) -> NamedTempFile {
    let kind = json!({ "apiVersion": "dockercoins.dev/v1alpha1", "kind": "DockerCoinsList", "metadata": {} });
    let at = registry(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path.split('?').next().unwrap_or_default() {
            "/api/v1/namespaces/demo/services/webui:80/proxy/json" => page(),
            "/apis/dockercoins.dev/v1alpha1/namespaces/demo/dockercoins" => {
                let mut list = kind.clone();
                list["items"] = json!(resources);
                ("200 OK", list.to_string())
            }
            "/apis/dockercoins.dev/v1alpha1/namespaces/demo/dockercoins/dockercoins" => {
                ("200 OK", resources[0].to_string())
            }
            other => panic!("{other} is asked for"),
        };
        reply(request, status, "Content-Type: application/json\r\n", &body)
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{ "name": "here", "cluster": { "server": format!("http://{at}") } }],
        "contexts": [{ "name": "here", "context": { "cluster": "here", "user": "me", "namespace": "demo" } }],
        "users": [{ "name": "me", "user": {} }],
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

/// What `watch --once` says there: its exit code, stdout and stderr.
fn once(kubeconfig: &NamedTempFile) -> (Option<i32>, String, String) {
    let variables = [("KUBECONFIG", kubeconfig.path().to_str().unwrap())];
    let output = run_with(&variables, &["watch", "--once"], b"");
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// `watch` of a DockerCoins that is ready and has one coin, until it is ended. The kubeconfig goes when it is dropped.
fn watching() -> (NamedTempFile, Child) {
    let kubeconfig = cluster(vec![ready()], || {
        let books = json!({ "coins": 1, "hashes": "4", "now": 1.0 });
        ("200 OK", books.to_string())
    });
    let watch = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"))
        .arg("watch")
        .env("KUBECONFIG", kubeconfig.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (kubeconfig, watch)
}

#[test]
fn one_line_has_the_rate_of_five_seconds_by_the_pages_clock() {
    let looks = AtomicU64::new(0);
    let kubeconfig = cluster(vec![ready()], move || {
        let look = looks.fetch_add(1, Ordering::Relaxed);
        // At each look, five seconds have passed.
        let (hashes, now) = (33 * look, 5 * look);
        let books = json!({ "coins": look, "hashes": hashes.to_string(), "now": now });
        ("200 OK", books.to_string())
    });
    let line = "READY    WORKERS  HASHES/S    COINS\n\
                True         2/2       6.6        1\n";
    assert_eq!(once(&kubeconfig), (Some(0), line.to_owned(), String::new()));
}

#[test]
fn ctrl_c_ends_it_with_0() {
    let (_kubeconfig, mut watch) = watching();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!(line(), "READY    WORKERS  HASHES/S    COINS");
    assert_eq!(line(), "True         2/2         -        1");
    let id = watch.id().to_string();
    let kill = Command::new("kill").args(["-INT", &id]).status();
    assert!(kill.unwrap().success());
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn who_reads_it_may_go() {
    let (_kubeconfig, mut watch) = watching();
    drop(watch.stdout.take());
    let output = watch.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
}

#[test]
fn one_line_without_figures_says_why_and_the_exit_code_is_1() {
    let kubeconfig = cluster(vec![ready()], || {
        let error = json!({ "error": "redis at redis:6379: Connection refused" });
        ("503 Service Unavailable", error.to_string())
    });
    let line = "READY    WORKERS  HASHES/S    COINS\n\
                True         2/2         -        -  the web page has no figures: redis at redis:6379: Connection refused\n";
    assert_eq!(once(&kubeconfig), (Some(1), line.to_owned(), String::new()));
}

#[test]
fn a_namespace_without_dockercoins_is_told_with_what_to_do() {
    let kubeconfig = cluster(Vec::new(), || panic!("there is no page"));
    let told = "dockercoins-operator: there is no DockerCoins in the namespace demo: name another with --namespace\n";
    assert_eq!(once(&kubeconfig), (Some(1), String::new(), told.to_owned()));
}

#[test]
fn without_a_cluster_it_is_said_how_to_name_one() {
    let output = run(&["watch"], b"");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("dockercoins-operator: no cluster to talk to: "),
        "{told}"
    );
    assert!(
        told.ends_with("Set KUBECONFIG to a kubeconfig file, or run inside a cluster\n"),
        "{told}"
    );
}
