//! What registries are asked: how fast, and how often when many want the same.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use resolver::{Keyring, Options, Reference, Request, Resolver};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster};
use crate::operator::Operator;
use crate::{Failure, row, spread};

/// How many resources name the same images.
const THOUSAND: usize = 1000;
/// How often a tag is asked for again there.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often five images are resolved, to take the median.
const TIMES: usize = 9;

/// The prefix of the images, and the image of Redis.
fn images() -> Result<(String, String), Failure> {
    let registry = std::env::var("REGISTRY")?;
    Ok((registry.clone(), format!("{registry}/redis:7")))
}

/// Five images from a registry on this machine: by a resolver that has never asked, and by the same again.
pub async fn five_images() -> Result<(), Failure> {
    let (prefix, redis) = images()?;
    let names = ["hasher", "rng", "webui", "worker"].map(|name| format!("{prefix}/{name}:v0.1"));
    let references: Vec<Reference> = names
        .iter()
        .chain([&redis])
        .map(|name| Reference::parse(name))
        .collect::<Result<_, _>>()?;
    let keyring = Keyring::new();
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let allow = vec!["127.0.0.0/8".parse()?];
        let resolver = Resolver::new(Options {
            allow,
            ..Options::default()
        })?;
        for times in [&mut cold, &mut warm] {
            let began = Instant::now();
            let all = references.iter().map(|reference| {
                let request = Request {
                    reference,
                    endpoint: None,
                    keyring: &keyring,
                    certificate_authority: None,
                };
                let resolver = &resolver;
                async move { resolver.resolve(&request).await }
            });
            futures::future::try_join_all(all).await?;
            times.push((began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0);
        }
    }
    for (what, mut times) in [("cold", cold), ("warm", warm)] {
        let measured = format!("{} ms (median of {TIMES})", spread(&mut times));
        row(
            &format!("five images resolved on loopback, {what}"),
            "",
            &measured,
        );
    }
    Ok(())
}

/// A thousand resources that name the same five images: the registry's requests at once, and in an interval.
pub async fn a_thousand_resources(cluster: &Cluster) -> Result<(), Failure> {
    let (prefix, redis) = images()?;
    let mut spec: Value = cluster::idle();
    spec["registry"] = json!({ "prefix": prefix });
    spec["redis"]["image"] = json!(redis);
    spec["resolve"] =
        json!({ "policy": "Required", "interval": format!("{}s", INTERVAL.as_secs()) });
    let namespaces = cluster.namespaces("thousand", THOUSAND).await?;
    let operator = Operator::start();
    operator.is_at_rest().await;
    let before = asked()?;
    stream::iter(
        namespaces
            .iter()
            .map(|namespace| cluster.create(namespace, &spec)),
    )
    .buffer_unordered(32)
    .try_for_each(|_| futures::future::ready(Ok(())))
    .await?;
    for namespace in &namespaces {
        cluster.ready(namespace).await?;
    }
    row(
        &format!("requests to the registry for {THOUSAND} resources with the same images at once"),
        "",
        &format!("{} (each by itself: {})", asked()? - before, 10 * THOUSAND),
    );
    let before = asked()?;
    // The interval is what is measured.
    tokio::time::sleep(INTERVAL).await;
    row(
        &format!("and in an interval of {} s", INTERVAL.as_secs()),
        "",
        &format!("{} (each by itself: {})", asked()? - before, 5 * THOUSAND),
    );
    row(
        &format!("resident memory with {THOUSAND} resources"),
        "",
        &operator.memory(),
    );
    drop(operator);
    cluster.clear(&namespaces).await
}

/// How many requests for manifests and configurations the registry has had.
fn asked() -> Result<usize, Failure> {
    let log = std::fs::read_to_string(std::env::var("REGISTRY_LOG")?)?;
    let is_question = |line: &&str| {
        (line.contains("/manifests/") || line.contains("/blobs/"))
            && (line.contains("\"HEAD ") || line.contains("\"GET "))
    };
    Ok(log.lines().filter(is_question).count())
}
