//! The flags of leader election.

use std::future::Future;

use crate::runtime::leader::{Election, LeaderElector, Leadership, LeaseApi, LeaseTimings};
use clap::Args;
use kube::Client;

/// Leader election between replicas.
#[derive(Debug, Args)]
pub struct LeaderElectionArgs {
    /// Elect a leader by a Lease, to run several replicas: only the leader writes, the others are on standby with
    /// synchronized caches.
    #[arg(long, env = "LEADER_ELECT")]
    pub leader_elect: bool,

    /// The name of the Lease.
    #[arg(long, value_name = "NAME", default_value = "dockercoins-operator")]
    pub lease_name: String,

    /// The namespace of the Lease. Default: the pod's; outside a cluster, that of the kubeconfig context.
    #[arg(long, value_name = "NAMESPACE")]
    lease_namespace: Option<String>,

    /// The duration of the Lease, in seconds: how long standby replicas wait after the leader's last renewal. The
    /// leader renews every 2/15 of it, and stops writing 2/3 of it after its last renewal.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u16).range(5..=3600))]
    lease_seconds: u16,
}

impl LeaderElectionArgs {
    /// Starts leader election if `--leader-elect` is set.
    pub fn start(
        &self,
        client: &Client,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Leadership, Option<Election>) {
        if !self.leader_elect {
            return (Leadership::without_election(), None);
        }
        let namespace = match &self.lease_namespace {
            Some(namespace) => namespace,
            None => client.default_namespace(),
        };
        let elector = LeaderElector {
            lease_api: LeaseApi::new(client.clone(), namespace, &self.lease_name),
            identity: identity(),
            timings: LeaseTimings::from_lease_seconds(self.lease_seconds),
        };
        let (leadership, election) = elector.start(shutdown);
        (leadership, Some(election))
    }
}

/// The Lease's holder identity: the pod's name, and a random suffix so that a restarted container is another holder.
fn identity() -> String {
    let pod = ["POD_NAME", "HOSTNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let pod = pod.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
    format!("{pod}_{:016x}", fastrand::u64(..))
}
