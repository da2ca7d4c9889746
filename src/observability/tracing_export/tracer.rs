//! Starts spans, and queues them when they end.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use url::Url;

use super::span::{ActiveSpan, AttributeValue, FinishedSpan, SpanKind, protocol_version};
use crate::cache::outcome::Outcome;
use crate::http::ids::{Ids, REQUEST_ID, TraceParent, parse_guid, span_id};
use crate::observability::metrics::{Metrics, SpanResult};
use crate::resource::{FlowKind, flow_kind_in_path};
use crate::support::labels::Label;

macro_rules! b2x_route {
    () => {
        "/{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration"
    };
}

macro_rules! b2c_route {
    () => {
        "/{version}/identity/b2cUserFlows/{id}/apiConnectorConfiguration"
    };
}

/// Settings of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `telemetry.otlp_endpoint`: address of the collector. `None`: no spans.
    pub endpoint: Option<Url>,
    /// `telemetry.otlp_one_in`: one in so many requests without a trace of the caller starts a trace; 0: none.
    pub one_in: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { endpoint: None, one_in: 1 }
    }
}

/// Starts spans if a collector is configured. Clones feed the same queue.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Inner>>);

/// Receiver of spans that have ended.
pub type SpanReceiver = Receiver<FinishedSpan>;

#[derive(Debug)]
struct Inner {
    queue: Sender<FinishedSpan>,
    metrics: Arc<Metrics>,
    one_in: u64,
    /// `url.scheme` of callers.
    scheme: &'static str,
    graph: GraphServer,
}

/// Attributes of the server that each attempt has.
#[derive(Debug)]
struct GraphServer {
    scheme: &'static str,
    host: Arc<str>,
    port: Option<u16>,
}

impl Tracer {
    /// Returns a tracer and the receiver of its spans. Without an endpoint the tracer starts no spans and there is no
    /// receiver. `tls`: callers use TLS.
    pub fn new(
        config: &Config,
        tls: bool,
        graph: &Url,
        metrics: &Arc<Metrics>,
    ) -> (Self, Option<SpanReceiver>) {
        if config.endpoint.is_none() {
            return (Self(None), None);
        }
        let (queue, spans) = channel(MAX_QUEUED_SPANS);
        let graph = GraphServer {
            scheme: scheme(graph.scheme() == "https"),
            host: graph.host_str().unwrap_or_default().into(),
            port: graph.port_or_known_default(),
        };
        let (metrics, one_in) = (Arc::clone(metrics), config.one_in);
        (Self(Some(Arc::new(Inner { queue, metrics, one_in, scheme: scheme(tls), graph }))), Some(spans))
    }

    /// Returns whether a collector is configured.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Starts the span of a request, and makes this span the parent in `ids.trace`.
    ///
    /// If the caller sent a trace, its `sampled` flag decides whether there is a span. Other requests start a new
    /// trace, one in `telemetry.otlp_one_in`.
    pub fn start_request_span(&self, ids: &mut Ids) -> RequestSpan {
        let Some(inner) = &self.0 else { return RequestSpan(None) };
        let id = span_id();
        let (context, parent_id) = match ids.trace {
            Some(trace) if trace.is_sampled() => (trace.within(id), Some(trace.span())),
            None if id.checked_rem(inner.one_in) == Some(0) => (TraceParent::root(id), None),
            _ => return RequestSpan(None),
        };
        ids.trace = Some(context);
        RequestSpan(Some((Arc::clone(inner), ActiveSpan::start(context, parent_id, SpanKind::Server))))
    }

    /// Starts the span of an attempt at Graph for a flow of this kind. `is_retry`: this is the second attempt.
    pub fn start_attempt_span(&self, ids: &Ids, kind: FlowKind, is_retry: bool) -> AttemptSpan {
        let (Some(inner), Some(trace)) = (&self.0, ids.trace.filter(|trace| trace.is_sampled())) else {
            return AttemptSpan(None);
        };
        let mut span = ActiveSpan::start(trace.within(span_id()), Some(trace.span()), SpanKind::Client);
        span.set_attribute("http.request.method", AttributeValue::Label("GET"));
        span.set_attribute("url.scheme", AttributeValue::Label(inner.graph.scheme));
        span.set_attribute("url.template", AttributeValue::Label(route(kind)));
        span.set_attribute("server.address", AttributeValue::Host(Arc::clone(&inner.graph.host)));
        let port = i64::from(inner.graph.port.unwrap_or_default());
        span.set_attribute("server.port", AttributeValue::Number(port));
        if is_retry {
            span.set_attribute("http.request.resend_count", AttributeValue::Number(1));
        }
        let cancelled = Some(AttributeValue::Label(CANCELLED));
        AttemptSpan(Some((Arc::clone(inner), span, get_route(kind), cancelled)))
    }
}

impl Inner {
    /// Queues a span, or drops and counts it if the queue is full. Never waits.
    fn queue(&self, span: FinishedSpan) {
        if self.queue.try_send(span).is_err() {
            self.metrics.spans.inc(SpanResult::Dropped);
        }
    }
}

/// The span of a request, if the request is traced.
#[derive(Debug)]
pub struct RequestSpan(Option<(Arc<Inner>, ActiveSpan)>);

impl RequestSpan {
    /// Returns the id of the trace.
    pub fn trace_id(&self) -> Option<u128> {
        self.0.as_ref().map(|(_, span)| span.trace_id())
    }

