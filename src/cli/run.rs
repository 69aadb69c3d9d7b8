//! `run`: starts the operator's parts, and stops them in order.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::dockercoins::controller;
use crate::registry::webhook::auth::Secret;
use crate::registry::webhook::server;
use crate::runtime::error::with_sources;
use crate::telemetry::server::{self as telemetry_server, Telemetry};
use crate::telemetry::traces::{self, Traces};
use clap::{Args, ValueEnum};
use futures::FutureExt as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::info;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::leader_election::LeaderElectionArgs;
use super::{CliError, RegistryArgs, check, config};

/// Without the client's own errors: the operator logs and retries failed connections and lists itself.
const DEFAULT_LOG: &str = "info,kube_client::client::builder=off,kube_runtime::watcher=off";

/// The length of the queue of notifications.
const PUSHES_MAX: usize = 1024;

#[derive(Debug, Args)]
pub struct Run {
    /// A namespace to watch. Repeatable. Default: all namespaces.
    #[arg(
        long = "namespace",
        value_name = "NAMESPACE",
        env = "WATCH_NAMESPACES",
        value_delimiter = ','
    )]
    namespaces: Vec<String>,

    /// The kubeconfig context. Default: the current context; inside a cluster, that cluster.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The number of resources to reconcile in parallel.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    #[command(flatten)]
    registries: RegistryArgs,

    #[command(flatten)]
    election: LeaderElectionArgs,

    /// The address to receive push notifications from registries on, such as 0.0.0.0:9000. Registries POST to
    /// /hooks/SECRET, or to /hooks with the secret in the Authorization header or a signature made with it. Default:
    /// none.
    #[arg(long, value_name = "ADDRESS", requires = "webhook_secret_file")]
    webhook_address: Option<SocketAddr>,

    /// The file with the webhook secret, at least 16 characters.
    #[arg(long, value_name = "FILE", requires = "webhook_address")]
    webhook_secret_file: Option<PathBuf>,

    /// The address to serve /metrics, /healthz and /readyz on, without authentication, such as 0.0.0.0:8080. Default:
    /// none.
    #[arg(long, value_name = "ADDRESS")]
    http_address: Option<SocketAddr>,
    /// The OTLP/HTTP collector to send traces to, such as http://collector:4318. Default: none.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,

    /// The log format. Default: text on a terminal, json elsewhere.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// The log level: error, warn, info, debug, trace, or directives such as info,dockercoins_operator=debug. At
    /// debug, the log gives the reason for each request.
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = DEFAULT_LOG)]
    log_level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object a line.
    Json,
}

impl Run {
    /// Runs until SIGTERM or Ctrl-C.
    pub async fn run(self) -> Result<(), CliError> {
        let traces = self.traces()?;
        self.start_log(traces.as_ref())?;
        let shutdown = shutdown()?;
        let telemetry = Arc::new(Telemetry::new(self.concurrency));
        // Metrics and probes are served until everything else has ended.
        let (ended, ends) = oneshot::channel::<()>();
        let told = self.serve_telemetry(&telemetry, ends).await?;
        let done = self.work(Arc::clone(&telemetry), shutdown).await;
        drop(ended);
        if let Some(told) = told {
            let _ = told.await;
        }
        if let Some(traces) = traces {
            traces.shutdown().await;
        }
        done
    }

    /// Serves metrics and probes at `--http-address` until `ends`.
    async fn serve_telemetry(
        &self,
        telemetry: &Arc<Telemetry>,
        ends: oneshot::Receiver<()>,
    ) -> Result<Option<JoinHandle<()>>, CliError> {
        let Some(address) = &self.http_address else {
            return Ok(None);
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| CliError::File(format!("--http-address {address}"), error))?;
        info!(%address, "/metrics, /healthz and /readyz are served");
        let stop = async { drop(ends.await) };
        let serve = telemetry_server::serve(Arc::clone(telemetry), listener, stop);
        Ok(Some(tokio::spawn(serve)))
    }

