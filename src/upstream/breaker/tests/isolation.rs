//! Isolation: failures of one scope do not affect another.

use super::super::parts::MAX_PARTS;
use super::*;

#[test]
fn t09_a_forged_token_opens_no_throttle_but_its_own() {
    let test = TestBreakers::new();
    test.unproven("forged", "a/x", 1).unwrap().record_now(CallOutcome::Throttled(seconds(60)));
    assert!(test.proven("a/x", 1).is_ok());
    assert!(test.unproven("other", "a/x", 1).is_ok());
    assert_eq!(rejection(test.unproven("forged", "a/x", 1)), throttled(60));
    assert_eq!(test.breakers.count_open(), 1);
}

#[test]
fn t09_a_forged_token_closes_no_throttle_either() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(5)), 1);
    assert_eq!(rejection(test.unproven("forged", "a/x", 1)), throttled(5));
    test.pass(5_000);
    test.unproven("forged", "a/x", 1).unwrap().record_now(CallOutcome::Answered);
    let _probe = test.proven("a/x", 1).unwrap();
    assert_eq!(rejection(test.proven("a/x", 1)), throttled(1), "the probe is in flight");
    assert_eq!(rejection(test.unproven("forged", "a/x", 1)), throttled(1));
}

#[test]
fn a_tenant_that_fails_all_the_time_costs_other_tenants_nothing() {
    let test = TestBreakers::new();
    // Many applications, and many resources of each.
    for round in 0..2_000 {
        let app = format!("evil/{}", round % 40);
        for outcome in [STATUS, TRANSPORT] {
            if let Ok(request) = test.proven(&app, round % 7) {
                request.record_now(outcome);
            }
        }
        test.pass(50);
        // A first failure of its own opens nothing in another tenant.
        if round % 500 == 0 {
            test.results("b/x", round, STATUS, 1);
        }
        assert!(test.proven("b/x", 1).is_ok());
    }
}

#[test]
fn several_tenants_that_fail_open_no_breaker_of_an_application_without_failures() {
    let test = TestBreakers::new();
    for round in 0..200 {
        for tenant in ["a", "b", "c", "d"] {
            if let Ok(request) = test.proven(&format!("{tenant}/x"), 1) {
                request.record_now(STATUS);
            }
        }
        assert!(test.proven("victim/x", 1).is_ok(), "round {round}");
        test.pass(50);
    }
}

#[test]
fn t09_failures_of_unproven_tokens_open_no_breaker() {
    let test = TestBreakers::new();
    for n in 0..100 {
        for failure in [STATUS, TRANSPORT, CONNECTION] {
            test.unproven(&format!("t{n}"), "a/x", n).unwrap().record_now(failure);
        }
    }
    assert_eq!(test.breakers.count_open(), 0);
    assert!(test.proven("a/x", 1).is_ok());
}

#[test]
fn t09_an_unproven_token_does_not_open_a_breaker_that_recovers() {
    for in_ramp in [false, true] {
        let test = host_is_due();
        if in_ramp {
            test.results("a/x", 1, CallOutcome::Answered, 1);
        }
        for failure in [STATUS, TRANSPORT, CONNECTION] {
            test.unproven("forged", "a/x", 1).unwrap().record_now(failure);
            drop(test.unproven("forged", "a/x", 1).unwrap());
        }
        assert!(test.proven("a/x", 1).is_ok(), "in the ramp: {in_ramp}");
    }
}

#[test]
fn t09_an_unproven_token_does_not_take_the_probe_and_waits_while_one_is_in_flight() {
    let test = host_is_due();
    let _unproven = test.unproven("forged", "a/x", 1).unwrap();
    let probe = test.proven("a/x", 1).unwrap();
    assert_eq!(rejection(test.unproven("other", "b/x", 2)), broken(BreakerKind::Host, 1));
    probe.record_now(CallOutcome::Answered);
    assert!(test.unproven("other", "b/x", 2).is_ok());
}

#[test]
fn t09_an_unproven_token_waits_for_the_breakers_of_the_application_that_it_claims() {
    let test = TestBreakers::new();
    test.results("a/x", 1, STATUS, 5);
    assert_eq!(rejection(test.unproven("new", "a/x", 1)), broken(BreakerKind::Resource, 1));
    assert!(test.unproven("new", "a/x", 2).is_ok() && test.unproven("new", "b/x", 1).is_ok());
    test.results("a/x/v", 2, STATUS, 1);
    test.results("a/x/v", 3, STATUS, 1);
    assert_eq!(rejection(test.unproven("new", "a/x", 9)), broken(BreakerKind::Application, 1));
}

