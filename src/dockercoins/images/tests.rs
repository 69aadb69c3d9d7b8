use resolver::Failure;
use serde_json::{Value, json};

use super::*;
use crate::api::DockerCoins;

/// The time of every resolution in these tests.
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

fn not_found() -> Arc<ResolveError> {
    let image = Reference::parse("a/b:c").unwrap();
    let failure = Failure::NotFoundOrNoAccess {
        status: 404,
        server_message: String::new(),
    };
    Arc::new(ResolveError::new(image, None, failure))
}

/// All five resolve to the digest of this letter.
fn all_resolve_to(letter: char) -> Resolutions {
    Component::ALL
        .map(|component| (component, Ok(digest(letter).into())))
        .into()
}

/// None of the five resolves.
fn none_resolves() -> Resolutions {
    Component::ALL
        .map(|component| (component, Err(not_found())))
        .into()
}

/// The status that stores these images.
fn stored(desired: &Desired, images: &Images) -> DockerCoinsStatus {
    let components = images.iter().map(|(component, image)| ComponentStatus {
        name: component.name().into(),
        image: Some(desired.component(component).image.to_string()),
        digest: image
            .pin
            .as_ref()
            .map(|pin| pin.resolution.digest.to_string()),
        resolved_at: image.pin.as_ref().map(|pin| pin.since.clone()),
        pinned: images.set.as_ref().and_then(|set| set[component].clone()),
        ..ComponentStatus::default()
    });
    DockerCoinsStatus {
        components: components.collect(),
        ..DockerCoinsStatus::default()
    }
}

/// The status after all five resolved to the digest of this letter.
fn status_with_pins(desired: &Desired, letter: char) -> DockerCoinsStatus {
    let images = select_images(
        desired,
        &DockerCoinsStatus::default(),
        &all_resolve_to(letter),
        now(),
    );
    stored(desired, &images)
}

/// The components whose references are to be resolved.
fn unresolved(desired: &Desired, status: &DockerCoinsStatus, due: bool) -> Vec<Component> {
    to_resolve(desired, status, due, now())
        .into_iter()
        .map(|(component, _)| component)
        .collect()
}

/// The default images, all with the digest of this letter.
fn set(letter: char) -> Option<ImageSet> {
    Some(PerComponent::from_fn(|component| {
        let image = match component {
            Component::Redis => "library/redis:7".to_owned(),
            other => format!("dockercoins/{other}:v0.1"),
        };
        Some(format!("docker.io/{image}@{}", digest(letter)))
    }))
}

#[test]
fn a_new_resource_resolves_all_five() {
    assert_eq!(
        unresolved(&desired(json!({})), &DockerCoinsStatus::default(), false),
        Component::ALL
    );
}

#[test]
fn pinned_tags_are_resolved_again_only_when_due() {
    let desired = desired(json!({}));
    let status = status_with_pins(&desired, 'a');
    assert_eq!(unresolved(&desired, &status, false), []);
    assert_eq!(unresolved(&desired, &status, true), Component::ALL);
}

#[test]
fn a_changed_tag_resolves_only_the_images_it_changes() {
    let status = status_with_pins(&desired(json!({})), 'a');
    let changed = desired(json!({ "tag": "v0.2" }));
    use Component::{Hasher, Rng, Webui, Worker};
    assert_eq!(
        unresolved(&changed, &status, false),
        [Hasher, Rng, Webui, Worker]
    );
}

#[test]
fn digests_and_policy_never_are_not_resolved_even_when_due() {
    let spec = json!({
        "hasher": { "image": format!("a/hasher:v1@{}", digest('b')) },
        "worker": { "resolve": { "policy": "Never" } },
    });
    use Component::{Redis, Rng, Webui};
    assert_eq!(
        unresolved(&desired(spec), &DockerCoinsStatus::default(), true),
        [Redis, Rng, Webui]
    );
}

#[test]
fn a_complete_set_has_tags_and_digests() {
    let images = select_images(
        &desired(json!({})),
        &DockerCoinsStatus::default(),
        &all_resolve_to('a'),
        now(),
    );
    assert_eq!(images.set, set('a'));
    assert!(images.are_complete());
}

