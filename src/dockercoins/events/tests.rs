use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::*;
use crate::runtime::field_path::Step;

/// Events as `kubectl events` shows them: W or N, the reason, the note.
fn shown(events: impl IntoIterator<Item = Event>) -> Vec<String> {
    let line = |event: Event| {
        let type_ = if event.is_warning { "W" } else { "N" };
        format!("{type_} {}: {}", event.reason, event.note)
    };
    events.into_iter().map(line).collect()
}

fn object(kind: &'static str, name: &str) -> ObjectKey {
    let (kind, name) = (kind.into(), name.to_owned());
    ObjectKey { kind, name }
}

fn written(kind: &'static str, name: &str, cause: Cause) -> Written {
    Written {
        object: object(kind, name),
        cause,
        edits: vec![Some(FieldPath::dotted("spec.tag"))],
    }
}

fn writes(written: &[Written]) -> Vec<String> {
    shown(of_writes("dockercoins", written))
}

/// The path of a field of the worker's container.
fn of_container(fields: &[&str]) -> FieldPath {
    let mut path = FieldPath::fields(["spec", "template", "spec", "containers"]);
    path.0.push(Step::Item("name", json!("worker")));
    let fields = fields.iter().map(|field| Step::Field((*field).to_owned()));
    path.0.extend(fields);
    path
}

#[test]
fn creations_and_updates_have_one_event_each() {
    let written = [
        written("Service", "rng", Cause::Create),
        written("Deployment", "rng", Cause::Update),
        written("Deployment", "worker", Cause::Create),
    ];
    assert_eq!(
        writes(&written),
        [
            "N Created: created Service rng, Deployment worker",
            "N Updated: updated Deployment rng"
        ]
    );
}

#[test]
fn a_heal_names_the_manager_and_the_field_to_edit() {
    let drift = Drift {
        path: of_container(&["image"]),
        found: Some(json!("nginx")),
        wanted: json!("worker:v0.1@sha256:abc"),
        manager: Some("kubectl-set".into()),
    };
    assert_eq!(
        writes(&[written("Deployment", "worker", Cause::Heal(vec![drift]))]),
        [
            "W Healed: Deployment worker: kubectl-set had changed spec.template.spec.containers[worker].image to nginx, \
             and it was changed back to worker:v0.1@sha256:abc. To change it, set spec.tag of DockerCoins dockercoins"
        ]
    );
}

#[test]
fn the_value_of_a_variable_is_never_shown() {
    let mut path = of_container(&["env"]);
    path.0.push(Step::Item("name", json!("TOKEN")));
    path.0.push(Step::Field("value".into()));
    let drift = Drift {
        path,
        found: Some(json!("hunter2")),
        wanted: json!("hunter1"),
        manager: None,
    };
    assert_eq!(
        writes(&[written("Deployment", "worker", Cause::Heal(vec![drift]))]),
        [
            "W Healed: Deployment worker: someone had changed spec.template.spec.containers[worker].env[TOKEN].value to \
             another value, and it was changed back to what the resource says. To change it, set spec.tag of DockerCoins \
             dockercoins"
        ]
    );
}

#[test]
fn a_deleted_object_is_healed() {
    assert_eq!(
        writes(&[written("Service", "rng", Cause::Recreate)]),
        [
            "W Healed: Service rng had been deleted, and was created again. To stop the operator, set spec.suspend of \
             DockerCoins dockercoins"
        ]
    );
}

#[test]
fn a_field_that_no_setting_decides_says_so_and_long_values_are_cut() {
    let healed = |found: Option<Value>| {
        let drift = Drift {
            path: FieldPath::dotted("spec.selector"),
            found,
            wanted: json!({ "app": "rng" }),
            manager: None,
        };
        let written = Written {
            edits: vec![None],
            ..written("Service", "rng", Cause::Heal(vec![drift]))
        };
        writes(&[written])
    };
    assert_eq!(
        healed(None),
        [
            "W Healed: Service rng: someone had changed spec.selector to nothing, and it was changed back to \
             {\"app\":\"rng\"}. The operator decides this field"
        ]
    );
    assert_eq!(
        healed(Some(json!("é".repeat(81)))),
        [format!(
            "W Healed: Service rng: someone had changed spec.selector to {}…, and it was changed back to \
             {{\"app\":\"rng\"}}. The operator decides this field",
            "é".repeat(80)
        )]
    );
}

