//! What an answer means.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use crate::endpoint::{Endpoint, Scheme};
use crate::error::Failure;
use crate::exchange::Answer;
use crate::names::Digest;
use crate::said::said;

/// What a manifest may be, in the order of the `Accept` header: an index first, since a digest of
/// one platform's image would break clusters with several.
const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The `Accept` header of a request for a manifest.
pub(crate) const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The longest that a server's `Retry-After` is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How many pulls are few: what is left then is for those who run the images.
const FEW: u64 = 10;

/// What is known of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) remaining: Option<Remaining>,
}

/// How many pulls a registry has left for whoever asked, as Docker Hub tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// How many are left.
    pub remaining: u64,
    /// Of how many.
    pub limit: Option<u64>,
    /// In which time.
    pub window: Option<Duration>,
}

impl Remaining {
    /// Whether so few are left, fewer than ten, that none is to be spent on what is not needed.
    pub fn are_few(&self) -> bool {
        self.remaining < FEW
    }

    /// What the headers of an answer say: `RateLimit-Remaining` and `RateLimit-Limit`, in the form
    /// of `76;w=21600`. `None` where it is not said how many are left.
    fn read(headers: &HeaderMap) -> Option<Remaining> {
        let (remaining, window) = quota(headers, "ratelimit-remaining")?;
        let (limit, limit_window) = match quota(headers, "ratelimit-limit") {
            Some((limit, window)) => (Some(limit), window),
            None => (None, None),
        };
        Some(Remaining {
            remaining,
            limit,
            window: window.or(limit_window),
        })
    }
}

/// A number, and the seconds that follow it as `w`.
fn quota(headers: &HeaderMap, name: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = headers.get(name)?.to_str().ok()?.split(';');
    let number = parts.next()?.trim().parse().ok()?;
    let seconds = parts.find_map(|part| part.trim().strip_prefix("w=")?.trim().parse().ok());
    Some((number, seconds.map(Duration::from_secs)))
}

/// The manifest that a successful HEAD describes; `None` where it says too little.
pub(crate) fn of_head(
    server: &Endpoint,
    answer: &Answer,
    secrets: &[String],
) -> Result<Option<Manifest>, Failure> {
    let media_type = media_type(server, &answer.headers, secrets)?;
    let digest = digest(server, &answer.headers)?;
    Ok(match (digest, media_type) {
        (Some(digest), Some(media_type)) => Some(Manifest {
            digest,
            media_type,
            remaining: Remaining::read(&answer.headers),
        }),
        _ => None,
    })
}

/// The manifest that a successful GET gave. Its body must hash to what the registry says it does,
/// and to the digest that was asked for, if it was one.
pub(crate) fn of_get(
    server: &Endpoint,
    answer: &Answer,
    asked: Option<&Digest>,
    secrets: &[String],
) -> Result<Manifest, Failure> {
    let media_type = media_type(server, &answer.headers, secrets)?
        .ok_or_else(|| unusable(server, "it does not say of what type the manifest is"))?;
    if serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_err() {
        return Err(unusable(server, "the manifest is not JSON"));
    }
    let told = digest(server, &answer.headers)?;
    let digest = told
        .or_else(|| asked.cloned())
        .unwrap_or_else(|| Digest::of(&answer.body));
    if digest.verify(&answer.body) {
        return Ok(Manifest {
            digest,
            media_type,
            remaining: Remaining::read(&answer.headers),
        });
    }
    Err(unusable(
        server,
        &format!("the manifest does not hash to its digest {digest}"),
    ))
}

