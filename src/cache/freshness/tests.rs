//! Assessments at given times.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::support::clock::Clock;

const START: u64 = 1_790_000_000;
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Returns a time `seconds` after the start of these tests.
pub(super) fn at(seconds: u64) -> Now {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(START)).now().plus(Duration::from_secs(seconds))
}

pub(super) fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

pub(super) fn plain() -> Lifetime {
    Lifetime {
        fresh_for: Duration::from_secs(300),
        initial_age: Duration::ZERO,
        must_revalidate: false,
        grace_ends: Duration::MAX,
        error_grace_ends: Duration::MAX,
    }
}

/// Returns the decision at `now` for an entry and a proof of second 0 and a token that expires in an hour.
fn decision(lifetime: &Lifetime, client: CacheControl, now: u64) -> Decision {
    let proof = at(0);
    assess(&Config::default(), (lifetime, at(0)), proof, HOUR, client, at(now)).decision
}

/// [`is_usable_on_error`] with the default rules, the ages in seconds.
pub(super) fn on_error(
    lifetime: &Lifetime,
    assessment: &Assessment,
    source: ErrorSource,
    (proof_age, token_left): (u64, u64),
) -> bool {
    let ages = (Duration::from_secs(proof_age), Duration::from_secs(token_left));
    is_usable_on_error(&Config::default(), lifetime, assessment, source, ages)
}

#[test]
fn l29_a_no_cache_response_is_never_used_without_validation() {
    let config = Config { freshness: FreshnessSource::Origin, ..Config::default() };
    let fields = headers(&[("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")]);
    let lifetime = Lifetime::from_response(&fields, &config, at(0)).unwrap();
    for client in [CacheControl::default(), CacheControl { max_stale: Some(9), ..CacheControl::default() }] {
        let proof = at(0);
        let assessment = assess(&config, (&lifetime, at(0)), proof, HOUR, client, at(0));
        assert_eq!(assessment.decision, Decision::Forward(Forward::Stale));
        assert!(!is_usable_on_error(
            &config,
            &lifetime,
            &assessment,
            ErrorSource::Upstream,
            (Duration::ZERO, HOUR)
        ));
    }
}

#[test]
fn an_entry_is_fresh_until_its_ttl_then_usable_within_the_grace_then_unusable() {
    let ask = |now| decision(&plain(), CacheControl::default(), now);
    assert_eq!(ask(0), Decision::Fresh);
    assert_eq!(ask(299), Decision::Fresh);
    assert_eq!(ask(300), Decision::StaleUsable);
    assert_eq!(ask(329), Decision::StaleUsable);
    assert_eq!(ask(330), Decision::Forward(Forward::Stale));
}

#[test]
fn l48_in_origin_mode_graph_limits_the_grace() {
    let config =
        Config { ttl: Duration::from_secs(100), freshness: FreshnessSource::Origin, ..Config::default() };
    let last = |directives| {
        let lifetime =
            Lifetime::from_response(&headers(&[("cache-control", directives)]), &config, at(0)).unwrap();
        let usable = |now: &u64| {
            let proof = at(0);
            let assessment =
                assess(&config, (&lifetime, at(0)), proof, HOUR, CacheControl::default(), at(*now));
            matches!(assessment.decision, Decision::Fresh | Decision::StaleUsable)
        };
        (0..1000).take_while(usable).last()
    };
    assert_eq!(last("max-age=60"), Some(59), "no grace");
    assert_eq!(last("max-age=60, stale-while-revalidate=10"), Some(69));
    assert_eq!(last("max-age=60, Stale-While-Revalidate=\"10\", stale-while-revalidate=20"), Some(69));
    assert_eq!(last("max-age=60, stale-while-revalidate=900"), Some(89), "the operator's grace is the limit");
    assert_eq!(last("max-age=60, stale-while-revalidate=x"), Some(59));
    assert_eq!(last("max-age=60, stale-while-revalidate"), Some(59));
    assert_eq!(last("max-age=60, stale-while-revalidate=9, must-revalidate"), Some(59));
    // The TTL and the grace after it are the operator's limits: by Graph's directives the response is still fresh.
    assert_eq!(last("max-age=200"), Some(129));
    assert_eq!(last("max-age=120"), Some(119));
}

#[test]
fn l26_an_expired_proof_ends_the_use_of_a_fresh_entry() {
    let lifetime = Lifetime { fresh_for: HOUR * 9, ..plain() };
    let ask = |now| decision(&lifetime, CacheControl::default(), now);
    assert_eq!(ask(299), Decision::Fresh);
    assert_eq!(ask(300), Decision::StaleUsable);
    assert_eq!(ask(330), Decision::Forward(Forward::Stale));
}

