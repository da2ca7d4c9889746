//! Circuit breaker of one node. While it is open, an operation costs nothing, and only the task of the node sends probes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Circuit breaker: opens after failures in a row, closes after a probe.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Records a reply in time.
    pub(super) fn record_success(&self) {
        self.failures.store(0, Relaxed);
    }

    /// Records a failure. Returns true if it opened the breaker.
    pub(super) fn record_failure(&self) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        failures >= MAX_FAILURES && !self.open.swap(true, Relaxed)
    }

    /// Closes the breaker after a successful probe.
    pub(super) fn close(&self) {
        self.failures.store(0, Relaxed);
        self.open.store(false, Relaxed);
    }
}

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_the_breaker_and_a_probe_closes_it() {
        let breaker = Breaker::default();
        assert!(!breaker.record_failure() && !breaker.record_failure());
        breaker.record_success();
        assert!(!breaker.record_failure() && !breaker.record_failure() && !breaker.is_open());
        assert!(breaker.record_failure() && breaker.is_open());
        assert!(!breaker.record_failure(), "it opens once");
        breaker.record_success();
        assert!(breaker.is_open(), "a late reply to a caller does not close it");
        breaker.close();
        assert!(!breaker.is_open());
    }
}
