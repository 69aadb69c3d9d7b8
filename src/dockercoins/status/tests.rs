mod beside;

use k8s_openapi::jiff::ToSpan as _;
use resolver::{ConnectFailure, Digest, Failure, Reference, ResolveError};
use serde_json::{Value, json};

use std::sync::Arc;

use super::*;
use crate::api::{ComponentStatus, DockerCoins};
use crate::dockercoins::desired::{Desired, Invalid};
use crate::dockercoins::images::{self, Resolutions};
use crate::dockercoins::kinds::{Deployment, HTTPRoute, PersistentVolumeClaim, Service};
use crate::runtime::error::{ApiError, Request, Verb};

fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

fn error(failure: Failure) -> Arc<ResolveError> {
    let image = Reference::parse("registry.example.com/rng:v9").unwrap();
    Arc::new(ResolveError::new(image, None, failure))
}

fn request(verb: Verb, kind: &'static str) -> Request {
    Request::about(verb, kind, "demo", "rng")
}

fn rejected(kind: &'static str, message: &str) -> Error {
    Error::Api(ApiError::Rejected {
        request: request(Verb::Apply, kind),
        message: message.into(),
    })
}

fn missing() -> Arc<ResolveError> {
    error(Failure::NotFoundOrNoAccess {
        status: 404,
        server_message: String::new(),
    })
}

fn unreachable() -> Arc<ResolveError> {
    error(Failure::ConnectionFailed {
        host: "registry.example.com".into(),
        cause: ConnectFailure::Broken("refused".into()),
    })
}

/// The images of a spec after these answers; those not named are resolved.
fn images(spec: Value, before: &DockerCoinsStatus, answers: Resolutions) -> Images {
    let coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
    let desired = Desired::from_resource(&coins).unwrap();
    let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
    let mut all: Resolutions = Component::ALL
        .map(|component| (component, Ok(digest.clone().into())))
        .into();
    all.extend(answers);
    images::select_images(&desired, before, &all, now())
}

fn deployment(available: i32, condition: Value) -> DeploymentState {
    DeploymentState::from(&live_deployment(available, condition))
}

fn live_deployment(available: i32, condition: Value) -> Deployment {
    let deployment = json!({
        "metadata": { "generation": 1 },
        "spec": { "replicas": 1, "selector": {}, "template": {} },
        "status": {
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": available, "availableReplicas": available, "conditions": [condition],
        },
    });
    serde_json::from_value(deployment).unwrap()
}

/// Everything resolved, every Deployment as it should be.
fn well() -> Outcome {
    let done = |component| {
        (
            component,
            deployment(1, json!({ "type": "Available", "status": "True" })),
        )
    };
    Outcome {
        images: Some(images(
            json!({}),
            &DockerCoinsStatus::default(),
            Resolutions::new(),
        )),
        warnings: Some(Vec::new()),
        deployments: Component::ALL.map(done).into(),
        ..Outcome::default()
    }
}

/// The conditions: type, status, reason, message.
fn told(outcome: &Outcome) -> Vec<(String, String, String, String)> {
    told_after(&DockerCoinsStatus::default(), outcome)
}

fn told_after(
    before: &DockerCoinsStatus,
    outcome: &Outcome,
) -> Vec<(String, String, String, String)> {
    let conditions = status(Some(1), before, outcome, now()).conditions;
    conditions
        .into_iter()
        .map(|c| (c.type_, c.status, c.reason, c.message))
        .collect()
}

/// The same without messages.
fn gist(outcome: &Outcome) -> Vec<[String; 3]> {
    told(outcome)
        .into_iter()
        .map(|(type_, status, reason, _)| [type_, status, reason])
        .collect()
}

#[test]
fn when_all_is_well_ready_and_images_resolved_are_true_and_nothing_else_is_there() {
    assert_eq!(
        gist(&well()),
        [
            ["Ready", "True", "Ready"],
            ["ImagesResolved", "True", "Resolved"]
        ]
    );
}