#[test]
fn l26_an_expiring_token_receives_nothing_from_memory() {
    let proof = at(0);
    let assessment =
        assess(&Config::default(), (&plain(), at(0)), proof, Duration::ZERO, CacheControl::default(), at(1));
    assert_eq!(assessment.decision, Decision::Forward(Forward::Bypass));
    assert!(!on_error(&plain(), &assessment, ErrorSource::Upstream, (0, 0)));
}

#[test]
fn the_remaining_time_is_the_minimum_of_ttl_proof_and_token() {
    let left = |ttl, granted_at, token| {
        let lifetime = Lifetime { fresh_for: Duration::from_secs(ttl), ..plain() };
        let proof = at(granted_at);
        let assessment = assess(
            &Config::default(),
            (&lifetime, at(100)),
            proof,
            Duration::from_secs(token),
            CacheControl::default(),
            at(150),
        );
        assessment.remaining.as_secs()
    };
    assert_eq!(left(300, 100, 3600), 250);
    assert_eq!(left(900, 0, 3600), 150);
    assert_eq!(left(900, 100, 7), 7);
}

#[test]
fn l30_an_honoured_caller_can_force_a_request_to_graph() {
    let ask = |client| decision(&plain(), client, 100);
    let forward = Decision::Forward(Forward::Request);
    assert_eq!(ask(CacheControl { no_cache: true, ..CacheControl::default() }), forward);
    assert_eq!(ask(CacheControl { max_age: Some(0), ..CacheControl::default() }), forward);
    assert_eq!(ask(CacheControl { max_age: Some(99), ..CacheControl::default() }), forward);
    assert_eq!(ask(CacheControl { max_age: Some(100), ..CacheControl::default() }), Decision::Fresh);
    assert_eq!(ask(CacheControl { min_fresh: Some(201), ..CacheControl::default() }), forward);
    assert_eq!(ask(CacheControl { min_fresh: Some(200), ..CacheControl::default() }), Decision::Fresh);
}

#[test]
fn l30_an_honoured_caller_can_accept_a_stale_entry_but_not_an_unproven_one() {
    let ask = |client, now| decision(&plain(), client, now);
    let most = |most| CacheControl { max_stale: Some(most), ..CacheControl::default() };
    assert_eq!(ask(most(0), 299), Decision::Fresh);
    let long = Config { proof_ttl: HOUR, ..Config::default() };
    let proven = |lifetime: &Lifetime, client, token_left, now| {
        assess(&long, (lifetime, at(0)), at(0), token_left, client, at(now)).decision
    };
    assert_eq!(proven(&plain(), most(60), HOUR, 360), Decision::StaleAccepted);
    assert_eq!(proven(&plain(), most(60), HOUR, 361), Decision::Forward(Forward::Stale));
    assert_eq!(proven(&plain(), most(1 << 31), HOUR, 3599), Decision::StaleAccepted);
    assert_eq!(proven(&plain(), most(1 << 31), HOUR, 3600), Decision::Forward(Forward::Stale), "the proof");
    assert_eq!(proven(&plain(), most(1 << 31), Duration::ZERO, 301), Decision::Forward(Forward::Bypass));
    let strict = Lifetime { must_revalidate: true, ..plain() };
    assert_eq!(proven(&strict, most(1 << 31), HOUR, 301), Decision::Forward(Forward::Stale));
    let both = CacheControl { max_age: Some(400), ..most(60) };
    assert_eq!(proven(&plain(), both, HOUR, 350), Decision::StaleAccepted);
    let age_alone = CacheControl { max_age: Some(400), ..CacheControl::default() };
    assert_eq!(proven(&plain(), age_alone, HOUR, 310), Decision::Forward(Forward::Stale), "nothing stale");
}

#[test]
fn l47_must_revalidate_forbids_every_stale_response() {
    let strict = Lifetime { must_revalidate: true, ..plain() };
    assert_eq!(decision(&strict, CacheControl::default(), 300), Decision::Forward(Forward::Stale));
    let proof = at(0);
    let assessment =
        assess(&Config::default(), (&strict, at(0)), proof, HOUR, CacheControl::default(), at(301));
    assert!(!on_error(&strict, &assessment, ErrorSource::Upstream, (301, 3600)));
}

