//! Failures of Graph, and its recovery.

use super::*;

#[test]
fn five_failed_connections_in_a_row_open_the_host_and_a_probe_a_second_follows() {
    let world = World::new();
    world.results("a/x", 1, CONNECTION, 4);
    assert!(world.proven("b/x", 1).is_ok());
    world.results("a/y", 2, CONNECTION, 1);
    assert_eq!(refused(world.proven("b/x", 1)), broken(BreakerKind::Host, 1));
    let mut probes = 0;
    for _ in 0..600 {
        world.pass(100);
        if let Ok(probe) = world.proven("a/x", 1) {
            probe.record_outcome(CONNECTION);
            probes += 1;
        }
    }
    assert_eq!(probes, 60, "a minute of outage");
    world.pass(1_000);
    world.results("a/x", 1, CallOutcome::Answered, 1);
    assert!(world.proven("a/x", 1).is_ok(), "Graph is back");
}

#[test]
fn five_failures_in_a_row_open_a_resource_and_no_other() {
    for failure in [STATUS, TRANSPORT] {
        let world = World::new();
        world.results("a/x", 1, failure, 5);
        assert_eq!(refused(world.proven("a/x", 1)), broken(BreakerKind::Resource, 1), "{failure:?}");
        for (app, resource) in [("a/x", 2), ("a/y", 1), ("b/x", 1)] {
            assert!(world.proven(app, resource).is_ok(), "{app} {resource}");
        }
        assert_eq!(world.breakers.count_open(), 1);
    }
}

#[test]
fn three_resources_that_fail_in_a_row_open_their_application_alone() {
    let world = World::new();
    for (user, resource) in [("u", 1), ("v", 1), ("u", 2), ("v", 2)] {
        world.results(&format!("a/x/{user}"), resource, STATUS, 1);
    }
    assert_eq!(world.breakers.count_open(), 0, "two resources");
    world.results("a/x/u", 3, STATUS, 1);
    assert_eq!(refused(world.proven("a/x/w", 4)), broken(BreakerKind::Application, 1));
    assert!(world.proven("a/y", 1).is_ok() && world.proven("b/x", 1).is_ok());
}

#[test]
fn an_answer_to_the_application_ends_its_row_of_failed_resources() {
    let world = World::new();
    for round in 0..100 {
        world.results("a/x", 10 * round, STATUS, 1);
        world.results("a/x", 10 * round + 1, STATUS, 1);
        world.results("a/x", 7, CallOutcome::Answered, 1);
    }
    assert_eq!(world.breakers.count_open(), 0);
}

#[test]
fn while_several_tenants_fail_one_failure_opens_a_token_and_two_users_an_application() {
    let world = World::new();
    for app in ["a/x", "b/x", "b/y", "c/x"] {
        world.results(app, 1, STATUS, 1);
    }
    assert_eq!(world.breakers.count_open(), 0, "three tenants, and four failures");
    world.results("c/y/u", 1, TRANSPORT, 1);
    assert_eq!(refused(world.proven("c/y/u", 2)), broken(BreakerKind::Token, 1));
    assert!(world.proven("c/x", 1).is_ok(), "it failed before");
    world.results("c/y/v", 1, TRANSPORT, 1);
    assert_eq!(refused(world.proven("c/y/w", 2)), broken(BreakerKind::Application, 1));
    world.results("d/x", 1, STATUS, 1);
    assert_eq!(refused(world.proven("d/x", 1)), broken(BreakerKind::Token, 1));
    // One answer ends the suspicion.
    world.results("e/x", 1, CallOutcome::Answered, 1);
    world.results("f/x", 1, STATUS, 1);
    assert!(world.proven("f/x", 1).is_ok());
}

#[test]
fn in_a_general_outage_each_application_sends_one_request_a_second() {
    let world = World::new();
    let apps: Vec<_> = (0..10).map(|tenant| format!("t{tenant}/x")).collect();
    let mut sent = 0;
    for _ in 0..600 {
        for app in &apps {
            for resource in 0..3 {
                if let Ok(request) = world.proven(&format!("{app}/u{resource}"), resource) {
                    request.record_outcome(STATUS);
                    sent += 1;
                }
            }
        }
        world.pass(100);
    }
    assert!((500..=650).contains(&sent), "ten applications, sixty seconds: {sent}");
}

#[test]
fn a_failure_among_good_answers_opens_nothing() {
    let world = World::new();
    for _ in 0..100 {
        for outcome in [STATUS, CallOutcome::Answered, CONNECTION, CallOutcome::Answered] {
            world.results("a/x", 1, outcome, 1);
        }
    }
    assert_eq!(world.breakers.count_open(), 0);
}

#[test]
fn four_failures_before_a_good_answer_and_four_after_it_are_not_five_in_a_row() {
    for (failure, scope) in [(STATUS, BreakerKind::Resource), (CONNECTION, BreakerKind::Host)] {
        let world = World::new();
        world.results("a/x", 1, failure, 4);
        world.results("a/x", 1, CallOutcome::Answered, 1);
        world.results("a/x", 1, failure, 4);
        assert_eq!(world.breakers.count_open(), 0);
        world.results("a/x", 1, failure, 1);
        assert_eq!(refused(world.proven("a/x", 1)), broken(scope, 1));
    }
}

