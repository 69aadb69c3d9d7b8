//! End-to-end tests on a real node: pods run, coins are mined, and a real browser opens the page.
//!
//! They need the application's images in the cluster's registry, as v0.1 and v0.1.1, and Redis as library/redis:7.

mod browser;
mod closed;
mod store;
use std::time::Duration;

use dockercoins_operator::api::DockerCoins;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Client, Config, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::support::monitor::get;
use crate::support::namespace::{COINS, merged};
use crate::support::{Namespace, Operator, until, variable};
use browser::Browser;

/// How long a hash rate is measured. This is no wait for something: it is the measurement.
const WINDOW: Duration = Duration::from_secs(10);

/// DockerCoins in a namespace of a test's own, mining.
struct Mine {
    namespace: Namespace,
    /// Who looks at the page.
    visitor: Client,
    _operator: Operator,
}

/// What the web page's server says of the ledger.
#[derive(Clone, Copy, Debug)]
struct Books {
    coins: u64,
    hashes: u64,
    now: f64,
}

impl Mine {
    /// Applies the example, with these settings beside, where Pod Security `restricted` is enforced.
    async fn open(subject: &str, settings: Value) -> Self {
        let namespace = Namespace::new(subject).await;
        let label = "pod-security.kubernetes.io/enforce=restricted";
        namespace
            .kubectl(&["label", "namespace", &namespace.name, label])
            .await;
        let operator = Operator::start(&namespace);
        let example = std::fs::read_to_string("examples/dockercoins.yaml").unwrap();
        let example: Value = serde_saphyr::from_str(&example).unwrap();
        let registry = variable("REGISTRY");
        let here = json!({
            "registry": { "prefix": registry },
            "redis": { "image": format!("{registry}/library/redis:7") },
        });
        let spec = merged(merged(example["spec"].clone(), here), settings);
        namespace.create_spec(COINS, spec).await;
        let mine = Self {
            namespace,
            visitor: visitor().await,
            _operator: operator,
        };
        mine.is_ready().await;
        mine
    }

    async fn is_ready(&self) -> DockerCoins {
        let namespace = &self.namespace;
        namespace.until_told(COINS, "Ready", "True", "Ready").await
    }

    /// Changes the resource, and waits until the change has been rolled out.
    async fn change(&self, spec: Value) -> DockerCoins {
        self.namespace.edit(COINS, spec).await;
        self.is_ready().await
    }

    /// What the page's server answers to a path, by way of the API server.
    async fn page(&self, path: &str) -> Result<String, String> {
        let namespace = &self.namespace.name;
        let uri = format!("/api/v1/namespaces/{namespace}/services/webui:80/proxy/{path}");
        let request = http::Request::get(uri).body(Vec::new()).unwrap();
        let answer = self.visitor.request_text(request).await;
        answer.map_err(|error| error.to_string())
    }

    async fn books(&self) -> Result<Books, String> {
        let text = self.page("json").await?;
        let json: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
        let hashes = json["hashes"]
            .as_str()
            .and_then(|hashes| hashes.parse().ok());
        Ok(Books {
            coins: json["coins"].as_u64().ok_or_else(|| text.clone())?,
            hashes: hashes.ok_or_else(|| text.clone())?,
            now: json["now"].as_f64().ok_or(text)?,
        })
    }

    /// Waits until there are more coins than these, and gives the books then.
    async fn more_coins_than(&self, coins: u64) -> Books {
        let what = format!("there are more than {coins} coins");
        until(&what, async || {
            let books = self.books().await?;
            if books.coins > coins {
                return Ok(books);
            }
            Err(format!("{books:?}"))
        })
        .await
    }

    /// Hashes a second, over the window.
    async fn rate(&self) -> Result<f64, String> {
        let before = self.books().await?;
        tokio::time::sleep(WINDOW).await;
        let after = self.books().await?;
        let hashes = u32::try_from(after.hashes - before.hashes).unwrap();
        Ok(f64::from(hashes) / (after.now - before.now))
    }

