//! Outcome of a request, as the breakers count it.

use std::time::Duration;

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Graph responded.
    Answered,
    /// Graph responded with 429 and this wait.
    Throttled(Duration),
    /// Graph, or the path to Graph, failed.
    Failed(CallFailure),
}

/// Kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// Graph responded with 502, 503 or 504.
    Status,
    /// The request was sent, and no whole response arrived.
    Transport,
    /// No connection could be made.
    Connection,
}
