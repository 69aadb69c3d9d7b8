//! `check`: whether the cluster's CRD is this operator's, and whether an operator is ready.
//!
//! It needs no RBAC rule: every account may read the published OpenAPI schemas. `helm test` runs it, and the operator
//! checks the CRD likewise when it starts.

use std::time::Duration;

use crate::api::crd_check::{self, Differences, UPGRADE};
use crate::api::{self, DockerCoins};
use crate::runtime::error::with_sources;
use clap::Args;
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::{Client, Resource as _};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::{CliError, config, write_out};

/// How long to wait for the API server to publish the schema of a changed CRD.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for the operator to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout of one request.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct Check {
    /// The readiness URL of an operator, such as http://dockercoins-operator:8080/readyz. Waits up to a minute until
    /// the operator is ready. Default: none; only the CRD is checked.
    #[arg(long, value_name = "URL")]
    ready_url: Option<Uri>,

    /// The kubeconfig context. Default: the current context; inside a cluster, that cluster.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Check {
    /// Returns whether all checks pass.
    pub async fn run(self) -> Result<bool, CliError> {
        let config = config(self.context.as_deref(), "dockercoins-operator").await?;
        let client =
            Client::try_from(config).map_err(|error| CliError::Client(with_sources(&error)))?;
        let mut found = differences(&client).await?;
        if is_missing_or_older(&found) {
            eprintln!(
                "the CRD is not this operator's; waiting up to {} s in case it was just installed",
                PUBLISH_TIMEOUT.as_secs()
            );
            found = published(&client, found).await?;
        }
        let Some(differences) = found else {
            write_out(&format!(
                "the cluster knows no DockerCoins: install the CRD: {UPGRADE}\n"
            ))?;
            return Ok(false);
        };
        let mut is_well = !differences.is_older();
        match differences.sentences() {
            none if none.is_empty() => write_out("the CRD is this operator's\n")?,
            sentences => write_out(&format!("{}\n", sentences.join("\n")))?,
        }
        if let Some(url) = &self.ready_url {
            let answer = until_ready(url).await;
            is_well &= answer.is_ok();
            match answer {
                Ok(()) => write_out(&format!("{url} is ready\n"))?,
                Err(failure) => write_out(&format!("{url} is not ready: {failure}\n"))?,
            }
        }
        Ok(is_well)
    }
}

/// Warns at start if the cluster's CRD differs from this operator's.
///
/// # Errors
/// If the API server would prune the pins from status: the operator would resolve every tag anew, again and again, and
/// roll out moved tags.
pub async fn check_on_start(client: &Client) -> Result<(), CliError> {
    let found = match differences(client).await {
        Ok(Some(found)) if found.is_older() => published(client, Some(found)).await,
        // The watch reports a missing CRD, and waits for one.
        other => other,
    };
    let found = match found {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => {
            warn!("the CRD can't be checked: {error}");
            return Ok(());
        }
    };
    if found.forget() {
        return Err(CliError::OlderCrd(found.sentences().join("; ")));
    }
    for sentence in found.sentences() {
        warn!("{sentence}");
    }
    Ok(())
}

/// Polls until the CRD has every field of this operator's, for [`PUBLISH_TIMEOUT`] at most.
async fn published(
    client: &Client,
    mut found: Option<Differences>,
) -> Result<Option<Differences>, CliError> {
    let began = Instant::now();
    while is_missing_or_older(&found) && began.elapsed() <= PUBLISH_TIMEOUT {
        sleep(POLL_INTERVAL).await;
        found = differences(client).await?;
    }
    Ok(found)
}

/// Whether the CRD is missing, or older than this operator.
fn is_missing_or_older(found: &Option<Differences>) -> bool {
    found.as_ref().is_none_or(Differences::is_older)
}

/// How the served CRD differs from this operator's; `None` if none is served.
async fn differences(client: &Client) -> Result<Option<Differences>, CliError> {
    let path = format!("/openapi/v3/apis/{}", DockerCoins::api_version(&()));
    let request = Request::get(&path).body(Vec::new()).expect("a path");
    let published = match timeout(3 * DEADLINE, client.request_text(request)).await {
        Ok(Ok(published)) => published,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(None),
        Ok(Err(error)) => return Err(CliError::Unreachable(with_sources(&error))),
        Err(_) => return Err(CliError::Unreachable(format!("no response to GET {path}"))),
    };
    let served = crd_check::published(&published).map_err(|error| {
        let said = format!("the response to GET {path} is not JSON: {error}");
        CliError::Unreachable(said)
    })?;
    Ok(served.map(|served| crd_check::differences(&served, &api::crd_schema())))
}

/// Polls until the response is 200.
///
/// # Errors
/// The last failure after [`READY_TIMEOUT`].
async fn until_ready(url: &Uri) -> Result<(), String> {
    if url.scheme_str() != Some("http") {
        return Err("write a URL that begins with http://".to_owned());
    }
    let client: legacy::Client<_, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build_http();
    let began = Instant::now();
    loop {
        let failure = match timeout(DEADLINE, client.get(url.clone())).await {
            Ok(Ok(response)) if response.status() == StatusCode::OK => return Ok(()),
            Ok(Ok(response)) => format!("HTTP status {}", response.status()),
            Ok(Err(error)) => with_sources(&error),
            Err(_) => format!("no response within {} s", DEADLINE.as_secs()),
        };
        if began.elapsed() > READY_TIMEOUT {
            return Err(format!(
                "{failure}, still after {} s. The operator's log says more",
                READY_TIMEOUT.as_secs()
            ));
        }
        sleep(POLL_INTERVAL).await;
    }
}
