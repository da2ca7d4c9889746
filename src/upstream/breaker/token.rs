//! Throttle of one unproven token.

use std::time::Duration;

use super::CallOutcome;
use super::state::{Breaker, Operations};
use crate::support::clock::Now;

/// Throttle of an unproven token.
#[derive(Debug, Default)]
pub(super) struct TokenThrottle {
    operations: Operations,
    throttle: Breaker,
}

impl TokenThrottle {
    /// Returns the time to wait if the throttle rejects requests.
    pub(super) fn check(&self, now: Now) -> Result<(), Duration> {
        self.throttle.check(now)
    }

    /// Returns the time that is left if the throttle rejects all requests.
    pub(super) fn time_left(&self, now: Now) -> Option<Duration> {
        self.throttle.peek(now).err()
    }

    /// Starts a request. Returns the number of the operation.
    pub(super) fn try_start(&mut self, now: Now) -> Result<u64, Duration> {
        self.throttle.check(now)?;
        let at = self.operations.begin(now);
        self.throttle.record_start(at);
        Ok(at.number)
    }

    /// Records the outcome of a request that started in operation `started`.
    pub(super) fn record_outcome(&mut self, started: u64, outcome: CallOutcome, now: Now) {
        let at = self.operations.begin(now);
        match outcome {
            CallOutcome::Answered => self.throttle.record_success(started, at),
            CallOutcome::Throttled(wait) => self.throttle.open(at, wait),
            CallOutcome::Failed(_) => self.throttle.record_cancelled(started),
        }
    }

    /// Records a request without an outcome.
    pub(super) fn record_cancelled(&mut self, started: u64) {
        self.throttle.record_cancelled(started);
    }
}
