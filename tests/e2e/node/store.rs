//! Storage of the coins: on a volume, and in an external Redis.

use std::os::unix::fs::PermissionsExt as _;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, DeleteParams, PostParams};

use super::*;
use crate::support::coins::message_of;

/// A volume in a folder of this machine, of a class of its own.
async fn volume(client: &Client, class: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let volume = json!({
        "metadata": { "name": class },
        "spec": {
            "storageClassName": class,
            "accessModes": ["ReadWriteOnce"],
            "capacity": { "storage": "1Gi" },
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": { "path": folder.path() },
        },
    });
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = serde_json::from_value(volume).unwrap();
    volumes
        .create(&PostParams::default(), &volume)
        .await
        .unwrap();
    folder
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn coins_on_a_retained_volume_survive_the_resource() {
    let class = format!("by-hand-{}", std::process::id());
    let visitor = visitor().await;
    let _folder = volume(&visitor, &class).await;
    let storage = json!({ "size": "1Gi", "storageClassName": class, "whenDeleted": "Retain" });
    let settings = json!({ "redis": { "storage": storage } });
    let mine = Mine::open("volume", settings).await;
    let before = mine.more_coins_than(2).await;
    let redis = mine.only_pod("redis").await;
    // All that was told is written down within a second; here it is ended as it should be.
    mine.namespace
        .kubectl(&["delete", "pod", &redis.name_any(), "--wait=true"])
        .await;
    mine.is_ready().await;
    let after = mine.more_coins_than(before.coins).await;
    assert!(after.hashes >= before.hashes, "{before:?}, then {after:?}");

    let spec = json!(mine.namespace.get::<DockerCoins>(COINS).await.spec);
    mine.namespace
        .kubectl(&["delete", "coins", COINS, "--cascade=foreground"])
        .await;
    let claim: PersistentVolumeClaim = mine.namespace.get("redis").await;
    assert_eq!(claim.owner_references(), []);
    mine.namespace.create_spec(COINS, spec).await;
    mine.is_ready().await;
    let again = mine.more_coins_than(after.coins).await;
    assert!(again.hashes >= after.hashes, "{after:?}, then {again:?}");

    let volumes: Api<PersistentVolume> = Api::all(visitor);
    volumes
        .delete(&class, &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn external_redis_is_reached_by_address_and_by_name() {
    let first = Mine::open("first", json!({ "worker": { "replicas": 1 } })).await;
    let coins = first.more_coins_than(0).await.coins;
    let redis = first.only_pod("redis").await;
    let address = redis.status.unwrap().pod_ip.unwrap();
    let external = |host: &str| json!({ "redis": { "external": { "host": host } } });
    let second = Mine::open("second", external(&address)).await;
    // They keep one ledger.
    second.more_coins_than(coins).await;
    assert_eq!(second.pods("redis").await.len(), 0);

    let name = format!("redis.{}.svc.cluster.local", first.namespace.name);
    second.change(external(&name)).await;
    // Who has a connection keeps it: new pods must look the name up.
    let restart = [
        "rollout",
        "restart",
        "deployment/webui",
        "deployment/worker",
    ];
    second.namespace.kubectl(&restart).await;
    let coins = first.more_coins_than(0).await.coins;
    second.more_coins_than(coins).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn page_reports_a_missing_external_redis() {
    // No one has this name.
    let absent = "redis.absent.svc.cluster.local";
    let external = json!({ "redis": { "external": { "host": absent } } });
    let mine = Mine::open("absent", external).await;
    let coins = mine.is_ready().await;
    assert_eq!(
        message_of(&coins, "Ready"),
        format!(
            "every component runs as asked for. Redis is run by someone else, at {absent}:6379: whether it is there, and well, was not looked at"
        )
    );
    // Services follow their pods, and logs what was said, a moment later.
    until(
        "the page is asked, and the log says why it fails",
        async || {
            if let Ok(books) = mine.books().await {
                panic!("there are books without a Redis: {books:?}");
            }
            let log = ["logs", "deployment/webui"];
            let log = mine.namespace.try_kubectl(&log, "").await;
            match log.out.contains("redis at redis:6379: ") {
                true => Ok(()),
                false => Err(format!("{}{}", log.out, log.err)),
            }
        },
    )
    .await;

    mine.change(json!({ "redis": { "external": null } })).await;
    mine.more_coins_than(0).await;
}
