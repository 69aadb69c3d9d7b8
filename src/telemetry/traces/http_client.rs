//! The OTLP exporter's HTTP client: hyper on the program's runtime, without proxies or redirects.
//!
//! The reason of a failure is recorded here, since the SDK drops it.

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

use super::delivery::DeliveryStats;
use crate::runtime::error::with_sources;

/// The timeout of one request: OTLP's default.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most bytes read of a response.
const MAX_RESPONSE: usize = 64 << 10;

/// Sends requests from any thread.
pub(super) struct OtlpClient<C> {
    client: Client<C, Full<Bytes>>,
    runtime: Handle,
    stats: Arc<DeliveryStats>,
}

impl OtlpClient<HttpConnector> {
    pub(super) fn plain(stats: Arc<DeliveryStats>) -> Self {
        Self::over(HttpConnector::new(), stats)
    }
}

impl OtlpClient<HttpsConnector<HttpConnector>> {
    /// Trusts the system's certificate authorities, or those of `SSL_CERT_FILE`.
    pub(super) fn with_tls(stats: Arc<DeliveryStats>) -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .build();
        Ok(Self::over(connector, stats))
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> OtlpClient<C> {
    fn over(connector: C, stats: Arc<DeliveryStats>) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime: Handle::current(),
            stats,
        }
    }
}

#[async_trait]
impl<C: Connect + Clone + Send + Sync + 'static> HttpClient for OtlpClient<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = exchange(self.client.clone(), request.map(Full::new));
        // The SDK calls this from a thread without a Tokio runtime.
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
                self.stats
                    .record_error(format!("HTTP status {}", answer.status().as_u16()));
            }
            Ok(_) => {}
            Err(error) => self.stats.record_error(with_sources(error.as_ref())),
        }
        answer
    }
}

async fn exchange<C: Connect + Clone + Send + Sync + 'static>(
    client: Client<C, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = client.request(request).await?.into_parts();
    let body = Limited::new(body, MAX_RESPONSE).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

impl<C> fmt::Debug for OtlpClient<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OtlpClient").finish_non_exhaustive()
    }
}
