use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;

use super::*;
use crate::runtime::names::MANAGER;

const IMAGE: &str = "spec.template.spec.containers[rng].image";

fn owner() -> OwnerReference {
    OwnerReference {
        api_version: "dockercoins.dev/v1alpha1".into(),
        kind: "DockerCoins".into(),
        name: "dockercoins".into(),
        uid: "uid-of-the-resource".into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn wanted() -> Value {
    json!({
        "metadata": {
            "name": "rng",
            "annotations": { APPLIED_HASH: "hash" },
            "labels": { "app": "rng" },
            "ownerReferences": [owner()],
        },
        "spec": {
            "selector": { "matchLabels": { "app": "rng" } },
            "template": { "spec": { "containers": [{ "name": "rng", "image": "rng:v1" }] } },
        },
    })
}

/// The fields of the image, as `managedFields` records them.
fn image() -> Value {
    json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": {
        "k:{\"name\":\"rng\"}": { "f:image": {} },
    } } } } })
}

/// What is observed of the wanted object after `change`, beside what the API server and others added to it.
fn observed(change: impl FnOnce(&mut Value)) -> Observed {
    let mut live = wanted();
    live["metadata"]["uid"] = json!("uid-of-the-object");
    live["metadata"]["annotations"]["example.com/note"] = json!("another's");
    live["metadata"]["labels"]["team"] = json!("blue");
    live["spec"]["replicas"] = json!(4);
    let container = &mut live["spec"]["template"]["spec"]["containers"][0];
    container["terminationMessagePath"] = json!("/dev/termination-log");
    change(&mut live);
    let deployment = |json| serde_json::from_value::<Deployment>(json).unwrap();
    observe(&deployment(wanted()), &deployment(live), &owner(), |uid| {
        uid == "uid-of-another-that-lives"
    })
}

/// The fields in a list of drift, with the managers that changed them.
fn changed(drift: &[Drift]) -> Vec<(String, Option<Value>, Value, Option<&str>)> {
    let row = |drift: &Drift| {
        (
            drift.path.to_string(),
            drift.found.clone(),
            drift.wanted.clone(),
        )
    };
    drift
        .iter()
        .map(|it| {
            let (path, found, wanted) = row(it);
            (path, found, wanted, it.manager.as_deref())
        })
        .collect()
}

#[test]
fn defaults_and_what_others_add_are_no_drift() {
    let expected = Observed {
        uid: Some("uid-of-the-object".into()),
        ownership: Ownership::Ours,
        is_terminating: false,
        applied_hash: Some("hash".into()),
        compared_hash: Some("hash".into()),
        hash_writer: None,
        drift: vec![],
        admission: vec![],
        prerequisites: vec![],
    };
    assert_eq!(observed(|_| {}), expected);
}

#[test]
fn a_changed_field_names_the_last_manager_that_took_it() {
    let observed = observed(|live| {
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx");
        let other = json!({ "f:spec": { "f:replicas": {} } });
        live["metadata"]["managedFields"] = json!([
            { "manager": "kubectl-edit", "time": "2026-11-24T08:00:00Z", "fieldsV1": image() },
            { "manager": "kubectl-set", "time": "2026-11-24T09:00:00Z", "fieldsV1": image() },
            { "manager": "kubectl-scale", "time": "2026-11-24T10:00:00Z", "fieldsV1": other },
            { "manager": MANAGER, "time": "2026-11-24T11:00:00Z", "fieldsV1": image() },
        ]);
    });
    let row = (
        IMAGE.to_owned(),
        Some(json!("nginx")),
        json!("rng:v1"),
        Some("kubectl-set"),
    );
    assert_eq!(changed(&observed.drift), [row]);
    assert_eq!(observed.admission, []);
}

#[test]
fn a_differing_field_that_only_we_own_was_set_by_admission() {
    let observed = observed(|live| {
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mirror/rng:v1");
        live["metadata"]["managedFields"] = json!([{ "manager": MANAGER, "fieldsV1": image() }]);
    });
    let row = (
        IMAGE.to_owned(),
        Some(json!("mirror/rng:v1")),
        json!("rng:v1"),
        None,
    );
    assert_eq!(changed(&observed.admission), [row]);
    assert_eq!(observed.drift, []);
}

#[test]
fn a_differing_field_that_no_one_owns_is_drift() {
    let observed = observed(|live| {
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx");
    });
    let row = (
        IMAGE.to_owned(),
        Some(json!("nginx")),
        json!("rng:v1"),
        None,
    );
    assert_eq!(changed(&observed.drift), [row]);
}

