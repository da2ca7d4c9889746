//! Middleware: everything about a request that does not depend on its resource.
//!
//! A request passes the checks of its message, gets its ids and its span, and goes to the handler within the request
//! timeout. Its response gets the common header fields, is charged to the byte budget if it is large, and is counted,
//! logged and traced. The middleware knows neither the resource nor the cache.

mod client_fields;
mod record;

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::Guard;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;

use crate::http::error::Response;
use crate::http::ids::{CLIENT_REQUEST_ID_FIELD, Ids, REQUEST_ID_FIELD};
use crate::http::rejection::Rejection;
use crate::http::validate;
use crate::http::validate::RequestView;
use crate::observability::logging::{AccessLog, ClientLog};
use crate::observability::metrics::Metrics;
use crate::observability::tracing_export::{RequestSpan, Tracer};
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::handler::{Handler, HandlerResponse, Lookup};
use crate::proxy::runtime_config::{LiveConfig, RuntimeConfig};
use crate::server::{Peer, Service};
use crate::support::boxed::{boxed, boxed_pin};
use crate::support::byte_budget::ByteBudget;
use client_fields::ClientFields;
use record::RequestRecord;

/// A handler with the middleware around it.
pub struct RequestStack<H> {
    handler: Arc<H>,
    metrics: Arc<Metrics>,
    config: LiveConfig,
    byte_budget: ByteBudget,
    tracer: Tracer,
}

impl<H: Handler> RequestStack<H> {
    /// Builds the middleware around `handler`, with the live settings of `config`.
    pub fn new(handler: Arc<H>, metrics: Arc<Metrics>, config: LiveConfig) -> Self {
        Self { handler, metrics, config, byte_budget: ByteBudget::new(usize::MAX), tracer: Tracer::default() }
    }

    /// Charges large responses to `byte_budget`.
    #[must_use]
    pub fn within(self, byte_budget: ByteBudget) -> Self {
        Self { byte_budget, ..self }
    }

    /// Traces requests by `tracer`.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Runs the part of a request that waits for nothing: checks the message, reads its ids, starts its span, and looks the
    /// response up. `has_content`: content follows the head.
    ///
    /// Returns the response, or what [`RequestStack::respond`] needs to go on. Until then nothing is counted or logged.
    pub fn try_respond(
        &self,
        head: &Parts,
        has_content: bool,
        peer: &Peer,
    ) -> ControlFlow<Response, Box<PendingRequest<H::Prepared>>> {
        let view = RequestView::new(head);
        // The one snapshot of this request.
        let config = self.config.load();
        let checked = validate::check(&view, has_content, &config.message_limits);
        let mut ids = Ids::from_fields(view.client_request_id.first(), view.trace_parent.single());
        let span = self.tracer.start_request_span(&mut ids);
        let start = view.created_at;
        let next = match checked {
            Ok(()) => match self.lookup(&view, &ids, &config) {
                Lookup::Ready(response) => {
                    let client = ClientFields { setting: config.client_log, peer, user_agent: None };
                    let record = self.record((config.access_log, &client), (head, start), &ids, span);
                    return ControlFlow::Break(self.finish(response, head, &ids, peer.ip(), record));
                }
                Lookup::Continue(prepared) => Ok(prepared),
            },
            // Where content follows, the response must not be sent before `respond` holds the body.
            Err(reason) => Err(reason),
        };
        ControlFlow::Continue(boxed(|| PendingRequest {
            ids,
            start,
            span,
            config: Guard::into_inner(config),
            next,
        }))
    }

    /// Runs the rest of a request, within the request timeout. `content` is held until the response is complete: dropped unread,
    /// it ends the connection.
    pub async fn respond<C>(
        &self,
        pending: Box<PendingRequest<H::Prepared>>,
        mut head: Parts,
        content: Option<C>,
        peer: Peer,
    ) -> Response {
        let PendingRequest { ids, start, span, config, next } = *pending;
        let headers = std::mem::take(&mut head.headers);
        let user_agent =
            headers.get(header::USER_AGENT).filter(|_| config.client_log != ClientLog::Off).cloned();
        let client =
            ClientFields { setting: config.client_log, peer: &peer, user_agent: user_agent.as_ref() };
        // Counts the request when it is dropped: at the end, or when the caller hangs up before.
        let mut record = self.record((config.access_log, &client), (&head, start), &ids, span);
        let response = match next {
            Ok(prepared) => {
                record.set_application(self.handler.application_tag(&prepared));
                self.handle(prepared, headers, &ids, peer.address(), config.request_timeout).await
            }
            Err(reason) => self.reject(reason, &ids),
        };
        let mut response = self.finish(response, &head, &ids, peer.ip(), record);
        if content.is_some() {
            close(&mut response, head.version);
        }
        response
    }

