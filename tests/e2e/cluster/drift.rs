//! Changes by others to the operator's fields are reverted and reported; their own fields stay.

use dockercoins_operator::api::DockerCoins;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use serde_json::json;

use crate::support::coins::{component, message_of, nine, reasons};
use crate::support::namespace::{COINS, image_of};
use crate::support::{Operator, conditions, reason_of, settled, until};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn edited_image_is_restored_and_the_event_names_the_field() {
    let (namespace, _, _operator) = settled("image", json!({})).await;
    let ours = namespace.image("rng").await;
    namespace
        .kubectl(&["set", "image", "deployment/rng", "rng=example.com/rng:mine"])
        .await;
    namespace.until_image("rng", &ours).await;
    let note = namespace.until_event("Healed", |_| true).await;
    assert_eq!(
        note,
        format!(
            "Deployment rng: kubectl-set had changed spec.template.spec.containers[rng].image to \
             example.com/rng:mine, and it was changed back to {ours}. To change it, set spec.tag of DockerCoins {COINS}"
        )
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rollout_undo_is_reverted() {
    let (namespace, _, _operator) = settled("undo", json!({})).await;
    let revision = |number: &'static str| {
        move |d: &Deployment| {
            d.annotations()
                .get("deployment.kubernetes.io/revision")
                .is_some_and(|r| r == number)
        }
    };
    namespace
        .until("rng", "the first revision is known", revision("1"))
        .await;
    namespace
        .edit(
            COINS,
            json!({ "rng": { "env": [{ "name": "ROUND", "value": "2" }] } }),
        )
        .await;
    let has_env = |d: &Deployment| {
        json!(d)["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "2"
    };
    namespace
        .until("rng", "rng has its variable", has_env)
        .await;
    namespace
        .until("rng", "the second revision is known", revision("2"))
        .await;

    namespace
        .kubectl(&["rollout", "undo", "deployment/rng"])
        .await;
    let note = namespace.until_event("Healed", |_| true).await;
    assert_eq!(
        note,
        "Deployment rng: kubectl had changed spec.template.spec.containers[rng].env to nothing, and it was changed \
         back to what the resource says. To change it, set spec.rng.env of DockerCoins dockercoins"
    );
    namespace
        .until("rng", "rng has its variable again", has_env)
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn deleted_service_is_created_again() {
    let (namespace, _, _operator) = settled("deleted", json!({})).await;
    let before: Service = namespace.get("hasher").await;
    namespace.delete::<Service>("hasher").await;
    namespace
        .until("hasher", "there is a new Service", |s: &Service| {
            s.uid() != before.uid()
        })
        .await;
    let note = namespace.until_event("Healed", |_| true).await;
    assert_eq!(
        note,
        "Service hasher had been deleted, and was created again. \
         To stop the operator, set spec.suspend of DockerCoins dockercoins"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn removed_label_is_restored_and_foreign_labels_stay() {
    let (namespace, _, _operator) = settled("labels", json!({})).await;
    let change = json!({ "metadata": {
        "labels": { "app.kubernetes.io/part-of": null, "team": "blue" },
        "annotations": { "example.com/note": "mine" },
    } });
    namespace.patch::<Service>("redis", change.clone()).await;
    namespace.patch::<Deployment>("redis", change).await;
    let has_label = |labels: &std::collections::BTreeMap<String, String>| {
        labels.contains_key("app.kubernetes.io/part-of")
    };
    let service = namespace
        .until("redis", "the Service's label is back", |s: &Service| {
            has_label(s.labels())
        })
        .await;
    let deployment = namespace
        .until(
            "redis",
            "the Deployment's label is back",
            |d: &Deployment| has_label(d.labels()),
        )
        .await;
    for (labels, annotations) in [
        (service.labels(), service.annotations()),
        (deployment.labels(), deployment.annotations()),
    ] {
        assert_eq!(labels.get("team").map(String::as_str), Some("blue"));
        assert_eq!(
            annotations.get("example.com/note").map(String::as_str),
            Some("mine")
        );
    }
    let note = namespace
        .until_event("Healed", |note| note.starts_with("Service redis"))
        .await;
    assert_eq!(
        note,
        "Service redis: someone had changed metadata.labels[app.kubernetes.io/part-of] to nothing, and it was \
         changed back to dockercoins. The operator decides this field"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn changed_variable_is_restored_and_foreign_variable_stays() {
    let (namespace, _, _operator) = settled(
        "env",
        json!({ "worker": { "env": [{ "name": "OURS", "value": "1" }] } }),
    )
    .await;
    namespace
        .kubectl(&["set", "env", "deployment/worker", "OURS=2", "THEIRS=3"])
        .await;
    let env = |d: &Deployment| json!(d)["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let wanted = json!([{ "name": "OURS", "value": "1" }, { "name": "THEIRS", "value": "3" }]);
    namespace
        .until("worker", "OURS is 1 and THEIRS is 3", |d: &Deployment| {
            env(d) == wanted
        })
        .await;
    let note = namespace.until_event("Healed", |_| true).await;
    assert_eq!(
        note,
        "Deployment worker: kubectl-set had changed spec.template.spec.containers[worker].env[OURS].value to \
         another value, and it was changed back to what the resource says. To change it, set spec.worker.env of DockerCoins dockercoins"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn changed_service_selector_is_restored() {
    let (namespace, _, _operator) = settled("selector", json!({})).await;
    let change = json!({ "spec": { "selector": { "app": "mine", "tier": "front" }, "ports": [
        { "name": "rng", "port": 80, "targetPort": 8080 },
    ] } });
    namespace.patch::<Service>("rng", change).await;
    let is_ours = |s: &Service| {
        let spec = json!(s.spec);
        spec["selector"] == json!({ "app": "rng" }) && spec["ports"][0]["targetPort"] == 80
    };
    namespace
        .until("rng", "the Service selects and forwards as before", is_ours)
        .await;
    let note = namespace
        .until_event("Healed", |note| note.contains("selector.app"))
        .await;
    assert_eq!(
        note,
        "Service rng: tester had changed spec.selector.app to mine, and it was changed back to rng. \
         The operator decides this field"
    );
    let note = namespace
        .until_event("Healed", |note| note.contains("selector.tier"))
        .await;
    assert_eq!(
        note,
        "Service rng: tester had changed spec.selector.tier to front, and it was changed back to nothing. \
         The operator decides this field"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn changed_service_port_is_restored() {
    let service = json!({ "webui": { "service": { "type": "NodePort" } } });
    let (namespace, _, _operator) = settled("ports", service).await;
    let changes = [
        json!([{ "name": "webui", "port": 81 }]),
        json!([{ "port": 82 }]),
        json!([{ "name": "a", "port": 83 }, { "name": "b", "port": 84 }]),
    ];
    for (number, change) in (1..).zip(changes) {
        namespace
            .patch::<Service>("webui", json!({ "spec": { "ports": change } }))
            .await;
        let is_ours = |s: &Service| {
            let ports = json!(s)["spec"]["ports"].clone();
            ports
                .as_array()
                .is_some_and(|ports| ports.len() == 1 && ports[0]["port"] == 80)
        };
        namespace
            .until("webui", "the Service listens as before", is_ours)
            .await;
        // It does before the last of the two writes that heal it.
        until("it is told to be healed", async || {
            let healed = namespace.notes("Healed").await;
            (healed.len() == number)
                .then_some(())
                .ok_or(format!("{healed:#?}"))
        })
        .await;
    }
    namespace
        .edit(COINS, json!({ "webui": { "service": null } }))
        .await;
    let is_closed = |s: &Service| json!(s)["spec"]["ports"][0]["nodePort"].is_null();
    namespace
        .until("webui", "the Service has no node port", is_closed)
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn object_without_owner_is_foreign_until_it_is_annotated() {
    let (namespace, _, _operator) = settled("disowned", json!({})).await;
    namespace
        .patch::<Service>("rng", json!({ "metadata": { "ownerReferences": null } }))
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    let service: Service = namespace.get("rng").await;
    assert_eq!(service.owner_references(), []);

    namespace
        .kubectl(&[
            "annotate",
            "service",
            "rng",
            "dockercoins.dev/adopt=dockercoins",
        ])
        .await;
    namespace
        .until("rng", "the Service is ours again", |s: &Service| {
            s.owner_references().len() == 1
        })
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn drift_during_downtime_is_reverted_at_start() {
    let (namespace, _, operator) = settled("away", json!({})).await;
    let ours = namespace.image("rng").await;
    namespace
        .until_coins(COINS, "webui has been told to be there", |coins| {
            component(coins, "webui").replicas == 1
        })
        .await;
    drop(operator);
    namespace
        .kubectl(&["set", "image", "deployment/rng", "rng=example.com/rng:mine"])
        .await;
    namespace.delete::<Service>("webui").await;
    let _operator = Operator::start(&namespace);
    namespace.until_image("rng", &ours).await;
    namespace.until_children(&nine()).await;
    namespace
        .until_event("Healed", |note| {
            note.starts_with("Service webui had been deleted")
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn manager_that_undoes_every_heal_is_named_and_met_with_backoff() {
    let (namespace, _, _operator) = settled("contended", json!({})).await;
    let ours = namespace.image("rng").await;
    let rival = "example.com/rng:rival";
    let mut changes = 0;
    let coins = until("the fight is told", async || {
        let coins: DockerCoins = namespace.get(COINS).await;
        if conditions(&coins).iter().any(|c| c.reason == "Contended") {
            return Ok(coins);
        }
        let deployment: Deployment = namespace.get("rng").await;
        if image_of(&deployment) != rival {
            let change = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "rng", "image": rival }] } } } });
            let params = kube::api::PatchParams { field_manager: Some("rival".into()), ..Default::default() };
            let change = kube::api::Patch::Strategic(change);
            namespace.api::<Deployment>().patch("rng", &params, &change).await.unwrap();
            changes += 1;
        }
        Err(format!("{changes} changes, {:#?}", conditions(&coins)))
    })
    .await;
    assert_eq!(
        reasons(&coins),
        [
            ("Ready", "False", "Contended"),
            ("ImagesResolved", "True", "Resolved"),
            ("Stalled", "True", "Contended"),
        ]
    );
    assert_eq!(
        message_of(&coins, "Ready"),
        "Deployment rng: rival keeps changing spec.template.spec.containers[rng].image, and the operator restores it \
         with growing delays: stop that, or set spec.tag instead"
    );
    let writes = namespace.requests_about("patch", "deployments", "rng");
    assert!(
        writes <= 8,
        "{writes} writes in a fight of {changes} changes"
    );

    // The rival has stopped: the next heal holds, and is the end of it.
    namespace.until_image("rng", &ours).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
    assert_eq!(reason_of(&coins, "Reconciling"), "RolloutInProgress");
}
