//! Brings about each reason with a real operator, and checks the health that others derive from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dockercoins_operator::api::{DockerCoins, DockerCoinsStatus};
use dockercoins_operator::dockercoins::component::Component;
use dockercoins_operator::dockercoins::desired::{Desired, Invalid};
use dockercoins_operator::dockercoins::error::Error;
use dockercoins_operator::dockercoins::images::{Images, Resolutions, select_images};
use dockercoins_operator::dockercoins::kinds::{Deployment, Service};
use dockercoins_operator::dockercoins::observed::DeploymentState;
use dockercoins_operator::dockercoins::status::{Outcome, status};
use dockercoins_operator::runtime::error::{ApiError, Request, Verb};
use dockercoins_operator::runtime::field_path::FieldPath;
use dockercoins_operator::runtime::message::Message;
use dockercoins_operator::runtime::object_key::ObjectKey;
use k8s_openapi::jiff::Timestamp;
use resolver::address::Forbidden;
use resolver::{ConnectFailure, Digest, Failure, PluginFailure, Reference, ResolveError};
use serde_json::{Value, json};

use super::health::judge;

const HEALTHY: (&str, &str) = ("Current", "Healthy");
const PROGRESSING: (&str, &str) = ("InProgress", "Progressing");
const DEGRADED: (&str, &str) = ("Failed", "Degraded");
const SUSPENDED: (&str, &str) = ("InProgress", "Suspended");

/// What kstatus and Argo CD's check say to each reason of docs/conditions.md.
const HEALTH: [(&str, (&str, &str)); 37] = [
    ("APIServerError", PROGRESSING),
    ("APIServerTimeout", PROGRESSING),
    ("AddressNotAllowed", DEGRADED),
    ("AuthenticationFailed", DEGRADED),
    ("CertificateAuthorityInvalid", DEGRADED),
    ("CertificateNotTrusted", DEGRADED),
    ("ChangedByAdmission", DEGRADED),
    ("ConnectionFailed", PROGRESSING),
    ("Contended", DEGRADED),
    ("CredentialProviderFailed", PROGRESSING),
    ("Forbidden", DEGRADED),
    ("ForeignObject", DEGRADED),
    ("InternalError", DEGRADED),
    ("InvalidAnswer", PROGRESSING),
    ("InvalidReference", DEGRADED),
    ("InvalidSpec", DEGRADED),
    ("NameNotResolved", PROGRESSING),
    ("NamesHeld", DEGRADED),
    ("NamespaceTerminating", PROGRESSING),
    ("NotFoundOrNoAccess", DEGRADED),
    ("NotRequired", HEALTHY),
    ("NotServed", DEGRADED),
    ("Outdated", PROGRESSING),
    ("OutdatedCRD", DEGRADED),
    ("ProgressDeadlineExceeded", DEGRADED),
    ("RateLimited", PROGRESSING),
    ("Ready", HEALTHY),
    ("RefreshFailed", HEALTHY),
    ("RegistryConfigInvalid", DEGRADED),
    ("RegistryError", PROGRESSING),
    ("Rejected", DEGRADED),
    ("Resolved", HEALTHY),
    ("RolloutInProgress", PROGRESSING),
    ("Suspended", SUSPENDED),
    ("Timeout", PROGRESSING),
    ("Unpinned", HEALTHY),
    ("WaitingForDeletion", PROGRESSING),
];

#[tokio::test]
#[ignore = "needs the judge of health: make test"]
async fn each_reason_has_its_health() {
    let outcomes = outcomes();
    let states: Vec<Value> = outcomes.iter().map(|(_, told)| state(told)).collect();
    let verdicts = judge(&states).await;
    let mut found = BTreeMap::new();
    for (((reason, told), state), verdict) in outcomes.iter().zip(&states).zip(&verdicts) {
        let reasons: Vec<&str> = told.conditions.iter().map(|c| c.reason.as_str()).collect();
        assert!(reasons.contains(reason), "{reason}: {state:#}");
        assert_eq!(verdict.message, told.conditions[0].message);
        found.insert(*reason, (verdict.kstatus.as_str(), verdict.health.as_str()));
    }
    assert_eq!(found, HEALTH.into());
    assert_eq!(
        found
            .into_keys()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>(),
        of_the_page(),
        "docs/conditions.md has the same reasons"
    );
}

