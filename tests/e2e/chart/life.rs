//! Install, upgrade, rollback and uninstall on an API server, without loss of any resource.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::helm::{OtherChart, Release, crd, no_crd, until_served, without_field};
use crate::support::namespace::{COINS, client, resource};
use crate::support::{Namespace, until};

/// Whether a CRD knows `spec.suspend`.
fn knows_suspend(crd: &CustomResourceDefinition) -> bool {
    let crd = json!(crd);
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["suspend"].is_object()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn crd_and_resources_outlive_the_release() {
    let client = client().await;
    no_crd(&client).await;
    let namespace = Namespace::of(client.clone(), "life").await;
    let older = OtherChart::with_crd(|crd| without_field(crd, "spec/suspend"));
    let release = Release::new("dockercoins-operator", &namespace.name);

    release.chart_ok("install", older.path(), &[]);
    until_served(&client).await;
    assert!(!knows_suspend(&crd(&client).await));
    let coins = serde_json::from_value(resource(COINS, json!({}))).unwrap();
    let created = namespace
        .raw_coins()
        .create(&Default::default(), &coins)
        .await
        .unwrap();

    release.ok("upgrade", &[]);
    assert!(knows_suspend(&crd(&client).await));
    release.manage("rollback", &["1"]);
    assert!(!knows_suspend(&crd(&client).await));
    let said = release.ok("upgrade", &["--set", "replicas=2"]);
    assert!(said.contains("watches every namespace."), "{said}");
    assert!(knows_suspend(&crd(&client).await));
    let operator: Deployment = namespace.get("dockercoins-operator").await;
    assert_eq!(operator.spec.replicas, Some(2));

    release.manage("uninstall", &[]);
    let mine = format!("dockercoins.dockercoins.dev/{COINS}");
    // Where there is a node, pods take their time to end.
    until("only the resource is left", async || {
        let kinds = "all,roles,rolebindings,configmaps,secrets,pdb";
        let left = namespace.kubectl(&["get", kinds, "--output=name"]).await;
        match left
            .lines()
            .eq([mine.as_str(), "configmap/kube-root-ca.crt"])
        {
            true => Ok(()),
            false => Err(left),
        }
    })
    .await;
    let clusterwide = namespace
        .kubectl(&[
            "get",
            "clusterroles,clusterrolebindings",
            "--selector=app.kubernetes.io/name=dockercoins-operator",
            "--output=name",
        ])
        .await;
    assert_eq!(clusterwide, "");

    release.ok("install", &[]);
    let found = namespace.raw_coins().get(COINS).await.unwrap();
    assert_eq!(found.uid(), created.uid());
    assert_eq!(found.resource_version(), created.resource_version());
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn crd_without_keep_goes_with_the_release() {
    let client = client().await;
    no_crd(&client).await;
    let namespace = Namespace::of(client.clone(), "not-kept").await;
    let release = Release::new("dockercoins-operator", &namespace.name);
    release.ok("install", &["--set", "crds.keep=false"]);
    let there = crd(&client).await;
    assert!(!there.annotations().contains_key("helm.sh/resource-policy"));

    release.manage("uninstall", &["--wait"]);
    // Helm waits for the CRD as for anything, and may miss its last moment.
    until("the CRD is gone", async || {
        let gone = namespace
            .try_kubectl(&["get", "crd", "dockercoins.dockercoins.dev"], "")
            .await;
        match gone.err.contains("NotFound") {
            true => Ok(()),
            false => Err(format!("{}{}", gone.out, gone.err)),
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn crd_equals_the_operators() {
    let client = client().await;
    no_crd(&client).await;
    let namespace = Namespace::of(client.clone(), "same").await;
    let release = Release::new("dockercoins-operator", &namespace.name);
    release.ok("install", &[]);
    let installed = json!(crd(&client).await);
    let own: Value = json!(dockercoins_operator::api::crd());
    assert_eq!(
        installed["spec"]["versions"][0]["schema"],
        own["spec"]["versions"][0]["schema"]
    );
    assert_eq!(
        installed["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
}