    /// Ends the span and queues it. `status` is 499 if the caller hung up before the response.
    pub fn end(
        &mut self,
        request: &Parts,
        status: StatusCode,
        outcome: Outcome,
        reason: Option<&'static str>,
    ) {
        let Some((inner, mut span)) = self.0.take() else { return };
        let kind = flow_kind_in_path(request.uri.path());
        let (method, name) = match (&request.method, kind) {
            (&Method::GET, Some(kind)) => ("GET", get_route(kind)),
            (&Method::GET, None) => ("GET", "GET"),
            (&Method::HEAD, Some(FlowKind::B2x)) => ("HEAD", concat!("HEAD ", b2x_route!())),
            (&Method::HEAD, Some(FlowKind::B2c)) => ("HEAD", concat!("HEAD ", b2c_route!())),
            (&Method::HEAD, None) => ("HEAD", "HEAD"),
            _ => ("_OTHER", "HTTP"),
        };
        span.set_attribute("http.request.method", AttributeValue::Label(method));
        span.set_attribute("url.scheme", AttributeValue::Label(inner.scheme));
        span.set_attribute("network.protocol.version", protocol_version(request.version));
        if let Some(kind) = kind {
            span.set_attribute("http.route", AttributeValue::Label(route(kind)));
        }
        let is_error = status.is_server_error();
        let error = match status.as_u16() {
            CLIENT_CLOSED_REQUEST => reason.map(AttributeValue::Label),
            status => {
                span.set_attribute("http.response.status_code", AttributeValue::Number(i64::from(status)));
                is_error.then(|| reason.map_or(AttributeValue::Status(status), AttributeValue::Label))
            }
        };
        span.set_attribute("connector_cache.cache", AttributeValue::Label(outcome.as_str()));
        if let Some(reason) = reason {
            span.set_attribute("connector_cache.reason", AttributeValue::Label(reason));
        }
        if let Some(error) = error {
            span.set_attribute("error.type", error);
        }
        inner.queue(span.end(name, is_error));
    }
}

/// The span of an attempt at Graph, if the request is traced. Dropping it ends it; if neither a response nor a failure
/// was recorded before, the attempt counts as cancelled.
#[derive(Debug)]
pub struct AttemptSpan(Option<(Arc<Inner>, ActiveSpan, &'static str, Option<AttributeValue>)>);

impl AttemptSpan {
    /// Returns the id of the trace.
    pub fn trace_id(&self) -> Option<u128> {
        self.0.as_ref().map(|(_, span, ..)| span.trace_id())
    }

    /// Returns the id of the span, for `traceparent` of the request to Graph.
    pub fn span_id(&self) -> Option<u64> {
        self.0.as_ref().map(|(_, span, ..)| span.span_id())
    }

    /// Records the head of Graph's response.
    pub fn record_response(&mut self, status: StatusCode, version: Version, headers: &HeaderMap) {
        let Some((_, span, _, error)) = &mut self.0 else { return };
        *error = (status.as_u16() >= 400).then_some(AttributeValue::Status(status.as_u16()));
        span.set_attribute("network.protocol.version", protocol_version(version));
        let status = i64::from(status.as_u16());
        span.set_attribute("http.response.status_code", AttributeValue::Number(status));
        if let Some(id) = headers.get(REQUEST_ID).and_then(parse_guid) {
            span.set_attribute("http.response.header.request-id", AttributeValue::Guid(id));
        }
    }

    /// Records the reason of a failed attempt.
    pub fn record_failure(&mut self, reason: &'static str) {
        if let Some((.., error)) = &mut self.0 {
            *error = Some(AttributeValue::Label(reason));
        }
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        if let Some((inner, mut span, name, error)) = self.0.take() {
            let is_error = error.is_some();
            if let Some(error) = error {
                span.set_attribute("error.type", error);
            }
            inner.queue(span.end(name, is_error));
        }
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// Returns the route, as the semantic conventions write a template. The flow id stays out of the span.
fn route(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::B2x => b2x_route!(),
        FlowKind::B2c => b2c_route!(),
    }
}

/// Returns the name of a span of a GET.
fn get_route(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::B2x => concat!("GET ", b2x_route!()),
        FlowKind::B2c => concat!("GET ", b2c_route!()),
    }
}

/// Status that metrics and log have for a caller that hung up before the response, as in nginx. Never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;
/// `error.type` of an attempt that was dropped before its response.
const CANCELLED: &str = "cancelled";
/// Spans in the queue. One takes a few hundred bytes.
const MAX_QUEUED_SPANS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn tracer(one_in: u64) -> (Tracer, SpanReceiver, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new().unwrap());
        let url = Url::parse("http://collector:4318").unwrap();
        let config = Config { endpoint: Some(url.clone()), one_in };
        let (tracer, spans) = Tracer::new(&config, false, &url, &metrics);
        (tracer, spans.unwrap(), metrics)
    }

    fn serve(tracer: &Tracer) -> bool {
        let request = Request::new(()).into_parts().0;
        let mut ids = Ids::from_headers(&request.headers);
        tracer.start_request_span(&mut ids).end(&request, StatusCode::OK, Outcome::Hit, None);
        ids.trace.is_some()
    }

    #[test]
    fn spans_beyond_the_limit_of_the_queue_are_dropped_and_counted() {
        let (tracer, spans, metrics) = tracer(1);
        for _ in 0..MAX_QUEUED_SPANS + 100 {
            assert!(serve(&tracer));
        }
        assert_eq!((spans.len(), metrics.spans.get(SpanResult::Dropped)), (MAX_QUEUED_SPANS, 100));
    }

    #[test]
    fn one_in_so_many_requests_starts_a_trace() {
        for (one_in, least, most) in [(0, 0, 0), (1, 1000, 1000), (4, 150, 350)] {
            let (tracer, _spans, _) = tracer(one_in);
            let begun = (0..1000).filter(|_| serve(&tracer)).count();
            assert!((least..=most).contains(&begun), "{begun} of 1000, one in {one_in}");
        }
    }
}
