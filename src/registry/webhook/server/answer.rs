//! What senders are told, in plain words and with nothing that could help a stranger.

use std::time::Duration;

use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::json;

use crate::registry::webhook::payload::Unreadable;
use crate::registry::webhook::proof::Refused;

/// How many seconds a sender is asked to wait when the queue is full: it empties at the pace of reconciles.
const BUSY_SECONDS: u64 = 5;

/// An answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// The pushes are in the queue.
    Taken,
    /// There was no push in it, or none in a shape that is known: nothing that the sender should try again.
    Nothing,
    /// Event Grid may send ([`Notice::Validation`](crate::registry::webhook::payload::Notice::Validation)).
    Validated { code: String },
    /// A CloudEvents sender may send, one notification in this time ([abuse protection][]).
    ///
    /// [abuse protection]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
    Allowed {
        origin: HeaderValue,
        refill: Duration,
    },
    /// The path leads nowhere.
    NotFound,
    /// The method is not one that notifications have.
    WrongMethod,
    /// The secret is missing.
    Missing,
    /// It is another.
    Wrong,
    /// There are too many requests.
    TooMany { wait: Duration },
    /// The body can't be read: too long, or not JSON.
    Unreadable(Unreadable),
    /// The body did not come in time.
    TooSlow,
    /// The body broke off.
    Broken,
    /// The queue is full.
    Busy,
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Answer {
        match refused {
            Refused::Missing => Answer::Missing,
            Refused::Wrong => Answer::Wrong,
        }
    }
}

impl From<Unreadable> for Answer {
    fn from(unreadable: Unreadable) -> Answer {
        Answer::Unreadable(unreadable)
    }
}

impl Answer {
    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Answer::Taken => StatusCode::NO_CONTENT,
            Answer::Nothing | Answer::Validated { .. } | Answer::Allowed { .. } => StatusCode::OK,
            Answer::NotFound => StatusCode::NOT_FOUND,
            Answer::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Answer::Missing => StatusCode::UNAUTHORIZED,
            Answer::Wrong => StatusCode::FORBIDDEN,
            Answer::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Answer::Unreadable(Unreadable::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Answer::Unreadable(Unreadable::NotJson) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Answer::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Answer::Broken => StatusCode::BAD_REQUEST,
            Answer::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its name in metrics.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Answer::Taken => "taken",
            Answer::Nothing => "no_push",
            Answer::Validated { .. } | Answer::Allowed { .. } => "handshake",
            Answer::Missing | Answer::Wrong => "refused",
            Answer::TooMany { .. } => "too_many",
            Answer::Busy => "queue_full",
            Answer::NotFound
            | Answer::WrongMethod
            | Answer::Unreadable(_)
            | Answer::TooSlow
            | Answer::Broken => "unreadable",
        }
    }

    /// The answer as it is sent.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        match self {
            // It has no body to be of a type.
            Answer::Taken => {}
            Answer::Validated { .. } => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            _ => {
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                headers.insert(CONTENT_TYPE, plain);
            }
        }
        // Whoever was refused is not read any further.
        if self.status().is_client_error() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match self {
            Answer::Allowed { origin, refill } => {
                headers.insert(HeaderName::from_static("webhook-allowed-origin"), origin);
                headers.insert(
                    HeaderName::from_static("webhook-allowed-rate"),
                    HeaderValue::from(per_minute(refill)),
                );
                headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            }
            Answer::WrongMethod => {
                headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            }
            // RFC 9110, 15.5.2: it says how to show something.
            Answer::Missing => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Answer::TooMany { wait } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            }
            Answer::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from(BUSY_SECONDS));
            }
            _ => {}
        }
        response
    }

    fn body(&self) -> String {
        let line = match self {
            Answer::Taken => return String::new(),
            Answer::Validated { code } => return json!({ "validationResponse": code }).to_string(),
            Answer::Allowed { .. } => "notifications are welcome",
            Answer::Nothing => "no push was found in it, so there is nothing to do",
            Answer::NotFound => "not found: notifications go to /hooks",
            Answer::WrongMethod => "method not allowed: notifications are sent by POST",
            Answer::Missing => "the secret is missing",
            Answer::Wrong => "the secret or the signature is wrong",
            Answer::TooMany { .. } => "too many requests: try again later",
            Answer::Unreadable(unreadable) => return format!("{unreadable}\n"),
            Answer::TooSlow => "the notification did not arrive in time",
            Answer::Broken => "the notification broke off",
            Answer::Busy => "busy: try again later",
        };
        format!("{line}\n")
    }
}

/// Seconds, rounded up and never none: a sender that came too early would only come again.
fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + started).max(1)
}

/// How many notifications a minute that is; at least the one that is always allowed.
fn per_minute(refill: Duration) -> u64 {
    let minute = Duration::from_secs(60).as_nanos();
    let count = minute.checked_div(refill.as_nanos()).unwrap_or(minute);
    u64::try_from(count).unwrap_or(u64::MAX).max(1)
}
