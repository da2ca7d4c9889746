//! Outages of Graph, and the recovery.

use super::*;

#[test]
fn five_failed_connections_in_a_row_open_the_host_and_a_probe_a_second_follows() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CONNECTION, 4);
    assert!(test.proven("b/x", 1).is_ok());
    test.results("a/y", 2, CONNECTION, 1);
    assert_eq!(rejection(test.proven("b/x", 1)), broken(BreakerKind::Host, 1));
    let mut probes = 0;
    for _ in 0..600 {
        test.pass(100);
        if let Ok(probe) = test.proven("a/x", 1) {
            probe.record_now(CONNECTION);
            probes += 1;
        }
    }
    assert_eq!(probes, 60, "a minute of outage");
    test.pass(1_000);
    test.results("a/x", 1, CallOutcome::Answered, 1);
    assert!(test.proven("a/x", 1).is_ok(), "Graph is back");
}

#[test]
fn five_failures_in_a_row_open_a_resource_and_no_other() {
    for failure in [STATUS, TRANSPORT] {
        let test = TestBreakers::new();
        test.results("a/x", 1, failure, 5);
        assert_eq!(rejection(test.proven("a/x", 1)), broken(BreakerKind::Resource, 1), "{failure:?}");
        for (app, resource) in [("a/x", 2), ("a/y", 1), ("b/x", 1)] {
            assert!(test.proven(app, resource).is_ok(), "{app} {resource}");
        }
        assert_eq!(test.breakers.count_open(), 1);
    }
}

#[test]
fn three_resources_that_fail_in_a_row_open_their_application_alone() {
    let test = TestBreakers::new();
    for (user, resource) in [("u", 1), ("v", 1), ("u", 2), ("v", 2)] {
        test.results(&format!("a/x/{user}"), resource, STATUS, 1);
    }
    assert_eq!(test.breakers.count_open(), 0, "two resources");
    test.results("a/x/u", 3, STATUS, 1);
    assert_eq!(rejection(test.proven("a/x/w", 4)), broken(BreakerKind::Application, 1));
    assert!(test.proven("a/y", 1).is_ok() && test.proven("b/x", 1).is_ok());
}

#[test]
fn a_response_to_the_application_ends_its_consecutive_failures() {
    let test = TestBreakers::new();
    for round in 0..100 {
        test.results("a/x", 10 * round, STATUS, 1);
        test.results("a/x", 10 * round + 1, STATUS, 1);
        test.results("a/x", 7, CallOutcome::Answered, 1);
    }
    assert_eq!(test.breakers.count_open(), 0);
}

#[test]
fn while_several_tenants_fail_one_failure_opens_a_token_and_two_users_an_application() {
    let test = TestBreakers::new();
    for app in ["a/x", "b/x", "b/y", "c/x"] {
        test.results(app, 1, STATUS, 1);
    }
    assert_eq!(test.breakers.count_open(), 0, "three tenants, and four failures");
    test.results("c/y/u", 1, TRANSPORT, 1);
    assert_eq!(rejection(test.proven("c/y/u", 2)), broken(BreakerKind::Token, 1));
    assert!(test.proven("c/x", 1).is_ok(), "c/x failed before an outage was likely");
    test.results("c/y/v", 1, TRANSPORT, 1);
    assert_eq!(rejection(test.proven("c/y/w", 2)), broken(BreakerKind::Application, 1));
    test.results("d/x", 1, STATUS, 1);
    assert_eq!(rejection(test.proven("d/x", 1)), broken(BreakerKind::Token, 1));
    // One response ends the suspicion.
    test.results("e/x", 1, CallOutcome::Answered, 1);
    test.results("f/x", 1, STATUS, 1);
    assert!(test.proven("f/x", 1).is_ok());
}

#[test]
fn in_a_general_outage_each_application_sends_one_request_a_second() {
    let test = TestBreakers::new();
    let apps: Vec<_> = (0..10).map(|tenant| format!("t{tenant}/x")).collect();
    let mut sent = 0;
    for _ in 0..600 {
        for app in &apps {
            for resource in 0..3 {
                if let Ok(request) = test.proven(&format!("{app}/u{resource}"), resource) {
                    request.record_now(STATUS);
                    sent += 1;
                }
            }
        }
        test.pass(100);
    }
    assert!((500..=650).contains(&sent), "ten applications, sixty seconds: {sent}");
}

#[test]
fn a_failure_among_responses_opens_no_breaker() {
    let test = TestBreakers::new();
    for _ in 0..100 {
        for outcome in [STATUS, CallOutcome::Answered, CONNECTION, CallOutcome::Answered] {
            test.results("a/x", 1, outcome, 1);
        }
    }
    assert_eq!(test.breakers.count_open(), 0);
}

#[test]
fn four_failures_before_a_response_and_four_after_it_are_not_five_in_a_row() {
    for (failure, scope) in [(STATUS, BreakerKind::Resource), (CONNECTION, BreakerKind::Host)] {
        let test = TestBreakers::new();
        test.results("a/x", 1, failure, 4);
        test.results("a/x", 1, CallOutcome::Answered, 1);
        test.results("a/x", 1, failure, 4);
        assert_eq!(test.breakers.count_open(), 0);
        test.results("a/x", 1, failure, 1);
        assert_eq!(rejection(test.proven("a/x", 1)), broken(scope, 1));
    }
}

