//! Transitions of one breaker, in time that is passed in.

use std::time::UNIX_EPOCH;

use super::*;
use crate::support::clock::Clock;

/// A breaker that every failure trips, and its clock.
struct World {
    breaker: Breaker,
    operations: Operations,
    now: Now,
}

impl World {
    fn closed() -> Self {
        let now = Clock::manual(UNIX_EPOCH).now();
        Self { breaker: Breaker::default(), operations: Operations::default(), now }
    }

    /// A breaker that has opened, and whose wait is over.
    fn due() -> Self {
        let mut world = Self::closed();
        let started = world.try_start().unwrap();
        world.record_failure(started);
        world.pass(1_000);
        world
    }

    /// A breaker whose probe was answered.
    fn ramp() -> Self {
        let mut world = Self::due();
        let probe = world.try_start().unwrap();
        world.record_success(probe);
        world
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

    /// Number of requests that may enter at one time, up to 200.
    fn room(&mut self) -> usize {
        std::iter::from_fn(|| self.try_start().ok()).take(200).count()
    }
}

#[test]
fn an_open_breaker_admits_one_probe_when_its_wait_is_over() {
    let mut world = World::due();
    world.try_start().unwrap();
    assert_eq!(world.try_start(), Err(PROBE_INTERVAL));
    world.pass(400);
    assert_eq!(world.try_start(), Err(Duration::from_millis(600)));
}

#[test]
fn a_probe_that_hangs_is_repeated_every_second_and_any_answer_ends_it() {
    let mut world = World::due();
    let first = world.try_start().unwrap();
    world.pass(1_000);
    let second = world.try_start().unwrap();
    assert_eq!(world.room(), 0);
    world.pass(1_000);
    world.record_success(first);
    assert_eq!(world.room(), 8, "a probe that takes longer than a second counts");
    world.record_failure(second);
    assert!(matches!(world.breaker.state, BreakerState::Ramp { .. }), "it was sent before the answer");
}

#[test]
fn a_probe_that_is_cancelled_is_repeated_at_once() {
    let mut world = World::due();
    let probe = world.try_start().unwrap();
    world.breaker.record_cancelled(probe);
    let again = world.try_start().unwrap();
    assert_eq!(world.try_start(), Err(PROBE_INTERVAL));
    world.record_success(again);
    assert_eq!(world.room(), 8);
}

#[test]
fn a_ramp_ends_after_ten_seconds_whatever_its_requests_bring() {
    let mut world = World::ramp();
    assert_eq!(world.room(), 8, "none of them ever ends");
    world.pass(9_999);
    assert_eq!(world.room(), 0);
    world.pass(1);
    assert_eq!(world.breaker.peek(world.now), Ok(()));
    assert_eq!(world.room(), 200);
    assert!(world.breaker.is_closed());
}

#[test]
fn late_failures_of_requests_from_before_the_outage_do_not_open_it_again() {
    let mut world = World::closed();
    let late: Vec<_> = (0..100).map(|_| world.try_start().unwrap()).collect();
    let first = world.try_start().unwrap();
    world.record_failure(first);
    world.pass(1_000);
    let (mut late, probe) = (late.into_iter(), world.try_start().unwrap());
    world.record_failure(late.next().unwrap());
    assert!(matches!(world.breaker.state, BreakerState::HalfOpen { .. }));
    world.record_success(probe);
    late.by_ref().take(50).for_each(|late| world.record_failure(late));
    assert_eq!(world.room(), 8, "nor do they take room in the ramp");
    world.pass(10_000);
    late.for_each(|late| world.record_failure(late));
    assert!(world.breaker.is_closed());
}

#[test]
fn a_late_answer_of_a_request_from_before_the_outage_is_no_probe() {
    let mut world = World::closed();
    let (late, first) = (world.try_start().unwrap(), world.try_start().unwrap());
    world.record_failure(first);
    world.pass(1_000);
    world.try_start().unwrap();
    world.record_success(late);
    assert!(matches!(world.breaker.state, BreakerState::HalfOpen { .. }));
}

#[test]
fn a_failure_that_does_not_trip_lets_the_next_ones_in() {
    let mut world = World::due();
    let probe = world.try_start().unwrap();
    let at = world.operations.begin(world.now);
    world.breaker.record_failure(probe, at, false);
    assert_eq!(world.room(), 8);
}

#[test]
fn a_look_changes_nothing_in_any_state() {
    for mut world in [World::closed(), World::due(), World::ramp()] {
        for _ in 0..3 {
            let before = format!("{:?}", world.breaker);
            let _ = world.breaker.peek(world.now);
            assert_eq!(format!("{:?}", world.breaker), before);
            let _ = world.try_start();
            world.pass(20_000);
        }
    }
}
