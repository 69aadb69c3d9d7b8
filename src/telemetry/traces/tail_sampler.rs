//! Tail sampling: only traces with a client span are sent, since most reconciles find nothing to do.
//!
//! A trace's spans are held until its root span ends: some dozens for each reconcile under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::delivery::DeliveryStats;
use crate::runtime::sync::lock;

/// Holds each trace's spans until its root span ends.
#[derive(Debug)]
pub(super) struct TailSampler<P> {
    next: P,
    stats: Arc<DeliveryStats>,
    open: Mutex<HashMap<TraceId, Vec<SpanData>>>,
}

impl<P: SpanProcessor> TailSampler<P> {
    /// Passes sampled spans to `next`.
    pub(super) fn new(next: P, stats: Arc<DeliveryStats>) -> Self {
        Self {
            next,
            stats,
            open: Mutex::default(),
        }
    }

    /// The spans to send now that `span` has ended.
    fn take_finished(&self, span: SpanData) -> Vec<SpanData> {
        let mut open = lock(&self.open);
        let trace = span.span_context.trace_id();
        if span.parent_span_id == SpanId::INVALID {
            let mut all = open.remove(&trace).unwrap_or_default();
            let asks = |span: &SpanData| span.span_kind == SpanKind::Client;
            if !all.iter().any(asks) {
                return Vec::new();
            }
            all.push(span);
            return all;
        }
        match open.get_mut(&trace) {
            Some(all) => {
                all.push(span);
                Vec::new()
            }
            // The trace is over: a shared request outlived the reconcile that started it.
            None => vec![span],
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for TailSampler<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.next.on_start(span, cx);
        if !cx.span().span_context().is_valid() {
            let trace = span.span_context().trace_id();
            let mut open = lock(&self.open);
            open.insert(trace, Vec::new());
        }
    }

    fn on_end(&self, span: SpanData) {
        for span in self.take_finished(span) {
            self.stats.record_ended();
            self.next.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{
        SpanBuilder, TraceContextExt as _, Tracer as _, TracerProvider as _,
    };
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

    use super::*;

    /// Keeps the names of the spans that it is given.
    #[derive(Clone, Debug, Default)]
    struct Sent(Arc<Mutex<Vec<String>>>);

    impl SpanProcessor for Sent {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span.name.into_owned());
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    impl Sent {
        fn names(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    fn tracer() -> (SdkTracer, Sent, Arc<DeliveryStats>) {
        let sent = Sent::default();
        let stats = Arc::new(DeliveryStats::new("http://collector:4318".into()));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(TailSampler::new(sent.clone(), Arc::clone(&stats)))
            .build();
        (provider.tracer("test"), sent, stats)
    }

    /// Begins a span below another, or a trace.
    fn begin(tracer: &SdkTracer, name: &'static str, kind: SpanKind, cx: &Context) -> Context {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        cx.with_span(tracer.build_with_context(builder, cx))
    }

    #[test]
    fn a_trace_without_requests_is_dropped() {
        let (tracer, sent, stats) = tracer();
        let root = begin(&tracer, "reconcile", SpanKind::Internal, &Context::new());
        begin(&tracer, "plan", SpanKind::Internal, &root)
            .span()
            .end();
        root.span().end();
        assert_eq!(sent.names(), [""; 0]);
        assert_eq!(stats.lost(), 0);
    }

    #[test]
    fn a_trace_with_a_request_is_sent_whole_at_its_end() {
        let (tracer, sent, stats) = tracer();
        let root = begin(&tracer, "reconcile", SpanKind::Internal, &Context::new());
        let other = begin(&tracer, "another", SpanKind::Internal, &Context::new());
        begin(&tracer, "plan", SpanKind::Internal, &root)
            .span()
            .end();
        begin(&tracer, "request", SpanKind::Client, &root)
            .span()
            .end();
        other.span().end();
        assert_eq!(sent.names(), [""; 0]);
        root.span().end();
        assert_eq!(sent.names(), ["plan", "request", "reconcile"]);
        assert_eq!(stats.lost(), 3);
    }

    #[test]
    fn a_span_that_outlives_its_trace_is_sent_alone() {
        let (tracer, sent, _) = tracer();
        let root = begin(&tracer, "reconcile", SpanKind::Internal, &Context::new());
        let late = begin(&tracer, "exchange", SpanKind::Client, &root);
        root.span().end();
        late.span().end();
        assert_eq!(sent.names(), ["exchange"]);
    }
}