    /// Waits until it is above a bound, and gives it: a worker that was refused at first waits before it tries again.
    async fn rate_above(&self, bound: f64) -> f64 {
        until(&format!("the rate is above {bound}"), async || {
            match self.rate().await? {
                rate if rate > bound => Ok(rate),
                rate => Err(format!("{rate}")),
            }
        })
        .await
    }

    async fn pods(&self, component: &str) -> Vec<Pod> {
        let selected = ListParams::default().labels(&format!("app={component}"));
        self.namespace
            .api::<Pod>()
            .list(&selected)
            .await
            .unwrap()
            .items
    }

    async fn only_pod(&self, component: &str) -> Pod {
        let mut pods = self.pods(component).await;
        assert_eq!(pods.len(), 1, "pods of {component}");
        pods.remove(0)
    }
}

/// A client that takes a 503 for an answer, as a browser does: others ask again and again by themselves.
async fn visitor() -> Client {
    let mut config = Config::infer().await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// The images that the pods of all components run, each with how many times, by status and in fact.
async fn images(mine: &Mine, coins: &DockerCoins) -> Vec<(String, Vec<String>)> {
    let mut images = Vec::new();
    for component in &coins.status.as_ref().unwrap().components {
        let pods = mine.pods(&component.name).await;
        let running = pods
            .iter()
            .filter(|pod| pod.meta().deletion_timestamp.is_none());
        let running = running.map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone());
        images.push((
            component.pinned.clone().unwrap(),
            running.map(Option::unwrap).collect(),
        ));
    }
    images
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn example_mines_with_the_digests_of_status() {
    let mine = Mine::open("example", json!({})).await;
    let wait = [
        "wait",
        "--for=condition=Ready",
        "coins/dockercoins",
        "--timeout=30s",
    ];
    mine.namespace.kubectl(&wait).await;
    mine.more_coins_than(0).await;
    let coins = mine.is_ready().await;
    for (pinned, running) in images(&mine, &coins).await {
        assert!(pinned.contains("@sha256:"), "{pinned}");
        assert!(!running.is_empty());
        for image in running {
            assert_eq!(image, pinned);
        }
    }
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn more_workers_raise_the_rate_until_rng_is_the_limit() {
    let mine = Mine::open("bottleneck", json!({ "worker": { "replicas": 1 } })).await;
    mine.more_coins_than(0).await;
    let one = mine.rate_above(0.0).await;
    mine.change(json!({ "worker": { "replicas": 2 } })).await;
    let two = mine.rate_above(1.4 * one).await;
    mine.change(json!({ "worker": { "replicas": 10 } })).await;
    let ten = mine.rate_above(two).await;
    mine.change(json!({ "rng": { "replicas": 2 } })).await;
    let ten_and_two_rng = mine.rate_above(1.3 * ten).await;
    println!("workers  rng  hashes/s");
    for (workers, rng, rate) in [
        (1, 1, one),
        (2, 1, two),
        (10, 1, ten),
        (10, 2, ten_and_two_rng),
    ] {
        println!("{workers:7}  {rng:3}  {rate:8.1}");
    }
    // A unit of work takes 0.3 s at least, and one rng serves ten in a second at most, however fast the machine.
    assert!(one <= 4.0, "one worker: {one}");
    assert!(ten <= 11.0, "ten workers: {ten}");
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn new_tag_rolls_out_and_leaves_redis_alone() {
    let mine = Mine::open("new-tag", json!({})).await;
    let before = mine.more_coins_than(0).await;
    let redis = mine.only_pod("redis").await.uid();
    let old = images(&mine, &mine.is_ready().await).await;

    let coins = mine.change(json!({ "tag": "v0.1.1" })).await;
    let new = images(&mine, &coins).await;
    for ((old, _), (new, running)) in old.iter().zip(&new) {
        let is_redis = new.contains("redis");
        assert_eq!(is_redis, old == new, "{old} and {new}");
        assert!(is_redis || new.contains(":v0.1.1@sha256:"), "{new}");
        assert!(running.iter().all(|image| image == new), "{running:?}");
    }
    assert_eq!(mine.only_pod("redis").await.uid(), redis);
    mine.more_coins_than(before.coins).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn missing_tag_leaves_the_old_pods_mining() {
    let mine = Mine::open("missing-tag", json!({})).await;
    mine.namespace.edit(COINS, json!({ "tag": "v0.9" })).await;
    mine.namespace
        .until_told(COINS, "Ready", "False", "NotFoundOrNoAccess")
        .await;
    let coins = mine.more_coins_than(0).await.coins;
    mine.more_coins_than(coins).await;
    mine.change(json!({ "tag": "v0.1" })).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn stuck_rollout_leaves_the_old_workers_mining() {
    let mine = Mine::open(
        "stuck",
        json!({ "worker": { "progressDeadlineSeconds": 3 } }),
    )
    .await;
    let mistake = json!({ "worker": { "tag": "v0.3", "resolve": { "policy": "Never" } } });
    mine.namespace.edit(COINS, mistake).await;
    mine.namespace
        .until_told(COINS, "Stalled", "True", "ProgressDeadlineExceeded")
        .await;
    let coins = mine.more_coins_than(0).await.coins;
    mine.more_coins_than(coins).await;
    mine.change(json!({ "worker": { "tag": null, "resolve": null } }))
        .await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn page_reports_missing_redis_and_mining_resumes() {
    let mine = Mine::open("redis", json!({})).await;
    mine.more_coins_than(0).await;
    mine.change(json!({ "redis": { "replicas": 0 } })).await;
    until("the page says that Redis is away", async || {
        match mine.books().await {
            Ok(books) => Err(format!("{books:?}")),
            Err(said) => Ok(said),
        }
    })
    .await;
    assert!(
        mine.page("index.html")
            .await
            .unwrap()
            .contains("DockerCoins")
    );
    mine.change(json!({ "redis": { "replicas": 1 } })).await;
    mine.more_coins_than(0).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn worker_ends_at_sigterm() {
    let mine = Mine::open("sigterm", json!({ "worker": { "replicas": 1 } })).await;
    let worker = mine.only_pod("worker").await.name_any();
    // Within its grace period, which is 30 s, or it would be killed: kubectl would wait that long.
    let delete = ["delete", "pod", &worker, "--wait=true", "--timeout=28s"];
    mine.namespace.kubectl(&delete).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn page_shows_a_rate_in_a_browser() {
    let mine = Mine::open("page", json!({})).await;
    let service: Service = mine.namespace.get("webui").await;
    let port = service.spec.unwrap().ports.unwrap()[0].node_port.unwrap();
    let forward = tokio::process::Command::new("local/forward")
        .args(["--name", &variable("INSTANCE"), &format!("node:{port}")])
        .output()
        .await
        .unwrap();
    assert!(forward.status.success(), "{forward:?}");
    let address = String::from_utf8(forward.stdout).unwrap();

    // A browser that is refused doesn't come again, and the Service follows its pods a moment later.
    until("the page answers", async || {
        match get(address.trim(), "/index.html").await {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let mut browser = Browser::open(&format!("http://{}/", address.trim()));
    until("the page shows a hash rate and a coin", async || {
        let seen = browser.value(
            "JSON.stringify([
                document.querySelector('#status').dataset.state,
                Number(document.querySelector('#rate').dataset.value),
                Number(document.querySelector('#coins').dataset.value)])",
        );
        let seen = seen.as_str().unwrap_or_default().to_owned();
        match serde_json::from_str::<(String, f64, f64)>(&seen) {
            Ok((state, rate, coins)) if state == "mining" && rate > 0.5 && coins >= 1.0 => Ok(()),
            _ => Err(seen),
        }
    })
    .await;
    let picture = browser.screenshot();
    println!("a picture of the page: {}", picture.display());
}
