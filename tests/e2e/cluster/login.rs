//! Registries that require a login, and which credentials they receive.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::support::coins::{message_of, nine};
use crate::support::namespace::COINS;
use crate::support::registry::{Images, PASSWORD, Registry, USER};
use crate::support::server::{Server, header, reply};
use crate::support::{Namespace, Operator, begin};

/// A Secret as `kubectl create secret docker-registry` makes it.
pub fn pull_secret(name: &str, host: &str, user: &str, password: &str) -> Value {
    let config = json!({ "auths": { host: { "username": user, "password": password } } });
    json!({
        "metadata": { "name": name },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": config.to_string() },
    })
}

async fn registry() -> (Registry, Images) {
    let registry = Registry::start_with_login().await;
    let images = registry.images("team");
    images.push_all().await;
    (registry, images)
}

fn with_secret(name: &str) -> Value {
    json!({ "imagePullSecrets": [{ "name": name }] })
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn pull_secret_resolves_and_reaches_the_pods() {
    let namespace = Namespace::new("login").await;
    let (_registry, images) = registry().await;
    namespace
        .make::<Secret>(pull_secret("regcred", images.host(), USER, PASSWORD))
        .await;
    let operator = Operator::start(&namespace);
    namespace
        .create(COINS, &images, with_secret("regcred"))
        .await;
    namespace.until_children(&nine()).await;
    assert!(
        namespace
            .image("rng")
            .await
            .starts_with(&images.name("rng", "v0.1@sha256:"))
    );
    assert!(
        !operator.log().contains(PASSWORD),
        "the log shows no password"
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn wrong_login_is_named_and_never_shown() {
    let namespace = Namespace::new("wrong-login").await;
    let (_registry, images) = registry().await;
    namespace
        .make::<Secret>(pull_secret("regcred", images.host(), USER, "hunter2-wrong"))
        .await;
    let operator = Operator::start(&namespace);
    namespace
        .create(COINS, &images, with_secret("regcred"))
        .await;
    let coins = namespace
        .until_coins(COINS, "the login is told to be wrong", |coins| {
            coins.status.as_ref().is_some_and(|s| {
                s.conditions
                    .iter()
                    .any(|c| c.message.contains("Secret regcred"))
            })
        })
        .await;
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.contains("check the username and password there"),
        "{told}"
    );
    for text in [
        told.to_owned(),
        operator.log(),
        format!("{:?}", namespace.events().await),
    ] {
        assert!(!text.contains("hunter2-wrong"), "{text}");
    }
    // The kubelet would take the new one too: nothing but the Secret has changed.
    namespace.delete::<Secret>("regcred").await;
    namespace
        .make::<Secret>(pull_secret("regcred", images.host(), USER, PASSWORD))
        .await;
    namespace.until_children(&nine()).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_secret_is_named() {
    let namespace = Namespace::new("no-secret").await;
    let (_registry, images) = registry().await;
    let _operator = Operator::start(&namespace);
    namespace
        .create(COINS, &images, with_secret("regcred"))
        .await;
    let coins = namespace
        .until_coins(COINS, "the Secret is told to be missing", |coins| {
            coins
                .status
                .as_ref()
                .is_some_and(|s| s.conditions.iter().any(|c| c.message.contains("regcred")))
        })
        .await;
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.contains(
            "pull secret regcred is not in this namespace: create it with \
             `kubectl create secret docker-registry regcred`, or take it out of spec.imagePullSecrets"
        ),
        "{told}"
    );
    namespace
        .make::<Secret>(pull_secret("regcred", images.host(), USER, PASSWORD))
        .await;
    namespace.until_children(&nine()).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_secret_that_no_image_needs_stops_nothing() {
    let (namespace, images, operator) = begin("no-need", with_secret("regcred")).await;
    namespace.until_children(&nine()).await;
    let coins = namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.contains("pull secret regcred is not in this namespace"),
        "{told}"
    );

    // Though no registry is asked again, it is seen that the Secret is there: at the latest by the next operator.
    drop(operator);
    let secret = pull_secret("regcred", images.host(), USER, PASSWORD);
    namespace.make::<Secret>(secret).await;
    let _operator = Operator::start(&namespace);
    namespace
        .until_coins(COINS, "the Secret is told of no more", |coins| {
            !message_of(coins, "ImagesResolved").contains("regcred")
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn invalid_secret_is_named_without_its_content() {
    let namespace = Namespace::new("malformed").await;
    let (_registry, images) = registry().await;
    // The API server wants JSON, but not what is in it.
    let malformed = json!({
        "metadata": { "name": "regcred" },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": format!(r#"{{"auths": {{"{}": {{"auth": "c2VjcmV0d2l0aG91dGNvbG9u"}}}}}}"#, images.host()) },
    });
    namespace.make::<Secret>(malformed).await;
    let opaque = json!({ "metadata": { "name": "opaque" }, "stringData": { "password": "secret-of-another-kind" } });
    namespace.make::<Secret>(opaque).await;
    let operator = Operator::start(&namespace);
    let settings = json!({ "imagePullSecrets": [{ "name": "regcred" }, { "name": "opaque" }] });
    namespace.create(COINS, &images, settings).await;
    let coins = namespace
        .until_coins(COINS, "both Secrets are told", |coins| {
            let told = coins
                .status
                .iter()
                .flat_map(|s| &s.conditions)
                .find(|c| c.type_ == "ImagesResolved");
            told.is_some_and(|c| c.message.contains("opaque") && c.message.contains("regcred"))
        })
        .await;
    let told = message_of(&coins, "ImagesResolved");
    assert!(
        told.contains("pull secret opaque has the type Opaque, which holds no registry logins"),
        "{told}"
    );
    for text in [told.to_owned(), operator.log()] {
        for secret in [
            "c2VjcmV0d2l0aG91dGNvbG9u",
            "secretwithoutcolon",
            "secret-of-another-kind",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn login_is_never_sent_to_another_host() {
    let server = Server::start(|request| {
        reply(
            request,
            "401 Unauthorized",
            &[("WWW-Authenticate", r#"Basic realm="give me all""#)],
            "",
        )
    })
    .await;
    let namespace = Namespace::new("other-host").await;
    namespace
        .make::<Secret>(pull_secret(
            "regcred",
            "registry.example.com",
            USER,
            PASSWORD,
        ))
        .await;
    let _operator = Operator::start(&namespace);
    // The prefix is the Secret's host; what is asked is the attacker's.
    let spec = json!({
        "registry": { "prefix": "registry.example.com/team", "endpoint": server.address },
        "redis": { "image": "registry.example.com/team/redis:7" },
        "imagePullSecrets": [{ "name": "regcred" }],
    });
    namespace.create_spec(COINS, spec).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "AuthenticationFailed")
        .await;
    let told = message_of(&coins, "Ready");
    assert!(
        told.contains("no pull secret matches this address"),
        "{told}"
    );
    let heard = server.heard();
    assert!(!heard.is_empty());
    for request in heard {
        assert_eq!(header(&request, "authorization"), None, "{request}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn endpoint_gets_its_own_login() {
    let namespace = Namespace::new("endpoint-login").await;
    let (_registry, images) = registry().await;
    namespace
        .make::<Secret>(pull_secret("regcred", images.host(), USER, PASSWORD))
        .await;
    let _operator = Operator::start(&namespace);
    let spec = json!({
        "registry": { "prefix": "registry.example.com/team", "endpoint": format!("http://{}", images.host()) },
        "redis": { "image": "registry.example.com/team/redis:v0.1" },
        "nodeSelector": { "dockercoins.dev/test": "no-such-node" },
        "imagePullSecrets": [{ "name": "regcred" }],
    });
    namespace.create_spec(COINS, spec).await;
    namespace.until_children(&nine()).await;
    let rng = namespace.image("rng").await;
    assert!(
        rng.starts_with("registry.example.com/team/rng:v0.1@sha256:"),
        "{rng}"
    );
}