#[test]
fn l48_in_an_outage_a_stale_entry_is_used_within_its_window_and_the_proofs() {
    let usable = |now, granted_at| {
        let proof = at(granted_at);
        let assessment =
            assess(&Config::default(), (&plain(), at(0)), proof, HOUR, CacheControl::default(), at(now));
        on_error(&plain(), &assessment, ErrorSource::Upstream, (now - granted_at, 3600))
    };
    assert!(usable(899, 0));
    assert!(!usable(900, 0), "ten minutes past the TTL");
    assert!(!usable(900, 800), "a newer proof does not extend the entry");
    let strict = Lifetime { must_revalidate: true, ..plain() };
    let at_hand = |now| {
        let proof = at(0);
        let assessment =
            assess(&Config::default(), (&strict, at(0)), proof, HOUR, CacheControl::default(), at(now));
        on_error(&strict, &assessment, ErrorSource::Upstream, (now, 3600))
    };
    assert!(at_hand(299), "another request stored a fresh one meanwhile");
    assert!(!at_hand(300));
}

proptest! {
    /// Age never falls, the remaining time never grows, and a decision never improves with time.
    #[test]
    fn a_decision_never_improves_with_time(ttl in 1_u64..1000, age in 0_u64..1000, granted_at in 0_u64..100, one in 100_u64..2000, more in 0_u64..2000) {
        let lifetime = Lifetime { fresh_for: Duration::from_secs(ttl), initial_age: Duration::from_secs(age), ..plain() };
        let proof = at(granted_at);
        let ask = |now| assess(&Config::default(), (&lifetime, at(50)), proof, HOUR, CacheControl::default(), at(now));
        let rank = |decision| match decision { Decision::Fresh => 0, Decision::StaleUsable | Decision::StaleAccepted => 1, Decision::Forward(_) => 2 };
        let (early, late) = (ask(one), ask(one + more));
        prop_assert!(late.age >= early.age && late.remaining <= early.remaining && late.overdue >= early.overdue);
        prop_assert!(rank(late.decision) >= rank(early.decision));
    }
}

#[test]
fn a_lowered_ttl_applies_to_stored_entries_and_a_raised_one_does_not() {
    let assessment = |ttl, now| {
        let config = Config { ttl: Duration::from_secs(ttl), ..Config::default() };
        assess(&config, (&plain(), at(0)), at(0), HOUR, CacheControl::default(), at(now))
    };
    assert_eq!(assessment(300, 100).remaining, Duration::from_secs(200));
    assert_eq!(
        (assessment(101, 100).remaining, assessment(101, 100).decision),
        (Duration::from_secs(1), Decision::Fresh)
    );
    assert_eq!(assessment(100, 100).decision, Decision::StaleUsable);
    assert_eq!(assessment(60, 100).decision, Decision::Forward(Forward::Stale));
    assert_eq!(assessment(60, 100).overdue, Duration::from_secs(40));
    assert_eq!(
        assessment(600, 299).remaining,
        Duration::from_secs(1),
        "the entry was stored with five minutes"
    );
}

#[test]
fn the_longest_use_is_the_longer_lifetime_and_the_longer_grace() {
    let seconds = |[ttl, proof_ttl, revalidate, on_error]: [u64; 4]| {
        let span = Duration::from_secs;
        let (ttl, proof_ttl) = (span(ttl), span(proof_ttl));
        let (stale_while_revalidate, stale_if_error) = (span(revalidate), span(on_error));
        let config = Config { ttl, proof_ttl, stale_while_revalidate, stale_if_error, ..Config::default() };
        config.longest_use().as_secs()
    };
    let spans = [[9, 1, 5, 2], [1, 9, 5, 2], [9, 1, 2, 5], [1, 9, 2, 5]];
    assert_eq!(spans.map(seconds), [14; 4]);
}

#[test]
fn a_superseded_entry_requires_a_request_to_graph_and_is_used_if_it_fails() {
    let most = |seconds| CacheControl { max_stale: Some(seconds), ..CacheControl::default() };
    for (client, now) in [(CacheControl::default(), 1), (CacheControl::default(), 310), (most(100), 350)] {
        let assessment = assess(&Config::default(), (&plain(), at(0)), at(now), HOUR, client, at(now));
        assert!(!matches!(assessment.decision, Decision::Forward(_)), "{now}");
        let superseded = assessment.superseded();
        assert_eq!(
            (superseded.decision, superseded.remaining),
            (Decision::Forward(Forward::Stale), Duration::ZERO)
        );
        assert!(on_error(&plain(), &superseded, ErrorSource::Upstream, (0, 3600)));
    }
    let asks = CacheControl { no_cache: true, ..CacheControl::default() };
    let assessment = assess(&Config::default(), (&plain(), at(0)), at(0), HOUR, asks, at(1)).superseded();
    assert_eq!(assessment.decision, Decision::Forward(Forward::Request));
}
