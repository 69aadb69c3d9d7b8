//! What a notification says was pushed, and which images that concerns. Pure.
//!
//! No sender says reliably who it is, so they are told apart by the shape of what they send. One body may hold
//! several events, and an event may come in an envelope or two.
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
//! Nothing in it is believed but names. Refused are names that break the grammar of references, events that are
//! no pushes, and what goes beyond the bounds below.
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

mod dialect;
mod envelope;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use resolver::{DOCKER_HUB, Digest, Endpoint, Reference};
use serde_json::Value;

use self::envelope::Opened;

/// The most bytes of a body.
pub const BODY_MAX: usize = 256 << 10;

/// The most pushes that are taken from one body. What is beyond them waits for the interval.
pub const PUSHED_MAX: usize = 100;

/// The most bytes of a host's name, as DNS has it, and a port.
const HOST_MAX: usize = 253 + ":65535".len();

/// The name under which a repository is judged whose host is not known, or may be one that no reference has.
const ANY_HOST: &str = "registry.invalid";

/// Something that was pushed, by its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pushed {
    /// The registry's host as the sender calls it, with its port if it has one; `docker.io` for Docker Hub.
    /// `None` where the sender does not say.
    pub host: Option<String>,
    /// The repository's path: `team/rng`, `library/redis`.
    pub repository: String,
    /// The tag; `None` where the sender does not say, or pushed by digest alone.
    pub tag: Option<String>,
}

/// What a body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// These were pushed, each told once; none where the event is no push, or of no known shape.
    Pushed(Vec<Pushed>),
    /// Azure Event Grid asks whether this is where its events are wanted, and takes this code in an answer
    /// `{"validationResponse": code}` for a yes ([handshake][]).
    ///
    /// [handshake]: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
    Validation {
        /// The code, as it was sent.
        code: String,
    },
}

/// Why a body says nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is longer than [`BODY_MAX`].
    #[error("the notification is longer than 256 KiB: send fewer events at once")]
    TooLong,
    /// It is not JSON.
    #[error(
        "the notification is not JSON: let the registry send it as application/json, or send {{\"image\": \"registry.example.com/team/app:v1\"}}"
    )]
    NotJson,
}

/// Reads a notification: its headers, for CloudEvents' event type, and its body.
///
/// # Errors
/// [`Unreadable`], which says what to send instead. JSON of no known shape is none: senders ping, and tell of
/// much that is no push.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Notice, Unreadable> {
    if body.len() > BODY_MAX {
        return Err(Unreadable::TooLong);
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    // CloudEvents' binary mode: the attributes are headers, and the body is the event's data.
    let kind = headers.get("ce-type").and_then(|kind| kind.to_str().ok());
    let mut opened = Opened::default();
    envelope::open(&body, kind.unwrap_or_default(), &mut opened);
    Ok(match opened.code {
        Some(code) => Notice::Validation { code },
        None => Notice::Pushed(opened.pushed),
    })
}

/// What was pushed, by whatever notification this is; nothing where it can't be read. [`read`] says why, and
/// knows the handshakes.
pub fn pushed(headers: &HeaderMap, body: &[u8]) -> Vec<Pushed> {
    match read(headers, body) {
        Ok(Notice::Pushed(pushed)) => pushed,
        Ok(Notice::Validation { .. }) | Err(_) => Vec::new(),
    }
}

/// Whether what was pushed may be what a reference stands for: the same repository, and the same tag where the sender
/// names one. The host counts for nothing: a registry goes by one name for those who push and by another for the
/// nodes, and a question too many costs little.
pub fn concerns(pushed: &Pushed, reference: &Reference) -> bool {
    let asked = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag,
        (None, None) => "latest",
        (None, Some(_)) => return false,
    };
    pushed.repository == reference.repository()
        && pushed.tag.as_deref().is_none_or(|tag| tag == asked)
}

/// A host as it is compared: in lowercase, Docker Hub's by one name, and without the ports that HTTP leaves out.
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

impl Pushed {
    /// Takes names that a sender wrote, if each is one by the grammar of references.
    ///
    /// A digest in the place of a tag is what some write for a push without a tag.
    fn named(host: Option<&str>, repository: &str, tag: Option<&str>) -> Option<Pushed> {
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
        // A colon or an at sign in the repository would have made another name of it.
        (reference.tag() == tag && reference.digest().is_none()).then(|| Pushed {
            host,
            repository: reference.repository().to_owned(),
            tag: tag.map(str::to_owned),
        })
    }

    /// Takes `host/repository`, with a tag, a digest or neither: what senders write as an address, where the first
    /// element is the host even if no reference could have it.
    fn located(address: &str) -> Option<Pushed> {
        let (host, name) = address.split_once('/')?;
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        match name.split_once(':') {
            Some((repository, tag)) => {
                Pushed::named(Some(host), repository, Some(tag).filter(|t| !t.is_empty()))
            }
            None => Pushed::named(Some(host), name, None),
        }
    }
}

/// A host that a sender wrote, in lowercase and with Docker Hub's by one name, if it can be a registry's.
fn host_name(text: &str) -> Option<String> {
    if text.contains('/') || text.len() > HOST_MAX {
        return None;
    }
    let endpoint = Endpoint::parse(text).ok()?.to_string();
    let host = endpoint.strip_prefix("https://")?;
    match plain_host(host) {
        hub if hub == DOCKER_HUB => Some(hub),
        _ => Some(host.to_owned()),
    }
}
