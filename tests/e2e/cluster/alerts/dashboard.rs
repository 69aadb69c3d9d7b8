//! The dashboard has data in every panel.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::registries::limited;
use super::{Watched, ask_again, change, role};
use crate::monitoring::files::{filled_in, panels};
use crate::support::coins::nine;
use crate::support::kubectl::kubeconfig;
use crate::support::namespace::COINS;
use crate::support::registry::free_address;
use crate::support::{Namespace, Registry, until};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn every_panel_has_data() {
    let (namespace, other) = (
        Namespace::new("dashboard").await,
        Namespace::new("dashboard").await,
    );
    let user = format!("operator-of-{}", namespace.name);
    let hook = free_address();
    let secret = "0123456789abcdef0123456789abcdef";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();
    let url = format!("http://{hook}/hooks/{secret}");
    let registry = Registry::start_with(&["--notify", &url]).await;
    let images = registry.images("team");
    images.push_all().await;
    let limited = limited(Arc::new(AtomicBool::new(false))).await;
    let options = [
        "--webhook-address",
        &hook,
        "--webhook-secret-file",
        file.path().to_str().unwrap(),
        "--leader-elect",
        "--lease-namespace",
        &namespace.name,
    ];
    // Bad times: Deployments can't be watched, then not be written.
    role(&other, &user, &["*"]).await;
    role(&namespace, &user, &["create"]).await;
    let config = kubeconfig(Some(&user), &[], None);
    let watched = Watched::start_by(&config, &[&namespace, &other], &options).await;
    let prometheus = &watched.prometheus;
    prometheus
        .until_found("dockercoins_watch_failures_total")
        .await;
    role(&namespace, &user, &["list", "watch"]).await;
    namespace.create(COINS, &images, json!({})).await;
    prometheus
        .until_found(r#"dockercoins_writes_total{result="forbidden"}"#)
        .await;
    // And good ones: all is there, a heal, a push, and a registry with a limit.
    role(&namespace, &user, &["*"]).await;
    change(&namespace).await;
    namespace.until_children(&nine()).await;
    let at_limit = Registry::at(&limited.address).images("team");
    other.create(COINS, &at_limit, json!({})).await;
    other.until_children(&nine()).await;
    namespace.delete::<Service>("webui").await;
    namespace.until_children(&nine()).await;
    images.push("rng", "v0.1", "pushed again").await;
    for panel in panels() {
        for query in &panel.queries {
            // What nothing happens to has no rate; and of one, two scrapes are the least.
            change(&namespace).await;
            ask_again(&other).await;
            let query = filled_in(query, "30s");
            until(
                &format!("{} shows something: {query}", panel.title),
                async || {
                    let shown = prometheus.query(&query).await;
                    let is_number = |series: &serde_json::Value| series["value"][1] != "NaN";
                    if shown.iter().any(is_number) {
                        Ok(())
                    } else {
                        Err(format!("{shown:?}"))
                    }
                },
            )
            .await;
        }
    }
}
