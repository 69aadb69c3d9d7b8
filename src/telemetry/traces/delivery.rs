//! Counts delivered spans, and logs when delivery fails: at first, every five minutes while it lasts, and when it is
//! over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::{info, warn};

use crate::runtime::sync::lock;

/// The time between two warnings that traces can't be delivered.
const WARNING_INTERVAL: Duration = Duration::from_secs(300);

/// Counters of the spans to send and of those delivered.
#[derive(Debug)]
pub(super) struct DeliveryStats {
    endpoint: String,
    /// Spans to send.
    ended: AtomicU64,
    /// Spans delivered.
    arrived: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why the last request failed.
    last_error: Option<String>,
    /// Time of the last warning; `None` while spans are delivered.
    warned_at: Option<Instant>,
}

impl DeliveryStats {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            ended: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Counts a span that is to be sent.
    pub(super) fn record_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Records why a request failed.
    pub(super) fn record_error(&self, error: String) {
        self.state().last_error = Some(error);
    }

    /// Spans not delivered: queued, rejected or dropped from a full queue.
    pub(super) fn lost(&self) -> u64 {
        let arrived = self.arrived.load(Ordering::Relaxed);
        self.ended.load(Ordering::Relaxed).saturating_sub(arrived)
    }

    fn record_export(&self, spans: u64, is_done: bool, now: Instant) {
        let mut state = self.state();
        if is_done {
            self.arrived.fetch_add(spans, Ordering::Relaxed);
            if state.warned_at.take().is_some() {
                info!(endpoint = self.endpoint, "traces are delivered again");
            }
            return;
        }
        let is_recent = |warned_at| now.duration_since(warned_at) < WARNING_INTERVAL;
        if state.warned_at.is_some_and(is_recent) {
            return;
        }
        state.warned_at = Some(now);
        let last_error = state.last_error.take();
        warn!(
            endpoint = self.endpoint,
            spans = self.ended.load(Ordering::Relaxed),
            arrived = self.arrived.load(Ordering::Relaxed),
            "traces can't be delivered, and spans are lost meanwhile: {}",
            last_error.as_deref().unwrap_or("the SDK does not say why")
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Counts the successes and failures of an exporter.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    exporter: E,
    stats: Arc<DeliveryStats>,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(exporter: E, stats: Arc<DeliveryStats>) -> Self {
        Self { exporter, stats }
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        self.stats
            .record_export(spans, result.is_ok(), Instant::now());
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
    fn failed_delivery_is_warned_of_every_five_minutes() {
        let stats = DeliveryStats::new("http://collector:4318".into());
        let begin = Instant::now();
        let warned_at = |stats: &DeliveryStats| stats.state().warned_at;
        for _ in 0..10 {
            stats.record_ended();
        }
        stats.record_export(4, true, begin);
        assert_eq!((stats.lost(), warned_at(&stats)), (6, None));
        stats.record_export(3, false, begin);
        assert_eq!((stats.lost(), warned_at(&stats)), (6, Some(begin)));
        stats.record_export(1, false, begin + WARNING_INTERVAL / 2);
        assert_eq!(warned_at(&stats), Some(begin));
        stats.record_export(1, false, begin + WARNING_INTERVAL);
        assert_eq!(warned_at(&stats), Some(begin + WARNING_INTERVAL));
        stats.record_export(1, true, begin + WARNING_INTERVAL);
        assert_eq!((stats.lost(), warned_at(&stats)), (5, None));
    }
}