#[test]
fn a_status_of_graph_shows_that_connections_can_be_made() {
    let world = World::new();
    for resource in 0..100 {
        world.results("a/x", 1, CONNECTION, 4);
        world.results(&format!("a/{resource}"), 1, STATUS, 1);
    }
    assert_eq!(world.breakers.count_open(), 0);
}

#[test]
fn a_request_from_before_the_outage_that_fails_in_it_makes_the_wait_no_longer() {
    for (failure, scope) in [(STATUS, BreakerKind::Resource), (CONNECTION, BreakerKind::Host)] {
        let world = World::new();
        let late = world.proven("a/x", 1).unwrap();
        world.results("a/x", 1, failure, 5);
        world.pass(400);
        late.record_outcome(failure);
        let left = Duration::from_millis(600);
        assert_eq!(refused(world.proven("a/x", 1)), Some((RejectionCause::Breaker(scope), left)));
    }
}

#[test]
fn requests_from_before_the_outage_that_fail_after_it_open_nothing() {
    for failure in [STATUS, CONNECTION] {
        let world = World::new();
        let late: Vec<_> = (0..50).map(|_| world.proven("a/x", 1).unwrap()).collect();
        world.results("a/x", 1, failure, 5);
        world.pass(1_000);
        world.results("a/x", 1, CallOutcome::Answered, 1 + 8 + 32);
        assert_eq!(world.room("a/x", 1), 200);
        for late in late {
            late.record_outcome(failure);
        }
        assert_eq!(world.room("a/x", 1), 200, "{failure:?}");
    }
}

#[test]
fn while_a_probe_is_under_way_no_other_request_passes_until_it_is_gone() {
    let world = host_is_due();
    let probe = world.proven("a/x", 1).unwrap();
    for _ in 0..3 {
        assert_eq!(refused(world.proven("b/x", 1)), broken(BreakerKind::Host, 1));
    }
    drop(probe);
    assert!(world.proven("b/x", 1).is_ok());
}

#[test]
fn a_request_that_ends_in_the_ramp_makes_room_for_one() {
    let world = host_is_due();
    world.results("a/x", 1, CallOutcome::Answered, 1);
    let mut eight: Vec<_> = (0..8).map(|_| world.proven("a/x", 1).unwrap()).collect();
    assert!(world.proven("a/x", 1).is_err());
    for answered in [true, false] {
        let one = eight.pop().unwrap();
        if answered {
            one.record_outcome(CallOutcome::Answered);
        } else {
            drop(one);
        }
        eight.push(world.proven("a/x", 1).unwrap());
        assert!(world.proven("a/x", 1).is_err(), "answered: {answered}");
    }
}

#[test]
fn as_many_good_answers_as_may_be_under_way_let_more_in_and_no_fewer() {
    let world = host_is_due();
    world.results("a/x", 1, CallOutcome::Answered, 1);
    for (good, at_once) in [(7, 8), (1, 32), (31, 32), (1, 200)] {
        world.results("a/x", 1, CallOutcome::Answered, good);
        assert_eq!(world.room("a/x", 1), at_once);
    }
}

#[test]
fn a_failure_in_the_ramp_opens_the_breaker_and_one_after_it_does_not() {
    for (failure, scope) in [(STATUS, BreakerKind::Resource), (CONNECTION, BreakerKind::Host)] {
        let world = World::new();
        world.results("a/x", 1, failure, 5);
        world.pass(1_000);
        world.results("a/x", 1, CallOutcome::Answered, 1);
        world.results("a/x", 1, failure, 1);
        assert_eq!(refused(world.proven("a/x", 1)), broken(scope, 1));
        world.pass(1_000);
        world.results("a/x", 1, CallOutcome::Answered, 1 + 8 + 32);
        world.results("a/x", 1, failure, 1);
        assert!(world.proven("a/x", 1).is_ok(), "it is closed again");
    }
}

#[test]
fn a_refusal_of_one_scope_leaves_the_probes_of_the_others() {
    let world = World::new();
    world.results("a/x", 1, STATUS, 5);
    world.pass(1_000);
    world.results("b/x", 1, CONNECTION, 5);
    assert_eq!(refused(world.proven("a/x", 1)), broken(BreakerKind::Host, 1));
    world.pass(1_000);
    assert!(world.proven("a/x", 1).is_ok(), "it is the probe of both");
}

#[test]
fn in_an_outage_an_application_of_many_tokens_sends_one_request_a_second() {
    for one_user in [true, false] {
        let world = World::new();
        let mut sent = 0;
        for tick in 0..600 {
            for number in 0..20 {
                let user = if one_user { 0 } else { number };
                if let Ok(request) = world.proven(&format!("a/x/u{user}/t{number}"), tick % 7 + number) {
                    request.record_outcome(STATUS);
                    sent += 1;
                }
            }
            world.pass(100);
        }
        assert!((55..=75).contains(&sent), "sixty seconds, one user: {one_user}: {sent}");
    }
}
