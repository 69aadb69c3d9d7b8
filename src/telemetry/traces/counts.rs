//! What became of the spans, and who is told when they can't be delivered: a warning when it begins, another now
//! and then while it lasts, and a word when it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::{info, warn};

/// How often it is said that traces can't be delivered.
const PACE: Duration = Duration::from_secs(300);

/// What became of the spans so far.
#[derive(Debug)]
pub(super) struct Counts {
    endpoint: String,
    /// How many were to be sent.
    ended: AtomicU64,
    /// How many have arrived.
    arrived: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why the last request failed.
    why: Option<String>,
    /// When it was last said that traces can't be delivered; `None` while they can.
    told: Option<Instant>,
}

impl Counts {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            ended: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Counts a span that is to be sent.
    pub(super) fn one_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes why a request failed.
    pub(super) fn note(&self, why: String) {
        self.state().why = Some(why);
    }

    /// How many were to be sent and have not arrived: what waits, what was refused, what there was no room for.
    pub(super) fn lost(&self) -> u64 {
        let arrived = self.arrived.load(Ordering::Relaxed);
        self.ended.load(Ordering::Relaxed).saturating_sub(arrived)
    }

    fn exported(&self, spans: u64, is_done: bool, now: Instant) {
        let mut state = self.state();
        if is_done {
            self.arrived.fetch_add(spans, Ordering::Relaxed);
            if state.told.take().is_some() {
                info!(endpoint = self.endpoint, "traces are delivered again");
            }
            return;
        }
        let is_said = |told| now.duration_since(told) < PACE;
        if state.told.is_some_and(is_said) {
            return;
        }
        state.told = Some(now);
        let why = state.why.take();
        warn!(
            endpoint = self.endpoint,
            spans = self.ended.load(Ordering::Relaxed),
            arrived = self.arrived.load(Ordering::Relaxed),
            "traces can't be delivered, and go on being tried and lost: {}",
            why.as_deref().unwrap_or("the SDK does not say why")
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exporter whose successes and failures are counted.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    counts: Arc<Counts>,
}

impl<E> Counted<E> {
    pub(super) fn new(exporter: E, counts: Arc<Counts>) -> Self {
        Self { exporter, counts }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        self.counts.exported(spans, result.is_ok(), Instant::now());
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_arrived_is_lost_and_it_is_told_every_five_minutes_until_it_is_over() {
        let counts = Counts::new("http://collector:4318".into());
        let begin = Instant::now();
        let told = |counts: &Counts| counts.state().told;
        for _ in 0..10 {
            counts.one_ended();
        }
        counts.exported(4, true, begin);
        assert_eq!((counts.lost(), told(&counts)), (6, None));
        counts.exported(3, false, begin);
        assert_eq!((counts.lost(), told(&counts)), (6, Some(begin)));
        counts.exported(1, false, begin + PACE / 2);
        assert_eq!(told(&counts), Some(begin));
        counts.exported(1, false, begin + PACE);
        assert_eq!(told(&counts), Some(begin + PACE));
        counts.exported(1, true, begin + PACE);
        assert_eq!((counts.lost(), told(&counts)), (5, None));
    }
}
