//! What the operator costs: latency, requests, throughput against a bare client, memory.
//!
//! `make figures` runs it, against a Kubernetes of its own without a node, and with the operator as it is released.
//! Timings on a machine that others use are noisy: read the ratios and the counts first.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dockercoins_operator::api::{self, DockerCoins};
use dockercoins_operator::desired::Desired;
use dockercoins_operator::plan::{Plan, plan};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config, CustomResourceExt as _, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How many resources are created at once.
const MANY: usize = 200;
/// What the operator calls itself to the API server.
const AGENT: &str = "dockercoins-operator";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut config = Config::infer().await?;
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let apply = PatchParams::apply("figures").force();
    crds.patch(DockerCoins::crd_name(), &apply, &Patch::Apply(api::crd()))
        .await?;
    let coins: Api<DockerCoins> = Api::all(client.clone());
    while coins.list(&ListParams::default().limit(1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let operator = Operator::start();
    one_resource(&client, &operator).await?;
    drop(operator);
    many_resources(&client).await?;
    Ok(())
}

/// One resource: how fast, by which requests, and what it costs at rest.
async fn one_resource(client: &Client, operator: &Operator) -> Result<(), Failure> {
    let mut latencies = Vec::new();
    for name in namespaces(client, "one", 9).await? {
        let started = Instant::now();
        let counting = tokio::spawn(nine_objects(client.clone(), Some(name.clone()), 1).await?);
        create(client, &name, &spec(json!({}))).await?;
        counting.await??;
        latencies.push(started.elapsed());
    }
    latencies.sort();
    let ms = |at: usize| latencies[at].as_millis();
    row(
        "from the creation of a resource (policy Never) to nine objects",
        "< 300 ms",
        &format!(
            "{} ms (median of {}; {} to {})",
            ms(latencies.len() / 2),
            latencies.len(),
            ms(0),
            ms(latencies.len() - 1)
        ),
    );

    let namespace = namespaces(client, "requests", 1).await?.remove(0);
    let secret = json!({
        "metadata": { "name": "regcred" },
        "type": "kubernetes.io/dockerconfigjson",
        "data": { ".dockerconfigjson": "e30=" },
    });
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(client.clone(), &namespace);
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let with_secret =
        json!({ "imagePullSecrets": [{ "name": "regcred" }], "resolve": { "policy": "Required" } });
    let mut required = spec(with_secret);
    required["registry"] = json!({ "prefix": registry() });
    required["redis"] = json!({ "image": format!("{}/redis:7", registry()), "replicas": 0 });
    create(client, &namespace, &required).await?;
    ready(client, &namespace).await?;
    let requests = audit(|request| request.namespace == namespace);
    row(
        "requests for one new resource (policy Required, one pull secret)",
        "9 applies",
        &counted(&requests),
    );

    // The minute is what is measured.
    let before = audit(|_| true).values().sum::<usize>();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let during = audit(|_| true).values().sum::<usize>() - before;
    row(
        "requests in a minute at rest, beside the watches",
        "0",
        &during.to_string(),
    );
    row(
        "resident memory with 10 resources",
        "< 20 MiB",
        &operator.memory(),
    );
    Ok(())
}

/// Many resources at once: the operator against a bare client that sends the same, in turn.
async fn many_resources(client: &Client) -> Result<(), Failure> {
    let mut ratios = Vec::new();
    for round in 1..=2 {
        let mut best = f64::MIN;
        for concurrency in [8, 16, 32] {
            let rate = bare(client, &format!("bare-{round}-{concurrency}"), concurrency).await?;
            best = best.max(rate);
            row(
                &format!("  a bare client, {concurrency} resources at a time"),
                "",
                &format!("{rate:.0} objects/s"),
            );
        }
        let operator = Operator::start();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let rate = by_operator(client, &format!("operator-{round}")).await?;
        row("  the operator", "", &format!("{rate:.0} objects/s"));
        ratios.push(rate / best);
        row(
            &format!("{MANY} resources at once, the operator to the bare client's best"),
            ">= 0.70",
            &format!("{:.2}", rate / best),
        );
        if round == 2 {
            row(
                &format!(
                    "resident memory with {} resources",
                    operator.resources(client).await?
                ),
                "< 40 MiB",
                &operator.memory(),
            );
        }
    }

    let before = writes();
    let operator = Operator::start();
    operator.is_at_rest().await;
    let resources = operator.resources(client).await?;
    row(
        &format!("writes of a start with {resources} resources"),
        "0",
        &(writes() - before).to_string(),
    );
    row("  resident memory after it", "< 40 MiB", &operator.memory());
    Ok(())
}

fn writes() -> usize {
    let requests = audit(|request| !["get", "list", "watch"].contains(&request.verb.as_str()));
    requests.values().sum()
}

/// Objects a second, by a client that does no more than the operator must.
async fn bare(client: &Client, name: &str, concurrency: usize) -> Result<f64, Failure> {
    let namespaces = namespaces(client, name, MANY).await?;
    let started = Instant::now();
    let counting = tokio::spawn(nine_objects(client.clone(), None, MANY).await?);
    stream::iter(
        namespaces
            .iter()
            .map(|namespace| bare_one(client, namespace)),
    )
    .buffer_unordered(concurrency)
    .try_collect::<Vec<_>>()
    .await?;
    counting.await??;
    Ok(rate(started))
}

/// What the operator writes for one new resource: status before, nine applies, an event, status after, an event.
async fn bare_one(client: &Client, namespace: &str) -> Result<(), Failure> {
    let coins = create(client, namespace, &spec(json!({}))).await?;
    let desired = Desired::from_resource(&coins).map_err(|faults| format!("{faults:?}"))?;
    let images = ["hasher", "redis", "rng", "webui", "worker"]
        .map(|c| format!("docker.io/dockercoins/{c}:v0.1"));
    let Plan {
        services,
        deployments,
    } = plan(&desired, Some(&images));
    let status = |observed| {
        let components: Vec<Value> = images
            .iter()
            .map(|image| json!({ "name": image.split(['/', ':']).nth(2), "image": image, "pinned": image }))
            .collect();
        let condition = |type_| {
            json!({
                "type": type_, "status": "True", "reason": "Ready", "message": "every component runs as asked for",
                "lastTransitionTime": "2026-11-24T08:00:00Z", "observedGeneration": observed,
            })
        };
        let conditions = ["Ready", "ImagesResolved"].map(condition);
        json!({ "status": {
            "observedGeneration": observed, "components": components, "conditions": conditions, "replicas": 0,
        } })
    };
    patch_status(client, namespace, &status(0)).await?;
    let services = services
        .iter()
        .map(|service| apply(client, namespace, service));
    futures::future::try_join_all(services).await?;
    let deployments = deployments
        .iter()
        .flatten()
        .map(|deployment| apply(client, namespace, deployment));
    futures::future::try_join_all(deployments).await?;
    event(client, namespace, &coins, "Created").await?;
    patch_status(client, namespace, &status(1)).await?;
    event(client, namespace, &coins, "Ready").await
}

async fn apply<K>(client: &Client, namespace: &str, object: &K) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams::apply("bare-client").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object))
        .await?;
    Ok(())
}

