//! `check`: whether the cluster has the CRD that this operator means, and whether an operator is ready.
//!
//! It changes nothing and needs no right of its own: every account may read the schemas that the API server
//! publishes. `helm test` runs it, and the operator looks at the CRD with the same eyes when it starts.

use std::time::Duration;

use crate::api::crd_check::{self, Differences, UPGRADE};
use crate::api::{self, DockerCoins};
use crate::runtime::error::with_sources;
use clap::Args;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use kube::{Client, Resource as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::{CliError, config, write_out};

/// How long the API server may take to publish the schema of a CRD that has just been changed.
const PUBLISHED: Duration = Duration::from_secs(10);

/// How long an operator may take to become ready.
const READY: Duration = Duration::from_secs(60);

/// How long one question may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

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
    /// Gives whether all is well.
    pub async fn run(self) -> Result<bool, CliError> {
        let config = config(self.context.as_deref(), "dockercoins-operator").await?;
        let client =
            Client::try_from(config).map_err(|error| CliError::Client(with_sources(&error)))?;
        let mut found = differences(&client).await?;
        if is_missing_or_older(&found) {
            eprintln!(
                "the CRD is not this operator's; one that was just installed is waited for, {} s at most",
                PUBLISHED.as_secs()
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
                Err(seen) => write_out(&format!(
                    "{url} is not ready after {} s: {seen}. Its log says more\n",
                    READY.as_secs()
                ))?,
            }
        }
        Ok(is_well)
    }
}

/// Warns where the CRD and this operator differ in what is wanted.
///
/// # Errors
/// Where the cluster would drop what the operator remembers. It would then ask for every tag anew, again and again,
/// and roll what has moved.
pub async fn before_running(client: &Client) -> Result<(), CliError> {
    let found = match differences(client).await {
        Ok(Some(found)) if found.is_older() => published(client, Some(found)).await,
        // That there is no CRD is told by its watch, which waits for one.
        other => other,
    };
    let found = match found {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => {
            warn!("the CRD was not looked at: {error}");
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

/// How the CRD differs, once the API server has had the time to publish one that has just been changed. `found` is what
/// was seen so far.
async fn published(
    client: &Client,
    mut found: Option<Differences>,
) -> Result<Option<Differences>, CliError> {
    let began = Instant::now();
    while is_missing_or_older(&found) && began.elapsed() <= PUBLISHED {
        sleep(BETWEEN_LOOKS).await;
        found = differences(client).await?;
    }
    Ok(found)
}

/// Whether the CRD is missing, or older than this operator.
fn is_missing_or_older(found: &Option<Differences>) -> bool {
    found.as_ref().is_none_or(Differences::is_older)
}

/// How the CRD that the cluster serves differs from this operator's; `None` where it serves none.
async fn differences(client: &Client) -> Result<Option<Differences>, CliError> {
    let path = format!("/openapi/v3/apis/{}", DockerCoins::api_version(&()));
    let request = Request::get(&path).body(Vec::new()).expect("a path");
    let published = match timeout(3 * DEADLINE, client.request_text(request)).await {
        Ok(Ok(published)) => published,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(None),
        Ok(Err(error)) => return Err(CliError::Unreachable(with_sources(&error))),
        Err(_) => return Err(CliError::Unreachable(format!("no answer to GET {path}"))),
    };
    let served = crd_check::published(&published).map_err(|error| {
        let said = format!("its answer to GET {path} is no JSON: {error}");
        CliError::Unreachable(said)
    })?;
    Ok(served.map(|served| crd_check::differences(&served, &api::crd_schema())))
}

/// Asks until the answer is 200; else what was seen last.
async fn until_ready(url: &Uri) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let seen = match timeout(DEADLINE, ask(url)).await {
            Ok(Ok(StatusCode::OK)) => return Ok(()),
            Ok(Ok(status)) => format!("it answers {status}"),
            Ok(Err(error)) => error,
            Err(_) => "no answer".to_owned(),
        };
        if began.elapsed() > READY {
            return Err(seen);
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// One GET by plain HTTP.
async fn ask(url: &Uri) -> Result<StatusCode, String> {
    if url.scheme_str() != Some("http") {
        return Err("write an address that begins with http://".to_owned());
    }
    let host = url.host().ok_or("it has no host")?;
    let port = url.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| with_sources(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| with_sources(&error))?;
    let request = Request::get(url.path())
        .header(http::header::HOST, format!("{host}:{port}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| with_sources(&error))?;
    let answer = async move {
        let answer = sender.send_request(request).await;
        answer.map(|answer| answer.status())
    };
    // The connection is done when the answer is read, and the sender gone.
    let (answer, _) = tokio::join!(answer, connection);
    answer.map_err(|error| with_sources(&error))
}