    fn record<'a>(
        &'a self,
        settings: (AccessLog, &'a ClientFields<'a>),
        request: (&'a Parts, Instant),
        ids: &'a Ids,
        span: RequestSpan,
    ) -> RequestRecord<'a> {
        RequestRecord::begin(&self.metrics, settings, request, ids, span)
    }

    /// Calls the handler's lookup. A panic becomes a response.
    fn lookup(
        &self,
        request: &RequestView<'_>,
        ids: &Ids,
        config: &Arc<RuntimeConfig>,
    ) -> Lookup<H::Prepared> {
        // As in `handle`.
        let lookup = catch_unwind(AssertUnwindSafe(|| self.handler.lookup(request, ids, config)));
        lookup.unwrap_or_else(|_| Lookup::Ready(self.reject(Rejection::Panic, ids)))
    }

    /// Completes a response: charges it, counts and logs it, adds the common header fields.
    fn finish(
        &self,
        mut response: HandlerResponse,
        request: &Parts,
        ids: &Ids,
        peer: IpAddr,
        mut record: RequestRecord<'_>,
    ) -> Response {
        if response.response.body().size_hint().lower() > SMALL_RESPONSE_BYTES {
            self.charge(&mut response, ids, peer);
        }
        record.end(&response);
        let HandlerResponse { mut response, has_common_headers, .. } = response;
        if !has_common_headers {
            add_common_headers(response.headers_mut(), ids);
        }
        if request.method == Method::HEAD { without_body(response) } else { response }
    }

    /// Calls the handler's asynchronous part. A panic and the request timeout become responses.
    async fn handle(
        &self,
        prepared: H::Prepared,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
        request_timeout: Duration,
    ) -> HandlerResponse {
        // The handler shares no state that a panic could leave half changed.
        // In an allocation of its own, because each wrapper around it would copy it.
        let response = boxed_pin(|| self.handler.respond(prepared, headers, ids, peer));
        let response = AssertUnwindSafe(response).catch_unwind();
        match tokio::time::timeout(request_timeout, response).await {
            Ok(Ok(response)) => response,
            // The payload is dropped unread: it may hold what must not be logged.
            Ok(Err(_)) => self.reject(Rejection::Panic, ids),
            Err(_) => self.reject(Rejection::Deadline, ids),
        }
    }

    /// Charges a large response to its caller's address until all of it is written. A small one is charged by its
    /// connection, and only if the peer does not read it at once.
    fn charge(&self, response: &mut HandlerResponse, ids: &Ids, peer: IpAddr) {
        let body = std::mem::take(response.response.body_mut()).into_inner().unwrap_or_default();
        match self.byte_budget.attach(peer, body) {
            Ok(body) => *response.response.body_mut() = Full::new(body),
            Err(_) => *response = self.reject(Rejection::BytesInFlight, ids),
        }
    }

    fn reject(&self, reason: Rejection, ids: &Ids) -> HandlerResponse {
        self.metrics.rejected.inc(reason);
        self.handler.error_response(ErrorResponse::Rejected(reason), ids)
    }
}

impl<H: Handler> Service for RequestStack<H> {
    type Pending = Box<PendingRequest<H::Prepared>>;

    fn try_respond(
        &self,
        head: &Parts,
        has_content: bool,
        peer: &Peer,
    ) -> ControlFlow<Response, Self::Pending> {
        Self::try_respond(self, head, has_content, peer)
    }

    // Not an `async fn`, whose future would contain the one below and copy it.
    fn respond(
        &self,
        pending: Self::Pending,
        head: Parts,
        content: Option<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response> + Send {
        Self::respond(self, pending, head, content, peer)
    }
}

/// A request after [`RequestStack::try_respond`] that has no response yet.
#[derive(Debug)]
pub struct PendingRequest<P> {
    ids: Ids,
    start: Instant,
    span: RequestSpan,
    config: Arc<RuntimeConfig>,
    /// Result of the handler's lookup, or the reason why the message is refused.
    next: Result<P, Rejection>,
}

/// Adds the header fields that all responses have.
fn add_common_headers(headers: &mut HeaderMap, ids: &Ids) {
    let [client, ours] = ids.header_values();
    headers.insert(&CLIENT_REQUEST_ID_FIELD, client);
    headers.insert(&REQUEST_ID_FIELD, ours);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Ends the connection of HTTP/1: the body was not read, and its bytes must not be parsed as a request (RFC 9112, section
/// 9.3).
fn close(response: &mut Response, version: Version) {
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Removes the content of the response to HEAD, with the header fields of GET (RFC 9110, section 9.3.2).
fn without_body(mut response: Response) -> Response {
    let length = response.body().size_hint().exact();
    if let (Some(length), true) = (length, response.status() != http::StatusCode::NOT_MODIFIED) {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    *response.body_mut() = Full::new(Bytes::new());
    response
}

/// Larger responses are charged here. Graph's have a few KiB, so that nearly all hits are below.
const SMALL_RESPONSE_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests;