#[tokio::test]
#[ignore = "needs the judge of health: make test"]
async fn unobserved_resource_is_progressing() {
    let unseen = "the operator has not processed this generation yet";
    let bare = json!({ "apiVersion": "dockercoins.dev/v1alpha1", "kind": "DockerCoins", "metadata": { "generation": 2 } });
    let with = |status: Value| {
        let mut state = bare.clone();
        state["status"] = status;
        state
    };
    let ready =
        json!([{ "type": "Ready", "status": "True", "reason": "Ready", "message": "it was" }]);
    let states = [
        with(json!({ "observedGeneration": -1 })),
        with(json!({ "observedGeneration": 1, "conditions": ready })),
        // By a CRD that is older than the operator.
        bare,
    ];
    let verdicts = judge(&states).await;
    for verdict in &verdicts {
        assert_eq!(
            (verdict.health.as_str(), verdict.message.as_str()),
            ("Progressing", unseen)
        );
    }
    let kstatus: Vec<&str> = verdicts
        .iter()
        .map(|verdict| verdict.kstatus.as_str())
        .collect();
    assert_eq!(kstatus, ["InProgress", "InProgress", "Current"]);
}

/// The reasons in the tables of the page, each in the first column.
fn of_the_page() -> BTreeSet<String> {
    let page = std::fs::read_to_string("docs/conditions.md").unwrap();
    let (conditions, _) = page.split_once("\n## Events").expect("events come last");
    let rows = conditions.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned));
    names.collect()
}

/// What the operator tells of each outcome, by the reason that it is here for.
fn outcomes() -> Vec<(&'static str, DockerCoinsStatus)> {
    let none = DockerCoinsStatus::default();
    let tell = |outcome: &Outcome| status(Some(1), &none, outcome, now());
    let mut told: Vec<_> = errors()
        .into_iter()
        .map(|error| {
            let faults = vec![error];
            (faults[0].reason().name, tell(&Outcome { faults, ..well() }))
        })
        .collect();

    let pinned = tell(&well());
    let with = |images: Images| {
        tell(&Outcome {
            images: Some(images),
            ..well()
        })
    };
    let never = json!({ "resolve": { "policy": "Never" } });
    let best_effort = json!({ "resolve": { "policy": "BestEffort" } });
    let unreachable = || Failure::ConnectionFailed {
        host: "registry.example.com".into(),
        cause: ConnectFailure::DialTimeout(Duration::from_secs(1)),
    };
    let fails: Resolutions = [(Component::Rng, Err(resolving(unreachable(), Vec::new())))].into();
    told.extend([
        ("Ready", pinned.clone()),
        ("Resolved", pinned.clone()),
        (
            "NotRequired",
            with(images(never, &none, Resolutions::new())),
        ),
        ("Unpinned", with(images(best_effort, &none, fails.clone()))),
        ("RefreshFailed", with(images(json!({}), &pinned, fails))),
        (
            "RolloutInProgress",
            tell(&deployed("Progressing", "ReplicaSetUpdated")),
        ),
        (
            "ProgressDeadlineExceeded",
            tell(&deployed("Progressing", "ProgressDeadlineExceeded")),
        ),
        (
            "Suspended",
            tell(&Outcome {
                pending_changes: Some(vec![ObjectKey::new::<Deployment>("worker")]),
                ..well()
            }),
        ),
    ]);
    told
}

