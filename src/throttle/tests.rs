//! Who is held back, and for how long.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::identity::{Identity, LabelKind, Secrets};

struct World {
    gates: Gates,
    clock: Clock,
    secrets: Secrets,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(SystemTime::now());
        Self { gates: Gates::new(clock.clone()), clock, secrets: Secrets::random().unwrap() }
    }

    fn app(&self, name: &str) -> Label {
        self.secrets.label(LabelKind::Application, name)
    }

    fn token(&self, name: &str) -> Fingerprint {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {name}")).unwrap());
        Identity::of(&headers, &self.secrets).unwrap().fingerprint
    }

    fn comer(&self, token: &str, app: &str, proven: bool) -> Comer {
        Comer { token: self.token(token), application: Some(self.app(app)), proven }
    }

    /// Asks as a proven token of an application.
    fn proven(&self, app: &str) -> Result<Passage<'_>, Closed> {
        self.gates.enter(&self.comer("proven", app, true))
    }

    /// Asks as a token without proofs that claims an application.
    fn unproven(&self, token: &str, app: &str) -> Result<Passage<'_>, Closed> {
        self.gates.enter(&self.comer(token, app, false))
    }
}

/// Graph is out of order, and the time has come to look again.
fn broken() -> World {
    let world = World::new();
    for _ in 0..5 {
        world.proven("a").unwrap().settle(Outcome::Failed);
    }
    world.clock.advance(seconds(1));
    world
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_throttled_application_waits_as_long_as_graph_asked() {
    let world = World::new();
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(30)));
    world.clock.advance(seconds(10));
    assert_eq!(world.proven("a").err(), Some(Closed::Throttled(seconds(20))));
    assert!(world.proven("b").is_ok(), "another application is not held back");
    assert_eq!(world.gates.closed(), 1);
}

#[test]
fn when_the_wait_is_over_one_request_goes_ahead_and_then_a_growing_number() {
    let world = World::new();
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(30)));
    world.clock.advance(seconds(30));
    let probe = world.proven("a").unwrap();
    assert_eq!(world.proven("a").err(), Some(Closed::Throttled(seconds(1))), "the probe is under way");
    probe.settle(Outcome::Answered);
    let eight: Vec<_> = (0..8).map(|_| world.proven("a").unwrap()).collect();
    assert_eq!(world.proven("a").err(), Some(Closed::Throttled(seconds(1))), "eight at once");
    for passage in eight {
        passage.settle(Outcome::Answered);
    }
    let more: Vec<_> = (0..32).map(|_| world.proven("a").unwrap()).collect();
    assert!(world.proven("a").is_err(), "thirty-two at once");
    drop(more);
    for _ in 0..200 {
        world.proven("a").unwrap().settle(Outcome::Answered);
    }
    let many: Vec<_> = (0..200).map(|_| world.proven("a").unwrap()).collect();
    assert_eq!(many.len(), 200, "it is open");
}

#[test]
fn only_gates_that_let_nobody_through_count_as_closed() {
    let world = World::new();
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(30)));
    assert_eq!(world.gates.closed(), 1);
    world.clock.advance(seconds(30));
    assert_eq!(world.gates.closed(), 0, "the next request passes");
    let probe = world.proven("a").unwrap();
    assert_eq!(world.gates.closed(), 1, "one is on its way to see");
    probe.settle(Outcome::Answered);
    assert_eq!(world.gates.closed(), 0, "it is being opened");
}

#[test]
fn a_probe_that_is_throttled_again_closes_the_gate_again() {
    let world = World::new();
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(5)));
    world.clock.advance(seconds(5));
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(60)));
    assert_eq!(world.proven("a").err(), Some(Closed::Throttled(seconds(60))));
}

#[test]
fn a_probe_whose_caller_hung_up_leaves_room_for_another() {
    let world = World::new();
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(5)));
    world.clock.advance(seconds(5));
    drop(world.proven("a").unwrap());
    assert!(world.proven("a").is_ok());
}

#[test]
fn t09_a_forged_token_closes_no_gate_but_its_own() {
    let world = World::new();
    world.unproven("forged", "victim").unwrap().settle(Outcome::Throttled(seconds(60)));
    assert!(world.proven("victim").is_ok());
    assert!(world.unproven("other", "victim").is_ok());
    assert!(world.unproven("forged", "victim").is_err());
}

#[test]
fn t09_a_forged_token_opens_no_gate_either() {
    let world = World::new();
    world.proven("victim").unwrap().settle(Outcome::Throttled(seconds(5)));
    assert_eq!(world.unproven("forged", "victim").err(), Some(Closed::Throttled(seconds(5))));
    world.clock.advance(seconds(5));
    world.unproven("forged", "victim").unwrap().settle(Outcome::Answered);
    let _probe = world.proven("victim").unwrap();
    assert!(world.proven("victim").is_err(), "the gate is still being tried");
    assert_eq!(world.unproven("forged", "victim").err(), Some(Closed::Throttled(seconds(1))));
}

#[test]
fn five_failures_in_a_row_close_graph_and_a_probe_a_second_looks_again() {
    let world = World::new();
    for _ in 0..5 {
        world.proven("a").unwrap().settle(Outcome::Failed);
    }
    assert_eq!(world.proven("b").err(), Some(Closed::Broken(seconds(1))));
    let mut probes = 0;
    for _ in 0..600 {
        world.clock.advance(Duration::from_millis(100));
        if let Ok(probe) = world.proven("a") {
            probe.settle(Outcome::Failed);
            probes += 1;
        }
    }
    assert_eq!(probes, 60, "a minute of outage");
    world.clock.advance(seconds(1));
    world.proven("a").unwrap().settle(Outcome::Answered);
    assert!(world.proven("a").is_ok(), "Graph is back");
}

