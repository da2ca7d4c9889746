//! State machine of one circuit breaker: closed, open, half-open, ramp.
//!
//! The owner of a breaker decides which results trip it, and numbers the operations on it. A result counts only if its
//! request started after the last transition: what was sent before an outage says nothing about the time after it.

use std::time::Duration;

use crate::support::clock::Now;

/// A circuit breaker. New ones are closed.
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
    /// Every request is refused until the wait is over.
    Open { since: Now, wait: Duration },
    /// A probe is under way. The next one may start when the wait is over.
    HalfOpen { since: Now, wait: Duration },
    /// A probe was answered. The number of requests at one time is limited.
    Ramp { since: Now, limit: u32, in_flight: u32, answered: u32 },
}

/// Numbers the operations on the breakers behind one lock.
#[derive(Debug, Default)]
pub(super) struct Operations(u64);

/// Time and number of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) now: Now,
    pub(super) number: u64,
}

impl Operations {
    pub(super) fn begin(&mut self, now: Now) -> Operation {
        self.0 += 1;
        Operation { now, number: self.0 }
    }
}

impl Breaker {
    /// A closed breaker. Results of requests that started before `changed` do not count.
    pub(super) fn new(changed: u64) -> Self {
        Self { state: BreakerState::Closed, changed }
    }

    /// Returns the time to wait if the breaker refuses requests. For callers that may not change its state.
    pub(super) fn peek(&self, now: Now) -> Result<(), Duration> {
        match self.state {
            BreakerState::Closed | BreakerState::Ramp { .. } => Ok(()),
            BreakerState::Open { since, wait } | BreakerState::HalfOpen { since, wait } => {
                let left = wait.saturating_sub(now.since(since));
                if left.is_zero() { Ok(()) } else { Err(left) }
            }
        }
    }

    /// The same for callers that enter: the ramp has a limit.
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

    /// Whether the next request that enters is a probe.
    pub(super) fn needs_probe(&self) -> bool {
        matches!(self.state, BreakerState::Open { .. } | BreakerState::HalfOpen { .. })
    }

    /// Whether requests are limited after a time in which they were refused.
    pub(super) fn is_recovering(&self) -> bool {
        matches!(self.state, BreakerState::HalfOpen { .. } | BreakerState::Ramp { .. })
    }

    /// Whether a probe is under way.
    pub(super) fn is_half_open(&self) -> bool {
        matches!(self.state, BreakerState::HalfOpen { .. })
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed)
    }

    /// Whether the result of a request that started in this operation counts.
    pub(super) fn counts_result(&self, started: u64) -> bool {
        started >= self.changed
    }

    /// Registers a request that [`Self::check`] lets pass.
    pub(super) fn record_start(&mut self, at: Operation) {
        self.end_ramp(at.now);
        match &mut self.state {
            BreakerState::Closed => {}
            BreakerState::Open { .. } => {
                self.change(at, BreakerState::HalfOpen { since: at.now, wait: PROBE_INTERVAL })
            }
            // Earlier probes may still be under way. The first result of any of them counts.
            BreakerState::HalfOpen { since, wait } => (*since, *wait) = (at.now, PROBE_INTERVAL),
            BreakerState::Ramp { in_flight, .. } => *in_flight += 1,
        }
    }

    /// Registers an answer to a request that started in operation `started`.
    pub(super) fn record_success(&mut self, started: u64, at: Operation) {
        self.end_ramp(at.now);
        if !self.counts_result(started) {
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

    /// Registers a failure, which opens the breaker if it `trips`.
    pub(super) fn record_failure(&mut self, started: u64, at: Operation, trips: bool) {
        self.end_ramp(at.now);
        if !self.counts_result(started) {
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

    /// Registers a request that ended without a meaningful result. A probe may be repeated at once.
    pub(super) fn record_cancelled(&mut self, started: u64) {
        if !self.counts_result(started) {
            return;
        }
        match &mut self.state {
            BreakerState::Closed | BreakerState::Open { .. } => {}
            BreakerState::HalfOpen { wait, .. } => *wait = Duration::ZERO,
            BreakerState::Ramp { in_flight, .. } => *in_flight = in_flight.saturating_sub(1),
        }
    }

    /// Opens the breaker for `wait`. A wait that ends later stays.
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

    /// Closes a breaker whose ramp has lasted long enough, whatever its requests brought.
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

/// Time between two probes, and between the opening and the first one.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Callers that are refused come back a second later, all at once: one, eight, thirty-two and then all are admitted
/// within four seconds.
const RAMP_FIRST_LIMIT: u32 = 8;
const RAMP_FACTOR: u32 = 4;
const RAMP_LAST_LIMIT: u32 = 32;
/// Time from the answer to a probe until the breaker is closed.
const RAMP_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
