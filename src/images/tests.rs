use resolver::Failure;
use serde_json::{Value, json};

use super::*;
use crate::api::DockerCoins;

/// The time of every answer in these tests.
const NOW: &str = "2026-11-24T08:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn desired(spec: Value) -> Desired {
    Desired::from_resource(&DockerCoins::new(
        "dockercoins",
        serde_json::from_value(spec).unwrap(),
    ))
    .unwrap()
}

/// A digest for each letter.
fn digest(letter: char) -> Digest {
    Digest::parse(&format!("sha256:{}", letter.to_string().repeat(64))).unwrap()
}

fn refusal() -> Arc<ResolveError> {
    let image = Reference::parse("a/b:c").unwrap();
    let failure = Failure::NotFoundOrNoAccess {
        status: 404,
        server_message: String::new(),
    };
    Arc::new(ResolveError::new(image, None, failure))
}

/// All five resolve to the digest of this letter.
fn all(letter: char) -> Answers {
    Component::ALL
        .map(|component| (component, Ok(digest(letter).into())))
        .into()
}

/// The status that remembers these images.
fn remembering(desired: &Desired, images: &Images) -> DockerCoinsStatus {
    let components =
        Component::ALL
            .into_iter()
            .zip(&images.components)
            .map(|(component, image)| ComponentStatus {
                name: component.name().into(),
                image: Some(desired.component(component).image.to_string()),
                digest: image
                    .answer
                    .as_ref()
                    .map(|(answered, _)| answered.digest.to_string()),
                resolved_at: image.answer.as_ref().map(|(_, since)| since.clone()),
                pinned: images
                    .set
                    .as_ref()
                    .map(|set| set[component as usize].clone()),
                ..ComponentStatus::default()
            });
    DockerCoinsStatus {
        components: components.collect(),
        ..DockerCoinsStatus::default()
    }
}

/// The status after all five resolved to the digest of this letter.
fn resolved(desired: &Desired, letter: char) -> DockerCoinsStatus {
    let images = settle(desired, &DockerCoinsStatus::default(), &all(letter), now());
    remembering(desired, &images)
}

fn asked(desired: &Desired, status: &DockerCoinsStatus, due: bool) -> Vec<Component> {
    questions(desired, status, due, now())
        .into_iter()
        .map(|(component, _)| component)
        .collect()
}

fn set(tags: [&str; 5], letter: char) -> Option<[String; 5]> {
    let hub = [
        "dockercoins/hasher",
        "library/redis",
        "dockercoins/rng",
        "dockercoins/webui",
        "dockercoins/worker",
    ];
    let images =
        std::array::from_fn(|i| format!("docker.io/{}:{}@{}", hub[i], tags[i], digest(letter)));
    Some(images)
}

const V1: [&str; 5] = ["v0.1", "7", "v0.1", "v0.1", "v0.1"];

#[test]
fn a_new_resource_asks_for_all_five() {
    assert_eq!(
        asked(&desired(json!({})), &DockerCoinsStatus::default(), false),
        Component::ALL
    );
}

#[test]
fn what_is_pinned_is_not_asked_for_again_until_it_is_due() {
    let desired = desired(json!({}));
    let status = resolved(&desired, 'a');
    assert_eq!(asked(&desired, &status, false), []);
    assert_eq!(asked(&desired, &status, true), Component::ALL);
}

#[test]
fn a_changed_tag_asks_for_the_images_that_it_changes() {
    let status = resolved(&desired(json!({})), 'a');
    let changed = desired(json!({ "tag": "v0.2" }));
    use Component::{Hasher, Rng, Webui, Worker};
    assert_eq!(
        asked(&changed, &status, false),
        [Hasher, Rng, Webui, Worker]
    );
}

#[test]
fn a_digest_and_the_policy_never_are_not_asked_for_even_when_due() {
    let spec = json!({
        "hasher": { "image": format!("a/hasher:v1@{}", digest('b')) },
        "worker": { "resolve": { "policy": "Never" } },
    });
    use Component::{Redis, Rng, Webui};
    assert_eq!(
        asked(&desired(spec), &DockerCoinsStatus::default(), true),
        [Redis, Rng, Webui]
    );
}

#[test]
fn a_complete_set_is_rolled_out_with_tag_and_digest() {
    let images = settle(
        &desired(json!({})),
        &DockerCoinsStatus::default(),
        &all('a'),
        now(),
    );
    assert_eq!(images.set, set(V1, 'a'));
    assert!(images.are_complete());
}

#[test]
fn with_one_image_missing_nothing_is_deployed_the_first_time() {
    let mut answers = all('a');
    answers.insert(Component::Worker, Err(refusal()));
    let images = settle(
        &desired(json!({})),
        &DockerCoinsStatus::default(),
        &answers,
        now(),
    );
    assert_eq!(images.set, None);
    let failures: Vec<_> = images.failures().map(|failure| failure.subject()).collect();
    assert_eq!(failures, [Some("worker".into())]);
}

#[test]
fn with_one_image_missing_the_last_complete_set_runs_on_and_what_was_found_waits() {
    let status = resolved(&desired(json!({})), 'a');
    let changed = desired(json!({ "tag": "v0.2" }));
    let mut answers = all('b');
    answers.remove(&Component::Redis);
    answers.insert(Component::Worker, Err(refusal()));
    let images = settle(&changed, &status, &answers, now());
    assert_eq!(images.set, set(V1, 'a'));
    // What was found is kept, so that it isn't asked for again.
    assert_eq!(
        asked(&changed, &remembering(&changed, &images), false),
        [Component::Worker]
    );
}

