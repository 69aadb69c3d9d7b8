//! Tools that wait for a resource agree with its conditions during rollouts, failures and recoveries.

use std::process::Stdio;

use dockercoins_operator::api::DockerCoins;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::health::judge;
use super::moments::{Recorder, is_observed, reasons, told, waited_for};
use crate::support::namespace::{COINS, resource};
use crate::support::{Namespace, Operator, conditions, variable};

/// What our conditions say of a state, in the words of kstatus and of Argo CD.
fn as_our_conditions_say(state: &Value) -> (&'static str, &'static str) {
    if !is_observed(state) {
        return ("InProgress", "Progressing");
    }
    match (told(state, "Ready"), told(state, "Stalled")) {
        (Some(("True", _)), None) => ("Current", "Healthy"),
        (Some(("False", _)), Some(("True", _))) => ("Failed", "Degraded"),
        (Some(("False", "Suspended")), None) => ("InProgress", "Suspended"),
        (Some(("False", _)), None) => ("InProgress", "Progressing"),
        other => panic!("no state that there should be: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn health_agrees_with_conditions_at_every_moment() {
    let namespace = Namespace::new("moments").await;
    let images = namespace.push_images().await;
    images.push_tag("v0.2").await;
    let recorder = Recorder::start(&namespace).await;
    namespace
        .create(COINS, &images, json!({ "tag": "v0.1" }))
        .await;
    recorder.until("the resource is there", |_| true).await;

    // A first rollout, and another.
    let _operator = Operator::start(&namespace);
    namespace.run_pods(COINS).await;
    namespace.edit(COINS, json!({ "tag": "v0.2" })).await;
    namespace.run_pods(COINS).await;

    // A tag that isn't there, and the one from before.
    namespace.edit(COINS, json!({ "tag": "v9" })).await;
    namespace
        .until_told(COINS, "Stalled", "True", "NotFoundOrNoAccess")
        .await;
    namespace.edit(COINS, json!({ "tag": "v0.2" })).await;
    namespace.run_pods(COINS).await;

    // Pods that don't come in time, and then do.
    let stuck =
        json!({ "rng": { "env": [{ "name": "A", "value": "1" }], "progressDeadlineSeconds": 1 } });
    namespace.edit(COINS, stuck).await;
    namespace
        .until_told(COINS, "Stalled", "True", "ProgressDeadlineExceeded")
        .await;
    namespace.run_pods(COINS).await;

    // Suspended while there is something to do, and resumed.
    namespace
        .edit(
            COINS,
            json!({ "suspend": true, "worker": { "replicas": 2 } }),
        )
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "Suspended")
        .await;
    namespace.edit(COINS, json!({ "suspend": false })).await;
    namespace.run_pods(COINS).await;

    let coins = namespace.api::<DockerCoins>();
    let params = DeleteParams::foreground();
    coins.delete(COINS, &params).await.unwrap();
    let leaves = |state: &Value| state["metadata"]["deletionTimestamp"].is_string();
    recorder
        .until("the resource is being deleted", leaves)
        .await;

    // Argo CD and `kubectl wait` don't look at who is being deleted: that is no matter of our conditions.
    let (leaving, alive): (Vec<Value>, Vec<Value>) =
        recorder.states().into_iter().partition(leaves);
    let moments = leaving.len() + alive.len();
    for verdict in judge(&leaving).await {
        assert_eq!(verdict.kstatus, "Terminating");
    }
    let expected: Vec<_> = alive.iter().map(as_our_conditions_say).collect();
    let verdicts = judge(&alive).await;
    let given = verdicts
        .iter()
        .map(|v| (v.kstatus.as_str(), v.health.as_str()));
    assert_eq!(given.collect::<Vec<_>>(), expected);
    let is_ready =
        |state| is_observed(state) && told(state, "Ready").is_some_and(|(is, _)| is == "True");
    let ready: Vec<bool> = alive.iter().map(is_ready).collect();
    assert_eq!(waited_for(&alive).await, ready);

    // Otherwise it would say little.
    assert_eq!(
        expected[0],
        ("InProgress", "Progressing"),
        "{:#}",
        alive[0]["status"]
    );
    assert_eq!(
        reasons(&alive).into_iter().collect::<Vec<_>>(),
        [
            "NotFoundOrNoAccess",
            "ProgressDeadlineExceeded",
            "Ready",
            "RolloutInProgress",
            "Suspended"
        ]
    );
    println!(
        "kstatus agreed at {moments} of {moments} moments; kubectl wait and Argo CD's check at {0} of {0}",
        alive.len()
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn unobserved_resource_says_so_in_its_columns() {
    let namespace = Namespace::new("unseen").await;
    namespace.create_spec(COINS, json!({ "tag": "v0.1" })).await;
    let coins = namespace.raw_coins().get(COINS).await.unwrap();
    assert_eq!(coins.data["status"], json!({ "observedGeneration": -1 }));
    let columns = "--output=custom-columns=READY:.status.conditions,WORKERS:.status.replicas";
    let shown = namespace
        .kubectl(&["get", "coins", COINS, columns, "--no-headers"])
        .await;
    assert_eq!(
        shown.split_whitespace().collect::<Vec<_>>(),
        ["<none>", "<none>"]
    );
    let shown = namespace
        .kubectl(&["get", "coins", COINS, "--no-headers"])
        .await;
    let shown: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(shown[..3], [COINS, "docker.io/dockercoins", "v0.1"]);

    let wait = [
        "wait",
        "--for=condition=Ready",
        "--timeout=0",
        "coins/dockercoins",
    ];
    assert!(!namespace.try_kubectl(&wait, "").await.success);
    // What a restore writes, which says nothing of a generation.
    let memory = json!({ "status": { "components": [{ "name": "rng" }] } });
    let coins = namespace
        .raw_coins()
        .patch_status(COINS, &PatchParams::default(), &Patch::Merge(memory))
        .await
        .unwrap();
    assert_eq!(coins.data["status"]["observedGeneration"], json!(-1));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn kubectl_wait_ends_when_the_resource_is_ready() {
    let namespace = Namespace::new("kubectl").await;
    let images = namespace.push_images().await;
    namespace.create(COINS, &images, json!({})).await;
    let wait = [
        "wait",
        "--for=condition=Ready",
        "--timeout=10m",
        "coins/dockercoins",
    ];
    let bring_up = async {
        let operator = Operator::start(&namespace);
        namespace.run_pods(COINS).await;
        operator
    };
    let (said, _operator) = tokio::join!(namespace.try_kubectl(&wait, ""), bring_up);
    assert_eq!(
        said.out, "dockercoins.dockercoins.dev/dockercoins condition met\n",
        "{}",
        said.err
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn helm_waits_and_reports_stalled() {
    let namespace = Namespace::new("helm").await;
    let images = namespace.push_images().await;
    let chart = chart();
    let helm = async |verb: &str, tag: &str| {
        let spec = images.spec_with(json!({ "tag": tag }));
        std::fs::write(
            chart.path().join("templates/dockercoins.yaml"),
            resource(COINS, spec).to_string(),
        )
        .unwrap();
        let output = Command::new(variable("HELM"))
            .args([
                verb,
                "coins",
                chart.path().to_str().unwrap(),
                "--namespace",
                &namespace.name,
            ])
            .args(["--wait", "--timeout=10m"])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), errors)
    };
    let is_ready = async || {
        let coins: DockerCoins = namespace.get(COINS).await;
        conditions(&coins)
            .iter()
            .any(|c| (c.type_, c.status) == ("Ready", "True"))
    };
    let bring_up = async {
        // Helm must wait already, when nothing has been told yet.
        namespace.until_coins(COINS, "it is there", |_| true).await;
        let operator = Operator::start(&namespace);
        namespace.run_pods(COINS).await;
        operator
    };
    let installed = async { (helm("install", "v0.1").await, is_ready().await) };
    let ((installed, ready), _operator) = tokio::join!(installed, bring_up);
    assert!(installed.0, "{}", installed.1);
    assert!(ready, "Helm was content before the resource was Ready");

    let (is_content, said) = helm("upgrade", "v9").await;
    assert!(!is_content && said.contains("status: Failed"), "{said}");

    let (is_content, said) = helm("upgrade", "v0.1").await;
    assert!(is_content, "{said}");
}

/// A chart with no template yet.
fn chart() -> TempDir {
    let chart = TempDir::new().unwrap();
    let about = "apiVersion: v2\nname: coins\nversion: 0.1.0\n";
    std::fs::write(chart.path().join("Chart.yaml"), about).unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    chart
}
