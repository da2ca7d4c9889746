//! Begins spans and queues them when they end.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use url::Url;

use super::ROUTE;
use super::span::{AttributeValue, Finished, Running, SpanKind, protocol};
use crate::cache::outcome::Outcome;
use crate::http::ids::{Ids, REQUEST_ID, TraceParent, parse_guid, span_id};
use crate::observability::metrics::{Metrics, SpanResult};
use crate::support::labels::Label;

/// What is told, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `telemetry.otlp_endpoint`: where spans go. `None`: there are none.
    pub endpoint: Option<Url>,
    /// `telemetry.otlp_one_in`: of requests without a trace of the caller's, one in so many begins one; 0: none.
    pub one_in: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { endpoint: None, one_in: 1 }
    }
}

/// Begins spans, where somebody collects them. Clones feed the same queue.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Inner>>);

/// Spans that are over, for whoever sends them.
pub type Spans = Receiver<Finished>;

#[derive(Debug)]
struct Inner {
    queue: Sender<Finished>,
    metrics: Arc<Metrics>,
    one_in: u64,
    /// `url.scheme` of callers.
    scheme: &'static str,
    graph: Graph,
}

/// What every attempt says of the other side.
#[derive(Debug)]
struct Graph {
    scheme: &'static str,
    host: Arc<str>,
    port: Option<u16>,
}

impl Tracer {
    /// A tracer, and the queue that it feeds where an endpoint is set. `tls`: callers speak TLS.
    pub fn new(config: &Config, tls: bool, graph: &Url, metrics: &Arc<Metrics>) -> (Self, Option<Spans>) {
        if config.endpoint.is_none() {
            return (Self(None), None);
        }
        let (queue, spans) = channel(QUEUE);
        let graph = Graph {
            scheme: scheme(graph.scheme() == "https"),
            host: graph.host_str().unwrap_or_default().into(),
            port: graph.port_or_known_default(),
        };
        let (metrics, one_in) = (Arc::clone(metrics), config.one_in);
        (Self(Some(Arc::new(Inner { queue, metrics, one_in, scheme: scheme(tls), graph }))), Some(spans))
    }

    /// Whether spans may begin.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the span of a request. From here on `ids` tell of it as the one that asks.
    ///
    /// A caller that is in a trace decides whether spans are wanted; others are in none until one begins here.
    pub fn served(&self, ids: &mut Ids) -> Served {
        let Some(inner) = &self.0 else { return Served(None) };
        let id = span_id();
        let (place, parent) = match ids.trace {
            Some(trace) if trace.is_sampled() => (trace.within(id), Some(trace.span())),
            None if id.checked_rem(inner.one_in) == Some(0) => (TraceParent::root(id), None),
            _ => return Served(None),
        };
        ids.trace = Some(place);
        Served(Some((Arc::clone(inner), Running::begin(place, parent, SpanKind::Server))))
    }

    /// Begins the span of an attempt at Graph. `again`: it is the second.
    pub fn attempt(&self, ids: &Ids, again: bool) -> Attempt {
        let (Some(inner), Some(trace)) = (&self.0, ids.trace.filter(|trace| trace.is_sampled())) else {
            return Attempt(None);
        };
        let mut span = Running::begin(trace.within(span_id()), Some(trace.span()), SpanKind::Client);
        span.say("http.request.method", AttributeValue::Label("GET"));
        span.say("url.scheme", AttributeValue::Label(inner.graph.scheme));
        span.say("url.template", AttributeValue::Label(ROUTE));
        span.say("server.address", AttributeValue::Host(Arc::clone(&inner.graph.host)));
        span.say("server.port", AttributeValue::Number(i64::from(inner.graph.port.unwrap_or_default())));
        if again {
            span.say("http.request.resend_count", AttributeValue::Number(1));
        }
        Attempt(Some((Arc::clone(inner), span, Some(AttributeValue::Label(CANCELLED)))))
    }
}

impl Inner {
    /// Never waits: what there is no room for is counted and gone.
    fn queue(&self, span: Finished) {
        if self.queue.try_send(span).is_err() {
            self.metrics.spans.inc(SpanResult::Dropped);
        }
    }
}

/// The span of a request under way, if there is one.
#[derive(Debug)]
pub struct Served(Option<(Arc<Inner>, Running)>);

