//! Every alert fires and resolves in a real Prometheus that scrapes a real operator. Every panel of the dashboard has
//! data.

mod cluster;
mod dashboard;
mod process;
mod prometheus;
mod registries;

use serde_json::json;
use tempfile::NamedTempFile;

use dockercoins_operator::api::{DockerCoins, REQUESTED_AT};

use self::prometheus::{Pace, Prometheus};
use crate::support::namespace::COINS;
use crate::support::registry::free_address;
use crate::support::{Namespace, Operator};

/// An operator, and a Prometheus that scrapes it.
struct Watched {
    operator: Operator,
    prometheus: Prometheus,
}

impl Watched {
    /// Starts both. The operator may ask registries on this machine.
    async fn start(namespaces: &[&Namespace], options: &[&str]) -> Self {
        Self::start_at(Pace::SIXTIETH, namespaces, options).await
    }

    /// The same with another pace.
    async fn start_at(pace: Pace, namespaces: &[&Namespace], options: &[&str]) -> Self {
        let address = free_address();
        let operator = Operator::start_with(namespaces, &with_address(&address, options));
        Self::of(operator, &address, pace).await
    }

    /// The same by a kubeconfig.
    async fn start_by(
        kubeconfig: &NamedTempFile,
        namespaces: &[&Namespace],
        options: &[&str],
    ) -> Self {
        let address = free_address();
        let options = with_address(&address, options);
        let operator = Operator::start_as(kubeconfig.path(), namespaces, &options);
        Self::of(operator, &address, Pace::SIXTIETH).await
    }

    async fn of(operator: Operator, address: &str, pace: Pace) -> Self {
        let prometheus = Prometheus::start(&[address], pace).await;
        prometheus
            .until_found("dockercoins_operator_build_info")
            .await;
        Self {
            operator,
            prometheus,
        }
    }
}

fn with_address<'a>(address: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        "--allow-registry-network",
        "127.0.0.0/8",
        "--http-address",
        address,
    ];
    [&usual, options].concat()
}

/// Nothing more has to be done for an alert to fire.
async fn wait() {}

/// Changes the resource, so that the operator has something to write.
async fn change(namespace: &Namespace) {
    let value = fastrand::u64(..).to_string();
    let change = json!({ "rng": { "env": [{ "name": "A", "value": value }] } });
    namespace.edit(COINS, change).await;
}

/// Asks for the resource's tags to be asked for again.
async fn ask_again(namespace: &Namespace) {
    let value = fastrand::u64(..).to_string();
    let change = json!({ "metadata": { "annotations": { REQUESTED_AT: value } } });
    namespace.patch::<DockerCoins>(COINS, change).await;
}

/// Lets a user do everything in the namespace, but of Deployments only what these verbs say.
async fn role(namespace: &Namespace, user: &str, of_deployments: &[&str]) {
    let role = json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "operator" },
            "rules": [
                { "apiGroups": ["", "coordination.k8s.io", "dockercoins.dev", "events.k8s.io"], "resources": ["*"], "verbs": ["*"] },
                { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": of_deployments },
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "operator" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
        },
    ] });
    let applied = namespace
        .try_kubectl(&["apply", "-f", "-"], &role.to_string())
        .await;
    assert!(applied.success, "{}", applied.err);
}
