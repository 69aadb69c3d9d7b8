//! What the operator tells of itself over HTTP: `/metrics`, `/healthz` and `/readyz`.
//!
//! Whoever reaches the address may read it: there is nothing secret in it, neither names of resources nor what the
//! API server says. A probe that fails says why in a line.

mod process;

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
use crate::telemetry::listener::{self, Bounds};
use crate::telemetry::metrics::{Format, Metrics, Now};

/// A scrape and two probes at a time are usual; strangers that hold connections must not keep the kubelet out.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    head: Duration::from_secs(5),
    lifetime: Duration::from_secs(30),
    grace: Duration::from_secs(2),
};

/// What is known of the operator itself.
pub struct Monitor {
    /// Whether it is alive, and ready.
    pub health: Health,
    /// What it has counted.
    pub metrics: Arc<Metrics>,
    /// The resources there are.
    resources: Mutex<Vec<Store<Guarded>>>,
    /// Whether this replica leads, and by which lease, where there are several.
    election: OnceLock<(String, Leadership)>,
    /// When this was made, which is about when the process began.
    since: SystemTime,
}

impl Monitor {
    /// Nothing has happened yet, and up to so many reconciles may go on at once.
    pub fn new(concurrency: u16) -> Monitor {
        Monitor {
            health: Health::new(concurrency),
            metrics: Arc::default(),
            resources: Mutex::default(),
            election: OnceLock::new(),
            since: SystemTime::now(),
        }
    }

    /// Has these resources counted, too.
    pub fn counts(&self, resources: Store<Guarded>) {
        let mut all = self
            .resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(resources);
    }

    /// Has it told whether this replica leads, by the lease of that name. Only the first counts.
    pub fn follows(&self, lease: &str, leadership: Leadership) {
        let _ = self.election.set((lease.to_owned(), leadership));
    }

    /// How it stands.
    fn now(&self) -> Now {
        let turns = &self.health.turns;
        let resources = self
            .resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all = resources.iter().flat_map(Store::state);
        Now {
            turns: turns.count(),
            active: turns.active(),
            waiting: turns.waiting(),
            synced: self.health.synced(),
            ready: all.map(|coins| readiness(&coins)).collect(),
            process: process::look(self.since),
        }
    }

    /// What a request is answered.
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
            let text = "not found: there are /metrics, /healthz and /readyz\n";
            return plain(StatusCode::NOT_FOUND, text.to_owned());
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let text = "method not allowed: there is only GET and HEAD\n";
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
                    self.metrics.leads(lease, leadership.is_leading());
                }
                let format = Format::wanted(&accepts.join(","));
                let of_metrics = HeaderValue::from_static(format.content_type());
                let text = self.metrics.render(&self.now(), format);
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

/// The status and the reason of a resource's condition `Ready`, as last seen; `Unknown` and `Pending` before it was
/// told one. One that can't be read is told so where its status can't be read either.
fn readiness(coins: &Guarded) -> (String, String) {
    let of = |coins: &DockerCoins| {
        let status = coins.status.as_ref()?;
        let ready = status
            .conditions
            .iter()
            .find(|told| told.type_ == "Ready")?;
        Some((ready.status.clone(), ready.reason.clone()))
    };
    match &coins.0 {
        Ok(coins) => of(coins).unwrap_or_else(|| ("Unknown".into(), "Pending".into())),
        Err(_) => ("False".into(), "InvalidSpec".into()),
    }
}

/// Answers at `listener` until `stop`.
pub async fn serve(monitor: Arc<Monitor>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let answer = move |request| {
        let monitor = Arc::clone(&monitor);
        async move { monitor.answer(&request) }
    };
    listener::serve("metrics server", listener, BOUNDS, answer, stop).await;
}

#[cfg(test)]
mod tests;