impl Served {
    /// It has its answer, or its caller is gone: then `status` is none that anybody was sent.
    pub fn end(
        &mut self,
        request: &Parts,
        status: StatusCode,
        outcome: Outcome,
        reason: Option<&'static str>,
    ) {
        let Some((inner, mut span)) = self.0.take() else { return };
        let is_ours = request.uri.path().ends_with(LAST_SEGMENT);
        let (method, name) = match (&request.method, is_ours) {
            (&Method::GET, true) => ("GET", GET_ROUTE),
            (&Method::GET, false) => ("GET", "GET"),
            (&Method::HEAD, true) => ("HEAD", HEAD_ROUTE),
            (&Method::HEAD, false) => ("HEAD", "HEAD"),
            _ => ("_OTHER", "HTTP"),
        };
        span.say("http.request.method", AttributeValue::Label(method));
        span.say("url.scheme", AttributeValue::Label(inner.scheme));
        span.say("network.protocol.version", protocol(request.version));
        if is_ours {
            span.say("http.route", AttributeValue::Label(ROUTE));
        }
        let failed = status.is_server_error();
        let error = match status.as_u16() {
            HUNG_UP => reason.map(AttributeValue::Label),
            status => {
                span.say("http.response.status_code", AttributeValue::Number(i64::from(status)));
                failed.then(|| reason.map_or(AttributeValue::Status(status), AttributeValue::Label))
            }
        };
        span.say("connector_cache.cache", AttributeValue::Label(outcome.as_str()));
        if let Some(reason) = reason {
            span.say("connector_cache.reason", AttributeValue::Label(reason));
        }
        if let Some(error) = error {
            span.say("error.type", error);
        }
        inner.queue(span.end(name, failed));
    }
}

/// The span of an attempt at Graph, if there is one. One that is dropped before it was told how it ended was given up.
#[derive(Debug)]
pub struct Attempt(Option<(Arc<Inner>, Running, Option<AttributeValue>)>);

impl Attempt {
    /// Its id, for the header that goes to Graph.
    pub fn id(&self) -> Option<u64> {
        self.0.as_ref().map(|(_, span, _)| span.place.span())
    }

    /// The head of Graph's answer is there.
    pub fn answered(&mut self, status: StatusCode, version: Version, headers: &HeaderMap) {
        let Some((_, span, error)) = &mut self.0 else { return };
        *error = (status.as_u16() >= 400).then_some(AttributeValue::Status(status.as_u16()));
        span.say("network.protocol.version", protocol(version));
        span.say("http.response.status_code", AttributeValue::Number(i64::from(status.as_u16())));
        if let Some(id) = headers.get(REQUEST_ID).and_then(parse_guid) {
            span.say("http.response.header.request-id", AttributeValue::Guid(id));
        }
    }

    /// It brought nothing that can be used.
    pub fn failed(&mut self, reason: &'static str) {
        if let Some((_, _, error)) = &mut self.0 {
            *error = Some(AttributeValue::Label(reason));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some((inner, mut span, error)) = self.0.take() {
            let failed = error.is_some();
            if let Some(error) = error {
                span.say("error.type", error);
            }
            inner.queue(span.end(GET_ROUTE, failed));
        }
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

const GET_ROUTE: &str = "GET /{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration";
const HEAD_ROUTE: &str = "HEAD /{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration";
const LAST_SEGMENT: &str = "/apiConnectorConfiguration";
/// What is counted where a caller hung up. Nobody is sent it.
const HUNG_UP: u16 = 499;
/// Nobody waited for it any more.
const CANCELLED: &str = "cancelled";
/// Spans that may wait. One takes some hundred bytes.
const QUEUE: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn tracer(one_in: u64) -> (Tracer, Spans, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new().unwrap());
        let url = Url::parse("http://collector:4318").unwrap();
        let config = Config { endpoint: Some(url.clone()), one_in };
        let (tracer, spans) = Tracer::new(&config, false, &url, &metrics);
        (tracer, spans.unwrap(), metrics)
    }

    fn serve(tracer: &Tracer) -> bool {
        let request = Request::new(()).into_parts().0;
        let mut ids = Ids::from_headers(&request.headers);
        tracer.served(&mut ids).end(&request, StatusCode::OK, Outcome::Hit, None);
        ids.trace.is_some()
    }

    #[test]
    fn what_the_queue_has_no_room_for_is_dropped_and_counted() {
        let (tracer, spans, metrics) = tracer(1);
        for _ in 0..QUEUE + 100 {
            assert!(serve(&tracer));
        }
        assert_eq!((spans.len(), metrics.spans.get(SpanResult::Dropped)), (QUEUE, 100));
    }

    #[test]
    fn one_in_so_many_requests_begins_a_trace() {
        for (one_in, least, most) in [(0, 0, 0), (1, 1000, 1000), (4, 150, 350)] {
            let (tracer, _spans, _) = tracer(one_in);
            let begun = (0..1000).filter(|_| serve(&tracer)).count();
            assert!((least..=most).contains(&begun), "{begun} of 1000, one in {one_in}");
        }
    }
}
