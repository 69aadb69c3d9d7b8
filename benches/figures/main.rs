//! What the operator costs: latency, requests, throughput against a bare client, memory.
//!
//! `make figures` runs it, against a Kubernetes of its own without a node, and with the operator as it is released.
//! No pods are asked for, so that what is measured is the operator and the API server. Timings on a machine that
//! others use are noisy: read the ratios and the counts first.

mod bare;
mod cluster;
mod operator;
mod registries;

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use bare::Bare;
use cluster::Cluster;
use operator::{Operator, Requests};

/// How many resources are created at once.
const MANY: usize = 200;
/// How often the operator and the bare client take turns.
const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cluster = Cluster::connect().await?;
    registries::five_images().await?;
    let share = one_resource(&cluster).await?;
    many_resources(&cluster, share).await?;
    registries::a_thousand_resources(&cluster).await
}

/// One resource: how fast, by which requests, and what it costs at rest. Gives the requests for one.
async fn one_resource(cluster: &Cluster) -> Result<Requests, Failure> {
    let operator = Operator::start();
    let namespaces = cluster.namespaces("one", 11).await?;
    // The first resource finds the operator starting: it is not timed.
    let (first, others) = namespaces.split_first().expect("there are eleven");
    cluster.create(first, &cluster::idle()).await?;
    cluster.ready(first).await?;
    operator.is_at_rest().await;
    row(
        "resident memory with 1 resource",
        "< 20 MiB",
        &operator.memory(),
    );
    let share = Requests::of_operator(|request| request.namespace == *first);
    row(
        "requests for one new resource (policy Never)",
        "9 applies",
        &share.to_string(),
    );

    let (private, timed) = others.split_first().expect("there are ten");
    let mut latencies = Vec::new();
    for namespace in timed {
        let counting = cluster.nine_objects(Some(namespace), 1).await?;
        let started = Instant::now();
        cluster.create(namespace, &cluster::idle()).await?;
        counting.await?;
        latencies.push(started.elapsed().as_millis());
        cluster.ready(namespace).await?;
    }
    row(
        "from the creation of a resource (policy Never) to nine objects",
        "< 300 ms",
        &format!(
            "{} ms (median of {})",
            spread(&mut latencies),
            latencies.len()
        ),
    );

    cluster.create_pull_secret(private, "regcred").await?;
    let registry = std::env::var("REGISTRY")?;
    let mut required = cluster::idle();
    required["registry"] = json!({ "prefix": registry });
    required["redis"]["image"] = json!(format!("{registry}/redis:7"));
    required["imagePullSecrets"] = json!([{ "name": "regcred" }]);
    required["resolve"] = json!({ "policy": "Required" });
    cluster.create(private, &required).await?;
    cluster.ready(private).await?;
    operator.is_at_rest().await;
    row(
        "requests for one new resource (policy Required, one pull secret)",
        "9 applies",
        &Requests::of_operator(|request| request.namespace == *private).to_string(),
    );

    // The minute is what is measured.
    let before = Requests::of_operator(|_| true).count();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let during = Requests::of_operator(|_| true).count() - before;
    row(
        "requests in a minute at rest, beside the watches",
        "0",
        &during.to_string(),
    );
    drop(operator);
    cluster.clear(&namespaces).await?;
    Ok(share)
}

/// Many resources at once: the operator against a bare client that sends the same, in turn, in the same namespaces.
async fn many_resources(cluster: &Cluster, share: Requests) -> Result<(), Failure> {
    let namespaces = cluster.namespaces("many", MANY).await?;
    let bare = |concurrency| Bare {
        cluster,
        concurrency,
        statuses: share.of("patch dockercoins/status"),
        events: share.of("create events"),
    };
    let mut best = (0, f64::MIN);
    for concurrency in [8, 16, 32] {
        let rate = by(cluster, &namespaces, bare(concurrency).create(&namespaces)).await?;
        row(
            &format!("  a bare client, {concurrency} resources at a time"),
            "",
            &per_second(rate),
        );
        cluster.clear(&namespaces).await?;
        if rate > best.1 {
            best = (concurrency, rate);
        }
    }
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let theirs = by(cluster, &namespaces, bare(best.0).create(&namespaces)).await?;
        row(
            &format!("  a bare client, {} resources at a time", best.0),
            "",
            &per_second(theirs),
        );
        cluster.clear(&namespaces).await?;

        let operator = Operator::start();
        operator.is_at_rest().await;
        let before = Requests::of_operator(|_| true);
        let started = Instant::now();
        let ours = by(cluster, &namespaces, create(cluster, &namespaces)).await?;
        for namespace in &namespaces {
            cluster.ready(namespace).await?;
        }
        let ready = started.elapsed();
        operator.is_at_rest().await;
        let requests = Requests::of_operator(|_| true).since(&before);
        row(
            "  the operator",
            "",
            &format!(
                "{}; all Ready after {:.0} s; {requests}",
                per_second(ours),
                ready.as_secs_f64()
            ),
        );
        ratios.push((ours / theirs * 100.0).round() / 100.0);
        if round == ROUNDS {
            row(
                &format!("resident memory with {MANY} resources"),
                "< 40 MiB",
                &operator.memory(),
            );
            drop(operator);
            start(cluster).await?;
        }
        cluster.clear(&namespaces).await?;
    }
    row(
        &format!("{MANY} resources at once, the operator to the bare client"),
        ">= 0.70",
        &format!("{} (median of {ROUNDS})", spread(&mut ratios)),
    );
    Ok(())
}

/// The operator's start, where all that it looks after is as it should be.
async fn start(cluster: &Cluster) -> Result<(), Failure> {
    let before = Requests::of_operator(|_| true);
    let operator = Operator::start();
    operator.is_at_rest().await;
    let requests = Requests::of_operator(|_| true).since(&before);
    let resources = cluster.resources().await?;
    row(
        &format!("writes at a start with {resources} resources"),
        "0",
        &requests.writes().to_string(),
    );
    row("  its requests", "", &requests.to_string());
    row("  resident memory after it", "< 40 MiB", &operator.memory());
    Ok(())
}

/// Objects a second while `work` is done, until the last of them has been seen by a watch.
async fn by(
    cluster: &Cluster,
    namespaces: &[String],
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<f64, Failure> {
    let counting = cluster.nine_objects(None, namespaces.len()).await?;
    let started = Instant::now();
    futures::future::try_join(work, counting).await?;
    let objects = u32::try_from(9 * namespaces.len())?;
    Ok(f64::from(objects) / started.elapsed().as_secs_f64())
}

/// Creates one resource in each namespace, and leaves the rest to the operator.
async fn create(cluster: &Cluster, namespaces: &[String]) -> Result<(), Failure> {
    let spec = cluster::idle();
    stream::iter(
        namespaces
            .iter()
            .map(|namespace| cluster.create(namespace, &spec)),
    )
    .buffer_unordered(16)
    .try_for_each(|_| futures::future::ready(Ok(())))
    .await
}

/// The median, the least and the greatest.
fn spread<T: PartialOrd + Copy + std::fmt::Display>(values: &mut [T]) -> String {
    values.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    let last = values.len() - 1;
    format!("{} [{} to {}]", values[last / 2], values[0], values[last])
}

fn per_second(rate: f64) -> String {
    format!("{rate:.0} objects/s")
}

fn row(what: &str, aim: &str, measured: &str) {
    println!("{what:<72} {aim:>10}   {measured}");
}
