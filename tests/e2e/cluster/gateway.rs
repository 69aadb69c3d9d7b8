//! HTTPRoutes in a cluster with and without Gateway API.

use dockercoins_operator::dockercoins::gateway::HTTPRoute;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::support::coins::{message_of, nine};
use crate::support::namespace::{COINS, TESTER, install_crd};
use crate::support::{Namespace, Operator, OwnCluster, conditions, until, variable};

/// Puts the real CRD of HTTPRoutes into a cluster, and waits until it serves.
pub async fn install_gateway_api(client: &Client) {
    // Those who install it side by side would get in each other's way.
    static ONE: Mutex<()> = Mutex::const_new(());
    let _one = ONE.lock().await;
    let file = format!(
        "{}/gateway.networking.k8s.io_httproutes.yaml",
        variable("GATEWAY_CRDS")
    );
    let text = std::fs::read_to_string(&file).unwrap();
    let crd: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply(TESTER).force();
    let mut crd = json!(crd);
    crd.as_object_mut().unwrap().remove("status");
    crds.patch(
        crd["metadata"]["name"].as_str().unwrap(),
        &params,
        &Patch::Apply(&crd),
    )
    .await
    .unwrap();
    let routes: Api<HTTPRoute> = Api::all(client.clone());
    until("HTTPRoutes are served", async || {
        routes.list(&ListParams::default().limit(1)).await.map(drop)
    })
    .await;
}

fn route() -> Value {
    json!({ "resolve": { "policy": "Never" }, "webui": { "httpRoute": {
        "parentRefs": [{ "name": "public" }],
        "hostnames": ["coins.example.com"],
    } } })
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_gateway_api_is_reported_until_it_is_installed() {
    let cluster = OwnCluster::start().await;
    let client = cluster.client().await;
    install_crd(&client, &dockercoins_operator::api::crd()).await;
    let wants = Namespace::of(client.clone(), "wants-route").await;
    let plain = Namespace::of(client.clone(), "plain").await;
    let operator = Operator::start_at(&cluster.account(None));
    operator
        .until_logged("INFO the cluster serves no HTTPRoute")
        .await;
    let images = wants.images();
    wants.create(COINS, &images, route()).await;
    plain
        .create(COINS, &images, json!({ "resolve": { "policy": "Never" } }))
        .await;
    let coins = wants.until_told(COINS, "Ready", "False", "NotServed").await;
    assert!(
        message_of(&coins, "Ready").starts_with(
            "the cluster serves no HTTPRoute: install Gateway API and a Gateway controller, or remove spec.webui.httpRoute"
        ),
        "{}",
        message_of(&coins, "Ready")
    );
    wants.until_children(&nine()).await;
    plain.until_children(&nine()).await;
    plain
        .until_told(COINS, "Ready", "False", "RolloutInProgress")
        .await;

    install_gateway_api(&client).await;
    let made = wants
        .until("webui", "the route is there", |_: &HTTPRoute| true)
        .await;
    assert_eq!(made.spec.hostnames, ["coins.example.com"]);
    wants
        .until_coins(COINS, "NotServed is told no more", |coins| {
            let told = conditions(coins);
            told.iter().all(|it| it.reason != "NotServed")
        })
        .await;
    let routes: Api<HTTPRoute> = Api::all(client.clone());
    let all = routes.list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 1, "{:?}", all.items[0].name_any());
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn gateway_controllers_verdict_is_reported() {
    install_gateway_api(&crate::support::namespace::client().await).await;
    let namespace = Namespace::new("gateway").await;
    let _operator = Operator::start(&namespace);
    namespace.create(COINS, &namespace.images(), route()).await;
    let coins = namespace.run_pods(COINS).await;
    assert_eq!(
        message_of(&coins, "Ready"),
        "every component runs as asked for. Gateway public has not accepted HTTPRoute webui yet: check that it exists, with `kubectl get gateways --all-namespaces`"
    );
    let says = async |status: &str, reason: &str| {
        let told = json!({ "status": { "parents": [{
            "controllerName": "example.com/gateways",
            "parentRef": { "name": "public" },
            "conditions": [{
                "type": "Accepted",
                "status": status,
                "reason": reason,
                "message": "as a controller would say it",
                "lastTransitionTime": "2026-11-24T08:00:00Z",
            }],
        }] } });
        namespace
            .api::<HTTPRoute>()
            .patch_status("webui", &PatchParams::default(), &Patch::Merge(told))
            .await
            .unwrap();
    };
    says("False", "NotAllowedByListeners").await;
    namespace
        .until_coins(COINS, "the refusal is told", |coins| {
            message_of(coins, "Ready")
                == "every component runs as asked for. Gateway public rejects HTTPRoute webui: NotAllowedByListeners: as a controller would say it"
        })
        .await;
    says("True", "Accepted").await;
    namespace
        .until_coins(COINS, "all is well", |coins| {
            message_of(coins, "Ready") == "every component runs as asked for"
        })
        .await;
}