#[test]
fn an_incomplete_first_set_deploys_nothing() {
    let mut resolutions = all_resolve_to('a');
    resolutions.insert(Component::Worker, Err(not_found()));
    let images = select_images(
        &desired(json!({})),
        &DockerCoinsStatus::default(),
        &resolutions,
        now(),
    );
    assert_eq!(images.set, None);
    let failures: Vec<_> = images.failures().map(|failure| failure.subject()).collect();
    assert_eq!(failures, [Some("worker".into())]);
}

#[test]
fn an_incomplete_set_keeps_the_last_one_and_stores_its_pins() {
    let status = status_with_pins(&desired(json!({})), 'a');
    let changed = desired(json!({ "tag": "v0.2" }));
    let mut resolutions = all_resolve_to('b');
    resolutions.remove(&Component::Redis);
    resolutions.insert(Component::Worker, Err(not_found()));
    let images = select_images(&changed, &status, &resolutions, now());
    assert_eq!(images.set, set('a'));
    // The new pins are stored, so that their tags are not resolved again.
    assert_eq!(
        unresolved(&changed, &stored(&changed, &images), false),
        [Component::Worker]
    );
}

#[test]
fn a_restored_tag_is_pinned_to_the_running_image() {
    let first = desired(json!({}));
    let status = status_with_pins(&first, 'a');
    let mistake = desired(json!({ "tag": "v9" }));
    let status = stored(
        &mistake,
        &select_images(&mistake, &status, &none_resolves(), now()),
    );
    assert_eq!(unresolved(&first, &status, false), []);
    let images = select_images(&first, &status, &Resolutions::new(), now());
    assert_eq!(
        (images.set.clone(), images.are_complete()),
        (set('a'), true)
    );
}

#[test]
fn a_failed_refresh_keeps_the_pins_and_reports_the_failures() {
    let desired = desired(json!({ "resolve": { "interval": "10m" } }));
    let status = status_with_pins(&desired, 'a');
    let images = select_images(&desired, &status, &none_resolves(), now());
    assert_eq!(
        (images.set.clone(), images.are_complete()),
        (set('a'), true)
    );
    assert_eq!(images.failures().count(), 5);
}

#[test]
fn the_time_of_a_pin_changes_only_with_its_digest() {
    let desired = desired(json!({}));
    let status = status_with_pins(&desired, 'a');
    let later: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
    let mut resolutions = all_resolve_to('a');
    resolutions.insert(Component::Rng, Ok(digest('b').into()));
    let images = select_images(&desired, &status, &resolutions, later);
    let times: Vec<_> = images
        .iter()
        .map(|(_, image)| image.pin.clone().unwrap().since.0)
        .collect();
    assert_eq!(times, [now(), now(), later, now(), now()]);
}

#[test]
fn best_effort_runs_a_tag_only_if_it_has_no_pin() {
    let desired = desired(json!({ "resolve": { "policy": "BestEffort" } }));
    let images = select_images(
        &desired,
        &DockerCoinsStatus::default(),
        &none_resolves(),
        now(),
    );
    assert_eq!(
        images.set.unwrap()[Component::Worker].as_deref(),
        Some("docker.io/dockercoins/worker:v0.1")
    );

    let images = select_images(
        &desired,
        &status_with_pins(&desired, 'a'),
        &none_resolves(),
        now(),
    );
    assert_eq!(images.set, set('a'));
}

#[test]
fn policy_never_runs_tags_as_written() {
    let one = desired(json!({ "worker": { "tag": "v0.3", "resolve": { "policy": "Never" } } }));
    let images = select_images(
        &one,
        &DockerCoinsStatus::default(),
        &all_resolve_to('a'),
        now(),
    );
    let mut expected = set('a').unwrap();
    expected[Component::Worker] = Some("docker.io/dockercoins/worker:v0.3".into());
    assert_eq!(images.set, Some(expected));

    let every = desired(json!({ "resolve": { "policy": "Never" } }));
    let images = select_images(
        &every,
        &DockerCoinsStatus::default(),
        &Resolutions::new(),
        now(),
    );
    assert_eq!(
        images.set.unwrap()[Component::Rng].as_deref(),
        Some("docker.io/dockercoins/rng:v0.1")
    );
}