#[test]
fn one_resource_that_never_recovers_does_not_keep_its_application_broken() {
    let test = TestBreakers::new();
    (1..=3).for_each(|resource| test.results("a/x", resource, STATUS, 1));
    // The first resource is requested twenty times a second, and keeps failing.
    let mut answered = 0;
    for tick in 0..200 {
        if let Ok(request) = test.proven("a/x", 1) {
            request.record_now(STATUS);
        }
        if tick % 10 == 5
            && let Ok(request) = test.proven("a/x", 2)
        {
            request.record_now(CallOutcome::Answered);
            answered += 1;
        }
        test.pass(50);
    }
    assert!(answered >= 15, "{answered} of 20 requests were sent");
}

/// Sends requests of two users for 10 seconds. One, with this many tokens, requests new resources that fail, 100 times a
/// second. The other requests a resource that works, ten times a second. Returns how many requests of the second user are
/// rejected, and how many of the first fail.
fn storm(test: &TestBreakers, tokens: usize) -> (usize, usize) {
    let (mut refused, mut failed) = (0, 0);
    for tick in 0..1_000 {
        if let Ok(request) = test.proven(&format!("a/x/evil/t{}", tick % tokens), 1_000 + tick as u64) {
            request.record_now(STATUS);
            failed += 1;
        }
        if tick % 10 == 5 {
            match test.proven("a/x/good", 1) {
                Ok(request) => request.record_now(CallOutcome::Answered),
                Err(_) => refused += 1,
            }
        }
        test.pass(10);
    }
    (refused, failed)
}

#[test]
fn a_user_whose_requests_all_fail_costs_other_users_of_its_application_nothing() {
    let test = TestBreakers::new();
    let (refused, failed) = storm(&test, 1);
    assert_eq!(refused, 0);
    assert!((10..=14).contains(&failed), "one a second: {failed}");
    // With many tokens, a single user opens the breaker, and a response to another user closes it.
    for tokens in [2, 10, 100] {
        let test = TestBreakers::new();
        test.results("a/x/good", 1, STATUS, 1);
        test.results("a/x/good", 1, CallOutcome::Answered, 1);
        let (refused, _) = storm(&test, tokens);
        assert!(refused <= 11, "{tokens} tokens: {refused}");
    }
}

#[test]
fn a_user_whose_requests_all_fail_does_not_prolong_an_outage_of_its_application() {
    for tokens in [1, 2, 10] {
        let test = TestBreakers::new();
        for resource in 0..20 {
            for user in ["evil/t0", "good"] {
                if let Ok(request) = test.proven(&format!("a/x/{user}"), resource) {
                    request.record_now(STATUS);
                }
            }
            test.pass(150);
        }
        let (refused, _) = storm(&test, tokens);
        assert!(refused <= 25, "{tokens} tokens: {refused} of 100, of which 10 are a second");
    }
}

#[test]
fn a_tenant_whose_requests_hang_does_not_take_every_probe_of_the_host() {
    let test = TestBreakers::new();
    test.results("evil/x", 1, CONNECTION, 5);
    let mut hanging = Vec::new();
    for tick in 0..100 {
        hanging.extend(test.proven("evil/x", tick).ok());
        if tick % 20 == 10
            && let Ok(request) = test.proven("b/x", 1)
        {
            request.record_now(CallOutcome::Answered);
            assert!(tick <= 60, "{tick}");
            return;
        }
        test.pass(50);
    }
    panic!("the other tenant never probed");
}

#[test]
fn the_state_of_an_application_is_bounded() {
    let test = TestBreakers::new();
    for resource in 0..1_000 {
        test.results("a/x", resource, STATUS, 1);
        test.results("a/x", 5_000, CallOutcome::Answered, 1);
    }
    let own = test.breakers.applications.get(&test.app("a/x")).unwrap();
    assert_eq!(lock(&own).count_parts(), [MAX_PARTS, 0], "a token with a response is removed");
    (968..1_000).for_each(|resource| test.results("a/x", resource, CallOutcome::Answered, 1));
    assert_eq!(lock(&own).count_parts(), [0, 0], "a resource with a response is removed");
    for user in 0..1_000 {
        test.results(&format!("a/x/u{user}"), user, STATUS, 1);
        test.results("a/x", 5_000, CallOutcome::Answered, 1);
    }
    assert_eq!(lock(&own).count_parts()[1], MAX_PARTS);
}

#[test]
fn a_flood_of_unproven_tokens_evicts_no_application() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(600)), 1);
    for n in 0..2 * MAX_TOKENS {
        test.unproven(&format!("t{n}"), "b/x", 1).unwrap().record_now(CallOutcome::Throttled(seconds(600)));
    }
    assert!(test.breakers.tokens.count() <= MAX_TOKENS);
    assert_eq!(rejection(test.proven("a/x", 1)), throttled(600));
}
