//! An operator that lacks one permission names it, does everything else, and recovers when the permission is granted.
//!
//! Each permission of the chart's role is removed in turn, in one of two namespaces.

use std::collections::{BTreeMap, BTreeSet};

use dockercoins_operator::api::DockerCoins;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::login::pull_secret;
use crate::support::coins::nine;
use crate::support::monitor::get;
use crate::support::namespace::{COINS, image_of};
use crate::support::registry::{Images, Registry, free_address};
use crate::support::rights::{Permission, RELEASE, Rights};
use crate::support::{Namespace, Operator, conditions, until, variable};

/// Where it is told that a permission is missing. In the log it always is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// By `Ready`, with the reason Forbidden, and by an event.
    Ready,
    /// By `ImagesResolved`, beside what came of the images.
    Images,
    /// Nowhere else: there is no resource that could tell, or it is this that may not be written. What is not watched may
    /// not be as it was when it was read, and then nothing is written to it.
    Log,
}

/// What the role has, and who tells of the lack of it.
const PERMISSIONS: [(&str, Told); 21] = [
    ("list dockercoins.dockercoins.dev", Told::Log),
    ("watch dockercoins.dockercoins.dev", Told::Log),
    ("patch dockercoins.dockercoins.dev", Told::Log),
    ("patch dockercoins/status.dockercoins.dev", Told::Log),
    ("update dockercoins/finalizers.dockercoins.dev", Told::Ready),
    ("get services", Told::Ready),
    ("list services", Told::Ready),
    ("watch services", Told::Ready),
    ("create services", Told::Ready),
    ("patch services", Told::Ready),
    ("delete services", Told::Ready),
    ("get deployments.apps", Told::Ready),
    ("list deployments.apps", Told::Ready),
    ("watch deployments.apps", Told::Ready),
    ("create deployments.apps", Told::Ready),
    ("patch deployments.apps", Told::Ready),
    ("delete deployments.apps", Told::Ready),
    ("get secrets", Told::Images),
    ("get configmaps", Told::Images),
    ("get serviceaccounts", Told::Images),
    ("create events.events.k8s.io", Told::Log),
];

/// Those of which other tests tell: what is read of a resource that can't be read, and what nodes there are.
const ELSEWHERE: [&str; 2] = ["get dockercoins.dockercoins.dev", "list nodes"];

/// What the API server says of the lack of a permission.
fn words(permission: &str) -> String {
    let (verb, resource) = permission.split_once(' ').unwrap();
    let resource = resource.split('.').next().unwrap();
    match resource {
        // It doesn't say this one; the operator does.
        "dockercoins/finalizers" => format!("grant the verb {verb} on {resource}"),
        _ => format!("cannot {verb} resource \"{resource}\""),
    }
}

/// The permissions of the chart's role in one namespace, by their names.
fn role() -> BTreeMap<String, Permission> {
    let rights = Rights::of_chart(&["watchNamespaces={somewhere}"]);
    let within = rights.within["somewhere"].iter();
    within.map(|it| (it.to_string(), it.clone())).collect()
}

/// May do what the chart allows, but for this in the first namespace.
fn grant(namespaces: [&Namespace; 2], lacks: Option<&str>) -> std::path::PathBuf {
    let role = role();
    let whole: BTreeSet<Permission> = role.values().cloned().collect();
    let mut part = whole.clone();
    if let Some(lacks) = lacks {
        assert!(part.remove(&role[lacks]));
    }
    let chart = Rights::of_chart(&[]);
    let nodes = chart
        .everywhere
        .into_iter()
        .filter(|it| it.resource == "nodes");
    let [first, second] = namespaces;
    let rights = Rights {
        everywhere: nodes.collect(),
        within: [(first.name.clone(), part), (second.name.clone(), whole)].into(),
    };
    rights.grant(&variable("KUBECONFIG"), &first.name)
}

