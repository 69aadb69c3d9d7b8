//! The status with a claim, an external Redis or a route.

use super::*;

fn claim(phase: &str, class: Option<&str>) -> ClaimState {
    let claim = json!({
        "metadata": { "name": "redis" },
        "spec": { "storageClassName": class },
        "status": { "phase": phase },
    });
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    ClaimState::from(&claim)
}

fn with_claim(condition: Value, claim: ClaimState) -> Outcome {
    let mut outcome = well();
    let redis = deployment(0, condition);
    outcome.deployments.insert(Component::Redis, redis);
    outcome.claim = Some(claim);
    outcome
}

#[test]
fn a_claim_without_a_volume_is_told_as_what_keeps_redis() {
    let moving = json!({ "type": "Available", "status": "False" });
    let told = told(&with_claim(moving.clone(), claim("Pending", Some("nope"))));
    let message = "redis: 0 of 1 pods are available; its PersistentVolumeClaim redis has no volume of the class nope yet: if `kubectl get storageclasses` doesn't list this class, write one that it lists into spec.redis.storage.storageClassName; else `kubectl describe pvc redis` tells why";
    let text = |s: &str| s.to_owned();
    assert_eq!(
        told[0],
        (
            text("Ready"),
            text("False"),
            text("RolloutInProgress"),
            text(message)
        )
    );
    let none = &super::told(&with_claim(moving.clone(), claim("Pending", None)))[0].3;
    assert!(none.contains("names no class"), "{none}");
    let lost = &super::told(&with_claim(moving.clone(), claim("Lost", Some("fast"))))[0].3;
    assert!(lost.contains("has lost its volume"), "{lost}");
    let bound = &super::told(&with_claim(moving, claim("Bound", Some("fast"))))[0].3;
    assert_eq!(bound, "redis: 0 of 1 pods are available");
}

#[test]
fn a_claim_that_gets_no_volume_for_too_long_is_stalled() {
    let stuck =
        json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
    let outcome = with_claim(stuck, claim("Pending", Some("nope")));
    assert_eq!(
        gist(&outcome),
        [
            ["Ready", "False", "ProgressDeadlineExceeded"],
            ["ImagesResolved", "True", "Resolved"],
            ["Stalled", "True", "ProgressDeadlineExceeded"],
        ]
        .map(|row| row.map(str::to_owned))
    );
    let status = status(Some(1), &DockerCoinsStatus::default(), &outcome, now());
    let message = status.components[1].message.as_deref().unwrap();
    assert!(message.contains("no volume of the class nope"), "{message}");
}

#[test]
fn a_redis_elsewhere_is_not_waited_for_and_it_is_told_that_no_one_looks_at_it() {
    let spec = json!({ "redis": { "external": { "host": "redis.example.com" } } });
    let mut outcome = well();
    outcome.deployments.remove(&Component::Redis);
    outcome.images = Some(images(
        spec,
        &DockerCoinsStatus::default(),
        Resolutions::new(),
    ));
    outcome.external_redis = Some("redis.example.com:6379".into());
    let status = status(Some(1), &DockerCoinsStatus::default(), &outcome, now());
    let ready = &status.conditions[0];
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("True", "Ready")
    );
    assert_eq!(
        ready.message,
        "every component runs as asked for. Redis is run by someone else, at redis.example.com:6379: whether it is there, and well, was not looked at"
    );
    assert_eq!(
        status.components[1],
        ComponentStatus {
            name: "redis".into(),
            ..ComponentStatus::default()
        }
    );
    assert!(status.components[0].pinned.is_some());
}

fn route(status: Value) -> HTTPRoute {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": "webui" },
        "spec": { "parentRefs": [{ "name": "public" }] },
        "status": status,
    });
    serde_json::from_value(route).unwrap()
}

#[test]
fn what_gateways_say_of_the_route_is_told_beside_ready() {
    let ready = |status: Value| {
        let mut outcome = well();
        outcome.route = route(status).problem().map(Into::into);
        let (_, status, _, message) = told(&outcome).remove(0);
        assert_eq!(status, "True");
        let rest = message.strip_prefix("every component runs as asked for");
        rest.unwrap().to_owned()
    };
    let nobody = ". Gateway public has not accepted HTTPRoute webui yet: check that it exists, with `kubectl get gateways --all-namespaces`";
    assert_eq!(ready(Value::Null), nobody);
    assert_eq!(ready(json!({ "parents": [] })), nobody);
    let says = |type_: &str, status: &str| {
        json!({ "parents": [{
            "parentRef": { "name": "public" },
            "conditions": [{ "type": type_, "status": status, "reason": "NotAllowedByListeners", "message": "not from here" }],
        }] })
    };
    assert_eq!(ready(says("Accepted", "True")), "");
    assert_eq!(
        ready(says("Accepted", "False")),
        ". Gateway public rejects HTTPRoute webui: NotAllowedByListeners: not from here"
    );
}

#[test]
fn a_kind_that_the_cluster_does_not_serve_is_for_a_person_to_mend() {
    let kind = "HTTPRoute".to_owned();
    let outcome = Outcome {
        faults: vec![Error::NotServed { kind }],
        ..well()
    };
    let told = told(&outcome);
    let message = "the cluster serves no HTTPRoute: install Gateway API and a Gateway controller, or remove spec.webui.httpRoute";
    let text = |s: &str| s.to_owned();
    assert_eq!(
        told[0],
        (
            text("Ready"),
            text("False"),
            text("NotServed"),
            text(message)
        )
    );
    assert_eq!(told[2].0, "Stalled");
}