/// Refuses another digest than the one asked for.
pub(crate) fn check_asked(
    server: &Endpoint,
    asked: Option<&Digest>,
    manifest: Manifest,
) -> Result<Manifest, Failure> {
    match asked {
        Some(asked) if *asked != manifest.digest => {
            let detail = format!("{asked} was asked for, and {} came", manifest.digest);
            Err(unusable(server, &detail))
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
    // What is hidden is looked for before anything is cut off or put in lower case.
    let shown = essence(&said(&text.into_owned().into(), secrets));
    let hint = match media_type.starts_with("application/vnd.docker.distribution.manifest.v1") {
        true => "; that form of image is no longer supported: build and push it again",
        false => "; is it a registry that was asked?",
    };
    Err(unusable(
        server,
        &format!("it is of the type `{shown}`, which is no image's{hint}"),
    ))
}

/// A media type without its parameters, in lower case.
fn essence(text: &str) -> String {
    let before = text.split(';').next().unwrap_or_default();
    before.trim().to_ascii_lowercase()
}

/// The digest that a registry gives in its header; all of them must be well-formed and the same.
fn digest(server: &Endpoint, headers: &HeaderMap) -> Result<Option<Digest>, Failure> {
    let mut found: Option<Digest> = None;
    for value in headers.get_all("docker-content-digest") {
        let text = String::from_utf8_lossy(value.as_bytes());
        let digest = Digest::parse(&text)
            .map_err(|_| unusable(server, "what it gives as the digest is none"))?;
        if found.as_ref().is_some_and(|found| *found != digest) {
            return Err(unusable(server, "it gives two different digests"));
        }
        found = Some(digest);
    }
    Ok(found)
}

fn unusable(server: &Endpoint, detail: &str) -> Failure {
    Failure::InvalidAnswer {
        by: server.to_string(),
        detail: detail.to_owned(),
    }
}

/// What a registry means by a status that is not success. `showed_login` says whether it was
/// shown a login itself, rather than a token.
pub(crate) fn refused(
    server: &Endpoint,
    answer: &Answer,
    showed_login: bool,
    secrets: &[String],
) -> Failure {
    let said = said(&answer.body, secrets);
    match answer.status {
        StatusCode::UNAUTHORIZED if showed_login => Failure::AuthenticationFailed {
            by: server.to_string(),
            said,
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Failure::NotFoundOrNoAccess {
                status: answer.status.as_u16(),
                said,
            }
        }
        _ => failed(server, answer, said),
    }
}

/// What a token server means by a status that is not success.
pub(crate) fn token_refused(server: &Endpoint, answer: &Answer, secrets: &[String]) -> Failure {
    let said = said(&answer.body, secrets);
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::AuthenticationFailed {
            by: server.to_string(),
            said,
        },
        _ => failed(server, answer, said),
    }
}

/// What a token server means by a status that is not success, where an identity token was to be
/// exchanged. Of one that is no longer good it says 400 (RFC 6749, 5.2).
pub(crate) fn exchange_refused(server: &Endpoint, answer: &Answer, secrets: &[String]) -> Failure {
    let mut said = said(&answer.body, secrets);
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            said = "it knows no identity tokens: log in to it anew, with a password".to_owned();
        }
        StatusCode::BAD_REQUEST => {}
        _ => return token_refused(server, answer, secrets),
    }
    Failure::AuthenticationFailed {
        by: server.to_string(),
        said,
    }
}

fn failed(server: &Endpoint, answer: &Answer, mut said: String) -> Failure {
    let (by, status) = (server.to_string(), answer.status);
    // What a server of TLS answers to plain HTTP; its explanation does not come with a HEAD.
    if status == StatusCode::BAD_REQUEST && server.scheme() == Scheme::Http && said.is_empty() {
        said = format!("if it speaks TLS, write https://{}", server.authority());
    }
    let retry_after = retry_after(&answer.headers, answer.at);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Failure::RateLimited {
            by,
            retry_after,
            said,
        },
        _ if status.is_success() || status.is_redirection() => Failure::InvalidAnswer {
            by,
            detail: format!("HTTP {} has no meaning here", status.as_u16()),
        },
        _ => Failure::RegistryError {
            by,
            status: status.as_u16(),
            retry_after,
            said,
        },
    }
}

/// How long a server asks to be left alone: in seconds, or until a date.
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
    fn the_accept_header_names_every_type_that_is_taken() {
        assert_eq!(ACCEPT_MANIFESTS, MANIFEST_TYPES.join(", "));
    }

    #[test]
    fn what_is_left_of_a_limit_is_read_as_docker_hub_writes_it() {
        let of = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                let name: hyper::header::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            });
            Remaining::read(&headers.collect())
        };
        let remaining = |remaining, limit, seconds: Option<u64>| {
            Some(Remaining {
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
        let few = [9, 10].map(|left| remaining(left, None, None).unwrap().are_few());
        assert_eq!(few, [true, false]);
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
