//! The production overlay, applied by Flux's kustomize-controller.

use std::collections::BTreeMap;

use dockercoins_operator::api::DockerCoins;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::flux::Flux;
use super::overlay::Repository;
use crate::support::namespace::COINS;
use crate::support::registry::Images;
use crate::support::{Namespace, Operator, until};

/// A resource that Flux keeps, and all that this takes.
struct Kept {
    flux: Flux,
    _operator: Operator,
    repository: Repository,
    images: Images,
    namespace: Namespace,
}

/// One that is Ready, by its first commit.
async fn kept() -> Kept {
    let namespace = Namespace::new("kept").await;
    let images = namespace.push_images().await;
    let flux = Flux::start().await;
    let operator = Operator::start(&namespace);
    let repository = Repository::of(&namespace, &images);
    flux.push(&repository, "1").await;
    flux.keep().await;
    let kept = Kept {
        flux,
        _operator: operator,
        repository,
        images,
        namespace,
    };
    kept.until_there().await;
    kept.namespace.run_pods_to_rest(COINS).await;
    kept.flux.until_applied("1").await;
    kept
}

impl Kept {
    async fn until_there(&self) {
        until_there(&self.namespace).await;
    }
}

async fn until_there(namespace: &Namespace) {
    namespace
        .until_coins(COINS, "the resource is there", |_| true)
        .await;
}

