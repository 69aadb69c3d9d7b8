//! Traces, for those who want to see where the time of a reconcile goes: by OTLP, off unless an endpoint is given.
//!
//! Each reconcile is a trace, each of its steps a span, and so is each request to the API server or to a registry.
//! The spans themselves are where the steps are; here is decided which of them are sent, and to whom.
//!
//! A reconcile that asked nobody anything found nothing to do, and is not sent. Nothing of the log goes along, and
//! nothing of the spans into the log. Spans that can't be delivered are lost, with a
//! warning every five minutes; no reconcile waits for them.

mod delivery;
mod http_client;
mod tail_sampler;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::{Metadata, Span, Subscriber, debug, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use delivery::{CountingExporter, DeliveryStats};
use http_client::OtlpClient;
use tail_sampler::TailSampler;

/// What the operator calls itself, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise.
const SERVICE: &str = "dockercoins-operator";

/// How long the last spans may take to arrive, once everything else has ended: with the time that a reconcile is
/// given to end, it is less than the 30 s that Kubernetes gives a pod.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Where traces go.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    stats: Arc<DeliveryStats>,
}

/// Why traces can't be sent to where they were to go.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The address is none.
    #[error("{0:?} is no address: write http://HOST:4318 or https://HOST:4318")]
    Address(String),
    /// The address holds a login, which would be shown wherever the address is.
    #[error(
        "the address holds a login: put it into OTEL_EXPORTER_OTLP_HEADERS, as authorization=..."
    )]
    Login,
    /// Another protocol is wanted than there is.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL is {0:?}, and only http/protobuf is spoken: name the port for it, by default 4318"
    )]
    Protocol(String),
    /// The system's certificate authorities can't be read.
    #[error("the system's certificate authorities cannot be read")]
    Roots(#[source] std::io::Error),
    /// The SDK doesn't take its settings.
    #[error("{0}")]
    Settings(String),
}

impl Traces {
    /// Prepares to send traces to an OTLP endpoint by HTTP, such as `http://collector:4318`: to `/v1/traces` below
    /// it, as the specification of OTLP has it. It must be called in a Tokio runtime, and connects to nobody yet.
    ///
    /// The SDK also reads the environment: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_*`.
    ///
    /// # Errors
    /// A [`TracesError`] that says which setting is wrong.
    pub fn export_to(endpoint: &str) -> Result<Self, TracesError> {
        let address = traces_address(endpoint)?;
        if let Ok(protocol) = std::env::var("OTEL_EXPORTER_OTLP_PROTOCOL")
            && !["", "http/protobuf"].contains(&protocol.as_str())
        {
            return Err(TracesError::Protocol(protocol));
        }
        let stats = Arc::new(DeliveryStats::new(endpoint.to_owned()));
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&address);
        let exporter = match address.starts_with("https:") {
            true => {
                let client =
                    OtlpClient::with_tls(Arc::clone(&stats)).map_err(TracesError::Roots)?;
                exporter.with_http_client(client)
            }
            // A machine without certificate authorities will do.
            false => exporter.with_http_client(OtlpClient::plain(Arc::clone(&stats))),
        };
        let exporter = exporter
            .build()
            .map_err(|error| TracesError::Settings(error.to_string()))?;
        let exporter = CountingExporter::new(exporter, Arc::clone(&stats));
        let queue = BatchSpanProcessor::builder(exporter).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(TailSampler::new(queue, Arc::clone(&stats)))
            .build();
        Ok(Self { provider, stats })
    }

    /// What takes the spans from the program, beside the log.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_context_activation(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_span))
    }

    /// Sends what is left, as far as it can be sent within three seconds.
    pub async fn shutdown(self) {
        let provider = self.provider;
        let shut_down = move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        // It waits for another thread, which needs this one's runtime.
        let done = tokio::task::spawn_blocking(shut_down).await;
        debug!(?done, "traces have ended");
        let lost = self.stats.lost();
        if lost > 0 {
            warn!(spans = lost, "the last traces were not delivered");
        }
    }
}

/// Whether it is one of the operator's or the resolver's spans, which are for traces and not for the log.
pub fn is_span(meta: &Metadata<'_>) -> bool {
    let is_ours = |krate: &str| {
        let below = meta.target().strip_prefix(krate);
        below.is_some_and(|below| below.is_empty() || below.starts_with("::"))
    };
    meta.is_span() && (is_ours(env!("CARGO_CRATE_NAME")) || is_ours("resolver"))
}

/// Marks a span as failed, by the stable reason alone: messages may hold what must not leave the cluster.
pub fn failed(span: &Span, reason: &str) {
    span.record("error.type", reason);
    span.record("otel.status_code", "ERROR");
}

fn traces_address(endpoint: &str) -> Result<String, TracesError> {
    let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let uri: Uri = address
        .parse()
        .map_err(|_| TracesError::Address(endpoint.to_owned()))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(TracesError::Login);
    }
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || authority.is_empty() || uri.query().is_some() {
        return Err(TracesError::Address(endpoint.to_owned()));
    }
    Ok(address)
}

/// The OpenTelemetry resource. The environment's attributes win.
fn resource() -> Resource {
    let ours = [
        KeyValue::new("service.name", SERVICE),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let all = Resource::builder_empty()
        .with_attributes(ours)
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => all.with_service_name(name).build(),
        _ => all.build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_endpoint() {
        let address = |endpoint| traces_address(endpoint).map_err(|error| error.to_string());
        for endpoint in ["http://collector:4318", "http://collector:4318/"] {
            assert_eq!(
                address(endpoint),
                Ok("http://collector:4318/v1/traces".into())
            );
        }
        assert_eq!(
            address("https://example.com/otlp"),
            Ok("https://example.com/otlp/v1/traces".into())
        );
    }

    #[test]
    fn an_invalid_url_is_rejected_without_its_login() {
        for endpoint in [
            "collector:4318",
            "grpc://collector:4317",
            "http://",
            "/",
            "",
        ] {
            let error = traces_address(endpoint).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{endpoint:?} is no address: write http://HOST:4318 or https://HOST:4318")
            );
        }
        let error = traces_address("http://user:hunter2@collector").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the address holds a login: put it into OTEL_EXPORTER_OTLP_HEADERS, as authorization=..."
        );
    }
}