#[test]
fn a_removed_field_is_drift_although_we_own_it() {
    let observed = observed(|live| {
        let labels = live["metadata"]["labels"].as_object_mut().unwrap();
        labels.remove("app");
        live["metadata"]["managedFields"] = json!([{
            "manager": MANAGER,
            "fieldsV1": { "f:metadata": { "f:labels": { "f:app": {} } } },
        }]);
    });
    let row = ("metadata.labels.app".to_owned(), None, json!("rng"), None);
    assert_eq!(changed(&observed.drift), [row]);
}

#[test]
fn a_hash_written_by_another_names_the_manager_of_its_changes() {
    let observed = observed(|live| {
        live["metadata"]["annotations"][APPLIED_HASH] = json!("old");
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("rng:v0");
        live["metadata"]["managedFields"] = json!([{
            "manager": "kubectl-rollout",
            "fieldsV1": { "f:metadata": { "f:annotations": { format!("f:{APPLIED_HASH}"): {} } } },
        }]);
    });
    let row = (
        IMAGE.to_owned(),
        Some(json!("rng:v0")),
        json!("rng:v1"),
        Some("kubectl-rollout"),
    );
    assert_eq!(changed(&observed.drift), [row]);
    assert_eq!(observed.applied_hash.as_deref(), Some("old"));
    assert_eq!(observed.hash_writer.as_deref(), Some("kubectl-rollout"));
}

#[test]
fn a_removed_hash_is_drift() {
    let observed = observed(|live| {
        let annotations = live["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove(APPLIED_HASH);
    });
    let path = "metadata.annotations[dockercoins.dev/applied]".to_owned();
    assert_eq!(
        changed(&observed.drift),
        [(path, None, json!("hash"), None)]
    );
}

#[test]
fn an_owner_that_joins_ours_is_no_drift() {
    let observed = observed(|live| {
        let other = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other" });
        let owners = live["metadata"]["ownerReferences"].as_array_mut().unwrap();
        owners.insert(0, other);
    });
    assert_eq!(
        (observed.ownership, observed.drift),
        (Ownership::Ours, vec![])
    );
}

#[test]
fn ownership_follows_the_controller_and_the_annotation() {
    let controller = |kind: &str, uid: &str| {
        json!([{
            "apiVersion": if kind == "DockerCoins" { "dockercoins.dev/v1alpha1" } else { "v1" },
            "kind": kind, "name": "it", "uid": uid, "controller": true,
        }])
    };
    let adopted = |by: &str| json!({ ADOPT: by });
    for (owners, annotations, expected) in [
        (json!([owner()]), json!({}), Ownership::Ours),
        (
            controller("DockerCoins", "gone"),
            json!({}),
            Ownership::OwnerGone,
        ),
        (
            controller("DockerCoins", "uid-of-another-that-lives"),
            json!({}),
            Ownership::Foreign(Some("DockerCoins it".into())),
        ),
        (
            controller("Helm", "chart"),
            adopted("dockercoins"),
            Ownership::Foreign(Some("Helm it".into())),
        ),
        (json!([]), json!({}), Ownership::Foreign(None)),
        (json!([]), adopted("another"), Ownership::Foreign(None)),
        (json!([]), adopted("dockercoins"), Ownership::HandedOver),
    ] {
        let observed = observed(|live| {
            live["metadata"]["ownerReferences"] = owners.clone();
            live["metadata"]["annotations"] = annotations.clone();
        });
        assert_eq!(observed.ownership, expected, "{owners} {annotations}");
    }
}

#[test]
fn a_claim_that_outlives_its_resource_belongs_to_the_next_of_its_name() {
    let claim = |name: &str, hash: Option<&str>| {
        let mut annotations = json!({ ADOPT: name });
        if let Some(hash) = hash {
            annotations[APPLIED_HASH] = json!(hash);
        }
        let claim = json!({ "metadata": { "name": "redis", "annotations": annotations } });
        serde_json::from_value::<PersistentVolumeClaim>(claim).unwrap()
    };
    let wanted = claim("dockercoins", Some("hash"));
    for (live, expected) in [
        (claim("dockercoins", Some("old")), Ownership::Ours),
        (claim("dockercoins", None), Ownership::HandedOver),
        (claim("another", Some("hash")), Ownership::Foreign(None)),
    ] {
        assert_eq!(
            observe(&wanted, &live, &owner(), |_| false).ownership,
            expected
        );
    }
}
