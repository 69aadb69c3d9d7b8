//! Interprets responses of registries and token servers.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use crate::endpoint::{Endpoint, Scheme};
use crate::error::Failure;
use crate::http::HttpResponse;
use crate::names::Digest;
use crate::server_message::server_message;

/// The accepted media types, in the order of `Accept`. Indexes come first: the digest of one
/// platform's manifest would break mixed clusters.
const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The `Accept` header of a request for a manifest.
pub(crate) const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The longest accepted `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Below this many remaining pulls, the rest is for those who run the images.
const LOW: u64 = 10;

/// The description of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) remaining: Option<RateLimit>,
}

/// The rate limit that a registry reports, as Docker Hub does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The remaining pulls.
    pub remaining: u64,
    /// The pulls per window.
    pub limit: Option<u64>,
    /// The window.
    pub window: Option<Duration>,
}

impl RateLimit {
    /// Whether fewer than ten pulls remain, so that optional requests should be omitted.
    pub fn is_low(&self) -> bool {
        self.remaining < LOW
    }

    /// Reads `RateLimit-Remaining` and `RateLimit-Limit`, such as `76;w=21600`. `None` without the
    /// former.
    fn read(headers: &HeaderMap) -> Option<RateLimit> {
        let (remaining, window) = quota(headers, "ratelimit-remaining")?;
        let (limit, limit_window) = match quota(headers, "ratelimit-limit") {
            Some((limit, window)) => (Some(limit), window),
            None => (None, None),
        };
        Some(RateLimit {
            remaining,
            limit,
            window: window.or(limit_window),
        })
    }
}

/// Reads a number and its window in seconds, `w`.
fn quota(headers: &HeaderMap, name: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = headers.get(name)?.to_str().ok()?.split(';');
    let number = parts.next()?.trim().parse().ok()?;
    let seconds = parts.find_map(|part| part.trim().strip_prefix("w=")?.trim().parse().ok());
    Some((number, seconds.map(Duration::from_secs)))
}

/// Reads the manifest's description from a successful `HEAD`; `None` if headers are missing.
pub(crate) fn from_head(
    server: &Endpoint,
    response: &HttpResponse,
    secrets: &[String],
) -> Result<Option<Manifest>, Failure> {
    let media_type = media_type(server, &response.headers, secrets)?;
    let digest = digest(server, &response.headers)?;
    Ok(match (digest, media_type) {
        (Some(digest), Some(media_type)) => Some(Manifest {
            digest,
            media_type,
            remaining: RateLimit::read(&response.headers),
        }),
        _ => None,
    })
}

/// Reads a manifest from a successful `GET`. The body must match the registry's digest, and the
/// requested one.
pub(crate) fn from_get(
    server: &Endpoint,
    response: &HttpResponse,
    asked: Option<&Digest>,
    secrets: &[String],
) -> Result<Manifest, Failure> {
    let media_type = media_type(server, &response.headers, secrets)?
        .ok_or_else(|| invalid(server, "it has no Content-Type"))?;
    if serde_json::from_slice::<serde::de::IgnoredAny>(&response.body).is_err() {
        return Err(invalid(server, "the manifest is not JSON"));
    }
    let header_digest = digest(server, &response.headers)?;
    let digest = header_digest
        .or_else(|| asked.cloned())
        .unwrap_or_else(|| Digest::of(&response.body));
    if digest.verify(&response.body) {
        return Ok(Manifest {
            digest,
            media_type,
            remaining: RateLimit::read(&response.headers),
        });
    }
    Err(invalid(
        server,
        &format!("the manifest does not hash to its digest {digest}"),
    ))
}

/// Rejects a digest other than the requested one.
pub(crate) fn check_digest(
    server: &Endpoint,
    asked: Option<&Digest>,
    manifest: Manifest,
) -> Result<Manifest, Failure> {
    match asked {
        Some(asked) if *asked != manifest.digest => {
            let detail = format!(
                "{asked} was requested, and {} was returned",
                manifest.digest
            );
            Err(invalid(server, &detail))
        }
        _ => Ok(manifest),
    }
}

fn media_type(
    server: &Endpoint,
    headers: &HeaderMap,
    secrets: &[String],
) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let media_type = essence(&text);
    if MANIFEST_TYPES.contains(&media_type.as_str()) {
        return Ok(Some(media_type));
    }
    // Secrets are hidden before anything is cut off or lowercased.
    let shown = essence(&server_message(&text.into_owned().into(), secrets));
    let hint = match media_type.starts_with("application/vnd.docker.distribution.manifest.v1") {
        true => "; that manifest format is no longer supported: build and push the image again",
        false => "; is the server a registry?",
    };
    Err(invalid(
        server,
        &format!("its media type `{shown}` is not an image's{hint}"),
    ))
}

/// The media type without parameters, in lower case.
fn essence(text: &str) -> String {
    let before = text.split(';').next().unwrap_or_default();
    before.trim().to_ascii_lowercase()
}

/// Reads `Docker-Content-Digest`; several must be equal.
fn digest(server: &Endpoint, headers: &HeaderMap) -> Result<Option<Digest>, Failure> {
    let mut found: Option<Digest> = None;
    for value in headers.get_all("docker-content-digest") {
        let text = String::from_utf8_lossy(value.as_bytes());
        let digest = Digest::parse(&text)
            .map_err(|_| invalid(server, "its Docker-Content-Digest is not a digest"))?;
        if found.as_ref().is_some_and(|found| *found != digest) {
            return Err(invalid(
                server,
                "it has two different Docker-Content-Digest headers",
            ));
        }
        found = Some(digest);
    }
    Ok(found)
}

fn invalid(server: &Endpoint, detail: &str) -> Failure {
    Failure::InvalidAnswer {
        by: server.to_string(),
        detail: detail.to_owned(),
    }
}

/// Converts an error status of a registry. `sent_password` tells a rejected password from a token.
pub(crate) fn registry_error(
    server: &Endpoint,
    response: &HttpResponse,
    sent_password: bool,
    secrets: &[String],
) -> Failure {
    let server_message = server_message(&response.body, secrets);
    match response.status {
        StatusCode::UNAUTHORIZED if sent_password => Failure::AuthenticationFailed {
            by: server.to_string(),
            server_message,
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Failure::NotFoundOrNoAccess {
                status: response.status.as_u16(),
                server_message,
            }
        }
        _ => status_error(server, response, server_message),
    }
}

/// Converts an error status of a token server.
pub(crate) fn token_error(
    server: &Endpoint,
    response: &HttpResponse,
    secrets: &[String],
) -> Failure {
    let server_message = server_message(&response.body, secrets);
    match response.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::AuthenticationFailed {
            by: server.to_string(),
            server_message,
        },
        _ => status_error(server, response, server_message),
    }
}

/// Converts an error status of a refresh token exchange: 400 is an invalid token (RFC 6749, 5.2).
pub(crate) fn refresh_error(
    server: &Endpoint,
    response: &HttpResponse,
    secrets: &[String],
) -> Failure {
    let mut server_message = server_message(&response.body, secrets);
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            server_message =
                "it does not support identity tokens: log in again with a password".to_owned();
        }
        StatusCode::BAD_REQUEST => {}
        _ => return token_error(server, response, secrets),
    }
    Failure::AuthenticationFailed {
        by: server.to_string(),
        server_message,
    }
}

fn status_error(server: &Endpoint, response: &HttpResponse, mut server_message: String) -> Failure {
    let (by, status) = (server.to_string(), response.status);
    // A TLS server's response to plain HTTP; with `HEAD` its explanation is missing.
    if status == StatusCode::BAD_REQUEST
        && server.scheme() == Scheme::Http
        && server_message.is_empty()
    {
        server_message = format!("if it speaks TLS, write https://{}", server.authority());
    }
    let retry_after = retry_after(&response.headers, response.at);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Failure::RateLimited {
            by,
            retry_after,
            server_message,
        },
        _ if status.is_success() || status.is_redirection() => Failure::InvalidAnswer {
            by,
            detail: format!("HTTP {} is not an expected status", status.as_u16()),
        },
        _ => Failure::RegistryError {
            by,
            status: status.as_u16(),
            retry_after,
            server_message,
        },
    }
}

/// Reads `Retry-After`: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_header_lists_all_manifest_types() {
        assert_eq!(ACCEPT_MANIFESTS, MANIFEST_TYPES.join(", "));
    }

    #[test]
    fn rate_limit_headers_are_read_as_docker_hub_writes_them() {
        let of = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                let name: hyper::header::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            });
            RateLimit::read(&headers.collect())
        };
        let remaining = |remaining, limit, seconds: Option<u64>| {
            Some(RateLimit {
                remaining,
                limit,
                window: seconds.map(Duration::from_secs),
            })
        };
        let (left, limit) = ("RateLimit-Remaining", "ratelimit-LIMIT");
        let cases: [(&[(&str, &str)], _); 8] = [
            (
                &[(limit, "100;w=21600"), (left, "76;w=21600")],
                remaining(76, Some(100), Some(21600)),
            ),
            (&[(left, "0")], remaining(0, None, None)),
            (&[(left, " 9 ; w=60")], remaining(9, None, Some(60))),
            (
                &[(left, "9;x=1"), (limit, "10;w=60")],
                remaining(9, Some(10), Some(60)),
            ),
            (
                &[(left, "9;w=-1"), (limit, "ten")],
                remaining(9, None, None),
            ),
            (&[(limit, "100;w=21600")], None),
            (&[(left, "-1")], None),
            (&[(left, "99999999999999999999")], None),
        ];
        for (headers, expected) in cases {
            assert_eq!(of(headers), expected, "{headers:?}");
        }
        let low = [9, 10].map(|left| remaining(left, None, None).unwrap().is_low());
        assert_eq!(low, [true, false]);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 08:00:00 GMT").unwrap();
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Tue, 24 Nov 2026 08:00:30 GMT", Some(30)),
            ("Tue, 24 Nov 2026 07:00:00 GMT", Some(0)),
            ("18446744073709551615", Some(24 * 60 * 60)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(24 * 60 * 60)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ];
        for (text, seconds) in cases {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(
                retry_after(&headers, now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
