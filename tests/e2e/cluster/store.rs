//! Storage of the coins: a volume claim, or an external Redis. Without a node no Redis runs; `tests/e2e/node/store.rs`
//! tests that coins survive.

use dockercoins_operator::api::{self, DockerCoins};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::coins::{component, message_of, nine};
use crate::support::namespace::{COINS, image_of, install_crd, merged};
use crate::support::{Namespace, Operator, OwnCluster, begin, until};

/// The rules that compare with what was there before, by what they say.
pub const ON_CHANGE: [&str; 2] = [
    "size must not shrink: write the former size or more; or remove spec.redis.storage, wait until the claim and its coins are deleted, and write it again",
    "storageClassName is immutable: write the former value; or remove spec.redis.storage, wait until the claim and its coins are deleted, and write it again",
];

async fn create(namespace: &Namespace, settings: Value) -> DockerCoins {
    let unasked = json!({ "resolve": { "policy": "Never" } });
    let settings = merged(unasked, settings);
    namespace.create(COINS, &namespace.images(), settings).await
}

fn storage(storage: Value) -> Value {
    json!({ "redis": { "storage": storage } })
}

/// What Redis' files are on.
async fn volume(namespace: &Namespace) -> Value {
    let redis: Deployment = namespace.get("redis").await;
    json!(redis.spec.template.spec.unwrap().volumes)
}

async fn until_no_claim(namespace: &Namespace) {
    let claims = namespace.api::<PersistentVolumeClaim>();
    until("the claim is gone", async || {
        match claims.get_opt("redis").await.unwrap() {
            None => Ok(()),
            Some(claim) => Err(format!("{:#}", json!(claim))),
        }
    })
    .await;
}

