//! One request and its answer over HTTP, within bounds.

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
use crate::said::in_short;

/// The most that is read of an answer that tells of an error.
const ERROR_BODY_MAX: usize = 64 << 10;

/// The most bytes of an answer's headers.
const HEADERS_MAX: usize = 64 << 10;

/// The room that all bodies have together, in pieces: however many registries are asked at once, and whatever they
/// send, there is an end to it. Who finds none waits for it, within the deadline.
static ROOM: Semaphore = Semaphore::const_new((64 << 20) / PIECE);

/// A piece of that room, in bytes.
const PIECE: usize = 64 << 10;

/// How long a connection that serves nobody is kept.
const IDLE: Duration = Duration::from_secs(30);

/// What is asked of a server.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// The server, for messages; `uri` is on it.
    pub(crate) server: &'a Endpoint,
    pub(crate) uri: Uri,
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// What an administrator has written for the server.
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    /// What is sent along: fields of a form, encoded.
    pub(crate) form: Option<String>,
    /// The most bytes that a successful answer may have.
    pub(crate) body_max: usize,
    /// What is asked for, in a word, for traces.
    pub(crate) asked_for: &'static str,
    /// With the how manyth login for the server, from 1, for traces.
    pub(crate) attempt: usize,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// All of it where the request succeeded, at most the start of it where not.
    pub(crate) body: Bytes,
    /// When it came.
    pub(crate) at: SystemTime,
    /// The room that the body takes of what all have together.
    _room: Option<SemaphorePermit<'static>>,
}

/// When all exchanges for one image must be over.
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

    /// Half of what is left, for one of several that are asked in turn: one that does not answer
    /// must leave the next its time.
    pub(crate) fn half(self) -> Deadline {
        Deadline::after(self.end.saturating_duration_since(Instant::now()) / 2)
    }
}

/// Speaks HTTP. Connections are kept and shared; they carry no login of their own.
#[derive(Clone)]
pub(crate) struct Exchange {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    proxies: Arc<Proxies>,
    user_agent: HeaderValue,
}

impl Exchange {
    pub(crate) fn new(
        tls: rustls::ClientConfig,
        connector: Connector,
        proxies: Arc<Proxies>,
        user_agent: HeaderValue,
    ) -> Exchange {
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
        Exchange {
            client,
            proxies,
            user_agent,
        }
    }

    /// Asks, and reads the answer whole. Redirects are not followed: they are answers.
    pub(crate) async fn ask(&self, ask: Ask<'_>, deadline: Deadline) -> Result<Answer, Failure> {
        let server = ask.server;
        // Nothing of the address but its host: there may be what is nobody's business in the rest.
        let span = info_span!(
            "exchange",
            otel.kind = "client",
            otel.status_code = field::Empty,
            error.type = field::Empty,
            server.address = server.host(),
            server.port = i64::from(server.port()),
            http.request.method = ask.method.as_str(),
            http.response.status_code = field::Empty,
            asked_for = ask.asked_for,
            attempt = ask.attempt as i64,
        );
        let answer = tokio::time::timeout_at(deadline.end, self.ask_without_deadline(ask))
            .instrument(span.clone())
            .await
            .unwrap_or_else(|_| {
                Err(Failure::Timeout {
                    by: server.to_string(),
                    deadline: deadline.length,
                })
            });
        match &answer {
            Ok(answer) => {
                let status = i64::from(answer.status.as_u16());
                span.record("http.response.status_code", status);
            }
            Err(failure) => {
                span.record("error.type", failure.reason());
                span.record("otel.status_code", "ERROR");
            }
        }
        answer
    }

    async fn ask_without_deadline(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let Ask {
            method,
            server,
            uri,
            accept,
            authorization,
            headers: of_server,
            form,
            body_max,
            asked_for: _,
            attempt: _,
        } = ask;
        let proxy = self.proxies.of(&uri);
        let to_proxy = proxy
            .filter(|_| server.scheme() == Scheme::Http)
            .and_then(|proxy| proxy.authorization().cloned());
        let is_form = form.is_some();
        let mut request = Request::new(Full::from(form.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in of_server {
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
        // A login that was asked for counts more than one that is always sent.
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
        let (headers, body, room) = read(server, response, body_max).await?;
        Ok(Answer {
            status,
            headers,
            body,
            at: SystemTime::now(),
            _room: room,
        })
    }
}

async fn read(
    server: &Endpoint,
    response: Response<Incoming>,
    body_max: usize,
) -> Result<(HeaderMap, Bytes, Option<SemaphorePermit<'static>>), Failure> {
    let (parts, mut body) = response.into_parts();
    let succeeded = parts.status.is_success();
    let most = if succeeded { body_max } else { ERROR_BODY_MAX };
    let mut bytes = Vec::new();
    let mut room: Option<SemaphorePermit<'static>> = None;
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            // The status has been told: that its explanation broke off takes nothing from it.
            Err(_) if !succeeded => break,
            Err(error) => return Err(failure(server, &error)),
        };
        let left = most - bytes.len();
        let data_len = data.len().min(left);
        let has = room.as_ref().map_or(0, SemaphorePermit::num_permits) * PIECE;
        if let Some(missing) = (bytes.len() + data_len).checked_sub(has).filter(|m| *m > 0) {
            let pieces = u32::try_from(missing.div_ceil(PIECE)).expect("bodies are bounded");
            let more = ROOM.acquire_many(pieces).await.expect("never closed");
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        bytes.extend_from_slice(&data[..data_len]);
        if data.len() > left {
            if succeeded {
                let detail = format!("it is longer than {most} bytes");
                return Err(Failure::InvalidAnswer {
                    by: server.to_string(),
                    detail,
                });
            }
            break;
        }
    }
    Ok((parts.headers, bytes.into(), room))
}

/// Tells what went wrong below HTTP, or while reading it.
fn failure(server: &Endpoint, error: &(dyn Error + 'static)) -> Failure {
    let host = server.dialled();
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
            ConnectError::TooSlow(timeout) => {
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
                detail: explain(error),
            };
        }
        Some(error) => return connection_failed(host, tls_failure(server, error)),
        None => {}
    }
    if let Some(error) = find::<hyper::Error>(error)
        && error.is_parse()
    {
        let detail = format!("it is no HTTP within bounds ({error})");
        return Failure::InvalidAnswer {
            by: server.to_string(),
            detail,
        };
    }
    connection_failed(host, ConnectFailure::Broken(in_short(innermost(error))))
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
        error => ConnectFailure::Tls(in_short(error)),
    }
}

fn explain(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "it is signed by none of the certificate authorities known here; a private one has to be added to them".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; it has to be renewed on the registry".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is for another name ({}); ask by a name that stands in it", in_short(error))
        }
        CertificateError::Other(other)
            if matches!(
                other.0.downcast_ref(),
                Some(webpki::Error::CaUsedAsEndEntity)
            ) =>
        {
            "it is an authority's own certificate (CA:TRUE), which no server may use; give the registry one that the authority signed".to_owned()
        }
        _ => in_short(error),
    }
}

/// Looks for an error of a kind among an error and its sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// An error and its sources. What an `io::Error` wraps is not its source, but belongs here.
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
