//! Results of a fetch, as circuit breakers and stale answers see them.

use http::StatusCode;

use super::{Fetched, whole_seconds};
use crate::cache::freshness::ErrorSource;
use crate::http::error::{ErrorResponse, Rejection, UpstreamFailure};
use crate::http::retry_after;
use crate::support::clock::Now;
use crate::upstream::UpstreamResponse;
use crate::upstream::breaker::{CallFailure, CallOutcome, Cause, Refused};

impl Fetched {
    /// Source of a failure that a stale answer may bridge. `None` if Graph answered: a 401, 403 or 404 is an answer.
    ///
    /// A refusal by a breaker or throttle is a failure of Graph, because each refuses only for failures in the scope
    /// of the token itself (see [`crate::upstream::breaker`]).
    pub fn error_source(&self) -> Option<ErrorSource> {
        match self {
            Self::Answer(..) | Self::Revalidated(..) | Self::RecentlyRefused(_) => None,
            Self::Refused(refusal) => {
                let status = refusal.status;
                let failed = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                failed.then_some(ErrorSource::Upstream)
            }
            Self::Failed(
                ErrorResponse::Rejected(_) | ErrorResponse::GraphClient(UpstreamFailure::NoSocket),
            ) => Some(ErrorSource::Local),
            Self::Failed(
                ErrorResponse::GraphClient(_)
                | ErrorResponse::Shut(..)
                | ErrorResponse::Unscrubbable(_)
                | ErrorResponse::Unreadable(_),
            ) => Some(ErrorSource::Upstream),
        }
    }
}

/// Outcome for the breakers. `None`: Graph was not called.
pub(super) fn outcome(answer: &Result<UpstreamResponse, ErrorResponse>, now: Now) -> Option<CallOutcome> {
    use UpstreamFailure as Fault;
    match answer {
        Ok(answer) => match answer.status.as_u16() {
            429 => {
                let wait = retry_after::of(&answer.headers, answer.status, now);
                Some(CallOutcome::Throttled(wait.unwrap_or_default()))
            }
            502..=504 => Some(CallOutcome::Failed(CallFailure::Status)),
            _ => Some(CallOutcome::Answered),
        },
        Err(ErrorResponse::GraphClient(Fault::Dns | Fault::Connect | Fault::ConnectTimeout | Fault::Tls)) => {
            Some(CallOutcome::Failed(CallFailure::Connection))
        }
        Err(ErrorResponse::GraphClient(Fault::Reset | Fault::FirstByte | Fault::Timeout)) => {
            Some(CallOutcome::Failed(CallFailure::Transport))
        }
        Err(ErrorResponse::GraphClient(Fault::NoSocket)) => None,
        Err(ErrorResponse::GraphClient(_)) => Some(CallOutcome::Answered),
        Err(_) => None,
    }
}

/// A refusal by a breaker or throttle, as the caller sees it.
pub(super) fn shut(refused: Refused) -> ErrorResponse {
    let reason = match refused.cause {
        Cause::Throttled => Rejection::ThrottleGate,
        Cause::Breaker(_) => Rejection::Breaker,
    };
    ErrorResponse::Shut(reason, u32::try_from(whole_seconds(refused.left)).unwrap_or(u32::MAX))
}
