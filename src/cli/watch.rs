//! `watch`: prints readiness, workers, hash rate and coins every second.
//!
//! The counters come from the web UI, through the API server's proxy. Nothing is written.

use std::time::Duration;

use crate::api::{DockerCoins, DockerCoinsStatus};
use crate::cli::hash_rate::{HEADING, HashRate, Sample};
use crate::dockercoins::component::Component;
use crate::runtime::error::with_sources;
use clap::Args;
use http_body_util::{BodyExt as _, Limited};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::client::Body;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{CliError, config, write_out};

/// The time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// The timeout of one request. This web UI answers within a second even without Redis; the original does not.
const DEADLINE: Duration = Duration::from_secs(5);

/// The most bytes read of a response.
const MAX_RESPONSE: usize = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The namespace. Default: that of the kubeconfig context.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,

    /// The kubeconfig context. Default: the current context; inside a cluster, that cluster.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Print one line once the hash rate is known, after 5 seconds. Exit code 1 if it cannot be determined.
    #[arg(long)]
    once: bool,
}

impl Watch {
    /// Prints lines until Ctrl-C. Returns false if `--once` found no hash rate.
    ///
    /// # Errors
    /// If there is no DockerCoins, or the API server can't be reached.
    pub(super) async fn run(self) -> Result<bool, CliError> {
        // A user agent of its own, so that these requests are not taken for the operator's.
        let config = config(self.context.as_deref(), "dockercoins-watch").await?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| CliError::Client(with_sources(&error)))?;
        let watched = Watched::find(client, namespace).await?;
        tokio::select! {
            told = watched.tell(self.once) => match told {
                // The reader has exited: `watch | head`.
                Err(CliError::File(_, error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(true),
                told => told,
            },
            stopped = tokio::signal::ctrl_c() => stopped.map(|()| true).map_err(CliError::Signals),
        }
    }
}

/// The DockerCoins resource to watch.
struct Watched {
    client: Client,
    namespace: String,
    name: String,
}

impl Watched {
    /// Finds the namespace's oldest DockerCoins, which owns the objects.
    async fn find(client: Client, namespace: String) -> Result<Self, CliError> {
        let kind = ApiResource::erase::<DockerCoins>(&());
        let all: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
        let listed = match timeout(DEADLINE, all.list(&ListParams::default())).await {
            Ok(Ok(listed)) => listed.items,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                let said =
                    "the cluster knows no DockerCoins: `dockercoins-operator check` says more";
                return Err(CliError::Cluster(said.to_owned()));
            }
            Ok(Err(error)) => return Err(CliError::Unreachable(with_sources(&error))),
            Err(_) => return Err(CliError::Unreachable(no_answer())),
        };
        let first = listed
            .iter()
            .min_by_key(|coins| (coins.creation_timestamp(), coins.uid()));
        let name = first.map(|coins| coins.name_any()).ok_or_else(|| {
            CliError::Cluster(format!(
                "there is no DockerCoins in the namespace {namespace}: name another with --namespace"
            ))
        })?;
        Ok(Self {
            client,
            namespace,
            name,
        })
    }

    async fn tell(&self, once: bool) -> Result<bool, CliError> {
        let mut hash_rate = HashRate::default();
        let mut next = interval(LINE_INTERVAL);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if !once {
            write_out(HEADING)?;
        }
        loop {
            next.tick().await;
            let (status, read) = tokio::join!(self.status(), self.read());
            let is_missing = read.is_err();
            hash_rate.record(read);
            // A failed request must not end the watch.
            let line = match status {
                Ok(status) => hash_rate.line(&status),
                Err(error) if once => return Err(error),
                Err(error) => format!("{error}\n"),
            };
            if !once {
                write_out(&line)?;
            } else if is_missing || hash_rate.rate().is_some() {
                write_out(&format!("{HEADING}{line}"))?;
                return Ok(!is_missing);
            }
        }
    }

    /// Reads the resource's status.
    async fn status(&self) -> Result<DockerCoinsStatus, CliError> {
        let kind = ApiResource::erase::<DockerCoins>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        match timeout(DEADLINE, api.get_opt(&self.name)).await {
            Ok(Ok(Some(coins))) => {
                let status = coins.data.get("status").cloned();
                // A newer operator's status may not decode.
                Ok(status
                    .and_then(|status| serde_json::from_value(status).ok())
                    .unwrap_or_default())
            }
            Ok(Ok(None)) => Err(CliError::Cluster(format!(
                "{}/{} is gone",
                self.namespace, self.name
            ))),
            Ok(Err(error)) => Err(CliError::Unreachable(with_sources(&error))),
            Err(_) => Err(CliError::Unreachable(no_answer())),
        }
    }

    /// Reads the web UI's counters through the API server's proxy.
    async fn read(&self) -> Result<Sample, String> {
        let (namespace, service) = (&self.namespace, Component::Webui.name());
        let port = Component::Webui.port().unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/json");
        let request = http::Request::get(path)
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = self.client.send(request).await;
            let answer = answer.map_err(|error| with_sources(&error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MAX_RESPONSE);
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Sample::of(status, &String::from_utf8_lossy(&body.to_bytes()))
        };
        match timeout(DEADLINE, exchange).await {
            Ok(read) => read,
            Err(_) => Err(format!("the web page: {}", no_answer())),
        }
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", DEADLINE.as_secs())
}
