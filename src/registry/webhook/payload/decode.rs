//! Unwraps events: arrays, envelopes of Event Grid and CloudEvents, Pub/Sub messages. Pure.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::formats::{self, text};
use super::{MAX_PUSHES, Push};

/// The deepest nesting. Known is a Pub/Sub message in a CloudEvent in an array.
const MAX_DEPTH: usize = 5;

/// The most events of one body, pushes or not.
const MAX_EVENTS: usize = 1000;

/// The most bytes of a validation code.
const MAX_CODE: usize = 256;

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// The pushes in order, without duplicates.
    pub(super) pushed: Vec<Push>,
    /// The validation code.
    pub(super) code: Option<String>,
    events: usize,
}

impl Decoded {
    fn keep(&mut self, pushed: Push) {
        if self.pushed.len() < MAX_PUSHES && !self.pushed.contains(&pushed) {
            self.pushed.push(pushed);
        }
    }
}

/// Unwraps a body down to its events. `kind` is the event type of the outer envelope, or empty.
pub(super) fn decode(sent: &Value, kind: &str, decoded: &mut Decoded) {
    decode_within(sent, kind, MAX_DEPTH, decoded);
}

fn decode_within(sent: &Value, kind: &str, depth: usize, decoded: &mut Decoded) {
    if depth == 0 || decoded.events == MAX_EVENTS {
        return;
    }
    let batch = sent.as_array().or_else(|| sent.get("events")?.as_array());
    if let Some(batch) = batch {
        for event in batch {
            decode_within(event, kind, depth - 1, decoded);
        }
        return;
    }
    decoded.events += 1;
    if let Some(data) = message(sent) {
        return decode_within(&data, kind, depth - 1, decoded);
    }
    if let Some((kind, data)) = event(sent) {
        return decode_within(&data, kind, depth - 1, decoded);
    }
    if kind == "Microsoft.EventGrid.SubscriptionValidationEvent" {
        let code = text(sent, "/validationCode").filter(|code| code.len() <= MAX_CODE);
        decoded.code = decoded.code.take().or(code.map(str::to_owned));
        return;
    }
    for pushed in formats::read(sent, kind) {
        decoded.keep(pushed);
    }
}

/// The type and the data of a CloudEvent, or of an event in Event Grid's own schema.
fn event(sent: &Value) -> Option<(&str, Cow<'_, Value>)> {
    let kind = match sent.get("specversion") {
        Some(_) => text(sent, "/type")?,
        None => text(sent, "/eventType")?,
    };
    let data = match sent.get("data") {
        Some(data) => Cow::Borrowed(data),
        None => Cow::Owned(decoded(text(sent, "/data_base64")?)?),
    };
    Some((kind, data))
}

/// The payload of a Pub/Sub message.
fn message(sent: &Value) -> Option<Value> {
    decoded(text(sent, "/message/data")?)
}

fn decoded(base64: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_STANDARD.decode(base64).ok()?).ok()
}
