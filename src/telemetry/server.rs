//! Serves `/metrics`, `/healthz` and `/readyz`.
//!
//! Without authentication, so nothing served names resources or quotes the API server. A failing probe gives its reason.

mod process;

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use kube::runtime::reflector::Store;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::api::DockerCoins;
use crate::api::Guarded;
use crate::runtime::health::Health;
use crate::runtime::leader::Leadership;
use crate::runtime::sync::lock;
use crate::telemetry::http_server::{self, ServerLimits};
use crate::telemetry::metrics::{Format, Metrics, Snapshot};

/// Enough connections that idle clients don't keep the kubelet's probes out.
const LIMITS: ServerLimits = ServerLimits {
    connections: 64,
    head: Duration::from_secs(5),
    lifetime: Duration::from_secs(30),
    grace: Duration::from_secs(2),
};

/// The operator's health and metrics.
pub struct Telemetry {
    /// Liveness and readiness.
    pub health: Health,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The caches of resources to count.
    resources: Mutex<Vec<Store<Guarded>>>,
    /// The Lease's name and this replica's leadership, with leader election.
    election: OnceLock<(String, Leadership)>,
    /// About when the process started.
    since: SystemTime,
}

impl Telemetry {
    /// Telemetry of an operator with this many workers.
    pub fn new(concurrency: u16) -> Telemetry {
        Telemetry {
            health: Health::new(concurrency),
            metrics: Arc::default(),
            resources: Mutex::default(),
            election: OnceLock::new(),
            since: SystemTime::now(),
        }
    }

    /// Adds a cache whose resources are counted by their condition Ready.
    pub fn report_resources(&self, resources: Store<Guarded>) {
        let mut all = lock(&self.resources);
        all.push(resources);
    }

    /// Reports leadership by the Lease of that name. Only the first call has an effect.
    pub fn report_leadership(&self, lease: &str, leadership: Leadership) {
        let _ = self.election.set((lease.to_owned(), leadership));
    }

    /// The gauges that are computed for each scrape.
    fn snapshot(&self) -> Snapshot {
        let workers = &self.health.workers;
        let resources = lock(&self.resources);
        let all = resources.iter().flat_map(Store::state);
        Snapshot {
            max_concurrent: workers.size(),
            active: workers.active(),
            queued: workers.waiting(),
            synced: self.health.synced(),
            ready: all.map(|coins| readiness(&coins)).collect(),
            process: process::read(self.since),
        }
    }

    /// Handles a request.
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let plain = |status: StatusCode, text: String| {
            let of_text = HeaderValue::from_static("text/plain; charset=utf-8");
            respond(status, of_text, text)
        };
        let probe = |result: Result<(), String>| match result {
            Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        };
        let path = request.uri().path();
        if !["/metrics", "/healthz", "/readyz"].contains(&path) {
            let text = "not found: the paths are /metrics, /healthz and /readyz\n";
            return plain(StatusCode::NOT_FOUND, text.to_owned());
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let text = "method not allowed: use GET or HEAD\n";
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text.to_owned());
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        match path {
            "/healthz" => probe(self.health.live(Instant::now())),
            "/readyz" => probe(self.health.ready()),
            _ => {
                let accepts = request.headers().get_all(http::header::ACCEPT);
                let accepts: Vec<&str> = accepts.iter().filter_map(|v| v.to_str().ok()).collect();
                if let Some((lease, leadership)) = self.election.get() {
                    self.metrics.set_leader(lease, leadership.is_leading());
                }
                let format = Format::from_accept(&accepts.join(","));
                let of_metrics = HeaderValue::from_static(format.content_type());
                let text = self.metrics.render(&self.snapshot(), format);
                respond(StatusCode::OK, of_metrics, text)
            }
        }
    }
}

fn respond(status: StatusCode, content_type: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Status and reason of the condition Ready; `Unknown` and `Pending` without one. Undecodable resources count as
/// `Ready=False`, reason `InvalidSpec`.
fn readiness(coins: &Guarded) -> (String, String) {
    let of = |coins: &DockerCoins| {
        let status = coins.status.as_ref()?;
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")?;
        Some((ready.status.clone(), ready.reason.clone()))
    };
    match &coins.0 {
        Ok(coins) => of(coins).unwrap_or_else(|| ("Unknown".into(), "Pending".into())),
        Err(_) => ("False".into(), "InvalidSpec".into()),
    }
}

/// Serves `listener` until `stop`.
pub async fn serve(
    telemetry: Arc<Telemetry>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let answer = move |request| {
        let telemetry = Arc::clone(&telemetry);
        async move { telemetry.answer(&request) }
    };
    http_server::serve("metrics server", listener, LIMITS, answer, stop).await;
}

#[cfg(test)]
mod tests;
