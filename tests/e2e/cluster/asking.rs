//! When images are resolved again, with whose credentials, and what status says about the answers.

use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::login::pull_secret;
use crate::support::coins::{component, message_of, nine};
use crate::support::namespace::COINS;
use crate::support::registry::{PASSWORD, Registry, USER, free_address};
use crate::support::{Namespace, Operator, begin};

async fn request(namespace: &Namespace, value: &str) {
    let annotation =
        json!({ "metadata": { "annotations": { "dockercoins.dev/requestedAt": value } } });
    namespace.patch_raw(COINS, annotation).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn requested_at_resolves_once_for_each_value() {
    let (namespace, images, _operator) = begin("requested", json!({})).await;
    namespace.run_pods(COINS).await;
    let moved = images.push("rng", "v0.1", "moved").await;

    request(&namespace, "once").await;
    namespace
        .until_image("rng", &images.pinned("rng", "v0.1", &moved))
        .await;
    let handled = |value: &'static str| {
        move |coins: &dockercoins_operator::api::DockerCoins| {
            let status = coins.status.as_ref();
            status.and_then(|status| status.last_handled_requested_at.as_deref()) == Some(value)
        }
    };
    namespace
        .until_coins(COINS, "the request is told to be done", handled("once"))
        .await;

    // The tag moves once more, and nobody requests anything: an edit of something else moves nothing.
    let again = images.push("rng", "v0.1", "moved again").await;
    namespace
        .edit(COINS, json!({ "worker": { "replicas": 2 } }))
        .await;
    namespace.run_pods(COINS).await;
    assert_eq!(
        namespace.image("rng").await,
        images.pinned("rng", "v0.1", &moved)
    );
    request(&namespace, "twice").await;
    namespace
        .until_coins(COINS, "the request is told to be done", handled("twice"))
        .await;
    namespace
        .until_image("rng", &images.pinned("rng", "v0.1", &again))
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn default_service_account_lends_its_pull_secrets() {
    let namespace = Namespace::new("account").await;
    let registry = Registry::start_with_login().await;
    let images = registry.images("team");
    images.push_all().await;
    let secret = pull_secret("of-the-account", images.host(), USER, PASSWORD);
    namespace.make::<Secret>(secret).await;
    let accounts = namespace.api::<ServiceAccount>();
    crate::support::until("the namespace has its ServiceAccount", async || {
        accounts
            .get("default")
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    let change = json!({ "imagePullSecrets": [{ "name": "of-the-account" }] });
    let params = PatchParams::default();
    accounts
        .patch("default", &params, &Patch::Merge(change))
        .await
        .unwrap();

    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    let rng = component(&coins, "rng");
    assert_eq!(rng.login.as_deref(), Some("Secret of-the-account"));
    assert_eq!(
        rng.registry.clone(),
        Some(format!("http://{}", images.host()))
    );
}

/// A node that is there and runs nothing.
async fn node(namespace: &Namespace, name: &str, architecture: &str) {
    let nodes: Api<Node> = Api::all(namespace.client.clone());
    let node = json!({
        "metadata": { "name": name, "labels": { "dockercoins.dev/test": name } },
        "spec": { "unschedulable": true },
    });
    let node = serde_json::from_value(node).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let zero = |field: &str| (field.to_owned(), json!(""));
    let mut info: Value = [
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "osImage",
        "systemUUID",
    ]
    .map(zero)
    .into_iter()
    .collect::<serde_json::Map<_, _>>()
    .into();
    info["operatingSystem"] = json!("linux");
    info["architecture"] = json!(architecture);
    let status = json!({ "status": { "nodeInfo": info } });
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn image_without_the_nodes_platform_is_reported() {
    let namespace = Namespace::new("platforms").await;
    let (fit, unfit) = (
        format!("{}-fit", namespace.name),
        format!("{}-unfit", namespace.name),
    );
    node(&namespace, &fit, "arm64").await;
    node(&namespace, &unfit, "riscv64").await;
    let images = namespace.push_images().await;
    let _operator = Operator::start(&namespace);
    namespace
        .create(
            COINS,
            &images,
            json!({ "nodeSelector": { "dockercoins.dev/test": unfit } }),
        )
        .await;
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    let told = "rng has no image for linux/riscv64, as nodes here are: its pods can't start there";
    assert!(
        message_of(&coins, "ImagesResolved").contains(told),
        "{}",
        message_of(&coins, "ImagesResolved")
    );
    let rng = component(&coins, "rng");
    assert_eq!(rng.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(
        rng.unserved_platforms,
        Some(vec!["linux/riscv64".to_owned()])
    );
    let nodes: Api<Node> = Api::all(namespace.client.clone());
    for name in [fit, unfit] {
        nodes.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn one_answer_serves_all_resources() {
    let registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    let mut namespaces = Vec::new();
    for name in ["shared-a", "shared-b", "shared-c", "shared-d"] {
        namespaces.push(Namespace::new(name).await);
    }
    // They are there before the operator is, so that it sees all of them at once.
    for namespace in &namespaces {
        namespace.create(COINS, &images, json!({})).await;
    }
    let all: Vec<&Namespace> = namespaces.iter().collect();
    let _operator = Operator::start_with(&all, &["--allow-registry-network", "127.0.0.0/8"]);
    for namespace in &namespaces {
        namespace.until_children(&nine()).await;
    }
    // Each tag, and each digest's platforms, would be 40 questions. One namespace's list may be read after another's
    // tags were asked for, and what is seen later is asked for again; but what is under a digest never is.
    let questions = registry.questions();
    assert!((10..=25).contains(&questions), "{questions}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn push_notification_is_rolled_out() {
    let namespace = Namespace::new("pushed").await;
    let address = free_address();
    let secret = "0123456789abcdef0123456789abcdef";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{secret}\n")).unwrap();
    let hook = format!("http://{address}/hooks/{secret}");
    let registry = Registry::start_with(&["--notify", &hook]).await;
    let images = registry.images("team");
    images.push_all().await;
    let operator = Operator::start_with(
        &[&namespace],
        &[
            "--allow-registry-network",
            "127.0.0.0/8",
            "--webhook-address",
            &address,
            "--webhook-secret-file",
            file.path().to_str().unwrap(),
        ],
    );
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;

    let moved = images.push("rng", "v0.1", "pushed again").await;
    namespace
        .until_image("rng", &images.pinned("rng", "v0.1", &moved))
        .await;
    assert!(!operator.log().contains(secret), "the log shows no secret");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn private_authority_is_read_from_a_config_map() {
    let namespace = Namespace::new("authority").await;
    let mut registry = Registry::start().await;
    let images = registry.images("team");
    images.push_all().await;
    registry.shut_down();
    let folder = tempfile::TempDir::new().unwrap();
    let (authority, certificate, key) = certificates(folder.path());
    registry.set_options(&["--tls", &certificate, &key]);
    registry.bring_up().await;

    let _operator = Operator::start(&namespace);
    let endpoint = format!("https://{}", registry.host);
    let settings = json!({ "registry": { "endpoint": endpoint } });
    namespace.create(COINS, &images, settings).await;
    namespace
        .until_told(COINS, "ImagesResolved", "False", "CertificateNotTrusted")
        .await;
    let at = json!({ "configMapKeyRef": { "name": "registry" } });
    namespace
        .edit(COINS, json!({ "registry": { "certificateAuthority": at } }))
        .await;
    let note = "ConfigMap registry is not in this namespace: create it with the registry's certificate authority under ca.crt, \
                or mend spec.registry.certificateAuthority";
    namespace
        .until_coins(COINS, "the ConfigMap is told to be missing", |coins| {
            message_of(coins, "ImagesResolved").contains(note)
        })
        .await;
    let map = json!({ "metadata": { "name": "registry" }, "data": { "ca.crt": authority } });
    namespace.make::<ConfigMap>(map).await;
    namespace.until_children(&nine()).await;
}

/// An authority, and a server's certificate and key by it, as files.
fn certificates(folder: &std::path::Path) -> (String, String, String) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let server = rcgen::CertificateParams::new(names).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = file("tls.crt", server.pem());
    let key = file("tls.key", key.serialize_pem());
    (pem, certificate, key)
}
