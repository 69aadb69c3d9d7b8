//! Which traces are worth sending: those of reconciles that asked someone something.
//!
//! Every wake is a reconcile, and most find nothing to do, in microseconds. That is known only when it is over, and
//! so a trace's spans are held until its root ends. What holds them are reconciles that are under way, each with at
//! most some dozens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::counts::Counts;

/// Holds the spans of each trace until it is known whether they are sent.
#[derive(Debug)]
pub(super) struct Worth<P> {
    next: P,
    counts: Arc<Counts>,
    held: Mutex<HashMap<TraceId, Vec<SpanData>>>,
}

impl<P: SpanProcessor> Worth<P> {
    /// Gives on to `next` what is worth it.
    pub(super) fn new(next: P, counts: Arc<Counts>) -> Self {
        Self {
            next,
            counts,
            held: Mutex::default(),
        }
    }

    /// What can be sent now that a span has ended.
    fn ready(&self, span: SpanData) -> Vec<SpanData> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let trace = span.span_context.trace_id();
        if span.parent_span_id == SpanId::INVALID {
            let mut all = held.remove(&trace).unwrap_or_default();
            let asks = |span: &SpanData| span.span_kind == SpanKind::Client;
            if !all.iter().any(asks) {
                return Vec::new();
            }
            all.push(span);
            return all;
        }
        match held.get_mut(&trace) {
            Some(all) => {
                all.push(span);
                Vec::new()
            }
            // Its trace is over: it asked for several, and the first of them did not wait for the answer.
            None => vec![span],
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for Worth<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.next.on_start(span, cx);
        if !cx.span().span_context().is_valid() {
            let trace = span.span_context().trace_id();
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.insert(trace, Vec::new());
        }
    }

    fn on_end(&self, span: SpanData) {
        for span in self.ready(span) {
            self.counts.one_ended();
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

    fn tracer() -> (SdkTracer, Sent, Arc<Counts>) {
        let sent = Sent::default();
        let counts = Arc::new(Counts::new("http://collector:4318".into()));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Worth::new(sent.clone(), Arc::clone(&counts)))
            .build();
        (provider.tracer("test"), sent, counts)
    }

    /// Begins a span below another, or a trace.
    fn begin(tracer: &SdkTracer, name: &'static str, kind: SpanKind, cx: &Context) -> Context {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        cx.with_span(tracer.build_with_context(builder, cx))
    }

    #[test]
    fn a_trace_in_which_nobody_was_asked_is_not_sent() {
        let (tracer, sent, counts) = tracer();
        let root = begin(&tracer, "reconcile", SpanKind::Internal, &Context::new());
        begin(&tracer, "plan", SpanKind::Internal, &root)
            .span()
            .end();
        root.span().end();
        assert_eq!(sent.names(), [""; 0]);
        assert_eq!(counts.lost(), 0);
    }

    #[test]
    fn a_trace_with_a_request_is_sent_whole_when_it_is_over() {
        let (tracer, sent, counts) = tracer();
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
        assert_eq!(counts.lost(), 3);
    }

    #[test]
    fn a_span_that_outlives_its_trace_is_sent_by_itself() {
        let (tracer, sent, _) = tracer();
        let root = begin(&tracer, "reconcile", SpanKind::Internal, &Context::new());
        let late = begin(&tracer, "exchange", SpanKind::Client, &root);
        root.span().end();
        late.span().end();
        assert_eq!(sent.names(), ["exchange"]);
    }
}