#[test]
fn status_tells_the_whole_of_what_is_known() {
    let status = status(Some(3), &DockerCoinsStatus::default(), &well(), now());
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(
        (status.replicas, status.selector.as_deref()),
        (Some(1), Some("app=worker"))
    );
    assert_eq!(
        status.components[2],
        ComponentStatus {
            name: "rng".into(),
            image: Some("docker.io/dockercoins/rng:v0.1".into()),
            digest: Some(digest.clone()),
            resolved_at: Some(Time(now())),
            pinned: Some(format!("docker.io/dockercoins/rng:v0.1@{digest}")),
            replicas: 1,
            ready_replicas: 1,
            ..ComponentStatus::default()
        }
    );
}

#[test]
fn before_new_digests_run_the_resource_is_not_ready_though_its_deployments_are() {
    let outcome = Outcome {
        before_rollout: true,
        ..well()
    };
    assert_eq!(
        gist(&outcome),
        [
            ["Ready", "False", "RolloutInProgress"],
            ["ImagesResolved", "True", "Resolved"],
            ["Reconciling", "True", "RolloutInProgress"],
        ]
    );
}

#[test]
fn a_rollout_that_moves_is_reconciling_and_one_that_is_stuck_is_stalled() {
    let mut outcome = well();
    outcome.deployments.insert(
        Component::Rng,
        deployment(0, json!({ "type": "Progressing", "status": "True" })),
    );
    assert_eq!(
        told(&outcome)[0],
        (
            "Ready".into(),
            "False".into(),
            "RolloutInProgress".into(),
            "rng: 0 of 1 pods are available".into()
        )
    );
    assert_eq!(
        gist(&outcome)[2],
        ["Reconciling", "True", "RolloutInProgress"]
    );

    let late =
        json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
    outcome
        .deployments
        .insert(Component::Rng, deployment(0, late));
    assert_eq!(
        gist(&outcome)[2],
        ["Stalled", "True", "ProgressDeadlineExceeded"]
    );
}

#[test]
fn a_component_without_a_deployment_is_not_ready() {
    let mut outcome = well();
    outcome.deployments.remove(&Component::Worker);
    assert_eq!(told(&outcome)[0].3, "worker: it has no Deployment yet");
}

#[test]
fn what_a_person_must_mend_is_stalled_and_what_is_tried_again_is_reconciling() {
    let refused = rejected("Service", "no");
    let failed = Error::Api(ApiError::Failed {
        request: request(Verb::Apply, "Service"),
        message: "no".into(),
    });
    for (fault, type_, reason) in [
        (refused, "Stalled", "Rejected"),
        (failed, "Reconciling", "APIServerError"),
    ] {
        let outcome = Outcome {
            faults: vec![fault],
            ..well()
        };
        assert_eq!(
            gist(&outcome),
            [
                ["Ready", "False", reason],
                ["ImagesResolved", "True", "Resolved"],
                [type_, "True", reason],
            ]
        );
    }
}

#[test]
fn what_is_not_seen_leaves_all_that_was_told_but_the_conditions() {
    let before = status(Some(1), &DockerCoinsStatus::default(), &well(), now());
    let why = Error::Api(ApiError::Forbidden {
        request: request(Verb::List, "Deployment"),
        message: "no".into(),
        blocks_deletion: false,
    });
    let after = unseen(Some(2), &before, why, now());
    let conditions: Vec<_> = after
        .conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
        .collect();
    assert_eq!(
        conditions,
        [
            ("Ready", "False", "Forbidden"),
            ("ImagesResolved", "Unknown", "Forbidden"),
            ("Stalled", "True", "Forbidden"),
        ]
    );
    let rest = DockerCoinsStatus {
        observed_generation: Some(2),
        conditions: after.conditions.clone(),
        ..before
    };
    assert_eq!(after, rest);
}

#[test]
fn of_several_failures_the_one_for_a_person_gives_the_reason_and_all_are_told() {
    let timeout = Error::Api(ApiError::Timeout {
        request: request(Verb::Apply, "Service"),
        seconds: 15,
    });
    let rejected = rejected("Deployment", "no");
    let outcome = Outcome {
        faults: vec![timeout, rejected],
        ..well()
    };
    assert_eq!(
        told(&outcome)[0],
        (
            "Ready".into(),
            "False".into(),
            "Rejected".into(),
            "the API server did not answer within 15 s when asked to apply Service demo/rng. \
             the API server refused to apply Deployment demo/rng: no"
                .into()
        )
    );
}

