//! The command `diff` shows what the operator then does, and changes nothing itself.

use std::path::Path;

use dockercoins_operator::api::DockerCoins;
use dockercoins_operator::dockercoins::kinds::Plan;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::Role;
use kube::core::ApiResource;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::coins::nine;
use crate::support::command::{Answer, command};
use crate::support::kubectl::kubeconfig;
use crate::support::namespace::{COINS, resource};
use crate::support::registry::Registry;
use crate::support::{COMPONENTS, Namespace, Operator, SERVED, until};

/// The kubeconfig of one who may get and list what there is in a namespace, and nothing else, and whose context is
/// there.
async fn reader(namespace: &Namespace) -> NamedTempFile {
    let own = ApiResource::erase::<DockerCoins>(&());
    let rule = |kind: &ApiResource| {
        json!({
            "apiGroups": [kind.group],
            "resources": [kind.plural],
            "verbs": ["get", "list"],
        })
    };
    // Not by `kubectl create role`, which asks the cluster for the kinds: it may know no HTTPRoutes.
    let rules: Vec<Value> = Plan::kinds().iter().chain([&own]).map(rule).collect();
    let role = json!({ "metadata": { "name": "reader" }, "rules": rules });
    namespace.make::<Role>(role).await;
    let user = format!("reader-of-{}", namespace.name);
    let binding = format!("--user={user}");
    let bind = ["create", "rolebinding", "reader", "--role=reader", &binding];
    namespace.kubectl(&bind).await;
    // A permission counts a moment after it was given.
    let may = ["auth", "can-i", "list", "deployments.apps", "--as", &user];
    until("the reader may read", async || {
        namespace.try_kubectl(&may, "").await.ok()
    })
    .await;
    let file = kubeconfig(Some(&user), &[], None);
    let text = std::fs::read_to_string(file.path()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["contexts"][0]["context"]["namespace"] = json!(namespace.name);
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

fn diff(spec: &Value, options: &[&str], kubeconfig: &Path) -> Answer {
    let coins = resource(COINS, spec.clone()).to_string();
    let arguments = [&["diff", "-f", "-"], options].concat();
    command(&arguments, &coins, Some(kubeconfig))
}

/// The lines that would go and come.
fn changed(answer: &Answer) -> Vec<&str> {
    answer
        .out
        .lines()
        .filter(|line| line.starts_with(['+', '-']))
        .collect()
}

/// The objects that would be written, by their names in the cluster.
fn files(answer: &Answer) -> Vec<&str> {
    answer
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("+++ MERGED/"))
        .collect()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn diff_shows_what_the_operator_then_does() {
    let namespace = Namespace::new("diff").await;
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let new = images.push("worker", "v0.2", "new").await;
    let reader = reader(&namespace).await;
    let reader = reader.path();
    let env = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    let before = images.spec_with(
        json!({ "worker": { "env": env, "revisionHistoryLimit": 3 }, "rng": { "replicas": 2 } }),
    );

    let answer = diff(&before, &["--resolve"], reader);
    assert_eq!((answer.code, answer.err.as_str()), (1, ""));
    let services = SERVED.map(|name| format!("v1.Service.{}.{name}", namespace.name));
    let deployments =
        COMPONENTS.map(|name| format!("apps.v1.Deployment.{}.{name}", namespace.name));
    let budget = format!("policy.v1.PodDisruptionBudget.{}.rng", namespace.name);
    assert_eq!(
        files(&answer),
        [&services[..], &deployments[..], &[budget]].concat()
    );
    assert!(
        changed(&answer)
            .iter()
            .all(|line| !line.starts_with('-') || line.starts_with("---"))
    );
    assert_eq!(namespace.children().await, Default::default());

    let operator = Operator::start(&namespace);
    namespace.create_spec(COINS, before.clone()).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    let asked = registry.questions();
    for options in [&[][..], &["--resolve"]] {
        let answer = diff(&before, options, reader);
        assert_eq!(
            (answer.code, answer.out.as_str(), answer.err.as_str()),
            (0, "", "")
        );
    }
    assert_eq!(registry.questions(), asked, "status has the digests");

    // Fields that go, come and change, and a new tag.
    let env = json!([{ "name": "A", "value": "3" }]);
    let after = images.spec_with(json!({
        "worker": { "env": env, "tag": "v0.2", "progressDeadlineSeconds": 60 },
    }));
    let pods = namespace.get::<Deployment>("worker").await;
    let old = namespace.image("worker").await;
    let by_tag = diff(&after, &[], reader);
    assert_eq!(by_tag.code, 1);
    assert_eq!(
        by_tag.err,
        format!(
            "dockercoins-operator: DockerCoins {}/{COINS}: by tag, where the operator would name a digest: worker. --resolve asks their registries\n",
            namespace.name
        )
    );
    let answer = diff(&after, &["--resolve"], reader);
    assert_eq!((answer.code, answer.err.as_str()), (1, ""));
    let pinned = images.pinned("worker", "v0.2", &new);
    // Of rng nothing changes but what the operator knows of its own write: the number of replicas stays.
    let lines = changed(&answer);
    let rng = [
        format!("--- LIVE/apps.v1.Deployment.{}.rng", namespace.name),
        format!("+++ MERGED/apps.v1.Deployment.{}.rng", namespace.name),
    ];
    assert_eq!(lines[..2], rng);
    assert!(lines[2].starts_with("-    dockercoins.dev/applied: "));
    assert!(lines[3].starts_with("+    dockercoins.dev/applied: "));
    // With one pod there is no budget any more.
    let budget = format!(
        "--- LIVE/policy.v1.PodDisruptionBudget.{}.rng",
        namespace.name
    );
    let budget = lines.iter().position(|line| **line == budget).unwrap();
    let gone = &lines[budget + 2..];
    assert!(!gone.is_empty() && gone.iter().all(|line| line.starts_with('-')));
    assert_eq!(
        lines[4..budget],
        [
            format!("--- LIVE/apps.v1.Deployment.{}.worker", namespace.name),
            format!("+++ MERGED/apps.v1.Deployment.{}.worker", namespace.name),
            "-  progressDeadlineSeconds: 600".to_owned(),
            "-  revisionHistoryLimit: 3".to_owned(),
            "+  progressDeadlineSeconds: 60".to_owned(),
            "-          value: \"1\"".to_owned(),
            "-        - name: B".to_owned(),
            "-          value: \"2\"".to_owned(),
            format!("-        image: {old}"),
            "+          value: \"3\"".to_owned(),
            format!("+        image: {pinned}"),
        ],
        "{}",
        answer.out
    );
    assert_eq!(namespace.get::<Deployment>("worker").await.spec, pods.spec);

    let change = json!({
        "worker": { "env": after["worker"]["env"], "revisionHistoryLimit": null, "tag": "v0.2", "progressDeadlineSeconds": 60 },
        "rng": { "replicas": null },
    });
    namespace.edit(COINS, change).await;
    namespace.until_image("worker", &pinned).await;
    namespace.run_pods(COINS).await;
    let answer = diff(&after, &[], reader);
    assert_eq!(
        (answer.code, answer.out.as_str(), answer.err.as_str()),
        (0, "", "")
    );
    drop(operator);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn diff_shows_drift_and_no_foreign_fields() {
    let namespace = Namespace::new("diff-drift").await;
    let images = namespace.push_images().await;
    let reader = reader(&namespace).await;
    let reader = reader.path();
    let operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    drop(operator);

    namespace
        .kubectl(&["scale", "deployment/worker", "--replicas=3"])
        .await;
    namespace
        .kubectl(&["annotate", "deployment/worker", "example.com/team=training"])
        .await;
    namespace
        .kubectl(&["label", "service/rng", "example.com/team=training"])
        .await;
    let answer = diff(&images.spec(), &[], reader);
    assert_eq!(
        (answer.code, answer.out.as_str(), answer.err.as_str()),
        (0, "", "")
    );

    let ours = namespace.image("rng").await;
    namespace
        .kubectl(&["set", "image", "deployment/rng", "rng=example.com/rng:mine"])
        .await;
    namespace.delete::<Service>("webui").await;
    let answer = diff(&images.spec(), &[], reader);
    assert_eq!(answer.code, 1);
    assert_eq!(
        files(&answer),
        [
            format!("v1.Service.{}.webui", namespace.name),
            format!("apps.v1.Deployment.{}.rng", namespace.name),
        ]
    );
    let lines = changed(&answer);
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "-      - image: example.com/rng:mine".to_owned(),
            format!("+      - image: {ours}"),
        ]
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn obstacle_is_an_error_and_the_rest_is_shown() {
    let namespace = Namespace::new("diff-foreign").await;
    let images = namespace.images();
    let reader = reader(&namespace).await;
    let service: Service = namespace
        .make(json!({ "metadata": { "name": "redis" }, "spec": { "ports": [{ "port": 6379 }] } }))
        .await;
    assert_eq!(service.metadata.name.as_deref(), Some("redis"));
    let spec = images.spec_with(json!({ "resolve": { "policy": "Never" } }));
    let answer = diff(&spec, &[], reader.path());
    assert_eq!(answer.code, 2, "{}", answer.err);
    assert_eq!(files(&answer).len(), 8);
    assert!(
        answer.err.starts_with(
            "dockercoins-operator: in the way of what the operator would write:\nService redis "
        ),
        "{}",
        answer.err
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn second_resource_in_a_namespace_is_an_error() {
    let namespace = Namespace::new("diff-second").await;
    let images = namespace.images();
    let reader = reader(&namespace).await;
    namespace
        .create("first", &images, json!({ "suspend": true }))
        .await;
    let answer = diff(&images.spec(), &[], reader.path());
    assert_eq!((answer.code, answer.out.as_str()), (2, ""));
    let told = format!("DockerCoins {}/{COINS}: ", namespace.name);
    assert!(
        answer.err.contains(&told) && answer.err.contains("first"),
        "{}",
        answer.err
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn suspended_resource_has_no_diff_but_a_note() {
    let namespace = Namespace::new("diff-suspend").await;
    let images = namespace.push_images().await;
    let reader = reader(&namespace).await;
    let operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    drop(operator);
    let spec = images.spec_with(json!({ "suspend": true, "worker": { "replicas": 3 } }));
    let answer = diff(&spec, &["--resolve"], reader.path());
    assert_eq!((answer.code, answer.out.as_str()), (0, ""));
    assert_eq!(
        answer.err,
        format!(
            "dockercoins-operator: DockerCoins {}/{COINS}: spec.suspend is true, so that nothing would be written. Not as wanted: Deployment worker, PodDisruptionBudget worker\n",
            namespace.name
        )
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn unwanted_object_is_shown_as_deleted() {
    let namespace = Namespace::new("diff-gone").await;
    let images = namespace.images();
    let reader = reader(&namespace).await;
    let spec = images.spec_with(json!({ "resolve": { "policy": "Never" } }));
    let coins: DockerCoins = namespace.create_spec(COINS, spec.clone()).await;
    let operator = Operator::start(&namespace);
    namespace.until_children(&nine()).await;
    drop(operator);
    // As an older version of the operator would have written it.
    let _: Service = namespace
        .make(json!({
            "metadata": {
                "name": "worker",
                "labels": { "app.kubernetes.io/managed-by": "dockercoins-operator" },
                "ownerReferences": [{
                    "apiVersion": "dockercoins.dev/v1alpha1", "kind": "DockerCoins", "name": COINS,
                    "uid": coins.metadata.uid, "controller": true,
                }],
            },
            "spec": { "ports": [{ "port": 80 }] },
        }))
        .await;
    let answer = diff(&spec, &[], reader.path());
    assert_eq!(answer.code, 1);
    assert_eq!(
        changed(&answer),
        [
            format!("--- LIVE/v1.Service.{}.worker", namespace.name),
            format!("+++ MERGED/v1.Service.{}.worker", namespace.name),
            "-apiVersion: v1".to_owned(),
            "-kind: Service".to_owned(),
            "-metadata:".to_owned(),
            "-  name: worker".to_owned(),
            format!("-  namespace: {}", namespace.name),
        ]
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_permission_is_an_error() {
    let namespace = Namespace::new("diff-stranger").await;
    let stranger = kubeconfig(Some("stranger"), &[], None);
    let spec = json!({});
    let answer = diff(&spec, &["--namespace", &namespace.name], stranger.path());
    assert_eq!((answer.code, answer.out.as_str()), (2, ""));
    let begin = format!(
        "dockercoins-operator: the API server was asked to get DockerCoins {}/{COINS}: ",
        namespace.name
    );
    assert!(answer.err.starts_with(&begin), "{}", answer.err);
    assert!(
        answer
            .err
            .contains("User \"stranger\" cannot get resource \"dockercoins\""),
        "{}",
        answer.err
    );
}