#[test]
fn a_tag_taken_back_is_answered_by_what_runs_without_asking() {
    let first = desired(json!({}));
    let status = resolved(&first, 'a');
    let mistake = desired(json!({ "tag": "v9" }));
    let nothing = Component::ALL
        .map(|component| (component, Err(refusal())))
        .into();
    let status = remembering(&mistake, &settle(&mistake, &status, &nothing, now()));
    assert_eq!(asked(&first, &status, false), []);
    let images = settle(&first, &status, &Answers::new(), now());
    assert_eq!(
        (images.set.clone(), images.are_complete()),
        (set(V1, 'a'), true)
    );
}

#[test]
fn asking_again_and_failing_keeps_the_pin_and_tells_the_failure() {
    let desired = desired(json!({ "resolve": { "interval": "10m" } }));
    let status = resolved(&desired, 'a');
    let nothing = Component::ALL
        .map(|component| (component, Err(refusal())))
        .into();
    let images = settle(&desired, &status, &nothing, now());
    assert_eq!(
        (images.set.clone(), images.are_complete()),
        (set(V1, 'a'), true)
    );
    assert_eq!(images.failures().count(), 5);
}

#[test]
fn the_time_of_an_answer_changes_only_with_its_digest() {
    let desired = desired(json!({}));
    let status = resolved(&desired, 'a');
    let later: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
    let mut answers = all('a');
    answers.insert(Component::Rng, Ok(digest('b').into()));
    let times = settle(&desired, &status, &answers, later)
        .components
        .map(|image| image.answer.unwrap().1.0);
    assert_eq!(times, [now(), now(), later, now(), now()]);
}

#[test]
fn best_effort_runs_a_tag_that_was_never_pinned_and_keeps_a_pin_that_was() {
    let desired = desired(json!({ "resolve": { "policy": "BestEffort" } }));
    let nothing: Answers = Component::ALL
        .map(|component| (component, Err(refusal())))
        .into();
    let images = settle(&desired, &DockerCoinsStatus::default(), &nothing, now());
    assert_eq!(images.set.unwrap()[4], "docker.io/dockercoins/worker:v0.1");

    let images = settle(&desired, &resolved(&desired, 'a'), &nothing, now());
    assert_eq!(images.set, set(V1, 'a'));
}

#[test]
fn never_writes_tags_as_they_are_for_one_component_or_for_all() {
    let one = desired(json!({ "worker": { "tag": "v0.3", "resolve": { "policy": "Never" } } }));
    let images = settle(&one, &DockerCoinsStatus::default(), &all('a'), now());
    let mut expected = set(V1, 'a').unwrap();
    expected[4] = "docker.io/dockercoins/worker:v0.3".into();
    assert_eq!(images.set, Some(expected));

    let every = desired(json!({ "resolve": { "policy": "Never" } }));
    let images = settle(
        &every,
        &DockerCoinsStatus::default(),
        &Answers::new(),
        now(),
    );
    assert_eq!(images.set.unwrap()[2], "docker.io/dockercoins/rng:v0.1");
}

#[test]
fn a_refresh_that_fails_for_one_image_holds_back_what_the_other_tags_moved_to() {
    let desired = desired(json!({ "resolve": { "interval": "10m" } }));
    let status = resolved(&desired, 'a');
    let mut answers = all('b');
    answers.insert(Component::Worker, Err(refusal()));
    let images = settle(&desired, &status, &answers, now());
    assert_eq!(images.set, set(V1, 'a'));

    // The next time all answer, and all move together.
    let images = settle(&desired, &remembering(&desired, &images), &all('b'), now());
    assert_eq!(images.set, set(V1, 'b'));
}

#[test]
fn a_refresh_that_fails_for_best_effort_holds_nothing_back() {
    let spec = json!({ "worker": { "resolve": { "policy": "BestEffort" } } });
    let desired = desired(spec);
    let status = resolved(&desired, 'a');
    let mut answers = all('b');
    answers.insert(Component::Worker, Err(refusal()));
    let images = settle(&desired, &status, &answers, now());
    let mut expected = set(V1, 'b').unwrap();
    expected[4] = set(V1, 'a').unwrap()[4].clone();
    assert_eq!(images.set, Some(expected));
}

#[test]
fn best_effort_waits_for_no_one_and_no_one_waits_for_it() {
    let spec = json!({ "worker": { "tag": "v9", "resolve": { "policy": "BestEffort" } } });
    let desired = desired(spec);
    let mut answers = all('a');
    answers.insert(Component::Worker, Err(refusal()));
    let images = settle(&desired, &DockerCoinsStatus::default(), &answers, now());
    let mut expected = set(V1, 'a').unwrap();
    expected[4] = "docker.io/dockercoins/worker:v9".into();
    assert_eq!(images.set, Some(expected));
    // It is asked for again until it is pinned.
    assert_eq!(
        asked(&desired, &remembering(&desired, &images), false),
        [Component::Worker]
    );
}

#[test]
fn a_digest_in_status_that_is_none_is_asked_for_again() {
    let desired = desired(json!({}));
    let mut status = resolved(&desired, 'a');
    status.components[2].digest = Some("sha256:short".into());
    status.components[2].pinned = None;
    assert_eq!(asked(&desired, &status, false), [Component::Rng]);
}

#[test]
fn a_digest_that_is_written_is_what_runs_and_needs_no_answer() {
    let image = format!("quay.io/me/rng:v1@{}", digest('c'));
    let desired = desired(json!({ "rng": { "image": image } }));
    let images = settle(&desired, &DockerCoinsStatus::default(), &all('a'), now());
    let mut expected = set(V1, 'a').unwrap();
    expected[2] = image;
    assert_eq!(images.set, Some(expected));
    assert_eq!(images.components[2].answer, None);
}