/// One error for each reason.
fn errors() -> Vec<Error> {
    let text = || "no".to_owned();
    let message = || Message::from("no");
    let object = || ObjectKey::new::<Service>("rng");
    let request = || Request::about(Verb::Apply, "Service", "demo", "rng");
    let host = || "registry.example.com".to_owned();
    let refused = || Failure::AuthenticationFailed {
        by: host(),
        server_message: text(),
    };
    let plugin = PluginFailure {
        plugin: text(),
        image: text(),
        problem: text(),
    };
    let unresolved = [
        Failure::InvalidReference { host: host() },
        Failure::NameNotResolved {
            host: host(),
            detail: text(),
        },
        Failure::ConnectionFailed {
            host: host(),
            cause: ConnectFailure::DialTimeout(Duration::from_secs(1)),
        },
        Failure::CertificateNotTrusted {
            host: host(),
            detail: text(),
        },
        Failure::AddressNotAllowed {
            host: host(),
            address: [127, 0, 0, 1].into(),
            forbidden: Forbidden::Loopback,
        },
        refused(),
        Failure::NotFoundOrNoAccess {
            status: 404,
            server_message: text(),
        },
        Failure::RateLimited {
            by: host(),
            retry_after: None,
            server_message: text(),
        },
        Failure::RegistryError {
            by: host(),
            status: 500,
            retry_after: None,
            server_message: text(),
        },
        Failure::InvalidAnswer {
            by: host(),
            detail: text(),
        },
        Failure::Timeout {
            by: host(),
            deadline: Duration::from_secs(1),
        },
        Failure::RegistryConfigInvalid { detail: text() },
        Failure::CertificateAuthorityInvalid { detail: text() },
    ];
    let unresolved = unresolved.map(|failure| resolving(failure, Vec::new()));
    let unresolved = unresolved
        .into_iter()
        .chain([resolving(refused(), vec![plugin])]);
    let mut errors: Vec<Error> = unresolved
        .map(|error| Error::Unresolved {
            component: Component::Rng,
            error,
        })
        .collect();
    errors.extend([
        Error::Invalid(vec![Invalid {
            field: "spec.tag".into(),
            problem: text(),
        }]),
        Error::NamesHeld { holder: text() },
        Error::Foreign {
            object: object(),
            controller: None,
            resource: text(),
        },
        Error::AwaitsDeletion { object: object() },
        ApiError::NamespaceTerminating.into(),
        Error::Contended {
            object: object(),
            field: None,
            manager: None,
            edit: None,
        },
        Error::ChangedByAdmission {
            object: object(),
            field: FieldPath::dotted("spec.selector"),
        },
        ApiError::Rejected {
            request: request(),
            message: message(),
        }
        .into(),
        ApiError::Forbidden {
            request: request(),
            message: message(),
            blocks_deletion: false,
        }
        .into(),
        Error::NotServed {
            kind: "HTTPRoute".into(),
        },
        Error::OutdatedCrd { fields: text() },
        Error::Outdated,
        ApiError::Failed {
            request: request(),
            message: message(),
        }
        .into(),
        ApiError::Timeout {
            request: request(),
            seconds: 1,
        }
        .into(),
        Error::Panicked { message: message() },
    ]);
    errors
}

fn resolving(failure: Failure, plugins: Vec<PluginFailure>) -> Arc<ResolveError> {
    let image = Reference::parse("registry.example.com/rng:v9").unwrap();
    let error = ResolveError::new(image, None, failure);
    Arc::new(ResolveError { plugins, ..error })
}

fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

/// The images of a spec after these answers; those not named are resolved.
fn images(spec: Value, before: &DockerCoinsStatus, answers: Resolutions) -> Images {
    let coins = DockerCoins::new("dockercoins", serde_json::from_value(spec).unwrap());
    let digest = Digest::of(b"an image");
    let mut all: Resolutions = Component::ALL
        .map(|component| (component, Ok(digest.clone().into())))
        .into();
    all.extend(answers);
    select_images(
        &Desired::from_resource(&coins).unwrap(),
        before,
        &all,
        now(),
    )
}

/// Everything is as asked for.
fn well() -> Outcome {
    deployed("Available", "MinimumReplicasAvailable")
}

/// All images are there, and each Deployment has this condition; it is done if that is `Available`.
fn deployed(type_: &str, reason: &str) -> Outcome {
    let is_done = type_ == "Available";
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "generation": 1 },
        "spec": { "replicas": 1, "selector": {}, "template": {} },
        "status": {
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": i32::from(is_done), "availableReplicas": i32::from(is_done),
            "conditions": [{
                "type": type_,
                "status": if reason == "ProgressDeadlineExceeded" { "False" } else { "True" },
                "reason": reason,
            }],
        },
    }))
    .unwrap();
    let deployment = DeploymentState::from(&deployment);
    Outcome {
        images: Some(images(
            json!({}),
            &DockerCoinsStatus::default(),
            Resolutions::new(),
        )),
        warnings: Some(Vec::new()),
        deployments: Component::ALL
            .map(|component| (component, deployment.clone()))
            .into(),
        ..Outcome::default()
    }
}

/// The resource with this status, as the API server gives it.
fn state(status: &DockerCoinsStatus) -> Value {
    json!({
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "metadata": { "name": "dockercoins", "namespace": "demo", "generation": 1 },
        "spec": {},
        "status": status,
    })
}
