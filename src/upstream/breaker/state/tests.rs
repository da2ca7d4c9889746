//! Transitions of one breaker, with the time as an argument.

use std::time::UNIX_EPOCH;

use super::*;
use crate::support::clock::Clock;

/// Breaker that every failure trips, and its clock.
struct TestBreakers {
    breaker: Breaker,
    operations: Operations,
    now: Now,
}

impl TestBreakers {
    fn closed() -> Self {
        let now = Clock::manual(UNIX_EPOCH).now();
        Self { breaker: Breaker::default(), operations: Operations::default(), now }
    }

    /// Creates a breaker that has opened, and whose wait is over.
    fn due() -> Self {
        let mut test = Self::closed();
        let started = test.try_start().unwrap();
        test.record_failure(started);
        test.pass(1_000);
        test
    }

    /// Creates a breaker whose probe got a response.
    fn ramp() -> Self {
        let mut test = Self::due();
        let probe = test.try_start().unwrap();
        test.record_success(probe);
        test
    }

    fn try_start(&mut self) -> Result<u64, Duration> {
        self.breaker.check(self.now)?;
        let at = self.operations.begin(self.now);
        self.breaker.record_start(at);
        Ok(at.number)
    }

    fn record_success(&mut self, started: u64) {
        let at = self.operations.begin(self.now);
        self.breaker.record_success(started, at);
    }

    fn record_failure(&mut self, started: u64) {
        let at = self.operations.begin(self.now);
        self.breaker.record_failure(started, at, true);
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
    }

    /// Returns the number of requests that may start at one time, up to 200.
    fn capacity(&mut self) -> usize {
        std::iter::from_fn(|| self.try_start().ok()).take(200).count()
    }
}

#[test]
fn an_open_breaker_admits_one_probe_when_its_wait_is_over() {
    let mut test = TestBreakers::due();
    test.try_start().unwrap();
    assert_eq!(test.try_start(), Err(PROBE_INTERVAL));
    test.pass(400);
    assert_eq!(test.try_start(), Err(Duration::from_millis(600)));
}

#[test]
fn a_probe_that_hangs_is_repeated_every_second_and_any_response_ends_it() {
    let mut test = TestBreakers::due();
    let first = test.try_start().unwrap();
    test.pass(1_000);
    let second = test.try_start().unwrap();
    assert_eq!(test.capacity(), 0);
    test.pass(1_000);
    test.record_success(first);
    assert_eq!(test.capacity(), 8, "a probe that takes longer than a second counts");
    test.record_failure(second);
    assert!(
        matches!(test.breaker.state, BreakerState::Ramp { .. }),
        "the probe started before the transition"
    );
}

#[test]
fn a_probe_that_is_cancelled_is_repeated_at_once() {
    let mut test = TestBreakers::due();
    let probe = test.try_start().unwrap();
    test.breaker.record_cancelled(probe);
    let again = test.try_start().unwrap();
    assert_eq!(test.try_start(), Err(PROBE_INTERVAL));
    test.record_success(again);
    assert_eq!(test.capacity(), 8);
}

#[test]
fn a_ramp_ends_after_ten_seconds_whatever_the_outcomes() {
    let mut test = TestBreakers::ramp();
    assert_eq!(test.capacity(), 8, "none of them ever ends");
    test.pass(9_999);
    assert_eq!(test.capacity(), 0);
    test.pass(1);
    assert_eq!(test.breaker.peek(test.now), Ok(()));
    assert_eq!(test.capacity(), 200);
    assert!(test.breaker.is_closed());
}

#[test]
fn late_failures_of_requests_from_before_the_outage_do_not_open_it_again() {
    let mut test = TestBreakers::closed();
    let late: Vec<_> = (0..100).map(|_| test.try_start().unwrap()).collect();
    let first = test.try_start().unwrap();
    test.record_failure(first);
    test.pass(1_000);
    let (mut late, probe) = (late.into_iter(), test.try_start().unwrap());
    test.record_failure(late.next().unwrap());
    assert!(matches!(test.breaker.state, BreakerState::HalfOpen { .. }));
    test.record_success(probe);
    late.by_ref().take(50).for_each(|late| test.record_failure(late));
    assert_eq!(test.capacity(), 8, "late failures take no capacity of the ramp");
    test.pass(10_000);
    late.for_each(|late| test.record_failure(late));
    assert!(test.breaker.is_closed());
}

#[test]
fn a_late_response_to_a_request_from_before_the_outage_is_no_probe() {
    let mut test = TestBreakers::closed();
    let (late, first) = (test.try_start().unwrap(), test.try_start().unwrap());
    test.record_failure(first);
    test.pass(1_000);
    test.try_start().unwrap();
    test.record_success(late);
    assert!(matches!(test.breaker.state, BreakerState::HalfOpen { .. }));
}

#[test]
fn a_failure_that_does_not_trip_admits_the_next_requests() {
    let mut test = TestBreakers::due();
    let probe = test.try_start().unwrap();
    let at = test.operations.begin(test.now);
    test.breaker.record_failure(probe, at, false);
    assert_eq!(test.capacity(), 8);
}

#[test]
fn a_peek_changes_no_state() {
    for mut test in [TestBreakers::closed(), TestBreakers::due(), TestBreakers::ramp()] {
        for _ in 0..3 {
            let before = format!("{:?}", test.breaker);
            let _ = test.breaker.peek(test.now);
            assert_eq!(format!("{:?}", test.breaker), before);
            let _ = test.try_start();
            test.pass(20_000);
        }
    }
}
