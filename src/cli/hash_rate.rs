//! What DockerCoins earns: from the figures of its web page, read again and again, to a line for people. Pure.
//!
//! Nothing of it is in the resource's status. Coins come every second, so that a status which counts them would be
//! written every second, and an operator at rest would no longer be silent.

use std::collections::VecDeque;

use serde_json::Value;

use crate::api::DockerCoinsStatus;
use crate::dockercoins::component::Component;

/// Over how many seconds the hash rate is the mean, at most: as on the web page. Workers count in lumps, once a second.
const WINDOW: f64 = 10.0;

/// Over how many seconds it must be the mean to be told at all: two lumps that are a second apart say nothing.
const LEAST: f64 = 5.0;

/// How many characters of what isn't well a line has: it fits where it is projected. `kubectl describe` has all of it.
const LONGEST_NOTE: usize = 80;

/// What a line has, one word above each column.
pub const HEADING: &str = "READY    WORKERS  HASHES/S    COINS\n";

/// The web page's figures at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// How many coins are in the wallet.
    pub coins: u64,
    /// How many hashes were made.
    pub hashes: u64,
    /// When it was, in seconds, by the clock of the web page's server.
    pub at: f64,
}

impl Reading {
    /// The figures in an answer to `/json`: its status and its body.
    ///
    /// # Errors
    /// Why there are none, for people: what the web page's server says, what the API server says in its place, or that
    /// the answer makes no sense.
    pub fn of(status: u16, body: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        if let Some(reason) = json["error"].as_str() {
            return Err(format!("the web page has no figures: {reason}"));
        }
        if let Some(reason) = json["message"].as_str() {
            return Err(format!("the web page can't be reached: {reason}"));
        }
        if status != 200 {
            return Err(format!("the web page's server answered {status}"));
        }
        // A counter that no one has written yet is null, and otherwise a string.
        let hashes = match &json["hashes"] {
            Value::Null => Some(0),
            Value::String(hashes) => hashes.parse().ok(),
            other => other.as_u64(),
        };
        match (json["coins"].as_u64(), hashes, json["now"].as_f64()) {
            (Some(coins), Some(hashes), Some(at)) => Ok(Self { coins, hashes, at }),
            _ => Err("the web page's figures can't be read: is it DockerCoins' page?".to_owned()),
        }
    }
}

/// The readings of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Books {
    readings: VecDeque<Reading>,
    missing: Option<String>,
}

impl Books {
    /// Enters what was just read, or why nothing could be.
    pub fn enter(&mut self, read: Result<Reading, String>) {
        let reading = match read {
            Ok(reading) => reading,
            Err(reason) => {
                // How long it counted meanwhile isn't known.
                self.readings.clear();
                self.missing = Some(reason);
                return;
            }
        };
        self.missing = None;
        // A count that shrank began anew: Redis was started again.
        let goes_on = |last: &Reading| reading.at > last.at && reading.hashes >= last.hashes;
        if !self.readings.back().is_none_or(goes_on) {
            self.readings.clear();
        }
        self.readings.push_back(reading);
        while self
            .readings
            .get(1)
            .is_some_and(|next| reading.at - next.at >= WINDOW)
        {
            self.readings.pop_front();
        }
    }

    /// Hashes a second, once enough was read.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let seconds = last.at - first.at;
        // Exact up to far more hashes than were ever made.
        let hashes = (last.hashes - first.hashes) as f64;
        (seconds >= LEAST).then(|| hashes / seconds)
    }

    /// The coins, where they could be read.
    pub fn coins(&self) -> Option<u64> {
        self.readings.back().map(|reading| reading.coins)
    }

    /// The line for people, of the resource's status and these books. What isn't known is `-`, and the end of the line
    /// says why; else why the resource isn't ready, if it isn't.
    pub fn line(&self, status: &DockerCoinsStatus) -> String {
        let ready = status.conditions.iter().find(|told| told.type_ == "Ready");
        let (word, message) = match ready {
            Some(ready) if ready.status == "True" => ("True", None),
            Some(ready) => (
                ready.status.as_str(),
                Some(format!("{}: {}", ready.reason, ready.message)),
            ),
            None => (
                "Unknown",
                Some("no operator has looked at the resource yet".to_owned()),
            ),
        };
        let is_worker = |name: &str| name == Component::Worker.name();
        let worker = status.components.iter().find(|told| is_worker(&told.name));
        let workers = worker.map(|told| format!("{}/{}", told.ready_replicas, told.replicas));
        let rate = self.rate().map(|rate| format!("{rate:.1}"));
        let coins = self.coins().map(|coins| coins.to_string());
        let unknown = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
        // A message of several lines would be taken for several.
        let note = self.missing.clone().or(message).unwrap_or_default();
        let note = cut(&note.split_whitespace().collect::<Vec<_>>().join(" "));
        let line = format!(
            "{word:<7}  {:>7}  {:>8}  {:>7}  {}",
            unknown(workers),
            unknown(rate),
            unknown(coins),
            note
        );
        format!("{}\n", line.trim_end())
    }
}

fn cut(note: &str) -> String {
    match note.char_indices().nth(LONGEST_NOTE) {
        Some((end, _)) => format!("{}…", &note[..end]),
        None => note.to_owned(),
    }
}

#[cfg(test)]
mod tests;