#[test]
fn what_is_true_of_many_is_told_once() {
    let foreign = |object: ObjectKey| Error::Foreign {
        object,
        controller: None,
        resource: "dockercoins".into(),
    };
    let objects = [
        ObjectKey::new::<Service>("hasher"),
        ObjectKey::new::<Service>("redis"),
        ObjectKey::new::<Deployment>("rng"),
    ];
    let outcome = Outcome {
        faults: objects.map(foreign).into(),
        ..well()
    };
    assert_eq!(
        told(&outcome)[0].3,
        "Service hasher is not the operator's: delete it, or hand it over with `kubectl annotate service hasher \
         dockercoins.dev/adopt=dockercoins`. The same goes for Service redis, Deployment rng"
    );
}

#[test]
fn an_incomplete_first_set_says_that_nothing_is_deployed_and_a_later_one_that_the_last_runs_on() {
    let answers = || Resolutions::from([(Component::Rng, Err(missing()))]);
    let first = images(json!({}), &DockerCoinsStatus::default(), answers());
    let outcome = Outcome {
        images: Some(first),
        ..Outcome::default()
    };
    let expected = ["Ready", "ImagesResolved"].map(|t| [t, "False", "NotFoundOrNoAccess"]);
    assert_eq!(gist(&outcome)[..2], expected);
    assert_eq!(gist(&outcome)[2], ["Stalled", "True", "NotFoundOrNoAccess"]);
    assert!(
        told(&outcome)[0]
            .3
            .ends_with("Nothing is deployed before every image is resolved")
    );

    let before = status(Some(1), &DockerCoinsStatus::default(), &well(), now());
    let later = images(json!({ "tag": "v9" }), &before, answers());
    let outcome = Outcome {
        images: Some(later),
        ..well()
    };
    assert!(
        told_after(&before, &outcome)[1]
            .3
            .ends_with("The last complete set of images runs on")
    );
}

#[test]
fn a_registry_that_can_t_be_reached_is_tried_again() {
    let answers = Resolutions::from([(Component::Rng, Err(unreachable()))]);
    let images = images(json!({}), &DockerCoinsStatus::default(), answers);
    let outcome = Outcome {
        images: Some(images),
        ..Outcome::default()
    };
    assert_eq!(
        gist(&outcome)[2],
        ["Reconciling", "True", "ConnectionFailed"]
    );
}

#[test]
fn an_outage_while_only_asking_again_leaves_ready_true_and_is_told() {
    let before = status(Some(1), &DockerCoinsStatus::default(), &well(), now());
    let answers = Resolutions::from([(Component::Rng, Err(unreachable()))]);
    let outcome = Outcome {
        images: Some(images(json!({}), &before, answers)),
        ..well()
    };
    let told = told_after(&before, &outcome);
    assert_eq!((told.len(), told[0].1.as_str()), (2, "True"));
    assert_eq!(
        (told[1].1.as_str(), told[1].2.as_str()),
        ("True", "RefreshFailed")
    );
}

#[test]
fn best_effort_without_pins_is_ready_and_says_which_images_are_unpinned() {
    let spec = json!({ "resolve": { "policy": "BestEffort" } });
    let answers = Resolutions::from([(Component::Rng, Err(unreachable()))]);
    let outcome = Outcome {
        images: Some(images(spec, &DockerCoinsStatus::default(), answers)),
        ..well()
    };
    assert_eq!(
        gist(&outcome),
        [
            ["Ready", "True", "Ready"],
            ["ImagesResolved", "False", "Unpinned"]
        ]
    );
    assert!(
        told(&outcome)[1]
            .3
            .starts_with("rng run by tag until they can be pinned: ")
    );
}

