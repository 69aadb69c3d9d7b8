//! Admission that changes what the operator applies, or refuses it.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::support::coins::{message_of, nine, reasons};
use crate::support::namespace::COINS;
use crate::support::{Namespace, Operator, begin};

/// A policy for the Deployments of a namespace that sets a field of their containers; and how to take it back.
async fn mutate(namespace: &Namespace, fields: &str) -> String {
    let name = &namespace.name;
    let expression = format!(
        "Object{{spec: Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{containers: \
         object.spec.template.spec.containers.map(c, Object.spec.template.spec.containers{{name: c.name, {fields}}})}}}}}}}}"
    );
    let policy = json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                    "resourceRules": [{
                        "apiGroups": ["apps"], "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
                    }],
                },
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [{
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": { "expression": expression },
                }],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name },
        },
    ] })
    .to_string();
    let applied = namespace.try_kubectl(&["apply", "-f", "-"], &policy).await;
    assert!(applied.success, "{}", applied.err);
    policy
}

async fn take_back(namespace: &Namespace, policy: &str) {
    let deleted = namespace.try_kubectl(&["delete", "-f", "-"], policy).await;
    assert!(deleted.success, "{}", deleted.err);
}

fn container(deployment: &Deployment) -> Value {
    json!(deployment)["spec"]["template"]["spec"]["containers"][0].clone()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn replaced_pull_policy_is_named_and_not_fought() {
    let namespace = Namespace::new("mutated").await;
    let images = namespace.push_images().await;
    let policy = mutate(&namespace, "imagePullPolicy: \"Always\"").await;
    let operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    // A new policy takes effect after a moment; an edit sends each Deployment through it.
    let is_always = |d: &Deployment| container(d)["imagePullPolicy"] == "Always";
    let mut edits = 0;
    crate::support::until("the policy is in effect", async || {
        edits += 1;
        let mark = json!({ "tolerations": [{ "key": "edit", "value": edits.to_string() }] });
        namespace.edit(COINS, mark).await;
        let rng: Deployment = namespace.get("rng").await;
        is_always(&rng)
            .then_some(())
            .ok_or_else(|| format!("{edits} edits"))
    })
    .await;
    namespace
        .until("worker", "the last is written", is_always)
        .await;
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "True", "Ready"),
            ("ImagesResolved", "True", "Resolved")
        ]
    );
    let path = "spec.template.spec.containers[rng].imagePullPolicy";
    let told = message_of(&coins, "Ready");
    assert!(
        told.contains(&format!(
            "admission sets {path} of Deployment rng to another value"
        )),
        "{told}"
    );
    assert_eq!(namespace.notes("Healed").await, Vec::<String>::new());
    // A change of something else sends one apply for that object, and none for what admission changes.
    namespace.until_marked("after").await;
    drop(operator);
    let before = namespace.acts();
    let _operator = Operator::start(&namespace);
    namespace.until_marked("restarted").await;
    let written = namespace.written_since(&before);
    assert_eq!(written.get("patch deployments"), Some(&1), "{written:?}");
    take_back(&namespace, &policy).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn replaced_image_is_not_ready() {
    let (namespace, _, _operator) = begin("mutated-image", json!({})).await;
    namespace.run_pods(COINS).await;
    let policy = mutate(&namespace, "image: \"example.com/other:v1\"").await;
    let mut edits = 0;
    let is_other = |d: &Deployment| container(d)["image"] == "example.com/other:v1";
    crate::support::until("the policy is in effect", async || {
        edits += 1;
        namespace
            .edit(
                COINS,
                json!({ "tolerations": [{ "key": "edit", "value": edits.to_string() }] }),
            )
            .await;
        let rng: Deployment = namespace.get("rng").await;
        is_other(&rng)
            .then_some(())
            .ok_or_else(|| format!("{edits} edits"))
    })
    .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ChangedByAdmission")
        .await;
    let told = message_of(&coins, "Ready");
    assert!(
        told.contains(": admission sets spec.template.spec.containers[rng].image to another value"),
        "{told}"
    );
    take_back(&namespace, &policy).await;
    // Without the policy the next change brings our image back. The policy, too, goes after a moment.
    crate::support::until("our image is back", async || {
        edits += 1;
        let mark = json!({ "tolerations": [{ "key": "edit", "value": edits.to_string() }] });
        namespace.edit(COINS, mark).await;
        let rng: Deployment = namespace.get("rng").await;
        let is_ours = !is_other(&rng);
        is_ours
            .then_some(())
            .ok_or_else(|| format!("{edits} edits"))
    })
    .await;
}
