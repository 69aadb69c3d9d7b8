//! A CRD that is older or newer than the operator, or missing.

use std::process::Command;

use dockercoins_operator::api;
use dockercoins_operator::api::crd_check::{Differences, differences, published};
use http::Request;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use serde_json::{Value, json};

use super::helm::{no_crd, said, without_field};
use crate::support::kubectl::Said;
use crate::support::namespace::{client, install_crd};
use crate::support::{Namespace, Operator, until};

/// Installs an edited CRD in place of what was there, and waits until its schema is published.
async fn install(client: &Client, edit: impl FnOnce(&mut Value)) {
    no_crd(client).await;
    let mut crd = json!(api::crd());
    edit(&mut crd);
    let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let crd: CustomResourceDefinition = serde_json::from_value(crd).unwrap();
    install_crd(client, &crd).await;
    until_published(client, &schema).await;
}

/// Waits until the API server publishes this schema and no other, or none, if it is null: it does after a while.
async fn until_published(client: &Client, schema: &Value) {
    until("the schema is published", async || {
        let request = Request::get("/openapi/v3/apis/dockercoins.dev/v1alpha1");
        let document = client.request_text(request.body(Vec::new()).unwrap()).await;
        let document = match document {
            Err(kube::Error::Api(status)) if status.code == 404 => String::new(),
            other => other.map_err(|error| error.to_string())?,
        };
        let served = published(&document).unwrap().unwrap_or_default();
        match differences(&served, schema) {
            none if none == Differences::default() => Ok(()),
            some => Err(format!("{some:?}")),
        }
    })
    .await;
}

/// What `dockercoins-operator check` says.
fn check() -> Said {
    said(Command::new(env!("CARGO_BIN_EXE_dockercoins-operator")).arg("check"))
}

/// What to do about it, in the words of every message.
const UPGRADE: &str = "`helm upgrade` with crds.enabled=true (and `--force-conflicts`, if it was changed by hand), or \
                       `dockercoins-operator crd | kubectl apply --server-side --force-conflicts --filename -`";

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn operator_does_not_act_if_the_crd_drops_its_status() {
    let client = client().await;
    install(&client, |crd| {
        without_field(crd, "status/components/[]/pinned")
    })
    .await;
    let namespace = Namespace::of(client.clone(), "forgets").await;
    let told = format!(
        "the CRD in the cluster is older than this operator: it drops status.components[].pinned. Upgrade it: {UPGRADE}"
    );

    let mut operator = Operator::start(&namespace);
    assert!(!operator.end().await.success());
    let log = operator.log();
    assert_eq!(
        log.lines().last(),
        Some(format!("dockercoins-operator: {told}").as_str()),
        "{log}"
    );
    let checked = check();
    assert!(!checked.success);
    assert_eq!(checked.out, format!("{told}\n"));

    // Upgraded, it acts: what has just been changed is waited for.
    install_crd(&client, &api::crd()).await;
    let operator = Operator::start(&namespace);
    operator.until_logged("started").await;
    let checked = check();
    assert!(checked.success, "{}", checked.err);
    assert_eq!(checked.out, "the CRD is this operator's\n");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn newer_or_partial_crd_is_a_warning() {
    let client = client().await;
    install(&client, |crd| {
        without_field(crd, "spec/suspend");
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"]["properties"]["tomorrow"] = json!({ "type": "string" });
    })
    .await;
    let namespace = Namespace::of(client, "differs").await;
    let older = format!(
        "the CRD in the cluster is older than this operator: it drops spec.suspend. Upgrade it: {UPGRADE}"
    );
    let newer = "this operator is older than the CRD in the cluster: it ignores spec.tomorrow. Upgrade the operator";

    let operator = Operator::start(&namespace);
    operator.until_logged(&older).await;
    operator.until_logged(newer).await;
    operator.until_logged("started").await;
    let checked = check();
    assert!(!checked.success);
    assert_eq!(checked.out, format!("{older}\n{newer}\n"));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn check_reports_a_missing_crd() {
    let client = client().await;
    no_crd(&client).await;
    until_published(&client, &Value::Null).await;
    let checked = check();
    assert!(!checked.success);
    assert_eq!(
        checked.err,
        "the CRD is not this operator's; waiting up to 10 s in case it was just installed\n"
    );
    assert_eq!(
        checked.out,
        format!("the cluster knows no DockerCoins: install the CRD: {UPGRADE}\n")
    );
}
