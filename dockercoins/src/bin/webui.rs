//! webui shows what is in the books: as JSON, and as a page that draws the hash rate.
//!
//! With `--flaw=green` the graph is green: the course's second version, by whose page a class sees which one answers.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dockercoins::{
    ledger::{Ledger, Totals},
    program::{self, Chain},
    server::{Whole, not_found, reads, serve, text, wrong_method},
};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION},
};
use serde_json::json;

/// How long the books may take. The page asks every second.
const LEDGER_WITHIN: Duration = Duration::from_millis(900);

fn main() -> ExitCode {
    program::run(async |stop| {
        let page = whole_page(program::has_flaw("green")?);
        let ledger = Arc::new(Ledger::from_setting(LEDGER_WITHIN)?);
        serve(stop, move |request| {
            answer(request, page.clone(), Arc::clone(&ledger))
        })
        .await
    })
}

/// The page with its style and script inside, so that one answer brings all of it: during a rolling update, the
/// next answer may come from another version.
fn whole_page(is_green: bool) -> Bytes {
    let mut style = include_str!("../page/style.css").to_owned();
    if is_green {
        style.push_str(include_str!("../page/green.css"));
    }
    include_str!("../page/index.html")
        .replace("/* style.css */", &style)
        .replace("/* graph.js */", include_str!("../page/graph.js"))
        .replace("/* page.js */", include_str!("../page/page.js"))
        .into()
}

async fn answer(request: Request<Incoming>, page: Bytes, ledger: Arc<Ledger>) -> Response<Whole> {
    match request.uri().path() {
        "/" | "/index.html" | "/json" if !reads(&request) => wrong_method("GET, HEAD"),
        "/" => to_page(),
        "/index.html" => show(page),
        "/json" => books(&ledger).await,
        _ => not_found(),
    }
}

fn to_page() -> Response<Whole> {
    let mut response = text(StatusCode::FOUND, "see /index.html\n");
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static("/index.html"));
    response
}

fn show(page: Bytes) -> Response<Whole> {
    let mut response = Response::new(Full::new(page));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    // After an update, the page that a browser has is the old one.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; connect-src 'self'; img-src data:; \
             script-src 'unsafe-inline'; style-src 'unsafe-inline'",
        ),
    );
    response
}

/// What is in the books and when they were read, or 503 and the reason.
async fn books(ledger: &Ledger) -> Response<Whole> {
    let (status, body) = match ledger.totals().await {
        Ok(Totals { coins, hashes }) => (
            StatusCode::OK,
            json!({"coins": coins, "hashes": hashes, "now": now()}),
        ),
        Err(error) => {
            let reason = Chain(&error).to_string();
            tracing::warn!("{reason}");
            (StatusCode::SERVICE_UNAVAILABLE, json!({"error": reason}))
        }
    };
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Seconds since 1970, to the millisecond.
fn now() -> f64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_millis() as f64 / 1000.0
}