#[test]
fn an_adoption_and_a_deletion_have_an_event() {
    assert_eq!(
        writes(&[written("Service", "redis", Cause::Adopt)]),
        [
            "N Adopted: Service redis was handed over to DockerCoins dockercoins by its annotation, and now is as the \
             resource says"
        ]
    );
    assert_eq!(
        shown([of_deletion(&object("Ingress", "webui"))]),
        ["N Pruned: deleted Ingress webui, which the resource no longer asks for"]
    );
}

/// A status with a Ready condition, and rng pinned to a digest.
fn status(ready: &str, reason: &str, digest: Option<&str>) -> DockerCoinsStatus {
    let condition = |type_: &str| Condition {
        type_: type_.into(),
        status: ready.into(),
        reason: reason.into(),
        message: format!("{type_} is {ready}"),
        last_transition_time: Time("2026-11-24T08:00:00Z".parse().unwrap()),
        observed_generation: None,
    };
    DockerCoinsStatus {
        conditions: vec![condition("Ready"), condition("ImagesResolved")],
        components: vec![ComponentStatus {
            name: "rng".into(),
            image: Some("a/rng:v1".into()),
            digest: digest.map(str::to_owned),
            ..ComponentStatus::default()
        }],
        ..DockerCoinsStatus::default()
    }
}

#[test]
fn a_failure_in_two_conditions_has_one_event() {
    let (fine, failed) = (
        status("True", "Ready", None),
        status("False", "RateLimited", None),
    );
    assert_eq!(
        shown(of_status(&fine, &failed)),
        ["W RateLimited: Ready is False"]
    );
    assert_eq!(shown(of_status(&failed, &failed)), Vec::<String>::new());
    assert_eq!(shown(of_status(&failed, &fine)), ["N Ready: Ready is True"]);
}

#[test]
fn a_rollout_that_begins_has_no_event() {
    let (fine, moving) = (
        status("True", "Ready", None),
        status("False", "RolloutInProgress", None),
    );
    assert_eq!(shown(of_status(&fine, &moving)), Vec::<String>::new());
}

#[test]
fn a_new_digest_has_an_event_with_the_old_one() {
    let none = status("True", "Ready", None);
    let first = status("True", "Ready", Some("sha256:aaaaaaaaaaaaaaaa"));
    let second = status("True", "Ready", Some("sha256:bbbbbbbbbbbbbbbb"));
    assert_eq!(
        shown(of_pins(&none, &first)),
        ["N Pinned: a/rng:v1 is sha256:aaaaaaaaaaaa"]
    );
    assert_eq!(
        shown(of_pins(&first, &second)),
        ["N Pinned: a/rng:v1 moved from sha256:aaaaaaaaaaaa to sha256:bbbbbbbbbbbb"]
    );
    assert_eq!(shown(of_pins(&first, &first)), Vec::<String>::new());
}

#[test]
fn another_tag_is_a_new_image() {
    let before = status("True", "Ready", Some("sha256:aaaaaaaaaaaaaaaa"));
    let mut after = status("True", "Ready", Some("sha256:bbbbbbbbbbbbbbbb"));
    after.components[0].image = Some("a/rng:v2".into());
    assert_eq!(
        shown(of_pins(&before, &after)),
        ["N Pinned: a/rng:v2 is sha256:bbbbbbbbbbbb"]
    );
    after.components[0].digest = None;
    assert_eq!(shown(of_pins(&before, &after)), Vec::<String>::new());
}

#[test]
fn a_failure_that_becomes_another_has_an_event() {
    let limited = status("False", "RateLimited", None);
    let missing = status("False", "NotFoundOrNoAccess", None);
    assert_eq!(
        shown(of_status(&limited, &missing)),
        ["W NotFoundOrNoAccess: Ready is False"]
    );
}
