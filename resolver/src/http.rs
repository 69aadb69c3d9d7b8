//! Bounded HTTP requests.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{AlertDescription, CertificateError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::{Instrument as _, field, info_span};

use crate::connect::{ConnectError, Connector};
use crate::endpoint::{Endpoint, Scheme};
use crate::error::{ConnectFailure, Failure};
use crate::proxy::Proxies;
use crate::server_message::bounded_error;

/// The most bytes that are read of an error's body.
const ERROR_BODY_MAX: usize = 64 << 10;

/// The most bytes of a response's headers.
const HEADERS_MAX: usize = 64 << 10;

/// The memory budget of all response bodies together, in units. A response waits for it within its
/// deadline.
static BODY_BUDGET: Semaphore = Semaphore::const_new((64 << 20) / BUDGET_UNIT);

/// The size of a unit, in bytes.
const BUDGET_UNIT: usize = 64 << 10;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A request.
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: Method,
    /// The server of `uri`, for messages.
    pub(crate) server: &'a Endpoint,
    pub(crate) uri: Uri,
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// The headers that `hosts.toml` sets for the server.
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    /// The body: encoded form fields.
    pub(crate) form: Option<String>,
    /// The largest accepted body of a successful response, in bytes.
    pub(crate) body_max: usize,
    /// The kind of content, for traces.
    pub(crate) purpose: &'static str,
    /// The number of the attempt, from 1, for traces.
    pub(crate) attempt: usize,
}

/// A response.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// All of it where the request is_success, at most the start of it where not.
    pub(crate) body: Bytes,
    /// When it arrived.
    pub(crate) at: SystemTime,
    /// The body's share of the budget.
    _permits: Option<SemaphorePermit<'static>>,
}

/// The deadline of all requests of one resolution.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    length: Duration,
    end: Instant,
}

impl Deadline {
    pub(crate) fn after(length: Duration) -> Deadline {
        Deadline {
            length,
            end: Instant::now() + length,
        }
    }

    /// Half of the remaining time, so that the next host has some left.
    pub(crate) fn half(self) -> Deadline {
        Deadline::after(self.end.saturating_duration_since(Instant::now()) / 2)
    }
}

/// An HTTP client. Connections are pooled; they carry no credentials.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    proxies: Arc<Proxies>,
    user_agent: HeaderValue,
}

impl HttpClient {
    pub(crate) fn new(
        tls: rustls::ClientConfig,
        connector: Connector,
        proxies: Arc<Proxies>,
        user_agent: HeaderValue,
    ) -> HttpClient {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(4)
            .http1_max_buf_size(HEADERS_MAX)
            .build(connector);
        HttpClient {
            client,
            proxies,
            user_agent,
        }
    }

    /// Sends a request and reads the whole response. Redirects are not followed.
    pub(crate) async fn send(
        &self,
        request: HttpRequest<'_>,
        deadline: Deadline,
    ) -> Result<HttpResponse, Failure> {
        let server = request.server;
        // Paths and queries may hold secrets.
        let span = info_span!(
            "exchange",
            otel.kind = "client",
            otel.status_code = field::Empty,
            error.type = field::Empty,
            server.address = server.host(),
            server.port = i64::from(server.port()),
            http.request.method = request.method.as_str(),
            http.response.status_code = field::Empty,
            asked_for = request.purpose,
            attempt = request.attempt as i64,
        );
        let response = tokio::time::timeout_at(deadline.end, self.send_without_deadline(request))
            .instrument(span.clone())
            .await
            .unwrap_or_else(|_| {
                Err(Failure::Timeout {
                    by: server.to_string(),
                    deadline: deadline.length,
                })
            });
        match &response {
            Ok(response) => {
                let status = i64::from(response.status.as_u16());
                span.record("http.response.status_code", status);
            }
            Err(failure) => {
                span.record("error.type", failure.reason());
                span.record("otel.status_code", "ERROR");
            }
        }
        response
    }