#[test]
fn never_needs_no_registry() {
    let spec = json!({ "resolve": { "policy": "Never" } });
    let images = images(spec, &DockerCoinsStatus::default(), Resolutions::new());
    let outcome = Outcome {
        images: Some(images),
        ..well()
    };
    assert_eq!(gist(&outcome)[1], ["ImagesResolved", "True", "NotRequired"]);
}

#[test]
fn suspended_is_ready_as_long_as_everything_is_as_wanted() {
    let outcome = Outcome {
        pending_changes: Some(Vec::new()),
        ..well()
    };
    assert_eq!(gist(&outcome)[0], ["Ready", "True", "Ready"]);
    let outcome = Outcome {
        pending_changes: Some(vec![ObjectKey::new::<Service>("rng")]),
        ..well()
    };
    assert_eq!(
        told(&outcome)[0],
        (
            "Ready".into(),
            "False".into(),
            "Suspended".into(),
            "suspended, and these are not as wanted: Service rng. Set spec.suspend to false to have them written"
                .into()
        )
    );
    assert_eq!(gist(&outcome).len(), 2);
}

#[test]
fn what_is_to_be_known_of_pull_secrets_stands_beside_the_images_and_survives_a_restart() {
    let outcome = Outcome {
        warnings: Some(vec!["pull secret x is not in this namespace".into()]),
        ..well()
    };
    let before = status(Some(1), &DockerCoinsStatus::default(), &outcome, now());
    let message = before.conditions[1].message.clone();
    assert!(
        message.ends_with(". pull secret x is not in this namespace"),
        "{message}"
    );

    let restarted = Outcome {
        warnings: None,
        ..well()
    };
    assert_eq!(told_after(&before, &restarted)[1].3, message);
}

#[test]
fn an_invalid_spec_keeps_what_is_known_of_the_components() {
    let before = status(Some(1), &DockerCoinsStatus::default(), &well(), now());
    let faults = vec![Error::Invalid(vec![Invalid {
        field: "spec.tag".into(),
        problem: "no".into(),
    }])];
    let outcome = Outcome {
        faults,
        images: None,
        ..well()
    };
    let after = status(Some(2), &before, &outcome, now());
    assert_eq!(after.components, before.components);
    let gist: Vec<_> = after
        .conditions
        .iter()
        .map(|c| [c.type_.as_str(), c.status.as_str()])
        .collect();
    assert_eq!(
        gist,
        [
            ["Ready", "False"],
            ["ImagesResolved", "Unknown"],
            ["Stalled", "True"]
        ]
    );
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let later = now() + 1.hour();
    let before = status(Some(1), &DockerCoinsStatus::default(), &well(), now());
    let same = status(Some(2), &before, &well(), later);
    assert_eq!(same.conditions[0].last_transition_time, Time(now()));
    let mut moving = well();
    moving.deployments.clear();
    let changed = status(Some(2), &before, &moving, later);
    assert_eq!(changed.conditions[0].last_transition_time, Time(later));
    assert_eq!(changed.conditions[1].last_transition_time, Time(now()));
}

#[test]
fn a_message_is_cut_where_the_schema_would_refuse_it_and_between_characters() {
    let message = "é".repeat(2000);
    let faults = vec![rejected("Service", &message)];
    let cut = &told(&Outcome { faults, ..well() })[0].3;
    assert!(
        cut.len() <= TEXT_MAX + "…".len() && cut.ends_with('…'),
        "{}",
        cut.len()
    );
}

#[test]
fn a_resource_that_can_t_be_read_is_told_so_by_its_conditions() {
    let error = Error::Undecodable {
        message: "spec.tag: a number".into(),
    };
    let conditions = unreadable(Some(1), &[], &error, now());
    let gist: Vec<_> = conditions
        .iter()
        .map(|c| [c.type_.as_str(), c.status.as_str(), c.reason.as_str()])
        .collect();
    assert_eq!(
        gist,
        [
            ["Ready", "False", "InvalidSpec"],
            ["ImagesResolved", "Unknown", "InvalidSpec"],
            ["Stalled", "True", "InvalidSpec"],
        ]
    );
    assert!(conditions[0].message.contains("spec.tag: a number"));
}
