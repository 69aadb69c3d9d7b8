//! The webhook's replies, which reveal nothing to an unauthenticated client.

use std::time::Duration;

use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::json;

use crate::registry::webhook::auth::AuthError;
use crate::registry::webhook::payload::PayloadError;

/// `Retry-After` for a full queue, in seconds.
const BUSY_SECONDS: u64 = 5;

/// The reply to a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// The pushes are queued.
    Accepted,
    /// No push in a known format: the sender need not retry.
    NoPush,
    /// Event Grid may send ([`Notification::Validation`](crate::registry::webhook::payload::Notification::Validation)).
    Validated { code: String },
    /// A CloudEvents sender may send, one notification in this time ([abuse protection][]).
    ///
    /// [abuse protection]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
    Allowed {
        origin: HeaderValue,
        refill: Duration,
    },
    /// The path is not the webhook's.
    NotFound,
    /// The method is not `POST`.
    WrongMethod,
    /// The secret is missing.
    Missing,
    /// The secret or the signature is wrong.
    Wrong,
    /// Rate-limited.
    TooMany { wait: Duration },
    /// The body is too long, or not JSON.
    InvalidPayload(PayloadError),
    /// The body timed out.
    TooSlow,
    /// The connection ended within the body.
    Broken,
    /// The queue is full.
    Busy,
}

impl From<AuthError> for Reply {
    fn from(refused: AuthError) -> Reply {
        match refused {
            AuthError::Missing => Reply::Missing,
            AuthError::Wrong => Reply::Wrong,
        }
    }
}

impl From<PayloadError> for Reply {
    fn from(unreadable: PayloadError) -> Reply {
        Reply::InvalidPayload(unreadable)
    }
}

impl Reply {
    /// The HTTP status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Reply::Accepted => StatusCode::NO_CONTENT,
            Reply::NoPush | Reply::Validated { .. } | Reply::Allowed { .. } => StatusCode::OK,
            Reply::NotFound => StatusCode::NOT_FOUND,
            Reply::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Reply::Missing => StatusCode::UNAUTHORIZED,
            Reply::Wrong => StatusCode::FORBIDDEN,
            Reply::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Reply::InvalidPayload(PayloadError::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Reply::InvalidPayload(PayloadError::NotJson) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reply::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Reply::Broken => StatusCode::BAD_REQUEST,
            Reply::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The label `result` in metrics.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Reply::Accepted => "taken",
            Reply::NoPush => "no_push",
            Reply::Validated { .. } | Reply::Allowed { .. } => "handshake",
            Reply::Missing | Reply::Wrong => "refused",
            Reply::TooMany { .. } => "too_many",
            Reply::Busy => "queue_full",
            Reply::NotFound
            | Reply::WrongMethod
            | Reply::InvalidPayload(_)
            | Reply::TooSlow
            | Reply::Broken => "unreadable",
        }
    }

    /// The HTTP response.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        match self {
            Reply::Accepted => {}
            Reply::Validated { .. } => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            _ => {
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                headers.insert(CONTENT_TYPE, plain);
            }
        }
        // The rest of a rejected request is not read.
        if self.status().is_client_error() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match self {
            Reply::Allowed { origin, refill } => {
                headers.insert(HeaderName::from_static("webhook-allowed-origin"), origin);
                headers.insert(
                    HeaderName::from_static("webhook-allowed-rate"),
                    HeaderValue::from(per_minute(refill)),
                );
                headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            }
            Reply::WrongMethod => {
                headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            }
            // Required by RFC 9110, 15.5.2.
            Reply::Missing => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Reply::TooMany { wait } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            }
            Reply::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from(BUSY_SECONDS));
            }
            _ => {}
        }
        response
    }

    fn body(&self) -> String {
        let line = match self {
            Reply::Accepted => return String::new(),
            Reply::Validated { code } => return json!({ "validationResponse": code }).to_string(),
            Reply::Allowed { .. } => "notifications are welcome",
            Reply::NoPush => "no push was found in it, so there is nothing to do",
            Reply::NotFound => "not found: notifications go to /hooks",
            Reply::WrongMethod => "method not allowed: notifications are sent by POST",
            Reply::Missing => "the secret is missing",
            Reply::Wrong => "the secret or the signature is wrong",
            Reply::TooMany { .. } => "too many requests: try again later",
            Reply::InvalidPayload(unreadable) => return format!("{unreadable}\n"),
            Reply::TooSlow => "the notification did not arrive in time",
            Reply::Broken => "the notification broke off",
            Reply::Busy => "busy: try again later",
        };
        format!("{line}\n")
    }
}

/// Seconds, rounded up, at least 1.
fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + started).max(1)
}

/// Requests per minute, at least 1.
fn per_minute(refill: Duration) -> u64 {
    let minute = Duration::from_secs(60).as_nanos();
    let count = minute.checked_div(refill.as_nanos()).unwrap_or(minute);
    u64::try_from(count).unwrap_or(u64::MAX).max(1)
}
