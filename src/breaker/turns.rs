//! Turns of the scopes that share a breaker: which of them may send the next probe.

use std::time::Duration;

use super::state::PROBE_INTERVAL;
use crate::clock::Now;

/// Keeps the sender of the last probe from sending the next one while another scope waits. Otherwise a scope with many
/// requests that never succeed could take every probe, and keep the breaker open for the others.
#[derive(Debug)]
pub(super) struct ProbeTurns<K> {
    last: Option<K>,
    /// Time at which another scope than the last one was refused.
    other_waits: Option<Now>,
}

impl<K> Default for ProbeTurns<K> {
    fn default() -> Self {
        Self { last: None, other_waits: None }
    }
}

impl<K: Copy + PartialEq> ProbeTurns<K> {
    /// Returns the time to wait if another scope comes first.
    pub(super) fn check(&self, scope: K, now: Now) -> Result<(), Duration> {
        let waits = self.other_waits.is_some_and(|since| now.since(since) < MAX_WAIT);
        if waits && self.last == Some(scope) { Err(PROBE_INTERVAL) } else { Ok(()) }
    }

    /// Registers that a request of `scope` was refused.
    pub(super) fn refused(&mut self, scope: K, now: Now) {
        if self.last.is_some_and(|last| last != scope) {
            self.other_waits = Some(now);
        }
    }

    /// Registers that `scope` sends a probe.
    pub(super) fn probed(&mut self, scope: K) {
        (self.last, self.other_waits) = (Some(scope), None);
    }
}

/// A scope that was refused and does not come back within this time has given up. Callers are told to come back after
/// a third of it.
const MAX_WAIT: Duration = PROBE_INTERVAL.saturating_mul(3);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_last_scope_that_probed_lets_another_that_waits_go_first() {
        let start = Clock::manual(UNIX_EPOCH).now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let mut turns = ProbeTurns::default();
        turns.refused(2, at(0));
        assert_eq!((turns.check(1, at(0)), turns.check(2, at(0))), (Ok(()), Ok(())), "nobody has probed");
        turns.probed(1);
        turns.refused(1, at(0));
        assert_eq!(turns.check(1, at(1)), Ok(()), "no other scope waits");
        turns.refused(2, at(1));
        assert_eq!((turns.check(1, at(3)), turns.check(2, at(3))), (Err(PROBE_INTERVAL), Ok(())));
        assert_eq!(turns.check(1, at(4)), Ok(()), "the other one has given up");
        turns.probed(2);
        assert_eq!(turns.check(1, at(4)), Ok(()));
    }
}
