//! State machine of one circuit breaker: closed, open, half-open, ramp.
//!
//! The owner of a breaker decides which outcomes trip it, and numbers the operations on it. An outcome counts only if its
//! request started after the last transition: a request that was sent before an outage gives no evidence about the time
//! after it.

use std::time::Duration;

use crate::support::clock::Now;

/// Circuit breaker, closed at first.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: BreakerState,
    /// Operation that made the last transition, except for the end of a ramp.
    changed: u64,
}

#[derive(Debug, Default)]
enum BreakerState {
    #[default]
    Closed,
    /// All requests are rejected until the wait is over.
    Open { since: Now, wait: Duration },
    /// A probe is in flight. The next probe may start when the wait is over.
    HalfOpen { since: Now, wait: Duration },
    /// A probe got a response. The number of requests at one time is limited.
    Ramp { since: Now, limit: u32, in_flight: u32, answered: u32 },
}

/// Counter of the operations on the breakers behind one lock.
#[derive(Debug, Default)]
pub(super) struct Operations(u64);

/// Time and number of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) now: Now,
    pub(super) number: u64,
}

impl Operations {
    /// Numbers a new operation.
    pub(super) fn begin(&mut self, now: Now) -> Operation {
        self.0 += 1;
        Operation { now, number: self.0 }
    }
}

impl Breaker {
    /// Creates a closed breaker. Outcomes of requests that started before operation `changed` do not count.
    pub(super) fn new(changed: u64) -> Self {
        Self { state: BreakerState::Closed, changed }
    }

    /// Returns the time to wait if the breaker rejects all requests. The ramp rejects none.
    pub(super) fn peek(&self, now: Now) -> Result<(), Duration> {
        match self.state {
            BreakerState::Closed | BreakerState::Ramp { .. } => Ok(()),
            BreakerState::Open { since, wait } | BreakerState::HalfOpen { since, wait } => {
                let left = wait.saturating_sub(now.since(since));
                if left.is_zero() { Ok(()) } else { Err(left) }
            }
        }
    }

    /// Returns the time to wait if the breaker rejects the next request. The ramp has a limit.
    pub(super) fn check(&self, now: Now) -> Result<(), Duration> {
        match self.state {
            BreakerState::Ramp { since, limit, in_flight, .. }
                if in_flight >= limit && !ramp_is_over(since, now) =>
            {
                Err(PROBE_INTERVAL)
            }
            _ => self.peek(now),
        }
    }

    /// Returns whether the next request that starts is a probe.
    pub(super) fn needs_probe(&self) -> bool {
        matches!(self.state, BreakerState::Open { .. } | BreakerState::HalfOpen { .. })
    }

    /// Returns whether requests are limited after a time in which they were rejected.
    pub(super) fn is_recovering(&self) -> bool {
        matches!(self.state, BreakerState::HalfOpen { .. } | BreakerState::Ramp { .. })
    }

    /// Returns whether a probe is in flight.
    pub(super) fn is_half_open(&self) -> bool {
        matches!(self.state, BreakerState::HalfOpen { .. })
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed)
    }

    /// Returns whether the outcome of a request that started in operation `started` counts.
    pub(super) fn counts_outcome(&self, started: u64) -> bool {
        started >= self.changed
    }

    /// Records the start of a request that [`Self::check`] admits.
    pub(super) fn record_start(&mut self, at: Operation) {
        self.end_ramp(at.now);
        match &mut self.state {
            BreakerState::Closed => {}
            BreakerState::Open { .. } => {
                self.change(at, BreakerState::HalfOpen { since: at.now, wait: PROBE_INTERVAL });
            }
            // Earlier probes may still be in flight. The first outcome of any of them counts.
            BreakerState::HalfOpen { since, wait } => (*since, *wait) = (at.now, PROBE_INTERVAL),
            BreakerState::Ramp { in_flight, .. } => *in_flight += 1,
        }
    }

    /// Records a response to a request that started in operation `started`.
    pub(super) fn record_success(&mut self, started: u64, at: Operation) {
        self.end_ramp(at.now);
        if !self.counts_outcome(started) {
            return;
        }
        match &mut self.state {
            BreakerState::Closed | BreakerState::Open { .. } => {}
            BreakerState::HalfOpen { .. } => self.begin_ramp(at),
            BreakerState::Ramp { limit, in_flight, answered, .. } => {
                *in_flight = in_flight.saturating_sub(1);
                *answered += 1;
                if *answered >= *limit {
                    (*limit, *answered) = (*limit * RAMP_FACTOR, 0);
                }
                if *limit > RAMP_LAST_LIMIT {
                    self.state = BreakerState::Closed;
                }
            }
        }
    }

    /// Records a failure, which opens the breaker if `trips` is set.
    pub(super) fn record_failure(&mut self, started: u64, at: Operation, trips: bool) {
        self.end_ramp(at.now);
        if !self.counts_outcome(started) {
            return;
        }
        match &mut self.state {
            BreakerState::Open { .. } => {}
            _ if trips => self.open(at, PROBE_INTERVAL),
            BreakerState::Closed => {}
            BreakerState::HalfOpen { .. } => self.begin_ramp(at),
            BreakerState::Ramp { in_flight, .. } => *in_flight = in_flight.saturating_sub(1),
        }
    }

    /// Records a request that ended without a meaningful outcome. A probe may be repeated at once.
    pub(super) fn record_cancelled(&mut self, started: u64) {
        if !self.counts_outcome(started) {
            return;
        }
        match &mut self.state {
            BreakerState::Closed | BreakerState::Open { .. } => {}
            BreakerState::HalfOpen { wait, .. } => *wait = Duration::ZERO,
            BreakerState::Ramp { in_flight, .. } => *in_flight = in_flight.saturating_sub(1),
        }
    }

    /// Opens the breaker for `wait`. A present wait that ends later is kept.
    pub(super) fn open(&mut self, at: Operation, wait: Duration) {
        let left = match self.state {
            BreakerState::Open { since, wait } => wait.saturating_sub(at.now.since(since)),
            _ => Duration::ZERO,
        };
        self.change(at, BreakerState::Open { since: at.now, wait: wait.max(left) });
    }

    fn begin_ramp(&mut self, at: Operation) {
        self.change(
            at,
            BreakerState::Ramp { since: at.now, limit: RAMP_FIRST_LIMIT, in_flight: 0, answered: 0 },
        );
    }

    /// Closes a breaker whose ramp has lasted [`RAMP_TIME`], whatever the outcomes.
    fn end_ramp(&mut self, now: Now) {
        if let BreakerState::Ramp { since, .. } = self.state
            && ramp_is_over(since, now)
        {
            self.state = BreakerState::Closed;
        }
    }

    fn change(&mut self, at: Operation, state: BreakerState) {
        (self.state, self.changed) = (state, at.number);
    }
}

fn ramp_is_over(since: Now, now: Now) -> bool {
    now.since(since) >= RAMP_TIME
}

/// Time between two probes, and between the opening and the first probe.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Limits of the ramp. All rejected callers come back one second later at the same time: 1, 8, 32 and then all are
/// admitted within four seconds.
const RAMP_FIRST_LIMIT: u32 = 8;
const RAMP_FACTOR: u32 = 4;
const RAMP_LAST_LIMIT: u32 = 32;
/// Time from the response to a probe until the breaker is closed.
const RAMP_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
