//! Parses push notifications. Pure.
//!
//! Senders are told apart by the format of their payload. One body may hold several events, and an event may be nested
//! in an envelope or two.
//!
//! | sender | shape | documented in |
//! |---|---|---|
//! | CNCF distribution | `events[]` with `action`, `target`, `request` | [Work with notifications][distribution] |
//! | Docker Hub | `push_data`, `repository.repo_name` | [Docker Hub webhooks][hub] |
//! | Quay | `docker_url`, `updated_tags` | [Repository notifications][quay] |
//! | Harbor | `type` `PUSH_ARTIFACT`, `event_data` | [Configure webhook notifications][harbor] |
//! | GitHub | `package` or `registry_package` | [Webhook events][github]: `package`, `registry_package` |
//! | Azure Container Registry | `action` `push`, `target`, `request` | [Webhook reference][acr] |
//! | Azure Event Grid | an array with `eventType`, `data` | [Container Registry as a source][grid] |
//! | Google | `action` `INSERT`, `digest`, `tag` | [Pub/Sub notifications][google] |
//! | Google Pub/Sub | `message.data`, base64 of the above | [Push subscriptions][pubsub] |
//! | AWS EventBridge | `detail-type` `ECR Image Action` | [ECR events][ecr] |
//! | CloudEvents 1.0 | `specversion`, `type`, `data`; or `ce-type` and the data alone | [JSON][ce-json], [HTTP][ce-http] |
//! | scripts | `{"image": "registry.example.com/team/rng:v0.1"}` | here |
//!
//! Only names are taken from a payload. Names that break the reference grammar, events that are not pushes, and
//! whatever exceeds the limits below are ignored.
//!
//! [distribution]: https://distribution.github.io/distribution/about/notifications/
//! [hub]: https://docs.docker.com/docker-hub/repos/manage/webhooks/
//! [quay]: https://docs.redhat.com/en/documentation/red_hat_quay/3/html/use_red_hat_quay/repository_notifications
//! [harbor]: https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/
//! [github]: https://docs.github.com/en/webhooks/webhook-events-and-payloads
//! [acr]: https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
//! [grid]: https://learn.microsoft.com/azure/event-grid/event-schema-container-registry
//! [google]: https://cloud.google.com/artifact-registry/docs/configure-notifications
//! [pubsub]: https://cloud.google.com/pubsub/docs/push
//! [ecr]: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
//! [ce-json]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
//! [ce-http]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md

mod decode;
mod formats;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use resolver::{DOCKER_HUB, Digest, Endpoint, Reference};
use serde_json::Value;

use self::decode::Decoded;

/// The most bytes of a body.
pub const MAX_BODY: usize = 256 << 10;

/// The most pushes taken from one body; further ones wait for `spec.resolve.interval`.
pub const MAX_PUSHES: usize = 100;

/// The most bytes of a DNS name and a port.
const MAX_HOST: usize = 253 + ":65535".len();

/// Stands for the host when only a repository's and a tag's grammar are checked.
const ANY_HOST: &str = "registry.invalid";

/// One push.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Push {
    /// The registry's host and port as the sender names them; `docker.io` for Docker Hub.
    pub host: Option<String>,
    /// The repository, such as `team/rng` or `library/redis`.
    pub repository: String,
    /// The tag; `None` if the sender names none, or pushed by digest.
    pub tag: Option<String>,
}

/// A parsed notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The pushes, without duplicates; empty for other events and unknown formats.
    Pushes(Vec<Push>),
    /// Azure Event Grid's validation, to be answered with `{"validationResponse": code}` ([handshake][]).
    ///
    /// [handshake]: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
    Validation {
        /// The validation code.
        code: String,
    },
}

/// Why a body can't be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Longer than [`MAX_BODY`].
    #[error("the notification is longer than 256 KiB: send fewer events at once")]
    TooLong,
    /// Not JSON.
    #[error(
        "the notification is not JSON: let the registry send it as application/json, or send {{\"image\": \"registry.example.com/team/app:v1\"}}"
    )]
    NotJson,
}

/// Parses a notification. The headers hold the event type in CloudEvents' binary mode.
///
/// # Errors
/// [`PayloadError`]. JSON of an unknown format is no error: registries send pings and other events.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Notification, PayloadError> {
    if body.len() > MAX_BODY {
        return Err(PayloadError::TooLong);
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| PayloadError::NotJson)?;
    let kind = headers.get("ce-type").and_then(|kind| kind.to_str().ok());
    let mut decoded = Decoded::default();
    decode::decode(&body, kind.unwrap_or_default(), &mut decoded);
    Ok(match decoded.code {
        Some(code) => Notification::Validation { code },
        None => Notification::Pushes(decoded.pushed),
    })
}

/// A host in lowercase, without default ports; `docker.io` for Docker Hub's other names.
fn plain_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let plain = host
        .strip_suffix(":443")
        .or_else(|| host.strip_suffix(":80"))
        .unwrap_or(&host);
    match plain {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => {
            DOCKER_HUB.to_owned()
        }
        plain => plain.to_owned(),
    }
}

impl Push {
    /// Whether the push may have changed what `reference` resolves to: same repository, and same tag if the sender
    /// names one. Hosts are ignored: a registry may have one name for pushes and another for pulls.
    pub fn matches(&self, reference: &Reference) -> bool {
        let tag = match (reference.tag(), reference.digest()) {
            (Some(tag), _) => tag,
            (None, None) => "latest",
            (None, Some(_)) => return false,
        };
        self.repository == reference.repository()
            && self.tag.as_deref().is_none_or(|pushed| pushed == tag)
    }

    /// A push, if its names follow the reference grammar. Some senders put a digest in place of a missing tag.
    fn named(host: Option<&str>, repository: &str, tag: Option<&str>) -> Option<Push> {
        let tag = tag.filter(|tag| Digest::parse(tag).is_err());
        let host = match host {
            Some(host) => Some(host_name(host)?),
            None => None,
        };
        let at = match host.as_deref() {
            Some(DOCKER_HUB) => DOCKER_HUB,
            _ => ANY_HOST,
        };
        let name = match tag {
            Some(tag) => format!("{at}/{repository}:{tag}"),
            None => format!("{at}/{repository}"),
        };
        let reference = Reference::parse(&name).ok()?;
        // A `:` or `@` within the repository would have been parsed as a tag or digest.
        (reference.tag() == tag && reference.digest().is_none()).then(|| Push {
            host,
            repository: reference.repository().to_owned(),
            tag: tag.map(str::to_owned),
        })
    }

    /// A push from `host/repository`, optionally with a tag or digest. The first element is always the host.
    fn located(address: &str) -> Option<Push> {
        let (host, name) = address.split_once('/')?;
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        match name.split_once(':') {
            Some((repository, tag)) => {
                Push::named(Some(host), repository, Some(tag).filter(|t| !t.is_empty()))
            }
            None => Push::named(Some(host), name, None),
        }
    }
}

/// The normalized host, if it can be a registry's.
fn host_name(text: &str) -> Option<String> {
    if text.contains('/') || text.len() > MAX_HOST {
        return None;
    }
    let endpoint = Endpoint::parse(text).ok()?.to_string();
    let host = endpoint.strip_prefix("https://")?;
    match plain_host(host) {
        hub if hub == DOCKER_HUB => Some(hub),
        _ => Some(host.to_owned()),
    }
}