#[test]
fn a_status_of_graph_shows_that_connections_can_be_made() {
    let test = TestBreakers::new();
    for resource in 0..100 {
        test.results("a/x", 1, CONNECTION, 4);
        test.results(&format!("a/{resource}"), 1, STATUS, 1);
    }
    assert_eq!(test.breakers.count_open(), 0);
}

#[test]
fn a_request_from_before_the_outage_that_fails_in_it_makes_the_wait_no_longer() {
    for (failure, scope) in [(STATUS, BreakerKind::Resource), (CONNECTION, BreakerKind::Host)] {
        let test = TestBreakers::new();
        let late = test.proven("a/x", 1).unwrap();
        test.results("a/x", 1, failure, 5);
        test.pass(400);
        late.record_now(failure);
        let left = Duration::from_millis(600);
        assert_eq!(rejection(test.proven("a/x", 1)), Some((RejectionCause::Breaker(scope), left)));
    }
}

#[test]
fn requests_from_before_the_outage_that_fail_after_it_open_no_breaker() {
    for failure in [STATUS, CONNECTION] {
        let test = TestBreakers::new();
        let late: Vec<_> = (0..50).map(|_| test.proven("a/x", 1).unwrap()).collect();
        test.results("a/x", 1, failure, 5);
        test.pass(1_000);
        test.results("a/x", 1, CallOutcome::Answered, 1 + 8 + 32);
        assert_eq!(test.capacity("a/x", 1), 200);
        for late in late {
            late.record_now(failure);
        }
        assert_eq!(test.capacity("a/x", 1), 200, "{failure:?}");
    }
}

#[test]
fn while_a_probe_is_in_flight_no_other_request_starts() {
    let test = host_is_due();
    let probe = test.proven("a/x", 1).unwrap();
    for _ in 0..3 {
        assert_eq!(rejection(test.proven("b/x", 1)), broken(BreakerKind::Host, 1));
    }
    drop(probe);
    assert!(test.proven("b/x", 1).is_ok());
}

#[test]
fn a_request_that_ends_in_the_ramp_admits_one_more() {
    let test = host_is_due();
    test.results("a/x", 1, CallOutcome::Answered, 1);
    let mut eight: Vec<_> = (0..8).map(|_| test.proven("a/x", 1).unwrap()).collect();
    assert!(test.proven("a/x", 1).is_err());
    for answered in [true, false] {
        let one = eight.pop().unwrap();
        if answered {
            one.record_now(CallOutcome::Answered);
        } else {
            drop(one);
        }
        eight.push(test.proven("a/x", 1).unwrap());
        assert!(test.proven("a/x", 1).is_err(), "answered: {answered}");
    }
}

#[test]
fn the_ramp_grows_after_as_many_responses_as_its_limit_and_not_earlier() {
    let test = host_is_due();
    test.results("a/x", 1, CallOutcome::Answered, 1);
    for (good, at_once) in [(7, 8), (1, 32), (31, 32), (1, 200)] {
        test.results("a/x", 1, CallOutcome::Answered, good);
        assert_eq!(test.capacity("a/x", 1), at_once);
    }
}

#[test]
fn a_failure_in_the_ramp_opens_the_breaker_and_one_after_it_does_not() {
    for (failure, scope) in [(STATUS, BreakerKind::Resource), (CONNECTION, BreakerKind::Host)] {
        let test = TestBreakers::new();
        test.results("a/x", 1, failure, 5);
        test.pass(1_000);
        test.results("a/x", 1, CallOutcome::Answered, 1);
        test.results("a/x", 1, failure, 1);
        assert_eq!(rejection(test.proven("a/x", 1)), broken(scope, 1));
        test.pass(1_000);
        test.results("a/x", 1, CallOutcome::Answered, 1 + 8 + 32);
        test.results("a/x", 1, failure, 1);
        assert!(test.proven("a/x", 1).is_ok(), "it is closed again");
    }
}

#[test]
fn a_rejection_by_one_scope_leaves_the_probes_of_the_others() {
    let test = TestBreakers::new();
    test.results("a/x", 1, STATUS, 5);
    test.pass(1_000);
    test.results("b/x", 1, CONNECTION, 5);
    assert_eq!(rejection(test.proven("a/x", 1)), broken(BreakerKind::Host, 1));
    test.pass(1_000);
    assert!(test.proven("a/x", 1).is_ok(), "it is the probe of both");
}

#[test]
fn in_an_outage_an_application_of_many_tokens_sends_one_request_a_second() {
    for one_user in [true, false] {
        let test = TestBreakers::new();
        let mut sent = 0;
        for tick in 0..600 {
            for number in 0..20 {
                let user = if one_user { 0 } else { number };
                if let Ok(request) = test.proven(&format!("a/x/u{user}/t{number}"), tick % 7 + number) {
                    request.record_now(STATUS);
                    sent += 1;
                }
            }
            test.pass(100);
        }
        assert!((55..=75).contains(&sent), "sixty seconds, one user: {one_user}: {sent}");
    }
}
