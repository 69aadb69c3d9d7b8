use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::*;

/// What is told, as `kubectl events` shows it: W or N, the reason, the note.
fn shown(news: impl IntoIterator<Item = News>) -> Vec<String> {
    let line = |news: News| {
        format!(
            "{} {}: {}",
            if news.warning { "W" } else { "N" },
            news.reason,
            news.note
        )
    };
    news.into_iter().map(line).collect()
}

fn writes(written: &[(&str, Verdict)], there_before: &str) -> Vec<String> {
    let written: Vec<_> = written
        .iter()
        .map(|(title, verdict)| ((*title).to_owned(), verdict.clone()))
        .collect();
    let news = of_writes(
        "dockercoins",
        &written,
        |title| title == there_before,
        |_, _| "spec.tag".into(),
    );
    shown(news)
}

#[test]
fn what_was_created_and_updated_is_told_in_one_line_each() {
    let written = [
        ("Service rng", Verdict::Create),
        ("Deployment rng", Verdict::Update),
        ("Deployment worker", Verdict::Create),
    ];
    assert_eq!(
        writes(&written, ""),
        [
            "N Created: created Service rng, Deployment worker",
            "N Updated: updated Deployment rng"
        ]
    );
}

#[test]
fn a_heal_tells_who_changed_what_and_the_field_to_edit() {
    let drift = Drift {
        path: "spec.template.spec.containers[worker].image".into(),
        found: Some(json!("nginx")),
        wanted: json!("worker:v0.1@sha256:abc"),
        by: Some("kubectl-set".into()),
    };
    assert_eq!(
        writes(&[("Deployment worker", Verdict::Heal(vec![drift]))], ""),
        [
            "W Healed: Deployment worker: kubectl-set had changed spec.template.spec.containers[worker].image to nginx, \
             and it was changed back to worker:v0.1@sha256:abc. To change it, set spec.tag of DockerCoins dockercoins"
        ]
    );
}

#[test]
fn the_value_of_a_variable_is_never_told_since_it_may_be_a_password() {
    let drift = Drift {
        path: "spec.template.spec.containers[worker].env[TOKEN].value".into(),
        found: Some(json!("hunter2")),
        wanted: json!("hunter1"),
        by: None,
    };
    let told = writes(&[("Deployment worker", Verdict::Heal(vec![drift]))], "");
    assert_eq!(
        told,
        [
            "W Healed: Deployment worker: someone had changed spec.template.spec.containers[worker].env[TOKEN].value to \
             another value, and it was changed back to what the resource says. To change it, set spec.tag of DockerCoins \
             dockercoins"
        ]
    );
}

#[test]
fn an_object_that_had_been_there_was_deleted_and_that_is_told() {
    assert_eq!(
        writes(&[("Service rng", Verdict::Create)], "Service rng"),
        [
            "W Healed: Service rng had been deleted, and was created again. To stop the operator, set spec.suspend of \
             DockerCoins dockercoins"
        ]
    );
}

#[test]
fn a_heal_of_what_the_resource_can_t_set_says_so_and_long_values_are_cut_between_characters() {
    let heal = |found: Option<Value>| Drift {
        path: "spec.selector".into(),
        found,
        wanted: json!({ "app": "rng" }),
        by: None,
    };
    let told = |drift: Drift| {
        let written = [("Service rng".to_owned(), Verdict::Heal(vec![drift]))];
        let field = |_: &str, _: &Drift| "nothing: the operator decides this field".to_owned();
        shown(of_writes("dockercoins", &written, |_| true, field))
    };
    assert_eq!(
        told(heal(None)),
        [
            "W Healed: Service rng: someone had changed spec.selector to nothing, and it was changed back to \
             {\"app\":\"rng\"}. The operator decides this field"
        ]
    );
    assert_eq!(
        told(heal(Some(json!("é".repeat(161))))),
        [format!(
            "W Healed: Service rng: someone had changed spec.selector to {}…, and it was changed back to \
             {{\"app\":\"rng\"}}. The operator decides this field",
            "é".repeat(160)
        )]
    );
}

#[test]
fn an_object_that_was_handed_over_is_told_and_what_is_not_written_is_not() {
    let written = [
        ("Service redis", Verdict::Adopt),
        ("Service rng", Verdict::Keep),
        ("Service webui", Verdict::Leaving),
        ("Service hasher", Verdict::Foreign(None)),
    ];
    assert_eq!(
        writes(&written, ""),
        [
            "N Adopted: Service redis was handed over to DockerCoins dockercoins by annotation, and now is as it says"
        ]
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
fn a_failure_is_told_once_when_it_begins_though_both_conditions_carry_it() {
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
fn a_rollout_that_begins_is_no_news() {
    let (fine, moving) = (
        status("True", "Ready", None),
        status("False", "RolloutInProgress", None),
    );
    assert_eq!(shown(of_status(&fine, &moving)), Vec::<String>::new());
}

#[test]
fn a_new_digest_is_told_and_one_that_moved_with_the_old_one() {
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
fn another_tag_is_a_new_image_and_not_one_that_moved() {
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
fn a_failure_that_turns_into_another_is_told_again() {
    let limited = status("False", "RateLimited", None);
    let missing = status("False", "NotFoundOrNoAccess", None);
    assert_eq!(
        shown(of_status(&limited, &missing)),
        ["W NotFoundOrNoAccess: Ready is False"]
    );
}
