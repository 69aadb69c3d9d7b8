//! What the command line says, and what is done about it.

mod asking;
mod check;
mod diff;
mod election;
mod helper;
mod logins;
mod render;
mod resolve;
mod written;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dockercoins_operator::error::with_sources;
use dockercoins_operator::monitor::{self, Monitor};
use dockercoins_operator::traces::{self, Traces};
use dockercoins_operator::webhook::proof::Secret;
use dockercoins_operator::webhook::server;
use dockercoins_operator::{api, controller};
use futures::FutureExt as _;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use resolver::{IpNet, Observer, Options, Plugins, Resolver};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::info;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// The client logs each failed connection at level error, and each list that is refused, though the operator tells it too,
/// and tries again.
const DEFAULT_LOG: &str = "info,kube_client::client::builder=off,kube_runtime::watcher=off";

/// How many notifications of pushes may wait.
const PUSHES_MAX: usize = 1024;

/// A Kubernetes operator for DockerCoins that pins every image tag to a digest.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch DockerCoins resources and make the cluster as they say.
    Run(Run),
    /// Say what images' names mean, which logins are for them, and what their registries answer.
    Resolve(resolve::Resolve),
    /// Print the objects that the operator would write for the DockerCoins in a file, but for their owner: for review,
    /// or for a cluster without the operator.
    Render(render::Render),
    /// Print how the operator would change the cluster if a file with DockerCoins were applied. Exit code 0: not at
    /// all; 1: as printed; more: an error.
    Diff(diff::Diff),
    /// Say whether the cluster has this operator's CustomResourceDefinition, and whether an operator is ready.
    Check(check::Check),
    /// Print the CustomResourceDefinition as YAML.
    Crd,
}

#[derive(Debug, Args)]
struct Run {
    /// A namespace to look after; may be given several times. Default: all of them.
    #[arg(
        long = "namespace",
        value_name = "NAMESPACE",
        env = "WATCH_NAMESPACES",
        value_delimiter = ','
    )]
    namespaces: Vec<String>,

    /// The context of the kubeconfig to use. Default: the current one; inside a cluster, that cluster.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// How many resources are reconciled at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    #[command(flatten)]
    registries: Registries,

    #[command(flatten)]
    election: election::Election,

    /// Where registries may tell of pushes, such as 0.0.0.0:9000: by POST to /hooks/SECRET, or to /hooks with
    /// the secret in the Authorization header, or signed with it. Default: nowhere.
    #[arg(long, value_name = "ADDRESS", requires = "webhook_secret_file")]
    webhook_address: Option<SocketAddr>,

    /// The file with the secret that these registries show: at least 16 characters.
    #[arg(long, value_name = "FILE", requires = "webhook_address")]
    webhook_secret_file: Option<PathBuf>,

    /// Where the operator tells of itself, such as 0.0.0.0:8080: /metrics, /healthz and /readyz, to whoever reaches
    /// it. Default: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    http_address: Option<SocketAddr>,
    /// Where traces go by OTLP over HTTP, such as http://collector:4318. Default: nowhere.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,

    /// How the log is written. Default: for people on a terminal, JSON elsewhere.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// What is logged: error, warn, info, debug or trace, or directives such as
    /// info,dockercoins_operator=debug. At debug, every request says why it is sent.
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = DEFAULT_LOG)]
    log_level: String,
}

/// How registries are spoken to.
#[derive(Debug, Args)]
struct Registries {
    /// A network in which registries may be, although its addresses are loopback, link-local or otherwise
    /// refused; may be given several times.
    #[arg(long = "allow-registry-network", value_name = "CIDR")]
    allow: Vec<IpNet>,

    /// A network in which registries may not be, whatever allows it; may be given several times.
    #[arg(long = "deny-registry-network", value_name = "CIDR")]
    deny: Vec<IpNet>,

    /// How many seconds a registry may take to answer for one image, with all that belongs to it.
    #[arg(long = "registry-deadline", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    deadline: u64,

