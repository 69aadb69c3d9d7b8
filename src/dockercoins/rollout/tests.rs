use serde_json::{Value, json};

use super::*;

/// A Deployment of three replicas at generation 2, with this status.
fn deployment(status: Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 2 },
        "spec": { "replicas": 3, "selector": {}, "template": {} },
        "status": status,
    }))
    .unwrap()
}

fn progressing(why: &str) -> Rollout {
    Rollout::Progressing(why.into())
}

#[test]
fn updated_and_available_pods_alone_are_complete() {
    let status = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 });
    assert_eq!(rollout(&deployment(status)), Rollout::Complete);
}

#[test]
fn zero_replicas_are_complete() {
    let mut scaled_down = deployment(json!({ "observedGeneration": 2 }));
    scaled_down.spec.replicas = Some(0);
    assert_eq!(rollout(&scaled_down), Rollout::Complete);
}

#[test]
fn a_progressing_rollout_names_what_it_waits_for() {
    for (status, why) in [
        (
            json!({}),
            "the Deployment controller has not observed the change yet",
        ),
        (
            json!({ "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 }),
            "the Deployment controller has not observed the change yet",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3 }),
            "1 of 3 pods are updated",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 5, "updatedReplicas": 3, "availableReplicas": 5 }),
            "2 old pods are left",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 4 }),
            "1 old pod is left",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2 }),
            "2 of 3 pods are available",
        ),
    ] {
        assert_eq!(rollout(&deployment(status)), progressing(why));
    }
}

#[test]
fn a_replica_failure_is_reported_with_its_message() {
    let status = json!({
        "observedGeneration": 2,
        "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }],
    });
    let waits_for = "0 of 3 pods are updated; pods can't be created: exceeded quota";
    assert_eq!(rollout(&deployment(status)), progressing(waits_for));
}

#[test]
fn an_exceeded_deadline_is_reported() {
    let status = json!({
        "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3,
        "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }],
    });
    assert_eq!(
        rollout(&deployment(status)),
        Rollout::DeadlineExceeded("0 of 3 pods are available".into())
    );
}
