use serde_json::{Value, json};

use super::*;

/// A Deployment of three replicas in its second generation, with this status.
fn deployment(status: Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 2 },
        "spec": { "replicas": 3, "selector": {}, "template": {} },
        "status": status,
    }))
    .unwrap()
}

fn moving(why: &str) -> Rollout {
    Rollout::Moving(why.into())
}

#[test]
fn it_is_done_when_all_are_new_and_available_and_no_old_one_is_left() {
    let status = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 });
    assert_eq!(rollout(&deployment(status)), Rollout::Done);
}

#[test]
fn zero_replicas_are_done_when_none_is_left() {
    let mut none = deployment(json!({ "observedGeneration": 2 }));
    none.spec.replicas = Some(0);
    assert_eq!(rollout(&none), Rollout::Done);
}

#[test]
fn what_it_waits_for_is_told() {
    for (status, why) in [
        (json!({}), "the change has not been taken up yet"),
        (
            json!({ "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 }),
            "the change has not been taken up yet",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3 }),
            "1 of 3 pods are of the new version",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 5, "updatedReplicas": 3, "availableReplicas": 5 }),
            "2 old pods stay until the new ones are available",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 4 }),
            "1 old pod stays until the new ones are available",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2 }),
            "2 of 3 pods are available",
        ),
    ] {
        assert_eq!(rollout(&deployment(status)), moving(why));
    }
}

#[test]
fn pods_that_can_t_be_created_are_told_with_the_reason() {
    let status = json!({
        "observedGeneration": 2,
        "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }],
    });
    let why = "0 of 3 pods are of the new version; pods can't be created: exceeded quota";
    assert_eq!(rollout(&deployment(status)), moving(why));
}

#[test]
fn past_its_deadline_it_is_stuck() {
    let status = json!({
        "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3,
        "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }],
    });
    assert_eq!(
        rollout(&deployment(status)),
        Rollout::Stuck("0 of 3 pods are available".into())
    );
}
