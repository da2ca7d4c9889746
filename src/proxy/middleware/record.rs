//! Record of one request: metrics, a line of the access log, and a span.

use std::time::Instant;

use http::request::Parts;
use http::{StatusCode, Version};

use super::client_fields::ClientFields;
use crate::auth::LogTag;
use crate::cache::outcome::Outcome;
use crate::http::ids::Ids;
use crate::observability::logging::AccessLog;
use crate::observability::metrics::{MethodLabel, Metrics, PerThread};
use crate::observability::tracing_export::RequestSpan;
use crate::proxy::handler::HandlerResponse;
use crate::support::labels::Label;

/// A request in flight. A drop of the record counts, logs and traces the request, also if the caller hangs up.
pub(super) struct RequestRecord<'a> {
    counts: &'a PerThread,
    access: AccessLog,
    client: &'a ClientFields<'a>,
    request: &'a Parts,
    ids: &'a Ids,
    start: Instant,
    status: StatusCode,
    outcome: Outcome,
    reason: Option<&'static str>,
    token: Option<LogTag>,
    application: Option<LogTag>,
    span: RequestSpan,
}

impl<'a> RequestRecord<'a> {
    /// Starts the record.
    pub(super) fn begin(
        metrics: &'a Metrics,
        (access, client): (AccessLog, &'a ClientFields<'a>),
        (request, start): (&'a Parts, Instant),
        ids: &'a Ids,
        span: RequestSpan,
    ) -> Self {
        let counts = metrics.local();
        counts.in_flight.inc();
        Self {
            counts,
            access,
            client,
            request,
            ids,
            start,
            status: hung_up(),
            outcome: Outcome::None,
            reason: Some("caller-hung-up"),
            token: None,
            application: None,
            span,
        }
    }

    /// Sets the tag of the application whose request waits for Graph.
    pub(super) fn set_application(&mut self, application: Option<LogTag>) {
        self.application = application;
    }

    /// Takes over the outcome of the response.
    pub(super) fn end(&mut self, response: &HandlerResponse) {
        self.status = response.response.status();
        self.outcome = response.outcome;
        self.reason = response.reason;
        self.token = response.token_tag;
    }

    /// Writes a line of the access log. It never has the path, the query, the body or a header field, except for the user agent
    /// if `log.client` is set.
    fn log(&self, duration_us: u64) {
        let trace_id = self.ids.trace.map(crate::http::ids::TraceParent::trace_id);
        tracing::info!(
            target: "connector_cache::access",
            request_id = %self.ids.request,
            client_request_id = %self.ids.client,
            trace_id,
            method = MethodLabel::from(&self.request.method).as_str(),
            version = version(self.request.version),
            status = self.status.as_u16(),
            cache = self.outcome.as_str(),
            reason = self.reason,
            duration_us,
            token = self.token.map(tracing::field::display),
            application = self.application.map(tracing::field::display),
            peer = self.client.peer().map(tracing::field::display),
            client = self.client.certificate_name(),
            user_agent = self.client.user_agent(self.request).map(tracing::field::display),
        );
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        self.counts.in_flight.dec();
        self.counts.requests.inc(MethodLabel::from(&self.request.method), self.status, self.outcome);
        self.counts.request_duration.observe(self.outcome, duration, self.span.trace_id());
        self.span.end(self.request, self.status, self.outcome, self.reason);
        if self.access.logs(self.outcome) {
            self.log(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

/// Returns the status for a caller that hung up before the response, as nginx logs it. It is never sent.
fn hung_up() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        _ => "other",
    }
}