    async fn work(
        self,
        telemetry: Arc<Telemetry>,
        shutdown: impl Future<Output = ()> + Clone + Send + 'static,
    ) -> Result<(), CliError> {
        let stopping = Arc::clone(&telemetry);
        let shutdown = async move {
            shutdown.await;
            stopping.health.stops();
        }
        .shared();
        let config = config(self.context.as_deref(), "dockercoins-operator").await?;
        let url = config.cluster_url.to_string();
        let client =
            Client::try_from(config).map_err(|error| CliError::Client(with_sources(&error)))?;
        let version = tokio::select! {
            version = client.apiserver_version() => version,
            () = shutdown.clone() => return Ok(()),
        }
        .map_err(|error| CliError::Unreachable(with_sources(&error)))?;
        tokio::select! {
            looked = check::check_on_start(&client) => looked?,
            () = shutdown.clone() => return Ok(()),
        }
        let resolver =
            resolver::Shared::new(self.registries.resolver(Some(telemetry.metrics.clone()))?);
        let webhook = self.webhook().await?;
        let namespaces = if self.namespaces.is_empty() {
            "all".to_owned()
        } else {
            self.namespaces.join(", ")
        };
        info!(
            version = env!("CARGO_PKG_VERSION"),
            api_server = url,
            kubernetes = version.git_version,
            namespaces,
            concurrency = self.concurrency,
            "started"
        );
        // A namespace may be named twice.
        let namespaces: BTreeSet<String> = self
            .namespaces
            .into_iter()
            .filter(|n| !n.is_empty())
            .collect();
        let namespaces: Vec<String> = namespaces.into_iter().collect();
        let (pushes, webhook) = match webhook {
            Some((listener, secret)) => {
                let (told, pushes) = mpsc::channel(PUSHES_MAX);
                let stop = shutdown.clone();
                let limits = server::Limits::default();
                let telemetry = Arc::clone(&telemetry);
                let webhook = server::serve(listener, secret, told, limits, telemetry, stop);
                (Some(pushes), Some(tokio::spawn(webhook)))
            }
            None => (None, None),
        };
        let (leadership, election) = self.election.start(&client, shutdown.clone());
        if self.election.leader_elect {
            telemetry.report_leadership(&self.election.lease_name, leadership.clone());
        }
        let work = controller::run(
            client,
            leadership,
            resolver,
            &namespaces,
            telemetry,
            pushes,
            shutdown,
        );
        match election {
            None => work.await,
            Some(election) => election
                .run_and_release(work)
                .await
                .map_err(CliError::Election)?,
        }
        if let Some(webhook) = webhook {
            // The webhook stops at `shutdown`, with a deadline of its own.
            let _ = webhook.await;
        }
        Ok(())
    }

    /// The trace exporter. An empty environment variable counts as unset.
    fn traces(&self) -> Result<Option<Traces>, CliError> {
        let endpoint = self.otlp_endpoint.as_deref().filter(|url| !url.is_empty());
        let traces = endpoint.map(Traces::export_to).transpose();
        traces.map_err(|error| CliError::Traces(with_sources(&error)))
    }

    /// The webhook's listener and secret.
    async fn webhook(&self) -> Result<Option<(TcpListener, Secret)>, CliError> {
        let (Some(address), Some(file)) = (&self.webhook_address, &self.webhook_secret_file) else {
            return Ok(None);
        };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| CliError::File(format!("--webhook-secret-file {name}"), error))?;
        let secret = Secret::parse(&text)
            .map_err(|error| CliError::WebhookSecret(name, error.to_string()))?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| CliError::File(format!("--webhook-address {address}"), error))?;
        info!(%address, "registries may tell of pushes at /hooks");
        Ok(Some((listener, secret)))
    }

    fn start_log(&self, traces: Option<&Traces>) -> Result<(), CliError> {
        let unknown = || CliError::LogLevel(self.log_level.clone());
        // EnvFilter would take an unknown level for a target, and log only that.
        let is_level =
            |word: &str| word.contains(['=', '[']) || word.parse::<LevelFilter>().is_ok();
        if !self.log_level.split(',').all(is_level) {
            return Err(unknown());
        }
        let filter: EnvFilter = self.log_level.parse().map_err(|_| unknown())?;
        let is_terminal = std::io::stderr().is_terminal();
        let default = if is_terminal {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        let log = fmt::layer().with_writer(std::io::stderr);
        let log = match self.log_format.unwrap_or(default) {
            LogFormat::Text => log.with_ansi(is_terminal).with_target(false).boxed(),
            LogFormat::Json => log.json().flatten_event(true).with_span_list(false).boxed(),
        };
        let no_span = filter_fn(|meta| !traces::is_span(meta));
        tracing_subscriber::registry()
            .with(log.with_filter(filter.and(no_span)))
            .with(traces.map(Traces::layer))
            .init();
        Ok(())
    }
}

/// Completes at SIGTERM or Ctrl-C.
fn shutdown() -> Result<impl Future<Output = ()> + Clone + Send + 'static, CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;
    let told = async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!("{name}: finishing what was begun");
    };
    Ok(told.shared())
}