    async fn send_without_deadline(
        &self,
        request: HttpRequest<'_>,
    ) -> Result<HttpResponse, Failure> {
        let HttpRequest {
            method,
            server,
            uri,
            accept,
            authorization,
            headers: server_headers,
            form,
            body_max,
            purpose: _,
            attempt: _,
        } = request;
        let proxy = self.proxies.proxy_for(&uri);
        let to_proxy = proxy
            .filter(|_| server.scheme() == Scheme::Http)
            .and_then(|proxy| proxy.authorization().cloned());
        let is_form = form.is_some();
        let mut request = Request::new(Full::from(form.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in server_headers {
            headers.append(name, value.clone());
        }
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
        if is_form {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
        }
        if let Some(authorization) = to_proxy {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        // A challenge's authorization takes precedence over a configured header.
        if let Some(mut authorization) = authorization {
            authorization.set_sensitive(true);
            headers.insert(AUTHORIZATION, authorization);
        }
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| failure(server, &error))?;
        let status = response.status();
        let (headers, body, permits) = read(server, response, body_max).await?;
        Ok(HttpResponse {
            status,
            headers,
            body,
            at: SystemTime::now(),
            _permits: permits,
        })
    }
}

async fn read(
    server: &Endpoint,
    response: Response<Incoming>,
    body_max: usize,
) -> Result<(HeaderMap, Bytes, Option<SemaphorePermit<'static>>), Failure> {
    let (parts, mut body) = response.into_parts();
    let is_success = parts.status.is_success();
    let most = if is_success { body_max } else { ERROR_BODY_MAX };
    let mut bytes = Vec::new();
    let mut permits: Option<SemaphorePermit<'static>> = None;
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            // The status is known; a truncated explanation is acceptable.
            Err(_) if !is_success => break,
            Err(error) => return Err(failure(server, &error)),
        };
        let left = most - bytes.len();
        let data_len = data.len().min(left);
        let held = permits.as_ref().map_or(0, SemaphorePermit::num_permits) * BUDGET_UNIT;
        if let Some(missing) = (bytes.len() + data_len)
            .checked_sub(held)
            .filter(|m| *m > 0)
        {
            let units = u32::try_from(missing.div_ceil(BUDGET_UNIT)).expect("bodies are bounded");
            let more = BODY_BUDGET.acquire_many(units).await.expect("never closed");
            match &mut permits {
                Some(permits) => permits.merge(more),
                None => permits = Some(more),
            }
        }
        bytes.extend_from_slice(&data[..data_len]);
        if data.len() > left {
            if is_success {
                let detail = format!("it is longer than {most} bytes");
                return Err(Failure::InvalidAnswer {
                    by: server.to_string(),
                    detail,
                });
            }
            break;
        }
    }
    Ok((parts.headers, bytes.into(), permits))
}

/// Converts an error of the HTTP client.
fn failure(server: &Endpoint, error: &(dyn Error + 'static)) -> Failure {
    let host = server.host_port();
    if let Some(error) = find::<ConnectError>(error) {
        return match error {
            ConnectError::NameNotResolved(error) => Failure::NameNotResolved {
                host: server.host().to_owned(),
                detail: error.to_string(),
            },
            ConnectError::Forbidden(address, forbidden) => Failure::AddressNotAllowed {
                host,
                address: address.ip(),
                forbidden: *forbidden,
            },
            ConnectError::Unreachable(address, error) => connection_failed(
                host,
                ConnectFailure::Unreachable {
                    address: *address,
                    detail: error.to_string(),
                },
            ),
            ConnectError::DialTimeout(timeout) => {
                connection_failed(host, ConnectFailure::DialTimeout(*timeout))
            }
            ConnectError::Proxy { proxy, detail } => connection_failed(
                host,
                ConnectFailure::Proxy {
                    proxy: proxy.clone(),
                    detail: detail.clone(),
                },
            ),
        };
    }
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(error)) => {
            return Failure::CertificateNotTrusted {
                host,
                detail: certificate_hint(error),
            };
        }
        Some(error) => return connection_failed(host, tls_failure(server, error)),
        None => {}
    }
    if let Some(error) = find::<hyper::Error>(error)
        && error.is_parse()
    {
        let detail = format!("it is not valid HTTP, or its headers are too large ({error})");
        return Failure::InvalidAnswer {
            by: server.to_string(),
            detail,
        };
    }
    connection_failed(
        host,
        ConnectFailure::Broken(bounded_error(innermost(error))),
    )
}

fn connection_failed(host: String, cause: ConnectFailure) -> Failure {
    Failure::ConnectionFailed { host, cause }
}

/// The cause of a failed TLS handshake. A missing client certificate has an alert of its own since
/// TLS 1.3, but some servers send `BadCertificate` there too.
fn tls_failure(server: &Endpoint, error: &rustls::Error) -> ConnectFailure {
    match error {
        rustls::Error::InvalidMessage(_) => ConnectFailure::NotTls {
            authority: server.authority(),
        },
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA),
        ) => ConnectFailure::ClientCertificateRequired {
            alert: format!("{alert:?}"),
        },
        error => ConnectFailure::Tls(bounded_error(error)),
    }
}

fn certificate_hint(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "no trusted certificate authority signed it: add the private one to the trusted authorities".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: renew it on the registry".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is for another name ({}): use a host name that the certificate lists", bounded_error(error))
        }
        CertificateError::Other(other)
            if matches!(
                other.0.downcast_ref(),
                Some(webpki::Error::CaUsedAsEndEntity)
            ) =>
        {
            "it is a CA certificate (CA:TRUE): configure the registry with a server certificate signed by that CA".to_owned()
        }
        _ => bounded_error(error),
    }
}

/// Finds an error of a type among an error and its sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// An error and its sources. `io::Error::source` skips the error that it wraps.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
