//! Response of Graph: status, header fields, and the body for the scrubber.

use std::pin::pin;
use std::task::Poll;

use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::{BodyLimits, EncodedBody, RawBody, collect};
use crate::support::poll_once::poll_once;
use crate::upstream::metrics::UpstreamMetrics;
use crate::upstream::{RequestError, UpstreamFailure};

/// Response of Graph. The header fields are Graph's; code that forwards fields selects them from a list.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// Status: 200, 204, or an error. 304 only if the request had a condition that the response matches.
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
        // Neither has a body. The client has checked that a 304 matches the condition of the request. A 204 is the response
        // for a property that is null (OData 4.0, section 11.2.3).
        204 | 304 => {
            let body = Err(UpstreamFailure::Status.into());
            return Ok(UpstreamResponse { status: head.status, headers: head.headers, body });
        }
        300..400 => return Err(UpstreamFailure::Redirect),
        200 | 400..600 => {}
        _ => return Err(UpstreamFailure::Status),
    }
    let body = pin!(collect_until(deadline, body, &head.headers, limits)).await;
    // The wait for a thread that decodes is no time of Graph.
    let body = match body {
        Ok(encoded) => encoded.decode(limits).await,
        Err(error) => Err(error),
    };
    let body = match body {
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

/// Reads a body until `deadline`. A small body arrives with its head and needs no timer.
async fn collect_until(
    deadline: Instant,
    body: Incoming,
    headers: &HeaderMap,
    limits: &BodyLimits<'_>,
) -> Result<EncodedBody, RequestError> {
    let mut collected = pin!(collect(body, headers, limits));
    match poll_once(collected.as_mut()).await {
        Poll::Ready(body) => body,
        Poll::Pending => {
            timeout_at(deadline, collected).await.unwrap_or(Err(UpstreamFailure::Timeout.into()))
        }
    }
}
