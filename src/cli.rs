//! The command line: `run`, `check`, `crd`, `render`, `diff`, `resolve` and `watch`, and what only they need.
//!
//! May import: everything.

mod change;
mod check;
mod credential_helper;
mod diff;
mod docker_config;
pub mod hash_rate;
mod leader_election;
mod lookup;
pub mod manifest;
mod manifest_args;
mod render;
mod resolve;
mod run;
mod watch;
pub mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::api;
use crate::runtime::error::with_sources;
use clap::{Args, Parser, Subcommand};
use kube::Config;
use kube::config::KubeConfigOptions;
use resolver::{IpNet, Observer, Options, Plugins, Resolver};
use tokio::runtime::Builder;

/// The most worker threads. They mostly wait, and each costs memory for an allocator's arena.
const THREADS: usize = 4;

/// Runs the command line. The exit code is 0 on success, 1 on failure, and 2 on an error of `diff`.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let failure = ExitCode::from(cli.failure());
    let threads = available_parallelism().map_or(THREADS, |count| count.get().min(THREADS));
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("dockercoins-operator: no threads can be started: {error}");
            return failure;
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("dockercoins-operator: {error}");
            failure
        }
    }
}

/// A Kubernetes operator for DockerCoins that resolves every image tag to a digest.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator: reconcile DockerCoins resources.
    Run(run::Run),
    /// Resolve images to digests, and show the credentials, platforms and rate limits that apply.
    Resolve(resolve::Resolve),
    /// Print the objects that the operator would create for the DockerCoins in a file, without owner references: for
    /// review, or for a cluster without the operator.
    Render(render::Render),
    /// Print what the operator would change in the cluster if the DockerCoins in a file were applied. Exit code 0:
    /// nothing; 1: changes; more: an error.
    Diff(diff::Diff),
    /// Print one line a second with the readiness, workers, hash rate and coins of a DockerCoins.
    Watch(watch::Watch),
    /// Check that the CRD in the cluster matches this operator, and that an operator is ready.
    Check(check::Check),
    /// Print the CustomResourceDefinition as YAML.
    Crd,
}

/// How to connect to registries.
#[derive(Debug, Args)]
struct RegistryArgs {
    /// A network where registries are allowed although its addresses are loopback, link-local or otherwise refused.
    /// Repeatable.
    #[arg(long = "allow-registry-network", value_name = "CIDR")]
    allow: Vec<IpNet>,

    /// A network where registries are refused. Takes precedence over --allow-registry-network. Repeatable.
    #[arg(long = "deny-registry-network", value_name = "CIDR")]
    deny: Vec<IpNet>,

    /// The timeout for resolving one image, in seconds, with all requests that it needs.
    #[arg(long = "registry-deadline", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    deadline: u64,

    /// The directory with mirrors, certificates and headers of registries, in containerd's format: a directory with a
    /// hosts.toml for each host, such as /etc/containerd/certs.d. Changes need no restart.
    #[arg(long = "registry-config", value_name = "DIR")]
    config: Option<PathBuf>,

    /// The kubelet's CredentialProviderConfig file, for credentials of ECR, ACR and Artifact Registry.
    #[arg(
        long = "credential-provider-config",
        value_name = "FILE",
        requires = "provider_bin_dir"
    )]
    provider_config: Option<PathBuf>,

    /// The directory with the credential provider plugins.
    #[arg(
        long = "credential-provider-bin-dir",
        value_name = "DIR",
        requires = "provider_config"
    )]
    provider_bin_dir: Option<PathBuf>,
}

impl RegistryArgs {
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

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
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
    DockerConfig(String),
    #[error(
        "leader election stopped unexpectedly, which is a bug: please report it with the log: {0}"
    )]
    Election(#[source] tokio::task::JoinError),
    #[error("--otlp-endpoint: {0}")]
    Traces(String),
}

impl Cli {
    /// The exit code of an error. For `diff`, 1 means differences.
    fn failure(&self) -> u8 {
        match self.command {
            Command::Diff(_) => 2,
            _ => 1,
        }
    }

    /// Runs the command. Returns whether the exit code is 0.
    async fn run(self) -> Result<bool, CliError> {
        match self.command {
            Command::Run(run) => run.run().await.map(|()| true),
            Command::Resolve(resolve) => resolve.run().await,
            Command::Render(render) => render.run().await.map(|()| true),
            Command::Diff(diff) => diff.run().await,
            Command::Watch(watch) => watch.run().await,
            Command::Check(check) => check.run().await,
            Command::Crd => print_crd().map(|()| true),
        }
    }
}

/// Writes to the standard output, which may be a closed pipe.
fn write_out(text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| CliError::File("the standard output".into(), error))
}

/// The client configuration, with a user agent of this name and the version.
async fn config(context: Option<&str>, agent: &str) -> Result<Config, CliError> {
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
    // The client would retry for minutes and block a worker; the operator has timeouts and backoff of its own.
    config.default_retry = false;
    let agent = format!("{agent}/{}", env!("CARGO_PKG_VERSION"));
    let agent = http::HeaderValue::from_str(&agent).expect("a program's name is ASCII");
    config.headers.push((http::header::USER_AGENT, agent));
    Ok(config)
}

fn print_crd() -> Result<(), CliError> {
    let yaml =
        serde_saphyr::to_string(&api::crd()).map_err(|error| CliError::Yaml(error.to_string()))?;
    let text = format!(
        "# Written by `dockercoins-operator crd`: change src/api.rs, then `make generate`.\n{yaml}"
    );
    write_out(&text)
}
