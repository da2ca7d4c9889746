//! Rejection of a request by a breaker or throttle.

use std::time::Duration;

use crate::http::rejection::Rejection;
use crate::support::labels::labels;

/// Rejection of a request. The open breaker or throttle always covers the caller itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRejection {
    /// Cause of the rejection.
    pub cause: RejectionCause,
    /// Time until the next attempt makes sense.
    pub retry_after: Duration,
}

/// Cause of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionCause {
    /// Graph throttles the application or the token.
    Throttled,
    /// A breaker of this kind is open.
    Breaker(BreakerKind),
}

labels! {
    /// Kind of a breaker, by the scope that it protects.
    pub enum BreakerKind {
        /// Resource of an application.
        Resource = "resource",
        /// Token.
        Token = "token",
        /// Application in a tenant.
        Application = "application",
        /// Graph's host.
        Host = "host",
    }
}

impl RejectionCause {
    /// Returns the reason of the response.
    pub fn reason(self) -> Rejection {
        match self {
            Self::Throttled => Rejection::ThrottleGate,
            Self::Breaker(_) => Rejection::Breaker,
        }
    }
}

impl BreakerRejection {
    pub(super) fn throttled(retry_after: Duration) -> Self {
        Self { cause: RejectionCause::Throttled, retry_after }
    }

    pub(super) fn breaker(kind: BreakerKind, retry_after: Duration) -> Self {
        Self { cause: RejectionCause::Breaker(kind), retry_after }
    }

    pub(super) fn host(retry_after: Duration) -> Self {
        Self::breaker(BreakerKind::Host, retry_after)
    }
}