async fn patch_status(client: &Client, namespace: &str, status: &Value) -> Result<(), Failure> {
    let api: Api<DockerCoins> = Api::namespaced(client.clone(), namespace);
    api.patch_status(
        "dockercoins",
        &PatchParams::default(),
        &Patch::Merge(status),
    )
    .await?;
    Ok(())
}

async fn event(
    client: &Client,
    namespace: &str,
    coins: &DockerCoins,
    reason: &str,
) -> Result<(), Failure> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let event = json!({
        "metadata": { "generateName": "dockercoins-" },
        "eventTime": "2026-11-24T08:00:00.000000Z", "type": "Normal", "reason": reason, "action": "Apply",
        "note": "created Service hasher, Service redis, Service rng, Service webui",
        "regarding": coins.object_ref(&()),
        "reportingController": "figures", "reportingInstance": "figures",
    });
    api.create(&PostParams::default(), &serde_json::from_value(event)?)
        .await?;
    Ok(())
}

/// Objects a second, by the operator, which is running.
async fn by_operator(client: &Client, name: &str) -> Result<f64, Failure> {
    let namespaces = namespaces(client, name, MANY).await?;
    let started = Instant::now();
    let counting = tokio::spawn(nine_objects(client.clone(), None, MANY).await?);
    let spec = spec(json!({}));
    stream::iter(
        namespaces
            .iter()
            .map(|namespace| create(client, namespace, &spec)),
    )
    .buffer_unordered(16)
    .try_collect::<Vec<_>>()
    .await?;
    counting.await??;
    // Statuses and events are part of the work: the clock runs until the last resource is Ready.
    for namespace in &namespaces {
        ready(client, namespace).await?;
    }
    Ok(rate(started))
}