#[test]
#[ignore = "needs helm: make test"]
fn every_permission_of_the_role_is_covered() {
    let mut chart = Rights::of_chart(&[]).all();
    // Replicas have tests of their own.
    chart.retain(|permission| permission.resource != "leases");
    let chart: BTreeSet<String> = chart.iter().map(ToString::to_string).collect();
    let tested = PERMISSIONS.iter().map(|(permission, _)| *permission);
    let mut tested: BTreeSet<String> = tested.chain(ELSEWHERE).map(String::from).collect();
    // What few resources ask for has a test of its own.
    tested.extend(super::beside::permissions());
    assert_eq!(chart, tested);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn each_missing_permission_is_named_and_recovered_from() {
    futures::stream::iter(PERMISSIONS)
        .for_each_concurrent(8, |(permission, told)| lacks(permission, told))
        .await;
}

async fn lacks(permission: &str, told: Told) {
    let words = words(permission);
    let words = words.as_str();
    let subject = permission
        .split('.')
        .next()
        .unwrap()
        .replace([' ', '/'], "-");
    let first = Namespace::new(&format!("no-{subject}")).await;
    let second = Namespace::new(&format!("yes-{subject}")).await;
    let address = free_address();
    let secret = "0123456789abcdef0123456789abcdef";
    let hook = format!("http://{address}/hooks/{secret}");
    let registry = Registry::start_with(&["--notify", &hook]).await;
    let images = registry.images("team");
    images.push_all().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();

    let account = grant([&first, &second], Some(permission));
    prepare(&first, &images, permission).await;
    second.create(COINS, &images, json!({})).await;
    let operator = Operator::start_as(
        &account,
        &[&first, &second],
        &[
            "--allow-registry-network",
            "127.0.0.0/8",
            "--webhook-address",
            &address,
            "--webhook-secret-file",
            file.path().to_str().unwrap(),
        ],
    );
    second.until_children(&nine()).await;
    let pushed = match permission {
        "patch dockercoins.dockercoins.dev" => {
            first.until_children(&nine()).await;
            let moved = images.push("rng", "v0.1", "pushed again").await;
            let image = images.pinned("rng", "v0.1", &moved);
            second.until_image("rng", &image).await;
            Some(image)
        }
        _ => None,
    };
    operator.until_logged(words).await;
    let is_told = |coins: &DockerCoins| match told {
        Told::Log => true,
        Told::Ready => conditions(coins).iter().any(|c| {
            (c.type_, c.status, c.reason) == ("Ready", "False", "Forbidden")
                && c.message.contains(words)
        }),
        Told::Images => conditions(coins)
            .iter()
            .any(|c| c.type_ == "ImagesResolved" && c.message.contains(words)),
    };
    first
        .until_coins(COINS, &format!("it is told that {words}"), is_told)
        .await;
    if told == Told::Ready {
        first
            .until_event("Forbidden", |note| note.contains(words))
            .await;
    }

    grant([&first, &second], None);
    let mut asked = 0_u32;
    until(
        &format!("all is well with the permission to {permission}"),
        async || {
            let coins = first.get::<DockerCoins>(COINS).await;
            if told == Told::Images {
                // It would be seen by itself within five minutes; who mends something can ask, and again when that
                // was done.
                let status = coins.status.as_ref();
                let done = status.and_then(|status| status.last_handled_requested_at.clone());
                if asked == 0 || done == Some(asked.to_string()) {
                    asked += 1;
                    let asks = json!({ "dockercoins.dev/requestedAt": asked.to_string() });
                    first
                        .patch_raw(COINS, json!({ "metadata": { "annotations": asks } }))
                        .await;
                }
            }
            let conditions = conditions(&coins);
            let is_well = conditions.len() >= 2
                && conditions
                    .iter()
                    .all(|c| c.reason != "Forbidden" && !c.message.contains(words));
            let image = image_of_rng(&first).await;
            let is_pushed = pushed.is_none() || pushed == image;
            match (is_well, is_pushed, first.children().await == nine()) {
                (true, true, true) => Ok(()),
                _ => Err(format!("{conditions:#?} {image:?}")),
            }
        },
    )
    .await;
    // Once, and not once for each try.
    let log = operator.log();
    let watches = ["list", "watch"]
        .iter()
        .any(|verb| permission.starts_with(verb));
    // Of the watch; what a resource tells is beside it.
    let is_of_watch = |line: &&str| {
        line.contains(" WARN the operator may not ") && !line.contains("reconciling object")
    };
    let warnings = log.lines().filter(is_of_watch);
    if watches {
        assert_eq!(warnings.count(), 1, "{log}");
    }
}

async fn image_of_rng(namespace: &Namespace) -> Option<String> {
    let rng = namespace
        .api::<Deployment>()
        .get_opt("rng")
        .await
        .unwrap()?;
    Some(image_of(&rng).to_owned())
}

/// A resource for which the permission is needed.
async fn prepare(namespace: &Namespace, images: &Images, permission: &str) {
    let adopt = json!({ "dockercoins.dev/adopt": COINS });
    let settings = match permission {
        "get services" => {
            let port = json!({ "port": 6379 });
            let redis = json!({
                "metadata": { "name": "redis", "annotations": adopt },
                "spec": { "ports": [port], "selector": { "app": "redis" } },
            });
            namespace.make::<Service>(redis).await;
            json!({})
        }
        "get deployments.apps" => {
            namespace
                .make::<Deployment>(deployment("rng", json!({ "annotations": adopt })))
                .await;
            json!({})
        }
        "get secrets" => {
            let login = pull_secret("regcred", images.host(), "someone", "something");
            namespace.make::<Secret>(login).await;
            json!({ "imagePullSecrets": [{ "name": "regcred" }] })
        }
        "get configmaps" => {
            let at = json!({ "configMapKeyRef": { "name": "authority", "key": "ca.crt" } });
            json!({ "registry": { "certificateAuthority": at } })
        }
        _ => json!({}),
    };
    let coins = namespace.create(COINS, images, settings).await;
    let obsolete = json!({
        "labels": { "app.kubernetes.io/managed-by": "dockercoins-operator" },
        "ownerReferences": [{
            "apiVersion": "dockercoins.dev/v1alpha1",
            "kind": "DockerCoins",
            "name": COINS,
            "uid": coins.uid(),
            "controller": true,
        }],
    });
    match permission {
        "delete services" => {
            let mut worker = json!({ "metadata": obsolete, "spec": { "ports": [{ "port": 80 }] } });
            worker["metadata"]["name"] = json!("worker");
            namespace.make::<Service>(worker).await;
        }
        "delete deployments.apps" => {
            namespace
                .make::<Deployment>(deployment("ledger", obsolete))
                .await;
        }
        _ => {}
    }
}

/// A Deployment as someone else would write it.
fn deployment(name: &str, mut meta: Value) -> Value {
    meta["name"] = json!(name);
    let labels = json!({ "app": name });
    json!({
        "metadata": meta,
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": name, "image": "example.com/some:thing" }] },
            },
        },
    })
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_permission_to_nodes_skips_the_platform_check() {
    let namespace = Namespace::new("no-nodes").await;
    let mut rights = Rights::of_chart(&[
        &format!("watchNamespaces={{{}}}", namespace.name),
        "rbac.nodes=false",
    ]);
    assert_eq!(rights.everywhere, BTreeSet::new());
    // For replicas, of which there is one.
    rights.within.remove(RELEASE);
    let account = rights.grant(&variable("KUBECONFIG"), &namespace.name);
    let images = namespace.push_images().await;
    let operator = Operator::start_as(
        &account,
        &[&namespace],
        &["--allow-registry-network", "127.0.0.0/8"],
    );
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;
    operator
        .until_logged(r#"cannot list resource "nodes""#)
        .await;
    let coins = namespace.get::<DockerCoins>(COINS).await;
    let told = crate::support::coins::message_of(&coins, "ImagesResolved");
    assert!(told.contains("the nodes could not be listed"), "{told}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn permission_removed_twice_is_reported_twice() {
    let [first, second] = [
        Namespace::new("taken-twice").await,
        Namespace::new("kept-twice").await,
    ];
    let lacks = Some("watch services");
    let account = grant([&first, &second], lacks);
    let server = crate::support::proxy::api_server();
    let proxy = crate::support::proxy::Proxy::start(server.clone()).await;
    let text = std::fs::read_to_string(&account).unwrap();
    assert!(text.contains(&server));
    std::fs::write(&account, text.replace(&server, &proxy.address)).unwrap();
    let operator = Operator::start_as(&account, &[&first], &[]);
    let again = format!("Service in namespace {} are watched again", first.name);
    let told = |log: &str| {
        let warnings = log.lines().filter(|line| {
            line.contains(" WARN ") && line.contains("may not watch Service in namespace")
        });
        (warnings.count(), log.contains(&again))
    };
    let until_told = async |times: usize, again: bool| {
        until(&format!("it is told {times} times"), async || {
            let log = operator.log();
            match told(&log) == (times, again) {
                true => Ok(()),
                false => Err(log),
            }
        })
        .await;
    };
    until_told(1, false).await;
    grant([&first, &second], None);
    until_told(1, true).await;
    grant([&first, &second], lacks);
    // A watch goes on without the permission by which it was begun, until it is begun anew.
    proxy.break_off();
    until_told(2, true).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn a_deleted_namespace_leaves_the_operator_ready_for_the_others() {
    let [kept, gone] = [
        Namespace::new("namespace-kept").await,
        Namespace::new("namespace-gone").await,
    ];
    let account = grant([&kept, &gone], None);
    let server = crate::support::proxy::api_server();
    let proxy = crate::support::proxy::Proxy::start(server.clone()).await;
    let text = std::fs::read_to_string(&account).unwrap();
    std::fs::write(&account, text.replace(&server, &proxy.address)).unwrap();
    let address = free_address();
    let options = ["--http-address", address.as_str()];
    let operator = Operator::start_as(&account, &[&kept, &gone], &options);
    let images = kept.images();
    let settings = || json!({ "resolve": { "policy": "Never" } });
    gone.create(COINS, &images, settings()).await;
    gone.until_children(&nine()).await;
    let until_ready = async |is_synced: bool| {
        let series = r#"dockercoins_watch_synced{kind="Service"}"#;
        let sample = format!("{series} {}\n", u8::from(is_synced));
        until(&format!("ready, and {sample}"), async || {
            let ready = get(&address, "/readyz").await;
            let metrics = get(&address, "/metrics").await;
            match (ready, metrics) {
                (Ok((200, _)), Ok((200, text))) if text.contains(&sample) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    };
    until_ready(true).await;

    // Its RoleBinding goes with it. The watch goes on until it is begun anew.
    kept.kubectl(&["delete", "namespace", &gone.name]).await;
    proxy.break_off();
    for kind in ["DockerCoins", "Service", "Deployment"] {
        let told = format!("may not watch {kind} in namespace {}", gone.name);
        operator.until_logged(&told).await;
    }
    until_ready(false).await;
    kept.create(COINS, &images, settings()).await;
    kept.until_children(&nine()).await;

    kept.kubectl(&["create", "namespace", &gone.name]).await;
    grant([&kept, &gone], None);
    until_ready(true).await;
    gone.create(COINS, &images, settings()).await;
    gone.until_children(&nine()).await;
}