#[test]
fn t09_failures_of_the_unproven_break_nothing() {
    let world = World::new();
    for n in 0..100 {
        world.unproven(&format!("t{n}"), "a").unwrap().settle(Outcome::Failed);
    }
    assert!(world.proven("a").is_ok());
}

#[test]
fn a_failure_among_good_answers_breaks_nothing() {
    let world = World::new();
    for _ in 0..100 {
        world.proven("a").unwrap().settle(Outcome::Failed);
        world.proven("a").unwrap().settle(Outcome::Answered);
    }
    assert!(world.proven("a").is_ok());
}

#[test]
fn a_wait_that_ends_later_stays_for_as_long_as_it_has_left() {
    let world = World::new();
    let (first, second) = (world.proven("a").unwrap(), world.proven("a").unwrap());
    first.settle(Outcome::Throttled(seconds(60)));
    world.clock.advance(seconds(20));
    second.settle(Outcome::Throttled(seconds(5)));
    assert_eq!(world.proven("a").err(), Some(Closed::Throttled(seconds(40))));
}

#[test]
fn four_failures_before_a_good_answer_and_four_after_it_are_not_five_in_a_row() {
    let world = World::new();
    let fail = |count| (0..count).for_each(|_| world.proven("a").unwrap().settle(Outcome::Failed));
    fail(4);
    world.proven("a").unwrap().settle(Outcome::Answered);
    fail(4);
    assert_eq!(world.gates.closed(), 0);
    fail(1);
    assert_eq!(world.proven("a").err(), Some(Closed::Broken(seconds(1))));
}

#[test]
fn whoever_passed_before_graph_broke_and_fails_after_it_makes_the_wait_no_longer() {
    let world = World::new();
    let late = world.proven("a").unwrap();
    for _ in 0..5 {
        world.proven("a").unwrap().settle(Outcome::Failed);
    }
    world.clock.advance(Duration::from_millis(400));
    late.settle(Outcome::Failed);
    assert_eq!(world.proven("a").err(), Some(Closed::Broken(Duration::from_millis(600))));
}

#[test]
fn while_one_looks_whether_graph_is_back_nobody_else_does_until_that_one_is_gone() {
    let world = broken();
    let probe = world.proven("a").unwrap();
    for _ in 0..3 {
        assert_eq!(world.proven("b").err(), Some(Closed::Broken(seconds(1))));
    }
    drop(probe);
    assert!(world.proven("b").is_ok());
}

#[test]
fn who_is_over_while_graph_comes_back_makes_room_for_one() {
    let world = broken();
    world.proven("a").unwrap().settle(Outcome::Answered);
    let mut eight: Vec<_> = (0..8).map(|_| world.proven("a").unwrap()).collect();
    assert!(world.proven("a").is_err());
    for answered in [true, false] {
        let one = eight.pop().unwrap();
        if answered {
            one.settle(Outcome::Answered);
        } else {
            drop(one);
        }
        eight.push(world.proven("a").unwrap());
        assert!(world.proven("a").is_err(), "answered: {answered}");
    }
}

#[test]
fn as_many_good_answers_as_may_be_under_way_let_more_in_and_no_fewer() {
    let world = broken();
    let answered = |count| (0..count).for_each(|_| world.proven("a").unwrap().settle(Outcome::Answered));
    let room = || std::iter::from_fn(|| world.proven("a").ok()).take(200).collect::<Vec<_>>().len();
    answered(1);
    for (good, at_once) in [(7, 8), (1, 32), (31, 32), (1, 200)] {
        answered(good);
        assert_eq!(room(), at_once);
    }
}

#[test]
fn a_failure_while_graph_comes_back_closes_it_and_one_after_that_does_not() {
    let world = broken();
    let answered = |count| (0..count).for_each(|_| world.proven("a").unwrap().settle(Outcome::Answered));
    answered(1);
    world.proven("a").unwrap().settle(Outcome::Failed);
    assert_eq!(world.proven("a").err(), Some(Closed::Broken(seconds(1))));
    world.clock.advance(seconds(1));
    answered(1 + 8 + 32);
    world.proven("a").unwrap().settle(Outcome::Failed);
    assert!(world.proven("a").is_ok(), "it is open again");
}

#[test]
fn graphs_gate_is_counted_beside_those_of_applications() {
    let world = World::new();
    world.proven("b").unwrap().settle(Outcome::Throttled(seconds(30)));
    for _ in 0..5 {
        world.proven("a").unwrap().settle(Outcome::Failed);
    }
    assert_eq!(world.gates.closed(), 2);
}

#[test]
fn who_only_looks_is_told_of_every_closed_gate_and_moves_none() {
    let world = World::new();
    let look = |proven| world.gates.look(&world.comer("forged", "a", proven));
    assert_eq!((look(true), look(false)), (Ok(()), Ok(())));
    world.proven("a").unwrap().settle(Outcome::Throttled(seconds(30)));
    assert_eq!(look(true), Err(Closed::Throttled(seconds(30))), "its application's");
    assert_eq!(look(false), Err(Closed::Throttled(seconds(30))), "that of the application it claims");
    world.clock.advance(seconds(30));
    assert_eq!((look(true), look(true)), (Ok(()), Ok(())), "it does not go ahead itself");
    drop(world.proven("a").unwrap());
    world.unproven("forged", "b").unwrap().settle(Outcome::Throttled(seconds(20)));
    assert_eq!((look(true), look(false)), (Ok(()), Err(Closed::Throttled(seconds(20)))), "the token's own");
    for _ in 0..5 {
        world.proven("c").unwrap().settle(Outcome::Failed);
    }
    assert_eq!(look(true), Err(Closed::Broken(seconds(1))), "Graph's");
}