/// What people are told who apply this change.
async fn refused(namespace: &Namespace, spec: Value) -> String {
    let patch = json!({ "spec": spec });
    let done = namespace
        .raw_coins()
        .patch(COINS, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match done {
        Err(kube::Error::Api(status)) => status.message.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn external_redis_replaces_the_deployment_and_back() {
    let (namespace, _, _operator) = begin("elsewhere", json!({})).await;
    namespace.run_pods(COINS).await;
    let pinned = namespace.image("redis").await;

    let elsewhere = |host: &str, port: Option<u16>| json!({ "redis": { "external": { "host": host, "port": port } } });
    let mut without = nine();
    without.remove("Deployment redis");
    namespace
        .edit(COINS, elsewhere("redis.example.com", None))
        .await;
    namespace.until_children(&without).await;
    namespace
        .until(
            "redis",
            "the Service leads to the name",
            |service: &Service| {
                let spec = service.spec.as_ref().unwrap();
                spec.type_.as_deref() == Some("ExternalName")
                    && spec.external_name.as_deref() == Some("redis.example.com")
            },
        )
        .await;
    // Nobody is there, and nobody here would know.
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        message_of(&coins, "Ready"),
        "every component runs as asked for. Redis is run by someone else, at redis.example.com:6379: whether it is there, and well, was not looked at"
    );
    let told = component(&coins, "redis");
    assert_eq!(
        (&told.image, &told.pinned, told.replicas),
        (&None, &None, 0)
    );

    namespace
        .edit(COINS, elsewhere("192.0.2.10", Some(6380)))
        .await;
    let service = namespace
        .until(
            "redis",
            "the Service has an address",
            |service: &Service| {
                let spec = service.spec.as_ref().unwrap();
                spec.type_.as_deref() == Some("ClusterIP") && spec.external_name.is_none()
            },
        )
        .await;
    let port = &service.spec.unwrap().ports.unwrap()[0];
    assert_eq!(json!([port.port, port.target_port]), json!([6379, 6380]));
    let slice: EndpointSlice = namespace
        .until(
            "redis",
            "the slice has the address",
            |slice: &EndpointSlice| {
                json!(slice.endpoints) == json!([{ "addresses": ["192.0.2.10"], "conditions": {} }])
                    || json!(slice.endpoints)[0]["addresses"] == json!(["192.0.2.10"])
            },
        )
        .await;
    assert_eq!(slice.labels()["kubernetes.io/service-name"], "redis");
    assert_eq!(
        json!(slice.ports),
        json!([{ "name": "redis", "port": 6380, "protocol": "TCP" }])
    );

    namespace
        .edit(COINS, json!({ "redis": { "external": null } }))
        .await;
    namespace.until_children(&nine()).await;
    namespace.run_pods(COINS).await;
    assert_eq!(namespace.image("redis").await, pinned);
    let slices = namespace.api::<EndpointSlice>();
    assert_eq!(slices.get_opt("redis").await.unwrap(), None);
    // What the cluster keeps of the Service's pods is of our pod again, and of nothing else.
    let service: Service = namespace.get("redis").await;
    assert_eq!(
        json!(service.spec.unwrap().selector),
        json!({ "app": "redis" })
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn external_redis_leaves_no_endpoint_of_old_pods() {
    // The cluster leads to no pod that is on no node, and other tests' clusters have none.
    let cluster = OwnCluster::start().await;
    let client = cluster.client().await;
    install_crd(&client, &api::crd()).await;
    let node = serde_json::from_value(json!({ "metadata": { "name": "ghost" } })).unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let namespace = Namespace::of(client, "cut-over").await;
    let _operator = Operator::start_at(&cluster.account(None));
    create(&namespace, json!({})).await;
    namespace.run_pods(COINS).await;
    let of_cluster = async || -> Vec<Value> {
        let slices = namespace.api::<EndpointSlice>();
        let slices = slices
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .into_iter();
        let of_redis = slices.filter(|slice| {
            slice
                .labels()
                .get("kubernetes.io/service-name")
                .map(String::as_str)
                == Some("redis")
                && slice.name_any() != "redis"
        });
        of_redis
            .flat_map(|slice| slice.endpoints.unwrap_or_default())
            .map(|it| json!(it))
            .collect()
    };
    // A scheduler gives nodes, and a kubelet addresses; here the test does.
    let pods = namespace.api::<Pod>();
    let all = pods.list(&Default::default()).await.unwrap();
    let redis = all.iter().find(|pod| pod.labels()["app"] == "redis");
    let redis = redis.unwrap().name_any();
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": redis },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "ghost" },
    });
    let _: Value = pods
        .create_subresource("binding", &redis, &PostParams::default(), &binding)
        .await
        .unwrap();
    let status = json!({ "status": { "podIP": "192.0.2.1", "podIPs": [{ "ip": "192.0.2.1" }] } });
    pods.patch_status(&redis, &PatchParams::default(), &Patch::Strategic(status))
        .await
        .unwrap();
    until("the cluster leads to the pod", async || {
        match of_cluster().await {
            endpoints if endpoints.len() == 1 => Ok(()),
            endpoints => Err(format!("{endpoints:?}")),
        }
    })
    .await;

    let external = json!({ "redis": { "external": { "host": "192.0.2.10" } } });
    namespace.edit(COINS, external).await;
    until("the cluster leads to no pod", async || {
        match of_cluster().await {
            endpoints if endpoints.is_empty() => Ok(()),
            endpoints => Err(format!("{endpoints:?}")),
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn claim_is_deleted_with_its_field_and_its_resource() {
    let namespace = Namespace::new("claim").await;
    let _operator = Operator::start(&namespace);
    let coins = create(&namespace, storage(json!({ "size": "1Gi" }))).await;
    namespace.until_children(&nine()).await;
    let claim: PersistentVolumeClaim = namespace.get("redis").await;
    assert_eq!(claim.owner_references()[0].uid, coins.uid().unwrap());
    let spec = claim.spec.unwrap();
    assert_eq!(json!(spec.access_modes), json!(["ReadWriteOnce"]));
    assert_eq!(
        volume(&namespace).await,
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "redis" } }])
    );
    let redis: Deployment = namespace.get("redis").await;
    let pod = redis.spec.template.spec.unwrap();
    assert_eq!(
        json!(pod.containers[0].args),
        json!(["--save", "", "--appendonly", "yes"])
    );

    namespace
        .edit(COINS, json!({ "redis": { "storage": null } }))
        .await;
    until_no_claim(&namespace).await;
    assert_eq!(
        volume(&namespace).await,
        json!([{ "name": "data", "emptyDir": {} }])
    );

    namespace
        .edit(COINS, storage(json!({ "size": "2Gi" })))
        .await;
    namespace
        .until(
            "redis",
            "it is claimed anew",
            |_: &PersistentVolumeClaim| true,
        )
        .await;
    namespace.delete::<DockerCoins>(COINS).await;
    namespace.until_children(&Default::default()).await;
    until_no_claim(&namespace).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn retained_claim_serves_the_next_resource() {
    let namespace = Namespace::new("retain").await;
    let _operator = Operator::start(&namespace);
    create(&namespace, storage(json!({ "size": "1Gi" }))).await;
    namespace.until_children(&nine()).await;
    let first: PersistentVolumeClaim = namespace.get("redis").await;
    namespace
        .edit(COINS, storage(json!({ "whenDeleted": "Retain" })))
        .await;
    namespace
        .until(
            "redis",
            "the claim has no owner",
            |claim: &PersistentVolumeClaim| claim.owner_references().is_empty(),
        )
        .await;
    namespace
        .edit(COINS, json!({ "redis": { "storage": null } }))
        .await;
    until("Redis keeps its coins in memory", async || {
        let volume = volume(&namespace).await;
        match volume[0]["emptyDir"].is_object() {
            true => Ok(()),
            false => Err(volume),
        }
    })
    .await;
    namespace.delete::<DockerCoins>(COINS).await;
    namespace.until_children(&Default::default()).await;
    let left: PersistentVolumeClaim = namespace.get("redis").await;
    assert_eq!(left.uid(), first.uid());

    let settings = storage(json!({ "size": "1Gi", "whenDeleted": "Retain" }));
    create(&namespace, settings).await;
    namespace.until_children(&nine()).await;
    let again: PersistentVolumeClaim = namespace.get("redis").await;
    assert_eq!(again.resource_version(), left.resource_version());
    assert_eq!(
        volume(&namespace).await[0]["persistentVolumeClaim"]["claimName"],
        "redis"
    );
    // Someone changes it: it is ours to heal, though it has no owner.
    let labels = json!({ "app.kubernetes.io/part-of": "mine" });
    let _: PersistentVolumeClaim = namespace
        .patch("redis", json!({ "metadata": { "labels": labels } }))
        .await;
    namespace
        .until_event("Healed", |note| {
            note.starts_with("PersistentVolumeClaim redis")
        })
        .await;

    let owned = storage(json!({ "whenDeleted": "Delete" }));
    namespace.edit(COINS, owned).await;
    namespace
        .until(
            "redis",
            "the claim is the resource's",
            |claim: &PersistentVolumeClaim| !claim.owner_references().is_empty(),
        )
        .await;
    namespace.delete::<DockerCoins>(COINS).await;
    until_no_claim(&namespace).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn foreign_claim_is_not_mounted() {
    let namespace = Namespace::new("stranger-claim").await;
    let _: PersistentVolumeClaim = namespace
        .make(json!({
            "metadata": { "name": "redis" },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "5Gi" } },
            },
        }))
        .await;
    let _operator = Operator::start(&namespace);
    create(&namespace, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace
        .edit(COINS, storage(json!({ "size": "1Gi" })))
        .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    assert!(
        message_of(&coins, "Ready")
            .starts_with("PersistentVolumeClaim redis is not the operator's"),
        "{}",
        message_of(&coins, "Ready")
    );
    assert_eq!(
        volume(&namespace).await,
        json!([{ "name": "data", "emptyDir": {} }])
    );
    let redis: Deployment = namespace.get("redis").await;
    assert!(image_of(&redis).contains("redis"));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_storage_class_is_reported() {
    let namespace = Namespace::new("no-class").await;
    let _operator = Operator::start(&namespace);
    let settings = storage(json!({ "size": "1Gi", "storageClassName": "no-such-class" }));
    create(&namespace, settings).await;
    let told = "its PersistentVolumeClaim redis has no volume of the class no-such-class yet";
    let coins = namespace
        .until_coins(COINS, "it is told which class has no volume", |coins| {
            let status = coins.status.as_ref();
            let redis = status.and_then(|it| it.components.iter().find(|c| c.name == "redis"));
            redis
                .and_then(|it| it.message.as_ref())
                .is_some_and(|it| it.contains(told))
        })
        .await;
    assert!(message_of(&coins, "Ready").contains(told));
    let claim: PersistentVolumeClaim = namespace.get("redis").await;
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn shrinking_size_and_changed_class_are_refused() {
    let namespace = Namespace::new("shrink").await;
    create(
        &namespace,
        storage(json!({ "size": "2Gi", "storageClassName": "a" })),
    )
    .await;
    let [shrinks, changes] = ON_CHANGE;
    for smaller in ["1Gi", "2047Mi", "2G"] {
        let said = refused(&namespace, storage(json!({ "size": smaller }))).await;
        assert!(said.contains(shrinks), "{smaller}: {said}");
    }
    for class in [json!("b"), Value::Null] {
        let said = refused(&namespace, storage(json!({ "storageClassName": class }))).await;
        assert!(said.contains(changes), "{said}");
    }
    namespace
        .edit(COINS, storage(json!({ "size": "2048Mi" })))
        .await;
    namespace
        .edit(COINS, storage(json!({ "size": "3Gi" })))
        .await;
    let external = json!({ "redis": { "external": { "host": "a" } } });
    let said = refused(&namespace, external).await;
    assert!(
        said.contains("external and storage are mutually exclusive"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn rejected_claim_is_quoted() {
    let namespace = Namespace::new("claim-refused").await;
    let _operator = Operator::start(&namespace);
    create(
        &namespace,
        storage(json!({ "size": "1Gi", "whenDeleted": "Retain" })),
    )
    .await;
    namespace.until_children(&nine()).await;
    namespace.delete::<DockerCoins>(COINS).await;
    namespace.until_children(&Default::default()).await;
    // The rule knows nothing of a resource that was there before.
    create(
        &namespace,
        storage(json!({ "size": "1Mi", "whenDeleted": "Retain" })),
    )
    .await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "Rejected")
        .await;
    let told = message_of(&coins, "Ready");
    assert!(told.contains("PersistentVolumeClaim"), "{told}");
    namespace
        .edit(COINS, storage(json!({ "size": "1Gi" })))
        .await;
    namespace
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;
}
