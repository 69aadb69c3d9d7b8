//! What the tests share: namespaces, operators, images, and functions that wait for a state.

pub mod audit;
pub mod coins;
pub mod collector;
pub mod command;
pub mod kubectl;
pub mod monitor;
pub mod namespace;
pub mod operator;
pub mod own_cluster;
pub mod proxy;
pub mod registry;
pub mod rights;
#[path = "../../resolver/tests/support/server.rs"]
#[allow(dead_code)]
pub mod server;

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use namespace::COINS;
use registry::Images;

pub use coins::{COMPONENTS, SERVED, conditions, reason_of};
pub use namespace::Namespace;
pub use operator::Operator;
pub use own_cluster::OwnCluster;
pub use registry::Registry;

/// Creates what most tests start from: a namespace, its images, an operator, and a DockerCoins with these settings.
pub async fn begin(subject: &str, settings: Value) -> (Namespace, Images, Operator) {
    let namespace = Namespace::new(subject).await;
    let images = namespace.push_images().await;
    let operator = Operator::start(&namespace);
    namespace.create(COINS, &images, settings).await;
    (namespace, images, operator)
}

/// Does the same as [`begin`], and waits until all nine objects exist and all images are resolved.
pub async fn settled(subject: &str, settings: Value) -> (Namespace, Images, Operator) {
    let (namespace, images, operator) = begin(subject, settings).await;
    namespace.until_children(&coins::nine()).await;
    namespace
        .until_told(COINS, "ImagesResolved", "True", "Resolved")
        .await;
    (namespace, images, operator)
}

/// How long [`until`] waits. It is many times what any state takes, because all tests share the processors.
const PATIENCE: Duration = Duration::from_secs(90);

/// The time between two checks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Repeats `look` until it succeeds, and returns its result. Panics with the last error after 90 s.
pub async fn until<T, S: Display>(what: &str, look: impl AsyncFnMut() -> Result<T, S>) -> T {
    until_within(PATIENCE, what, look).await
}

/// Does the same as [`until`], with another limit.
pub async fn until_within<T, S: Display>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => {
                panic!(
                    "after {} s it is still not so that {what}. Last seen:\n{seen}",
                    patience.as_secs()
                )
            }
            Err(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}

/// A variable that `make test` sets.
pub fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests by `make test`"))
}