/// The time since which a condition has been as it is.
fn since(condition: &Value) -> &str {
    condition["lastTransitionTime"].as_str().unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_waits_until_the_resource_is_ready() {
    let namespace = Namespace::new("waits").await;
    let images = namespace.push_images().await;
    let flux = Flux::start().await;
    let repository = Repository::of(&namespace, &images);
    flux.push(&repository, "1").await;
    flux.keep().await;
    until_there(&namespace).await;
    let waits = "Running health checks for revision main@sha1:1";
    flux.until_told(["Reconciling", "True", "Progressing"], waits)
        .await;

    let _operator = Operator::start(&namespace);
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    flux.until_told(["Reconciling", "True", "Progressing"], waits)
        .await;
    namespace.run_pods(COINS).await;
    let applied = flux.until_applied("1").await;
    let coins = json!(namespace.raw_coins().get(COINS).await.unwrap());
    let conditions = coins["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "True");
    let (applied, ready) = (since(&applied), since(ready));
    assert!(
        applied >= ready,
        "Flux was Ready at {applied}, the resource at {ready}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_restores_only_fields_in_git() {
    let kept = kept().await;
    kept.namespace
        .edit(
            COINS,
            json!({ "worker": { "replicas": 9 }, "hasher": { "replicas": 2 } }),
        )
        .await;
    let healed = kept
        .namespace
        .until_coins(COINS, "the workers are those of Git", |coins| {
            coins.spec.worker.replicas == Some(4)
        })
        .await;
    assert_eq!(healed.spec.hasher.replicas, Some(2));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_rolls_out_another_tag() {
    let kept = kept().await;
    let before = kept.namespace.image("worker").await;
    kept.images.push_tag("v0.2").await;
    kept.repository.set_tag(&kept.images, "v0.2");
    kept.flux.push(&kept.repository, "2").await;
    let digest = kept.images.push("worker", "v0.2", "v0.2").await;
    let image = kept.images.pinned("worker", "v0.2", &digest);
    assert_ne!(before, image);
    kept.namespace.until_image("worker", &image).await;
    kept.namespace.run_pods(COINS).await;
    kept.flux.until_applied("2").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_reports_stalled_until_git_is_fixed() {
    let kept = kept().await;
    kept.repository.set_tag(&kept.images, "v9");
    kept.flux.push(&kept.repository, "2").await;
    let said = kept
        .flux
        .until_told(["Ready", "False", "HealthCheckFailed"], "failed early")
        .await;
    let subject = format!(
        "DockerCoins/{}/{COINS} status: 'Failed'",
        kept.namespace.name
    );
    assert!(
        said["message"].as_str().unwrap().contains(&subject),
        "{said}"
    );

    kept.repository.set_tag(&kept.images, "v0.1");
    kept.flux.push(&kept.repository, "3").await;
    kept.flux.until_applied("3").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_deletes_what_is_gone_from_git() {
    let kept = kept().await;
    let base = kept.repository.folder().join("base");
    std::fs::write(
        kept.repository
            .folder()
            .join("overlays/production/kustomization.yaml"),
        format!(
            "resources: [../../base/namespace.yaml]\nnamespace: {}\n",
            kept.namespace.name
        ),
    )
    .unwrap();
    let alone = "resources: [namespace.yaml]\n";
    std::fs::write(base.join("kustomization.yaml"), alone).unwrap();
    kept.flux.push(&kept.repository, "2").await;
    until("the resource is gone, and all that it owned", async || {
        let coins = kept.namespace.raw_coins().get_opt(COINS).await;
        let children = kept.namespace.children().await;
        match coins.as_ref().map(Option::is_none) {
            Ok(true) if children.is_empty() => Ok(()),
            _ => Err(format!("{coins:?}, {children:?}")),
        }
    })
    .await;
    kept.flux.until_applied("2").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn deleted_kustomization_deletes_the_resource() {
    let kept = kept().await;
    let kustomizations = kept.flux.kustomizations();
    let params = DeleteParams::default();
    kustomizations.delete("dockercoins", &params).await.unwrap();
    until("the Kustomization is gone, and the resource", async || {
        let there = kustomizations.get_opt("dockercoins").await;
        let coins = kept.namespace.api::<DockerCoins>().get_opt(COINS).await;
        match (&there, &coins) {
            (Ok(None), Ok(None)) => Ok(()),
            _ => Err(format!(
                "{there:?}, {:?}",
                coins.map(|coins| coins.map(|coins| coins.name_any()))
            )),
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_and_operator_at_rest_write_nothing() {
    let kept = kept().await;
    let before = kept.writes();
    for written in [
        "kustomize-controller: patch dockercoins dockercoins",
        "dockercoins-operator: patch deployments worker",
    ] {
        assert!(before.contains_key(written), "{before:#?}");
    }
    let (rounds, compared) = (kept.flux.rounds(), kept.dry_runs());
    until("Flux has gone through ten times more", async || {
        match kept.flux.rounds() - rounds {
            10.. => Ok(()),
            some => Err(format!("{some} times")),
        }
    })
    .await;
    assert_eq!(kept.writes(), before);
    let compared = kept.dry_runs() - compared;
    assert!(compared >= 10, "Flux has compared {compared} times");
    println!(
        "{} intervals, {compared} dry runs, no write",
        kept.flux.rounds() - rounds
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_names_an_unknown_field() {
    let kept = kept().await;
    kept.repository
        .patch(json!([{ "op": "add", "path": "/spec/worker/replica", "value": 3 }]));
    kept.flux.push(&kept.repository, "2").await;
    kept.flux
        .until_told(
            ["Ready", "False", "ReconciliationFailed"],
            ".spec.worker.replica: field not declared in schema",
        )
        .await;
}

impl Kept {
    /// What Flux and the operator have written in the resource's namespace so far, as `WHO: VERB WHAT NAME`, and how
    /// often.
    fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for request in self
            .requests()
            .iter()
            .filter(|request| !is_dry_run(request))
        {
            *writes.entry(written(request)).or_default() += 1;
        }
        writes
    }

    /// How often Flux has tried what an apply of the resource would change.
    fn dry_runs(&self) -> usize {
        self.requests().iter().filter(is_dry_run).count()
    }

    /// The audit events of both, but for those that only read.
    fn requests(&self) -> Vec<Value> {
        let mut requests = self
            .namespace
            .audited_of(&["kustomize-controller/", "dockercoins-operator/"]);
        let reads = ["get", "list", "watch"].map(Value::from);
        requests.retain(|request| !reads.contains(&request["verb"]));
        requests
    }
}

fn is_dry_run(request: &&Value) -> bool {
    request["requestURI"]
        .as_str()
        .unwrap()
        .contains("dryRun=All")
}

fn written(request: &Value) -> String {
    let agent = request["userAgent"].as_str().unwrap();
    let who = agent.split('/').next().unwrap();
    let about = &request["objectRef"];
    let text = |field: &str| about[field].as_str().unwrap_or_default().to_owned();
    let verb = request["verb"].as_str().unwrap();
    format!("{who}: {verb} {} {}", text("resource"), text("name"))
}
