//! Turns of the scopes that share a breaker: which scope may send the next probe.

use std::time::Duration;

use super::state::{Breaker, PROBE_INTERVAL};
use crate::support::clock::Now;

/// Turns for probes. The scope that sent the last probe may not send the next one while another scope waits. Otherwise a
/// scope with many requests that never succeed could take every probe, and keep the breaker open for the others.
///
/// A scope is a path of `N` keys, the widest first: while another user waits, all tokens of the last user wait. So a scope
/// gains no turn by a change of its narrow keys.
#[derive(Debug)]
pub(super) struct ProbeTurns<const N: usize> {
    last: Option<[u128; N]>,
    /// Time of the last rejection of a scope that differs from the last probe at this key, and at no wider key.
    other_waits: [Option<Now>; N],
}

impl<const N: usize> Default for ProbeTurns<N> {
    fn default() -> Self {
        Self { last: None, other_waits: [None; N] }
    }
}

impl<const N: usize> ProbeTurns<N> {
    /// Returns the time to wait if `breaker` rejects a request of `scope`, or if another scope sends the next probe.
    pub(super) fn check(&mut self, breaker: &Breaker, scope: [u128; N], now: Now) -> Result<(), Duration> {
        let mut checked = breaker.check(now);
        if breaker.needs_probe() {
            checked = checked.and_then(|()| self.check_turn(scope, now));
        }
        checked.inspect_err(|_| self.record_rejected(scope, now))
    }

    /// Returns the time to wait if another scope comes first.
    fn check_turn(&self, scope: [u128; N], now: Now) -> Result<(), Duration> {
        let Some(shared) = self.count_shared(scope) else { return Ok(()) };
        let waits = |since: &Option<Now>| since.is_some_and(|since| now.since(since) < MAX_WAIT);
        if self.other_waits[..shared].iter().any(waits) { Err(PROBE_INTERVAL) } else { Ok(()) }
    }

    /// Records the rejection of a request of `scope`.
    fn record_rejected(&mut self, scope: [u128; N], now: Now) {
        let differs_at = self.count_shared(scope);
        if let Some(waits) = differs_at.and_then(|key| self.other_waits.get_mut(key)) {
            *waits = Some(now);
        }
    }

    /// Records a probe of `scope`.
    pub(super) fn record_probe(&mut self, scope: [u128; N]) {
        *self = Self { last: Some(scope), ..Self::default() };
    }

    /// Returns the number of keys, from the widest on, that `scope` shares with the scope of the last probe.
    fn count_shared(&self, scope: [u128; N]) -> Option<usize> {
        self.last.map(|last| last.iter().zip(scope).take_while(|(last, key)| *last == key).count())
    }
}

/// Time after which a rejected scope without a further request no longer waits. A rejected caller gets a `Retry-After` of a
/// third of this time.
const MAX_WAIT: Duration = PROBE_INTERVAL.saturating_mul(3);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::support::clock::Clock;

    #[test]
    fn the_scope_of_the_last_probe_comes_after_a_scope_that_waits() {
        let start = Clock::manual(UNIX_EPOCH).now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let mut turns = ProbeTurns::default();
        turns.record_rejected([2], at(0));
        assert_eq!(
            (turns.check_turn([1], at(0)), turns.check_turn([2], at(0))),
            (Ok(()), Ok(())),
            "there was no probe"
        );
        turns.record_probe([1]);
        turns.record_rejected([1], at(0));
        assert_eq!(turns.check_turn([1], at(1)), Ok(()), "no other scope waits");
        turns.record_rejected([2], at(1));
        assert_eq!(
            (turns.check_turn([1], at(3)), turns.check_turn([2], at(3))),
            (Err(PROBE_INTERVAL), Ok(()))
        );
        assert_eq!(turns.check_turn([1], at(4)), Ok(()), "the other scope waits no longer");
        turns.record_probe([2]);
        assert_eq!(turns.check_turn([1], at(4)), Ok(()));
    }

    #[test]
    fn a_scope_gains_no_turn_by_a_change_of_its_narrow_key() {
        let now = Clock::manual(UNIX_EPOCH).now();
        let mut turns = ProbeTurns::default();
        turns.record_probe([1, 1]);
        turns.record_rejected([1, 2], now);
        assert_eq!(turns.check_turn([1, 1], now), Err(PROBE_INTERVAL), "the other narrow key waits");
        assert_eq!((turns.check_turn([1, 2], now), turns.check_turn([2, 1], now)), (Ok(()), Ok(())));
        turns.record_rejected([2, 1], now);
        for narrow in 1..10 {
            assert_eq!(turns.check_turn([1, narrow], now), Err(PROBE_INTERVAL));
        }
        assert_eq!(turns.check_turn([2, 1], now), Ok(()));
    }
}