fn rate(started: Instant) -> f64 {
    f64::from(u32::try_from(9 * MANY).expect("a small number")) / started.elapsed().as_secs_f64()
}

/// A spec whose pods aren't run, so that what is measured is the operator and the API server.
fn spec(change: Value) -> Value {
    let none = || json!({ "replicas": 0 });
    let mut spec = json!({
        "resolve": { "policy": "Never" },
        "hasher": none(), "redis": none(), "rng": none(), "webui": none(), "worker": none(),
    });
    for (key, value) in change.as_object().expect("settings").clone() {
        spec[key] = value;
    }
    spec
}

async fn create(client: &Client, namespace: &str, spec: &Value) -> Result<DockerCoins, Failure> {
    let api: Api<DockerCoins> = Api::namespaced(client.clone(), namespace);
    let coins = DockerCoins::new("dockercoins", serde_json::from_value(spec.clone())?);
    Ok(api.create(&PostParams::default(), &coins).await?)
}

/// Waits until a resource is Ready.
async fn ready(client: &Client, namespace: &str) -> Result<(), Failure> {
    let api: Api<DockerCoins> = Api::namespaced(client.clone(), namespace);
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let coins = api.get("dockercoins").await?;
        let conditions = coins
            .status
            .map(|status| status.conditions)
            .unwrap_or_default();
        if conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{namespace} is not ready: {conditions:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// New namespaces, before the clock runs.
async fn namespaces(client: &Client, name: &str, number: usize) -> Result<Vec<String>, Failure> {
    let api: Api<Namespace> = Api::all(client.clone());
    let names: Vec<String> = (0..number)
        .map(|i| format!("figures-{}-{name}-{i}", std::process::id()))
        .collect();
    stream::iter(names.iter().map(|name| {
        let api = &api;
        async move {
            let namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            api.create(&PostParams::default(), &namespace).await?;
            Ok::<_, Failure>(())
        }
    }))
    .buffer_unordered(16)
    .try_collect::<Vec<_>>()
    .await?;
    Ok(names)
}

/// Begins to watch, and then gives what waits until the nine objects of so many resources have been created.
async fn nine_objects(
    client: Client,
    namespace: Option<String>,
    resources: usize,
) -> Result<impl Future<Output = Result<(), Failure>>, Failure> {
    let services = added::<Service>(client.clone(), namespace.as_deref(), 4 * resources).await?;
    let deployments = added::<Deployment>(client, namespace.as_deref(), 5 * resources).await?;
    Ok(async move {
        futures::future::try_join(services, deployments)
            .await
            .map(drop)
    })
}

async fn added<K>(
    client: Client,
    namespace: Option<&str>,
    number: usize,
) -> Result<impl Future<Output = Result<(), Failure>> + use<K>, Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let version = api
        .list_metadata(&ListParams::default().limit(1))
        .await?
        .metadata
        .resource_version;
    let events = api
        .watch(&WatchParams::default(), &version.unwrap_or_default())
        .await?;
    Ok(async move {
        let added = events
            .try_filter(|event| futures::future::ready(matches!(event, WatchEvent::Added(_))));
        let seen = added.take(number).try_collect::<Vec<_>>().await?.len();
        if seen == number {
            Ok(())
        } else {
            Err(format!("the watch ended after {seen} of {number}").into())
        }
    })
}

/// The operator, as it is released.
struct Operator(Child);

impl Operator {
    fn start() -> Self {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures-operator.log");
        let process = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"))
            .args(["run", "--allow-registry-network", "127.0.0.0/8"])
            .stdin(Stdio::null())
            .stderr(fs::File::create(log).expect("a log"))
            .spawn()
            .expect("the operator starts");
        Self(process)
    }

    /// What it has of the machine's memory now, and had at most.
    fn memory(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let mib = |field: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .unwrap_or_default();
            let kib: f64 = line
                .trim_end_matches("kB")
                .trim()
                .parse()
                .unwrap_or(f64::NAN);
            kib / 1024.0
        };
        format!("{:.1} MiB (at most {:.1})", mib("VmRSS:"), mib("VmHWM:"))
    }

    async fn resources(&self, client: &Client) -> Result<usize, Failure> {
        Ok(Api::<DockerCoins>::all(client.clone())
            .list_metadata(&ListParams::default())
            .await?
            .items
            .len())
    }

    /// Waits until it has used no processor time for a second.
    async fn is_at_rest(&self) {
        let used = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
            let fields = stat.rsplit_once(')').expect("a name").1.to_owned();
            let ticks: Vec<u64> = fields
                .split(' ')
                .filter_map(|field| field.parse().ok())
                .collect();
            ticks[10] + ticks[11]
        };
        loop {
            let before = used();
            tokio::time::sleep(Duration::from_secs(3)).await;
            if used() - before <= 1 {
                return;
            }
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A request of the operator's, as the API server's audit log has it.
struct Request {
    verb: String,
    resource: String,
    namespace: String,
}

/// The operator's requests so far that `is` wants, by verb and resource, without watches.
fn audit(is: impl Fn(&Request) -> bool) -> BTreeMap<String, usize> {
    let log =
        PathBuf::from(std::env::var_os("AUDIT_LOG").expect("AUDIT_LOG is set by `make figures`"));
    // The API server begins a new file when one is full.
    let files =
        fs::read_dir(log.parent().expect("a log is in a folder")).expect("the logs can be read");
    let files = files.map(|file| file.expect("a file").path());
    let is_audit = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("audit"))
    };
    let text: Vec<String> = files
        .filter(is_audit)
        .map(|file| fs::read_to_string(file).expect("the audit log can be read"))
        .collect();
    let mut counted = BTreeMap::new();
    for line in text.iter().flat_map(|text| text.lines()) {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let text = |pointer: &str| {
            entry
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if !text("/userAgent").starts_with(AGENT) {
            continue;
        }
        let mut resource = text("/objectRef/resource");
        let subresource = text("/objectRef/subresource");
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        let request = Request {
            verb: text("/verb"),
            resource,
            namespace: text("/objectRef/namespace"),
        };
        if request.verb != "watch" && is(&request) {
            *counted
                .entry(format!("{} {}", request.verb, request.resource))
                .or_default() += 1;
        }
    }
    counted
}

fn counted(requests: &BTreeMap<String, usize>) -> String {
    let text: Vec<String> = requests
        .iter()
        .map(|(what, number)| format!("{number} {what}"))
        .collect();
    text.join(", ")
}

fn registry() -> String {
    std::env::var("REGISTRY").expect("REGISTRY is set by `make figures`")
}

fn row(what: &str, aim: &str, measured: &str) {
    println!("{what:<72} {aim:>10}   {measured}");
}
