//! What events come in: arrays, Event Grid's and CloudEvents' envelopes, Pub/Sub's messages. Pure.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::dialect::{self, text};
use super::{PUSHED_MAX, Pushed};

/// How many envelopes are opened, one in the other. Two are known: a CloudEvent that holds a Pub/Sub message, in
/// an array.
const DEPTH_MAX: usize = 5;

/// The most events that are looked at, pushes or not.
const EVENTS_MAX: usize = 1000;

/// The longest validation code that is sent back.
const CODE_MAX: usize = 256;

/// What was found in envelopes.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The pushes, each once, in the order in which they were told.
    pub(super) pushed: Vec<Pushed>,
    /// The code of a validation.
    pub(super) code: Option<String>,
    events: usize,
}

impl Opened {
    fn keep(&mut self, pushed: Pushed) {
        if self.pushed.len() < PUSHED_MAX && !self.pushed.contains(&pushed) {
            self.pushed.push(pushed);
        }
    }
}

/// Opens what was sent, down to the events. `kind` is the event type that the outside says, or empty.
pub(super) fn open(sent: &Value, kind: &str, opened: &mut Opened) {
    open_within(sent, kind, DEPTH_MAX, opened);
}

fn open_within(sent: &Value, kind: &str, depth: usize, opened: &mut Opened) {
    if depth == 0 || opened.events == EVENTS_MAX {
        return;
    }
    let batch = sent.as_array().or_else(|| sent.get("events")?.as_array());
    if let Some(batch) = batch {
        for event in batch {
            open_within(event, kind, depth - 1, opened);
        }
        return;
    }
    opened.events += 1;
    if let Some(data) = message(sent) {
        return open_within(&data, kind, depth - 1, opened);
    }
    if let Some((kind, data)) = event(sent) {
        return open_within(&data, kind, depth - 1, opened);
    }
    if kind == "Microsoft.EventGrid.SubscriptionValidationEvent" {
        let code = text(sent, "/validationCode").filter(|code| code.len() <= CODE_MAX);
        opened.code = opened.code.take().or(code.map(str::to_owned));
        return;
    }
    for pushed in dialect::read(sent, kind) {
        opened.keep(pushed);
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

/// What a Pub/Sub message holds.
fn message(sent: &Value) -> Option<Value> {
    decoded(text(sent, "/message/data")?)
}

fn decoded(base64: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_STANDARD.decode(base64).ok()?).ok()
}
