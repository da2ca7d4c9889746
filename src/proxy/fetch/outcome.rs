//! Conversion between the results of a fetch and those of circuit breakers.

use crate::http::retry_after::{self, MAX_THROTTLE, whole_seconds};
use crate::proxy::error_response::ErrorResponse;
use crate::support::clock::Now;
use crate::upstream::RequestError;
use crate::upstream::UpstreamFailure;
use crate::upstream::UpstreamResponse;
use crate::upstream::breaker::{BreakerRejection, CallFailure, CallOutcome};

/// Returns the outcome for the breakers. `None` if Graph was not called.
pub(super) fn call_outcome(
    response: &Result<UpstreamResponse, RequestError>,
    now: Now,
) -> Option<CallOutcome> {
    match response {
        Ok(response) => match response.status.as_u16() {
            429 => {
                let wait = retry_after::from_headers(&response.headers, response.status, now);
                Some(CallOutcome::Throttled(wait.unwrap_or_default().min(MAX_THROTTLE)))
            }
            502..=504 => Some(CallOutcome::Failed(CallFailure::Status)),
            _ => Some(CallOutcome::Answered),
        },
        Err(RequestError::Failed(
            UpstreamFailure::Dns
            | UpstreamFailure::Connect
            | UpstreamFailure::ProxyAuth
            | UpstreamFailure::ConnectTimeout
            | UpstreamFailure::TlsUntrusted
            | UpstreamFailure::TlsName
            | UpstreamFailure::TlsExpired
            | UpstreamFailure::Tls,
        )) => Some(CallOutcome::Failed(CallFailure::Connection)),
        Err(RequestError::Failed(
            UpstreamFailure::Reset | UpstreamFailure::FirstByte | UpstreamFailure::Timeout,
        )) => Some(CallOutcome::Failed(CallFailure::Transport)),
        Err(RequestError::Failed(UpstreamFailure::NoSocket)) => None,
        Err(RequestError::Failed(_)) => Some(CallOutcome::Answered),
        Err(_) => None,
    }
}

/// Returns the error response for a request that a breaker or throttle rejects.
pub(super) fn breaker_response(rejection: BreakerRejection) -> ErrorResponse {
    let seconds = u32::try_from(whole_seconds(rejection.retry_after)).unwrap_or(u32::MAX);
    ErrorResponse::Shut(rejection.cause.reason(), seconds)
}
