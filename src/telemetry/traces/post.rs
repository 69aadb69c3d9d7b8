//! How traces are sent: by the HTTP client that the program has anyway, on its runtime.
//!
//! No proxy, no redirects, and an answer within bounds. Why a request failed is noted, since the SDK forgets it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use super::counts::Counts;
use crate::runtime::error::with_sources;

/// How long one request may take, as the specification of OTLP has it where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most bytes of an answer, which says at most how many spans were refused.
const ANSWER_MAX: usize = 64 << 10;

/// Sends requests, from whatever thread.
pub(super) struct Post<C> {
    client: Client<C, Full<Bytes>>,
    runtime: Handle,
    counts: Arc<Counts>,
}

impl Post<HttpConnector> {
    pub(super) fn plain(counts: Arc<Counts>) -> Self {
        Self::over(HttpConnector::new(), counts)
    }
}

impl Post<HttpsConnector<HttpConnector>> {
    /// With the authorities that the system trusts, or those that `SSL_CERT_FILE` names.
    pub(super) fn by_tls(counts: Arc<Counts>) -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .build();
        Ok(Self::over(connector, counts))
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Post<C> {
    fn over(connector: C, counts: Arc<Counts>) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime: Handle::current(),
            counts,
        }
    }
}

#[async_trait]
impl<C: Connect + Clone + Send + Sync + 'static> HttpClient for Post<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = exchange(self.client.clone(), request.map(Full::new));
        // The SDK has a thread of its own for this, and neither a runtime nor its clock there.
        let sent = self
            .runtime
            .spawn(async { tokio::time::timeout(DEADLINE, exchange).await });
        let answer = match sent.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(format!("no answer within {} s", DEADLINE.as_secs()).into()),
            Err(error) => Err(error.into()),
        };
        match &answer {
            Ok(answer) if !answer.status().is_success() => {
                self.counts
                    .note(format!("it answers {}", answer.status().as_u16()));
            }
            Ok(_) => {}
            Err(error) => self.counts.note(with_sources(error.as_ref())),
        }
        answer
    }
}

async fn exchange<C: Connect + Clone + Send + Sync + 'static>(
    client: Client<C, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = client.request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

impl<C> fmt::Debug for Post<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Post").finish_non_exhaustive()
    }
}
