//! The path of one request outside the decision: who it is, whether it may be asked, how long it may take,
//! what every answer carries, and what is told of it.
//!
//! Nothing here knows what is asked for or where the answer comes from.

mod dials;
mod record;

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;

use crate::http::error::{ErrorResponse, Rejection, Response};
use crate::http::ids::{CLIENT_REQUEST_ID_FIELD, Ids, REQUEST_ID_FIELD};
use crate::http::validate;
use crate::http::validate::RequestView;
use crate::observability::logging::AccessLog;
use crate::observability::metrics::Metrics;
use crate::observability::tracing_export::Tracer;
use crate::proxy::handler::{Handler, HandlerResponse};
use crate::server::{ServerLimits, Service};
use crate::support::byte_budget::ByteBudget;
pub use dials::Dials;
use record::RequestRecord;

/// A handler in its layers.
pub struct RequestStack<H> {
    handler: Arc<H>,
    metrics: Arc<Metrics>,
    dials: Arc<Dials>,
    byte_budget: ByteBudget,
    tracer: Tracer,
}

impl<H: Handler> RequestStack<H> {
    /// Puts the layers around `handler`.
    pub fn new(handler: Arc<H>, metrics: Arc<Metrics>, access: AccessLog, limits: &ServerLimits) -> Self {
        let (dials, byte_budget) = (Arc::new(Dials::new(access, limits)), ByteBudget::new(usize::MAX));
        Self { handler, metrics, dials, byte_budget, tracer: Tracer::default() }
    }

    /// Lets large answers go out only while `byte_budget` has room.
    #[must_use]
    pub fn within(self, byte_budget: ByteBudget) -> Self {
        Self { byte_budget, ..self }
    }

    /// What may be changed while requests go by.
    pub fn dials(&self) -> &Arc<Dials> {
        &self.dials
    }

    /// Tells of each request by a span of `tracer`.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Answers one request whose head is all of it, if the handler can do that without waiting. Where it declines,
    /// nothing has been done or told, and [`RequestStack::respond`] answers. A request with a span takes that way, too.
    pub fn try_respond(&self, request: &Parts, peer: IpAddr) -> Option<Response> {
        let view = RequestView::new(request);
        if self.tracer.is_on() || validate::check(&view, false, &self.dials.message()).is_err() {
            return None;
        }
        let mut ids = ids(&view);
        // As below.
        let answer = catch_unwind(AssertUnwindSafe(|| self.handler.try_handle_sync(&view, &ids)));
        let answer = answer.unwrap_or_else(|_| Some(self.reject(Rejection::Panic, &ids)))?;
        let span = self.tracer.served(&mut ids);
        let record = RequestRecord::begin(
            &self.metrics,
            self.dials.access.get(),
            (request, view.created_at),
            &ids,
            span,
        );
        Some(self.finish(answer, request, &ids, peer, record))
    }

    /// Answers one request. `has_body`: more than its head is to come.
    pub async fn respond(&self, mut request: Parts, has_body: bool, peer: SocketAddr) -> Response {
        let (checked, mut ids, start) = {
            let view = RequestView::new(&request);
            (validate::check(&view, has_body, &self.dials.message()), ids(&view), view.created_at)
        };
        let headers = std::mem::take(&mut request.headers);
        let request = &request;
        let span = self.tracer.served(&mut ids);
        // Counts the request when it is dropped: at the end, or when the caller hangs up before.
        let record =
            RequestRecord::begin(&self.metrics, self.dials.access.get(), (request, start), &ids, span);
        let answer = match checked {
            Ok(()) => self.handle(request, headers, &ids, peer).await,
            Err(reason) => self.reject(reason, &ids),
        };
        let mut response = self.finish(answer, request, &ids, peer.ip(), record);
        if has_body {
            close(&mut response, request.version);
        }
        response
    }

    /// What becomes of every answer.
    fn finish(
        &self,
        mut answer: HandlerResponse,
        request: &Parts,
        ids: &Ids,
        peer: IpAddr,
        mut record: RequestRecord<'_>,
    ) -> Response {
        if answer.response.body().size_hint().lower() > SMALL {
            self.charge(&mut answer, ids, peer);
        }
        record.end(&answer);
        let mut response = answer.response;
        if !answer.has_common_headers {
            add_common_headers(response.headers_mut(), ids);
        }
        if request.method == Method::HEAD { without_body(response) } else { response }
    }

    /// The handler's answer, if it comes in time and without a fault.
    async fn handle(
        &self,
        request: &Parts,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> HandlerResponse {
        // The handler is not used again before it has been called anew, so no broken state of its own is seen.
        let answer = AssertUnwindSafe(self.handler.handle(request, headers, ids, peer)).catch_unwind();
        match tokio::time::timeout(self.dials.deadline.get(), answer).await {
            Ok(Ok(answer)) => answer,
            // The payload is dropped unseen: it may quote what must not be told.
            Ok(Err(_)) => self.reject(Rejection::Panic, ids),
            Err(_) => self.reject(Rejection::Deadline, ids),
        }
    }

    /// Charges a large response to its caller's address until the last of it is written. A small one is charged by
    /// its connection, and only where the peer does not take it at once.
    fn charge(&self, answer: &mut HandlerResponse, ids: &Ids, peer: IpAddr) {
        let body = std::mem::take(answer.response.body_mut()).into_inner().unwrap_or_default();
        match self.byte_budget.attach(peer, body) {
            Ok(body) => *answer.response.body_mut() = Full::new(body),
            Err(_) => *answer = self.reject(Rejection::BytesInFlight, ids),
        }
    }

    fn reject(&self, reason: Rejection, ids: &Ids) -> HandlerResponse {
        self.metrics.rejected.inc(reason);
        self.handler.error_response(ErrorResponse::Rejected(reason), ids)
    }
}

impl<H: Handler> Service for RequestStack<H> {
    fn try_respond_sync(&self, head: &Parts, peer: SocketAddr) -> Option<Response> {
        self.try_respond(head, peer.ip())
    }

    async fn answer(&self, head: Parts, body: Incoming, peer: SocketAddr) -> Response {
        // The body is held until the answer is there: an unread one ends the connection when it is dropped.
        let has_body = !body.is_end_stream();
        self.respond(head, has_body, peer).await
    }
}

fn ids(view: &RequestView<'_>) -> Ids {
    Ids::from_fields(view.client_request_id.first(), view.trace_parent.single())
}

/// What every answer carries.
fn add_common_headers(headers: &mut HeaderMap, ids: &Ids) {
    let [client, ours] = ids.header_values();
    headers.insert(&CLIENT_REQUEST_ID_FIELD, client);
    headers.insert(&REQUEST_ID_FIELD, ours);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// RFC 9112, section 9.3: what follows a request whose body was not read must not be taken for a request.
fn close(response: &mut Response, version: Version) {
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// RFC 9110, section 9.3.2: the fields that GET would have, and no content.
fn without_body(mut response: Response) -> Response {
    let length = response.body().size_hint().exact();
    if let (Some(length), true) = (length, response.status() != http::StatusCode::NOT_MODIFIED) {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    *response.body_mut() = Full::new(Bytes::new());
    response
}

/// An answer of Graph's has a few KiB, so a hit has nothing to do with the others.
const SMALL: u64 = 16 << 10;

#[cfg(test)]
mod tests;