#[test]
fn one_failed_refresh_keeps_all_pins() {
    let desired = desired(json!({ "resolve": { "interval": "10m" } }));
    let status = status_with_pins(&desired, 'a');
    let mut resolutions = all_resolve_to('b');
    resolutions.insert(Component::Worker, Err(not_found()));
    let images = select_images(&desired, &status, &resolutions, now());
    assert_eq!(images.set, set('a'));

    // The next refresh succeeds, and all images change together.
    let images = select_images(
        &desired,
        &stored(&desired, &images),
        &all_resolve_to('b'),
        now(),
    );
    assert_eq!(images.set, set('b'));
}

#[test]
fn a_failed_best_effort_refresh_keeps_only_its_own_pin() {
    let spec = json!({ "worker": { "resolve": { "policy": "BestEffort" } } });
    let desired = desired(spec);
    let status = status_with_pins(&desired, 'a');
    let mut resolutions = all_resolve_to('b');
    resolutions.insert(Component::Worker, Err(not_found()));
    let images = select_images(&desired, &status, &resolutions, now());
    let mut expected = set('b').unwrap();
    expected[Component::Worker] = set('a').unwrap()[Component::Worker].clone();
    assert_eq!(images.set, Some(expected));
}

#[test]
fn an_unresolved_best_effort_image_delays_no_other() {
    let spec = json!({ "worker": { "tag": "v9", "resolve": { "policy": "BestEffort" } } });
    let desired = desired(spec);
    let mut resolutions = all_resolve_to('a');
    resolutions.insert(Component::Worker, Err(not_found()));
    let images = select_images(&desired, &DockerCoinsStatus::default(), &resolutions, now());
    let mut expected = set('a').unwrap();
    expected[Component::Worker] = Some("docker.io/dockercoins/worker:v9".into());
    assert_eq!(images.set, Some(expected));
    // The tag is resolved again until it has a pin.
    assert_eq!(
        unresolved(&desired, &stored(&desired, &images), false),
        [Component::Worker]
    );
}

#[test]
fn a_malformed_digest_in_status_is_resolved_again() {
    let desired = desired(json!({}));
    let mut status = status_with_pins(&desired, 'a');
    status.components[2].digest = Some("sha256:short".into());
    status.components[2].pinned = None;
    assert_eq!(unresolved(&desired, &status, false), [Component::Rng]);
}

#[test]
fn a_digest_in_the_spec_runs_as_written() {
    let image = format!("quay.io/me/rng:v1@{}", digest('c'));
    let desired = desired(json!({ "rng": { "image": image } }));
    let images = select_images(
        &desired,
        &DockerCoinsStatus::default(),
        &all_resolve_to('a'),
        now(),
    );
    let mut expected = set('a').unwrap();
    expected[Component::Rng] = Some(image);
    assert_eq!(images.set, Some(expected));
    let rng = images.components[Component::Rng].as_ref().unwrap();
    assert_eq!(rng.pin, None);
}

#[test]
fn a_component_without_pods_needs_no_image() {
    let desired = desired(json!({ "redis": { "external": { "host": "redis.example.com" } } }));
    let none = DockerCoinsStatus::default();
    use Component::{Hasher, Rng, Webui, Worker};
    assert_eq!(
        unresolved(&desired, &none, true),
        [Hasher, Rng, Webui, Worker]
    );
    let mut resolutions = all_resolve_to('a');
    resolutions.remove(&Component::Redis);
    let images = select_images(&desired, &none, &resolutions, now());
    let mut expected = set('a').unwrap();
    expected[Component::Redis] = None;
    assert_eq!(images.set, Some(expected.clone()));

    // The last complete set is complete without Redis too.
    let status = stored(&desired, &images);
    let images = select_images(&desired, &status, &none_resolves(), now());
    assert_eq!(images.set, Some(expected));
}

#[test]
fn a_variant_of_a_platform_counts_for_its_architecture() {
    let nodes = ["linux/amd64", "linux/arm", "linux/arm64"]
        .map(str::to_owned)
        .into();
    let platforms = ["linux/amd64", "linux/arm/v7"].map(str::to_owned);
    assert_eq!(missing_platforms(&platforms, &nodes), ["linux/arm64"]);
}
