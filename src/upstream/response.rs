//! Response of Graph: status, header fields, and the body for the scrubber.

use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::{BodyLimits, RawBody, collect};
use crate::upstream::metrics::UpstreamMetrics;
use crate::upstream::{RequestError, UpstreamFailure};

/// Response of Graph. The header fields are Graph's; code that forwards fields selects them from a list.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// Status: neither informational nor a redirect. 304 only if the request had a condition that the response matches.
    pub status: StatusCode,
    /// All header fields, for reading only.
    pub headers: HeaderMap,
    /// Body, for the scrubber. `Ok` for each 200; an error response is kept even if its body cannot be read.
    pub body: Result<RawBody, RequestError>,
}

/// Reads the body of a response until `deadline`. An error response whose body is truncated or late keeps its status.
pub(super) async fn receive(
    response: http::Response<Incoming>,
    deadline: Instant,
    limits: &BodyLimits<'_>,
    metrics: &UpstreamMetrics,
) -> Result<UpstreamResponse, UpstreamFailure> {
    let (head, body) = response.into_parts();
    match head.status.as_u16() {
        // A 304 has no body. The client has checked that it matches the condition of the request.
        304 => {
            let body = Err(UpstreamFailure::Status.into());
            return Ok(UpstreamResponse { status: head.status, headers: head.headers, body });
        }
        300..400 => return Err(UpstreamFailure::Redirect),
        200 | 400..600 => {}
        _ => return Err(UpstreamFailure::Status),
    }
    let body = timeout_at(deadline, collect(body, &head.headers, limits)).await;
    let body = match body.unwrap_or(Err(UpstreamFailure::Timeout.into())) {
        Err(RequestError::Failed(failure)) if head.status == StatusCode::OK => {
            return Err(failure);
        }
        Err(RequestError::Failed(failure)) => {
            metrics.errors.inc(failure);
            Err(failure.into())
        }
        collected => collected,
    };
    Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
}
