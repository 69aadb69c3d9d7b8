//! Reads conditions and components of a DockerCoins.

use std::collections::BTreeSet;

use dockercoins_operator::api::{ComponentStatus, DockerCoins};

/// The components, in the operator's order.
pub const COMPONENTS: [&str; 5] = ["hasher", "redis", "rng", "webui", "worker"];

/// Those that have a Service.
pub const SERVED: [&str; 4] = ["hasher", "redis", "rng", "webui"];

/// A condition without its times.
#[derive(Debug, PartialEq)]
pub struct Told<'a> {
    /// Its type.
    pub type_: &'a str,
    /// True, False or Unknown.
    pub status: &'a str,
    /// Its reason.
    pub reason: &'a str,
    /// Its message.
    pub message: &'a str,
}

/// The conditions, in order.
pub fn conditions(coins: &DockerCoins) -> Vec<Told<'_>> {
    let told = coins.status.iter().flat_map(|status| &status.conditions);
    told.map(|c| Told {
        type_: &c.type_,
        status: &c.status,
        reason: &c.reason,
        message: &c.message,
    })
    .collect()
}

/// A condition's type, status and reason, for each condition, in order.
pub fn reasons(coins: &DockerCoins) -> Vec<(&str, &str, &str)> {
    conditions(coins)
        .into_iter()
        .map(|c| (c.type_, c.status, c.reason))
        .collect()
}

/// The message of a condition that must be there.
pub fn message_of<'a>(coins: &'a DockerCoins, type_: &str) -> &'a str {
    let told = conditions(coins);
    told.iter()
        .find(|c| c.type_ == type_)
        .unwrap_or_else(|| panic!("no {type_} in {told:#?}"))
        .message
}

/// The reason of a condition that must be there.
pub fn reason_of<'a>(coins: &'a DockerCoins, type_: &str) -> &'a str {
    let told = conditions(coins);
    told.iter()
        .find(|c| c.type_ == type_)
        .unwrap_or_else(|| panic!("no {type_} in {told:#?}"))
        .reason
}

/// The status of one component.
pub fn component<'a>(coins: &'a DockerCoins, name: &str) -> &'a ComponentStatus {
    let status = coins.status.as_ref().expect("a status is told");
    status
        .components
        .iter()
        .find(|c| c.name == name)
        .expect("every component is told")
}

/// The four Services.
pub fn services() -> BTreeSet<String> {
    SERVED.map(|name| format!("Service {name}")).into()
}

/// All nine objects.
pub fn nine() -> BTreeSet<String> {
    let mut all = services();
    all.extend(COMPONENTS.map(|name| format!("Deployment {name}")));
    all
}
