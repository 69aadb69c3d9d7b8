//! The hash rate of DockerCoins, from samples of the web UI's counters. Pure.
//!
//! Neither coins nor hash rate are in the resource's status: they change every second, and so would the status.

use std::collections::VecDeque;

use serde_json::Value;

use crate::api::DockerCoinsStatus;
use crate::dockercoins::component::Component;
use crate::runtime::message::truncate;

/// The hash rate is the mean of this many seconds, as in the web UI.
const WINDOW: f64 = 10.0;

/// The fewest seconds for a hash rate, since workers report once a second.
const MIN_WINDOW: f64 = 5.0;

/// The most bytes of a note: the line must fit on a projector. `kubectl describe` shows all.
const MAX_NOTE: usize = 80;

/// The header of the lines.
pub const HEADING: &str = "READY    WORKERS  HASHES/S    COINS\n";

/// The web UI's counters at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Coins in the wallet.
    pub coins: u64,
    /// Hashes computed.
    pub hashes: u64,
    /// Time of the sample in seconds, by the web UI's clock.
    pub at: f64,
}

impl Sample {
    /// Parses a response to `/json`.
    ///
    /// # Errors
    /// The message of the web UI or of the API server's proxy, or that the response has no counters.
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
        // Redis' counter is null before the first write, then a string.
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

/// The samples of the last `WINDOW`.
#[derive(Clone, Debug, Default)]
pub struct HashRate {
    samples: VecDeque<Sample>,
    missing: Option<String>,
}

impl HashRate {
    /// Records a sample, or why there is none.
    pub fn record(&mut self, read: Result<Sample, String>) {
        let sample = match read {
            Ok(sample) => sample,
            Err(reason) => {
                self.samples.clear();
                self.missing = Some(reason);
                return;
            }
        };
        self.missing = None;
        // The counters shrink when Redis restarts.
        let goes_on = |last: &Sample| sample.at > last.at && sample.hashes >= last.hashes;
        if !self.samples.back().is_none_or(goes_on) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        while self
            .samples
            .get(1)
            .is_some_and(|next| sample.at - next.at >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Hashes per second, once the samples span `MIN_WINDOW`.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.at - first.at;
        // Exact below 2^53 hashes.
        let hashes = (last.hashes - first.hashes) as f64;
        (seconds >= MIN_WINDOW).then(|| hashes / seconds)
    }

    /// The coins of the last sample.
    pub fn coins(&self) -> Option<u64> {
        self.samples.back().map(|sample| sample.coins)
    }

    /// Formats a line: unknown values are `-`, and a note says why, or why the resource is not ready.
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
        // One line, whatever the message has.
        let note = self.missing.clone().or(message).unwrap_or_default();
        let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
        let note = truncate(&note, MAX_NOTE);
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

#[cfg(test)]
mod tests;
