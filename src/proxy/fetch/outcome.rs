//! Results of a fetch, as circuit breakers and stale answers see them.

use http::StatusCode;

use super::{Fetched, whole_seconds};
use crate::cache::freshness::ErrorSource;
use crate::http::error::{OriginFault, Problem, Rejection};
use crate::http::retry_after;
use crate::support::clock::Now;
use crate::support::sabotage::sabotaged;
use crate::upstream::OriginAnswer;
use crate::upstream::breaker::{Cause, Failure, Outcome, Refused};

impl Fetched {
    /// Source of a failure that a stale answer may bridge. `None` if Graph answered: a 401, 403 or 404 is an answer.
    ///
    /// A refusal by a breaker or throttle is a failure of Graph, because each refuses only for failures in the scope
    /// of the token itself (see [`crate::upstream::breaker`]).
    pub fn error_source(&self) -> Option<ErrorSource> {
        match self {
            Self::Answer(..) | Self::Revalidated(..) | Self::RecentlyRefused(_) => None,
            Self::Refused(refusal) => {
                sabotaged!(
                    StaleAfterForbidden,
                    if refusal.status == StatusCode::FORBIDDEN {
                        return Some(ErrorSource::Upstream);
                    }
                );
                let status = refusal.status;
                let failed = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                failed.then_some(ErrorSource::Upstream)
            }
            Self::Failed(Problem::Rejected(_) | Problem::Origin(OriginFault::NoSocket)) => {
                Some(ErrorSource::Local)
            }
            Self::Failed(
                Problem::Origin(_) | Problem::Shut(..) | Problem::Unscrubbable(_) | Problem::Unreadable(_),
            ) => Some(ErrorSource::Upstream),
        }
    }
}

/// Outcome for the breakers. `None`: Graph was not called.
pub(super) fn outcome(answer: &Result<OriginAnswer, Problem>, now: Now) -> Option<Outcome> {
    use OriginFault as Fault;
    match answer {
        Ok(answer) => match answer.status.as_u16() {
            429 => {
                let wait = retry_after::of(&answer.headers, answer.status, now);
                Some(Outcome::Throttled(wait.unwrap_or_default()))
            }
            502..=504 => Some(Outcome::Failed(Failure::Status)),
            _ => Some(Outcome::Answered),
        },
        Err(Problem::Origin(Fault::Dns | Fault::Connect | Fault::ConnectTimeout | Fault::Tls)) => {
            Some(Outcome::Failed(Failure::Connection))
        }
        Err(Problem::Origin(Fault::Reset | Fault::FirstByte | Fault::Timeout)) => {
            Some(Outcome::Failed(Failure::Transport))
        }
        Err(Problem::Origin(Fault::NoSocket)) => None,
        Err(Problem::Origin(_)) => Some(Outcome::Answered),
        Err(_) => None,
    }
}

/// A refusal by a breaker or throttle, as the caller sees it.
pub(super) fn shut(refused: Refused) -> Problem {
    let reason = match refused.cause {
        Cause::Throttled => Rejection::ThrottleGate,
        Cause::Breaker(_) => Rejection::Breaker,
    };
    Problem::Shut(reason, u32::try_from(whole_seconds(refused.left)).unwrap_or(u32::MAX))
}