    /// The folder with registries' mirrors, certificates and headers, as containerd has it: a folder for each host
    /// with a hosts.toml, such as /etc/containerd/certs.d. Edits are seen at once.
    #[arg(long = "registry-config", value_name = "DIR")]
    config: Option<PathBuf>,

    /// The kubelet's configuration of credential provider plugins, a CredentialProviderConfig: for the logins of
    /// ECR, ACR and Artifact Registry.
    #[arg(
        long = "credential-provider-config",
        value_name = "FILE",
        requires = "provider_bin_dir"
    )]
    provider_config: Option<PathBuf>,

    /// The folder with these plugins.
    #[arg(
        long = "credential-provider-bin-dir",
        value_name = "DIR",
        requires = "provider_config"
    )]
    provider_bin_dir: Option<PathBuf>,
}

impl Registries {
    fn resolver(&self, observer: Option<Arc<dyn Observer>>) -> Result<Resolver, CliError> {
        let plugins = match (&self.provider_config, &self.provider_bin_dir) {
            (Some(config), Some(bin_dir)) => Some(
                Plugins::open(config, bin_dir)
                    .map_err(|error| CliError::Plugins(error.to_string()))?,
            ),
            _ => None,
        };
        Resolver::new(Options {
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            deadline: Duration::from_secs(self.deadline),
            user_agent: concat!("dockercoins-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
            registry_config: self.config.clone(),
            plugins,
            observer,
            ..Options::default()
        })
        .map_err(|error| CliError::Resolver(with_sources(&error)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("--log-level {0:?} can't be read: write error, warn, info, debug or trace")]
    LogLevel(String),
    #[error(
        "no cluster to talk to: {0}. Set KUBECONFIG to a kubeconfig file, or run inside a cluster"
    )]
    NoCluster(String),
    #[error("the API server can't be talked to: {0}")]
    Client(String),
    #[error("the API server did not answer: {0}")]
    Unreachable(String),
    #[error("the resolver can't be set up: {0}")]
    Resolver(String),
    #[error("{0}")]
    Plugins(String),
    #[error("signals can't be received: {0}")]
    Signals(#[source] std::io::Error),
    #[error("the CRD can't be written as YAML: {0}")]
    Yaml(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unresolved(String),
    #[error("{0}")]
    Cluster(String),
    #[error("in the way of what the operator would write:\n{0}")]
    Blocked(String),
    #[error("{0}: {1}")]
    File(String, #[source] std::io::Error),
    #[error("--webhook-secret-file {0}: {1}")]
    WebhookSecret(String, String),
    #[error("{0}")]
    OlderCrd(String),
    #[error("--docker-config: {0}")]
    Logins(String),
    #[error("the leader's election broke off, which is a bug; please report it with the log: {0}")]
    Campaign(#[source] tokio::task::JoinError),
    #[error("--otlp-endpoint: {0}")]
    Traces(String),
}

impl Cli {
    /// The exit code that says that it could not be done. Scripts tell an error of `diff` from differences by it.
    pub fn failure(&self) -> u8 {
        match self.command {
            Command::Diff(_) => 2,
            _ => 1,
        }
    }

    /// Does what was asked for. Gives whether all is well with what was looked at.
    pub async fn run(self) -> Result<bool, CliError> {
        match self.command {
            Command::Run(run) => run.run().await.map(|()| true),
            Command::Resolve(resolve) => resolve.run().await,
            Command::Render(render) => render.run().await.map(|()| true),
            Command::Diff(diff) => diff.run().await,
            Command::Check(check) => check.run().await,
            Command::Crd => print_crd().map(|()| true),
        }
    }
}

/// Writes to the standard output, which may be a pipe whose reader has gone.
fn write_out(text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| CliError::File("the standard output".into(), error))
}

fn print_crd() -> Result<(), CliError> {
    let yaml =
        serde_saphyr::to_string(&api::crd()).map_err(|error| CliError::Yaml(error.to_string()))?;
    let text = format!(
        "# Written by `dockercoins-operator crd`: change src/api.rs, then `make generate`.\n{yaml}"
    );
    write_out(&text)
}

impl Run {
    async fn run(self) -> Result<(), CliError> {
        let traces = self.traces()?;
        self.start_log(traces.as_ref())?;
        let shutdown = shutdown()?;
        let monitor = Arc::new(Monitor::new(self.concurrency));
        // It answers until everything else has ended.
        let (ended, ends) = oneshot::channel::<()>();
        let told = self.monitored(&monitor, ends).await?;
        let done = self.work(Arc::clone(&monitor), shutdown).await;
        drop(ended);
        if let Some(told) = told {
            let _ = told.await;
        }
        if let Some(traces) = traces {
            traces.finish().await;
        }
        done
    }

    /// Has the monitor answer at its address until `ends`.
    async fn monitored(
        &self,
        monitor: &Arc<Monitor>,
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
        let serve = monitor::serve(Arc::clone(monitor), listener, stop);
        Ok(Some(tokio::spawn(serve)))
    }

    async fn work(
        self,
        monitor: Arc<Monitor>,
        shutdown: impl Future<Output = ()> + Clone + Send + 'static,
    ) -> Result<(), CliError> {
        let stopping = Arc::clone(&monitor);
        let shutdown = async move {
            shutdown.await;
            stopping.health.stops();
        }
        .shared();
        let config = config(self.context.as_deref()).await?;
        let url = config.cluster_url.to_string();
        let client =
            Client::try_from(config).map_err(|error| CliError::Client(with_sources(&error)))?;
        let version = tokio::select! {
            version = client.apiserver_version() => version,
            () = shutdown.clone() => return Ok(()),
        }
        .map_err(|error| CliError::Unreachable(with_sources(&error)))?;
        tokio::select! {
            looked = check::before_running(&client) => looked?,
            () = shutdown.clone() => return Ok(()),
        }
        let resolver =
            resolver::Shared::new(self.registries.resolver(Some(monitor.metrics.clone()))?);
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
        // A namespace that is named twice is still one.
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
                let monitor = Arc::clone(&monitor);
                let webhook = server::serve(listener, secret, told, limits, monitor, stop);
                (Some(pushes), Some(tokio::spawn(webhook)))
            }
            None => (None, None),
        };
        let (leadership, campaign) = self.election.begin(&client, shutdown.clone());
        if self.election.leader_elect {
            monitor.follows(&self.election.lease_name, leadership.clone());
        }
        let work = controller::run(
            client,
            leadership,
            resolver,
            &namespaces,
            monitor,
            pushes,
            shutdown,
        );
        match campaign {
            None => work.await,
            Some(campaign) => campaign.beside(work).await.map_err(CliError::Campaign)?,
        }
        if let Some(webhook) = webhook {
            // It was told to stop with everything else, and has a deadline of its own.
            let _ = webhook.await;
        }
        Ok(())
    }

    /// Where traces go. A variable that is set to nothing says nothing.
    fn traces(&self) -> Result<Option<Traces>, CliError> {
        let endpoint = self.otlp_endpoint.as_deref().filter(|url| !url.is_empty());
        let traces = endpoint.map(Traces::to).transpose();
        traces.map_err(|error| CliError::Traces(with_sources(&error)))
    }

    /// The webhook's address, taken, and the secret that its senders must show.
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
        let filter: EnvFilter = self
            .log_level
            .parse()
            .map_err(|_| CliError::LogLevel(self.log_level.clone()))?;
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

/// Where the API server is, and how to be known there.
async fn config(context: Option<&str>) -> Result<Config, CliError> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let mut config = match context {
        Some(_) => Config::from_kubeconfig(&options)
            .await
            .map_err(|error| error.to_string()),
        None => Config::infer().await.map_err(|error| with_sources(&error)),
    }
    .map_err(CliError::NoCluster)?;
    // The client would try again for minutes, in the place of one of the few reconciles that run at once. There are
    // deadlines and waits of our own.
    config.default_retry = false;
    config.headers.push((
        http::header::USER_AGENT,
        http::HeaderValue::from_static(concat!("dockercoins-operator/", env!("CARGO_PKG_VERSION"))),
    ));
    Ok(config)
}

/// Done when the process is told to stop, by SIGTERM or Ctrl-C.
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
