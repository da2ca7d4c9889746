//! Breaker of Graph's host for connection-level failures, and the evidence of a general outage.

use std::time::Duration;

use super::consecutive::ConsecutiveFailures;
use super::state::{Breaker, Operation, Operations};
use super::turns::ProbeTurns;
use super::{CallFailure, CallOutcome};
use crate::auth::ClaimHash;
use crate::support::clock::Now;

/// Breaker that all applications share. Only outcomes of proven tokens change it.
#[derive(Debug, Default)]
pub(super) struct HostBreaker {
    operations: Operations,
    breaker: Breaker,
    turns: ProbeTurns<1>,
    /// Consecutive connection-level failures.
    failures: u32,
    /// Tenants whose requests failed since the last response. Applications of one tenant are not independent.
    tenants: ConsecutiveFailures<ClaimHash>,
}

impl HostBreaker {
    /// Returns the time to wait if the breaker rejects requests, without a change of state.
    pub(super) fn peek(&self, now: Now) -> Result<(), Duration> {
        self.breaker.peek(now)
    }

    /// Returns the time to wait if the breaker rejects a request of `tenant`, and registers the rejected tenant for the next
    /// probe.
    pub(super) fn check(&mut self, tenant: ClaimHash, now: Now) -> Result<(), Duration> {
        self.turns.check(&self.breaker, [tenant.share_key()], now)
    }

    /// Records the start of a request that [`Self::check`] admits. Returns the number of the operation.
    pub(super) fn record_start(&mut self, tenant: ClaimHash, now: Now) -> u64 {
        let at = self.operations.begin(now);
        if self.breaker.needs_probe() {
            self.turns.record_probe([tenant.share_key()]);
        }
        self.breaker.record_start(at);
        at.number
    }

    /// Records the outcome of a request of `tenant` that started in operation `started`.
    pub(super) fn record_outcome(&mut self, tenant: ClaimHash, started: u64, outcome: CallOutcome, now: Now) {
        let at = self.operations.begin(now);
        match outcome {
            CallOutcome::Answered | CallOutcome::Throttled(_) => {
                self.tenants.clear();
                self.record_connected(started, at);
            }
            CallOutcome::Failed(CallFailure::Status) => {
                self.tenants.push(tenant, now);
                self.record_connected(started, at);
            }
            CallOutcome::Failed(CallFailure::Transport) => {
                self.tenants.push(tenant, now);
                self.breaker.record_cancelled(started);
            }
            CallOutcome::Failed(CallFailure::Connection) => self.record_not_connected(started, at),
        }
    }

    /// Records a request without an outcome.
    pub(super) fn record_cancelled(&mut self, started: u64) {
        self.breaker.record_cancelled(started);
    }

    /// Returns whether so many independent tenants failed without a response in between that a general outage is likely.
    pub(super) fn is_suspect(&self, now: Now) -> bool {
        let (tenants, failures) = self.tenants.count(now);
        tenants >= SUSPECT_TENANTS && failures >= SUSPECT_FAILURES
    }

    fn record_connected(&mut self, started: u64, at: Operation) {
        if self.breaker.counts_outcome(started) {
            self.failures = 0;
        }
        self.breaker.record_success(started, at);
    }

    fn record_not_connected(&mut self, started: u64, at: Operation) {
        if self.breaker.counts_outcome(started) {
            self.failures = self.failures.saturating_add(1);
        }
        let trips = self.failures >= MAX_FAILURES || self.breaker.is_recovering();
        self.breaker.record_failure(started, at, trips);
    }
}

/// Consecutive connection-level failures that open the breaker.
const MAX_FAILURES: u32 = 5;
/// Independent tenants, and their failures in total, that make a general outage likely.
const SUSPECT_TENANTS: usize = 3;
const SUSPECT_FAILURES: u32 = 5;
