//! Alerts about the operator itself.

use std::io;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::prometheus::{Pace, Prometheus};
use super::{Watched, change, wait, with_address};
use crate::support::kubectl::kubeconfig;
use crate::support::namespace::COINS;
use crate::support::registry::free_address;
use crate::support::{Namespace, Operator, variable};

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn absent_operator_fires_until_one_answers() {
    let namespace = Namespace::new("alert-down").await;
    let address = free_address();
    let options = with_address(&address, &[]);
    let mut operator = Operator::start_with(&[&namespace], &options);
    let prometheus = Prometheus::start(&[&address], Pace::SIXTIETH).await;
    prometheus
        .until_found("dockercoins_operator_build_info")
        .await;
    prometheus.until_quiet("DockerCoinsOperatorDown", &[]).await;
    operator.terminate().await;
    let labels = [("job", "dockercoins-operator"), ("severity", "critical")];
    prometheus
        .until_firing("DockerCoinsOperatorDown", &labels, wait)
        .await;
    let _operator = Operator::start_with(&[&namespace], &options);
    prometheus.until_quiet("DockerCoinsOperatorDown", &[]).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn crash_loop_fires() {
    let namespace = Namespace::new("alert-restarts").await;
    let address = free_address();
    let options = with_address(&address, &[]);
    let prometheus = Prometheus::start(&[&address], Pace::SIXTIETH).await;
    let mut last = 0.0;
    for starts in 1..=5 {
        let mut operator = Operator::start_with(&[&namespace], &options);
        last = prometheus
            .until_found(&format!("process_start_time_seconds > {last}"))
            .await;
        let told = prometheus
            .alerts("DockerCoinsOperatorRestarting", &[])
            .await;
        if starts < 5 {
            assert_eq!(
                told,
                Vec::<serde_json::Value>::new(),
                "after {starts} starts"
            );
        }
        operator.terminate().await;
    }
    prometheus
        .until_firing("DockerCoinsOperatorRestarting", &[], wait)
        .await;
    prometheus
        .until_quiet("DockerCoinsOperatorRestarting", &[])
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_leader_fires() {
    let namespace = Namespace::new("alert-leader").await;
    let now = Timestamp::now().to_string();
    let lease = json!({ "metadata": { "name": "dockercoins-operator" }, "spec": {
        "holderIdentity": "a stranger", "leaseDurationSeconds": 3600,
        "acquireTime": now, "renewTime": now, "leaseTransitions": 0,
    } });
    namespace.make::<Lease>(lease).await;
    let options = ["--leader-elect", "--lease-namespace", &namespace.name];
    // The chart's role has Leases in its release's namespace alone.
    let admin = kubeconfig(None, &[], None);
    let watched = Watched::start_by(&admin, &[&namespace], &options).await;
    let labels = [("name", "dockercoins-operator")];
    watched
        .prometheus
        .until_firing("DockerCoinsNoLeader", &labels, wait)
        .await;
    let released = json!({ "spec": { "holderIdentity": null } });
    namespace
        .patch::<Lease>("dockercoins-operator", released)
        .await;
    watched
        .prometheus
        .until_quiet("DockerCoinsNoLeader", &[])
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn two_leaders_fire() {
    let (first, second) = (
        Namespace::new("alert-leaders").await,
        Namespace::new("alert-leaders").await,
    );
    let addresses = [free_address(), free_address()];
    let admin = kubeconfig(None, &[], None);
    let start = |address: &str, lease_namespace: &str| {
        let options = ["--leader-elect", "--lease-namespace", lease_namespace];
        let options = with_address(address, &options);
        Operator::start_as(admin.path(), &[&first], &options)
    };
    let _operator = start(&addresses[0], &first.name);
    let mut other = start(&addresses[1], &second.name);
    let prometheus = Prometheus::start(&[&addresses[0], &addresses[1]], Pace::SIXTIETH).await;
    let labels = [("name", "dockercoins-operator")];
    prometheus
        .until_firing("DockerCoinsTwoLeaders", &labels, wait)
        .await;
    other.terminate().await;
    prometheus.until_quiet("DockerCoinsTwoLeaders", &[]).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn stuck_operator_fires() {
    let (first, second) = (
        Namespace::new("alert-stuck").await,
        Namespace::new("alert-stuck").await,
    );
    let kubeconfig_text = std::fs::read_to_string(variable("KUBECONFIG")).unwrap();
    let (_, server) = kubeconfig_text
        .split_once("server: https://")
        .expect("a kubeconfig names its server");
    let way = OneWay::start(server.split_whitespace().next().unwrap()).await;
    let config = kubeconfig(None, &[], Some(&way.address.to_string()));
    let watched = Watched::start_by(&config, &[&first, &second], &["--concurrency", "1"]).await;
    for namespace in [&first, &second] {
        let images = namespace.push_images().await;
        namespace.create(COINS, &images, json!({})).await;
        namespace
            .until_told(COINS, "ImagesResolved", "True", "Resolved")
            .await;
    }
    // What changes is seen, and whatever the operator asks for because of it is not answered.
    way.close();
    let both_change = async || {
        change(&first).await;
        change(&second).await;
    };
    watched
        .prometheus
        .until_firing("DockerCoinsQueueStuck", &[], both_change)
        .await;
    way.open();
    watched
        .prometheus
        .until_quiet("DockerCoinsQueueStuck", &[])
        .await;
}

/// A way to the API server on which requests can be held back, while what was asked for before still comes.
struct OneWay {
    /// Its host and port.
    address: String,
    is_open: Arc<watch::Sender<bool>>,
}

impl OneWay {
    /// Leads to a host and port, and ends with the test's runtime.
    async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_open = Arc::new(watch::Sender::new(true));
        let (to, state) = (to.to_owned(), Arc::clone(&is_open));
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (to, state) = (to.clone(), state.subscribe());
                // A connection that breaks is the operator's to deal with.
                tokio::spawn(async move { lead(from, &to, state).await.ok() });
            }
        });
        Self { address, is_open }
    }

    fn close(&self) {
        self.is_open.send_replace(false);
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn lead(from: TcpStream, to: &str, mut is_open: watch::Receiver<bool>) -> io::Result<()> {
    let (mut from, mut answers) = from.into_split();
    let (mut back, mut to) = TcpStream::connect(to).await?.into_split();
    let there = async {
        let mut bytes = vec![0; 16 << 10];
        loop {
            let count = from.read(&mut bytes).await?;
            let _ = is_open.wait_for(|is_open| *is_open).await;
            if count == 0 {
                return to.shutdown().await;
            }
            to.write_all(&bytes[..count]).await?;
        }
    };
    let back = async { tokio::io::copy(&mut back, &mut answers).await.map(drop) };
    tokio::try_join!(there, back).map(drop)
}
