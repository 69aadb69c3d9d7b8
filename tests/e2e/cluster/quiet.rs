//! The number of requests that the operator sends, counted in the audit log of the API server.

use std::time::Instant;

use serde_json::json;

use crate::support::audit::Requests;
use crate::support::coins::nine;
use crate::support::namespace::COINS;
use crate::support::{Namespace, Operator, begin, until};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn new_resource_costs_nine_applies_and_one_read() {
    let namespace = Namespace::new("cost").await;
    let images = namespace.push_images().await;
    let _operator = Operator::start(&namespace);
    until_watching(&namespace).await;
    let before = namespace.requests();
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        [
            // Whether there is such a namespace, since nothing is in it.
            "get serviceaccounts",
            "list deployments",
            "list dockercoins",
            "list endpointslices",
            "list horizontalpodautoscalers",
            "list httproutes",
            "list ingresses",
            "list networkpolicies",
            "list persistentvolumeclaims",
            "list poddisruptionbudgets",
            "list services"
        ]
    );

    let created = Instant::now();
    namespace.create(COINS, &images, json!({})).await;
    namespace.until_children(&nine()).await;
    namespace.run_pods_to_rest(COINS).await;
    let seconds = created.elapsed().as_secs() as usize;
    let cost = namespace.asked_since(&before);
    let (variable, fixed): (Requests, Requests) = cost.into_iter().partition(|(kind, _)| {
        ["patch dockercoins/status", "create events"].contains(&kind.as_str())
    });
    assert_eq!(
        fixed,
        [
            // Its pull secrets are those of pods that name none.
            ("get serviceaccounts".into(), 1),
            ("patch deployments".into(), 5),
            ("patch services".into(), 4)
        ]
        .into()
    );
    // The digests, the first state, its progress at most once a second, and the last.
    let writes = variable["patch dockercoins/status"];
    assert!(
        (2..=4 + seconds).contains(&writes),
        "{writes} status writes in {seconds} s"
    );
    // Pinned, Created, Ready.
    assert_eq!(
        variable["create events"],
        3,
        "{:#?}",
        namespace.events().await
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn operator_at_rest_sends_nothing() {
    let (namespace, _, _operator) =
        begin("rest", json!({ "resolve": { "interval": "720h" } })).await;
    namespace.run_pods_to_rest(COINS).await;
    let at_rest = namespace.acts();

    // As long as it takes another operator to do all its work.
    let other = Namespace::new("rest-meanwhile").await;
    let images = other.push_images().await;
    let _other_operator = Operator::start(&other);
    other.create(COINS, &images, json!({})).await;
    other.run_pods(COINS).await;
    assert_eq!(namespace.acts(), at_rest);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn change_of_one_component_is_one_apply() {
    let (namespace, _, _operator) = begin("one", json!({})).await;
    namespace.run_pods(COINS).await;
    let before = namespace.requests();
    namespace
        .edit(
            COINS,
            json!({ "rng": { "env": [{ "name": "A", "value": "1" }] } }),
        )
        .await;
    namespace.run_pods(COINS).await;
    let mut cost = namespace.asked_since(&before);
    cost.remove("patch dockercoins/status");
    cost.remove("create events");
    assert_eq!(cost, [("patch deployments".into(), 1)].into());
    assert_eq!(namespace.requests_about("patch", "deployments", "rng"), 2);
}

/// Waits until all watches are open, and the empty namespace has been looked for.
pub async fn until_watching(namespace: &Namespace) {
    // A watch is in the audit log when it ends; the list before it, when it was answered.
    until("everything has been listed", async || {
        let requests = namespace.requests();
        if requests.len() == 11 {
            Ok(())
        } else {
            Err(format!("{requests:?}"))
        }
    })
    .await;
}
