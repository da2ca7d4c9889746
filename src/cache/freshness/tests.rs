//! Judgements, with the time passed in.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::cache::outcome::NotStored;
use crate::support::clock::Clock;

const START: u64 = 1_790_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// A second after the start of these tests.
pub(super) fn at(seconds: u64) -> Now {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(START)).now().plus(Duration::from_secs(seconds))
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn operator(fields: &[(&'static str, &str)]) -> Result<Duration, NotStored> {
    Lifetime::from_response(&headers(fields), &Config::default(), at(0)).map(|lifetime| lifetime.fresh_for)
}

fn origin(fields: &[(&'static str, &str)]) -> Result<Duration, NotStored> {
    let config = Config { freshness: FreshnessSource::Origin, ttl: HOUR, ..Config::default() };
    Lifetime::from_response(&headers(fields), &config, at(0)).map(|lifetime| lifetime.fresh_for)
}

pub(super) fn plain() -> Lifetime {
    Lifetime {
        fresh_for: Duration::from_secs(300),
        initial_age: Duration::ZERO,
        must_revalidate: false,
        grace_ends: Duration::MAX,
    }
}

/// The verdict `now` on an entry and a proof of second 0, for a token that ends in an hour.
fn decision(lifetime: &Lifetime, client: CacheControl, now: u64) -> Decision {
    let proof = at(0);
    assess(&Config::default(), (lifetime, at(0)), proof, HOUR, client, at(now)).decision
}

/// [`is_usable_on_error`] with the default rules, the ages in seconds.
pub(super) fn on_error(
    lifetime: &Lifetime,
    judged: &Assessment,
    source: ErrorSource,
    (proof_age, token_left): (u64, u64),
) -> bool {
    let ages = (Duration::from_secs(proof_age), Duration::from_secs(token_left));
    is_usable_on_error(&Config::default(), lifetime, judged, source, ages)
}

#[test]
fn the_operators_ttl_replaces_what_graph_says_as_a_matter_of_course() {
    for control in ["no-cache", "private", "max-age=0", "private, max-age=9"] {
        assert_eq!(operator(&[("cache-control", control)]), Ok(Duration::from_secs(300)), "{control}");
    }
}

#[test]
fn no_store_and_a_vary_that_nothing_can_match_are_respected_in_both_modes() {
    for mode in [operator, origin] {
        assert_eq!(mode(&[("cache-control", "max-age=60, no-store")]), Err(NotStored::NoStore));
        for vary in ["*", "Accept-Encoding, *", "client-request-id"] {
            assert_eq!(
                mode(&[("cache-control", "max-age=60"), ("vary", vary)]),
                Err(NotStored::Vary),
                "{vary}"
            );
        }
        assert!(mode(&[("cache-control", "max-age=60"), ("vary", "Accept-Language,Authorization")]).is_ok());
    }
}

#[test]
fn l11_a_star_is_seen_in_any_line_of_vary() {
    assert_eq!(operator(&[("vary", "Accept-Encoding"), ("vary", "*")]), Err(NotStored::Vary));
}

#[test]
fn l15_the_origins_max_age_beats_its_expires_and_the_ttl_caps_both() {
    let expires = ("expires", "Thu, 01 Jan 1970 01:00:00 GMT");
    let date = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(origin(&[("cache-control", "max-age=60"), expires, date]), Ok(Duration::from_secs(60)));
    assert_eq!(origin(&[expires, date]), Ok(HOUR));
    assert_eq!(origin(&[("cache-control", "max-age=7200")]), Ok(HOUR));
    assert_eq!(origin(&[("cache-control", "s-maxage=60")]), Err(NotStored::NoLifetime));
}

#[test]
fn l07_must_understand_undoes_no_store_where_the_origin_decides() {
    let understood = [("cache-control", "must-understand, no-store, max-age=60")];
    assert_eq!(origin(&understood), Ok(Duration::from_secs(60)));
    assert_eq!(operator(&understood), Err(NotStored::NoStore));
    assert_eq!(origin(&[("cache-control", "no-store, max-age=60")]), Err(NotStored::NoStore));
}

#[test]
fn l25_a_tenth_of_the_time_since_the_last_change_stands_where_the_origin_says_nothing() {
    let date = ("date", "Thu, 01 Jan 1970 10:00:00 GMT");
    let modified = ("last-modified", "Thu, 01 Jan 1970 09:50:00 GMT");
    assert_eq!(origin(&[date, modified]), Ok(Duration::from_secs(60)));
    assert_eq!(
        origin(&[date, ("last-modified", "Mon, 01 Jan 1900 00:00:00 GMT")]),
        Err(NotStored::NoLifetime)
    );
    assert_eq!(origin(&[modified]), Ok(HOUR), "the TTL is the cap, and the date that of arrival");
    let explicit = [("cache-control", "max-age=5"), ("expires", "Thu, 01 Jan 1970 10:00:05 GMT")];
    for word in explicit {
        assert_eq!(origin(&[date, modified, word]), Ok(Duration::from_secs(5)), "{word:?}");
    }
    for nothing in ["Thu, 01 Jan 1970 10:00:00 GMT", "Thu, 01 Jan 1970 11:00:00 GMT", "soon"] {
        assert_eq!(origin(&[date, ("last-modified", nothing)]), Err(NotStored::NoLifetime), "{nothing}");
    }
    assert_eq!(operator(&[date, modified]), Ok(Duration::from_secs(300)));
}

#[test]
fn l29_what_has_no_time_left_is_stored_only_where_graph_can_be_asked_about_it() {
    let tag = ("etag", "\"a\"");
    for word in ["no-cache", "no-cache=\"x\", max-age=9", "max-age=0", "max-age=60a"] {
        assert_eq!(origin(&[("cache-control", word)]), Err(NotStored::NoLifetime), "{word}");
        assert_eq!(origin(&[("cache-control", word), tag]), Ok(Duration::ZERO), "{word}");
    }
    assert_eq!(origin(&[]), Err(NotStored::NoLifetime));
    assert_eq!(origin(&[tag]), Ok(Duration::ZERO));
}

#[test]
fn l29_no_cache_is_never_used_without_graphs_word() {
    let config = Config { freshness: FreshnessSource::Origin, ..Config::default() };
    let fields = headers(&[("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")]);
    let lifetime = Lifetime::from_response(&fields, &config, at(0)).unwrap();
    for client in [CacheControl::default(), CacheControl { max_stale: Some(9), ..CacheControl::default() }] {
        let proof = at(0);
        let judged = assess(&config, (&lifetime, at(0)), proof, HOUR, client, at(0));
        assert_eq!(judged.decision, Decision::Forward(Forward::Stale));
        assert!(!is_usable_on_error(
            &config,
            &lifetime,
            &judged,
            ErrorSource::Upstream,
            (Duration::ZERO, HOUR)
        ));
    }
}

#[test]
fn l20_an_expires_that_cannot_be_read_means_expired() {
    let date = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
    for odd in ["0", "", "Thu, 01 Jan 1970 01:00:00 CET", "1970"] {
        assert_eq!(origin(&[("expires", odd), date]), Err(NotStored::NoLifetime), "{odd}");
    }
    let asctime = [("expires", "Thu Jan  1 01:00:00 1970"), date];
    assert_eq!(origin(&asctime), Ok(HOUR));
}

#[test]
fn l21_an_age_past_the_ttl_leaves_no_lifetime() {
    for old in ["300", "1000000000", "2147483648", "99999999999999999999999", "300, 0"] {
        assert_eq!(operator(&[("age", old)]), Err(NotStored::NoLifetime), "{old}");
    }
    assert_eq!(operator(&[("age", "300"), ("age", "0")]), Err(NotStored::NoLifetime));
    let lines = [&[("age", "299"), ("age", "900")][..], &[("age", " 299 ,900")]];
    for line in lines {
        let lifetime = Lifetime::from_response(&headers(line), &Config::default(), at(0)).unwrap();
        assert_eq!(lifetime.initial_age, Duration::from_secs(299), "{line:?}");
    }
    // What can be asked about is stored however old it is, and every age can be added to.
    for most in ["2147483648", "2147483649", "18446744073709551615", "99999999999999999999999"] {
        let fields = headers(&[("age", most), ("etag", "\"a\"")]);
        let lifetime = Lifetime::from_response(&fields, &Config::default(), at(0)).unwrap();
        assert_eq!(lifetime.initial_age, Duration::from_secs(1 << 31), "{most}");
    }
}

#[test]
fn l21_an_age_that_is_no_number_is_ignored() {
    for odd in ["-1", "+1", "1.5", "x", "", ", 900", "7200;a=b", "\u{663}", "0x10"] {
        let lifetime = Lifetime::from_response(&headers(&[("age", odd)]), &Config::default(), at(0)).unwrap();
        assert_eq!(lifetime.initial_age, Duration::ZERO, "{odd}");
    }
}

#[test]
fn an_entry_is_fresh_until_its_ttl_then_usable_within_the_grace_then_not() {
    let ask = |now| decision(&plain(), CacheControl::default(), now);
    assert_eq!(ask(0), Decision::Fresh);
    assert_eq!(ask(299), Decision::Fresh);
    assert_eq!(ask(300), Decision::StaleUsable);
    assert_eq!(ask(329), Decision::StaleUsable);
    assert_eq!(ask(330), Decision::Forward(Forward::Stale));
}

#[test]
fn l48_where_the_origin_decides_it_says_how_long_the_grace_is() {
    let config =
        Config { ttl: Duration::from_secs(100), freshness: FreshnessSource::Origin, ..Config::default() };
    let last = |directives| {
        let lifetime =
            Lifetime::from_response(&headers(&[("cache-control", directives)]), &config, at(0)).unwrap();
        let usable = |now: &u64| {
            let proof = at(0);
            let judged = assess(&config, (&lifetime, at(0)), proof, HOUR, CacheControl::default(), at(*now));
            matches!(judged.decision, Decision::Fresh | Decision::StaleUsable)
        };
        (0..1000).take_while(usable).last()
    };
    assert_eq!(last("max-age=60"), Some(59), "none at all");
    assert_eq!(last("max-age=60, stale-while-revalidate=10"), Some(69));
    assert_eq!(last("max-age=60, Stale-While-Revalidate=\"10\", stale-while-revalidate=20"), Some(69));
    assert_eq!(last("max-age=60, stale-while-revalidate=900"), Some(89), "the operator's is the cap");
    assert_eq!(last("max-age=60, stale-while-revalidate=x"), Some(59));
    assert_eq!(last("max-age=60, stale-while-revalidate"), Some(59));
    assert_eq!(last("max-age=60, stale-while-revalidate=9, must-revalidate"), Some(59));
    // The TTL is the operator's cap, and so is the grace past it: by the origin's word it is fresh.
    assert_eq!(last("max-age=200"), Some(129));
    assert_eq!(last("max-age=120"), Some(119));
}

#[test]
fn l26_a_proof_ends_reuse_however_fresh_the_entry_is() {
    let lifetime = Lifetime { fresh_for: HOUR * 9, ..plain() };
    let ask = |now| decision(&lifetime, CacheControl::default(), now);
    assert_eq!(ask(299), Decision::Fresh);
    assert_eq!(ask(300), Decision::StaleUsable);
    assert_eq!(ask(330), Decision::Forward(Forward::Stale));
}

#[test]
fn l26_a_token_at_its_end_gets_nothing_from_memory() {
    let proof = at(0);
    let judged =
        assess(&Config::default(), (&plain(), at(0)), proof, Duration::ZERO, CacheControl::default(), at(1));
    assert_eq!(judged.decision, Decision::Forward(Forward::Bypass));
    assert!(!on_error(&plain(), &judged, ErrorSource::Upstream, (0, 0)));
}

#[test]
fn what_is_left_is_the_least_of_ttl_proof_and_token() {
    let left = |ttl, granted_at, token| {
        let lifetime = Lifetime { fresh_for: Duration::from_secs(ttl), ..plain() };
        let proof = at(granted_at);
        let judged = assess(
            &Config::default(),
            (&lifetime, at(100)),
            proof,
            Duration::from_secs(token),
            CacheControl::default(),
            at(150),
        );
        judged.remaining.as_secs()
    };
    assert_eq!(left(300, 100, 3600), 250);
    assert_eq!(left(900, 0, 3600), 150);
    assert_eq!(left(900, 100, 7), 7);
}

#[test]
fn l30_a_caller_that_is_obeyed_can_ask_for_graphs_word() {
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
fn l30_a_caller_that_is_obeyed_can_take_what_is_old_but_not_what_is_unproven() {
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
fn l47_must_revalidate_forbids_every_stale_answer() {
    let strict = Lifetime { must_revalidate: true, ..plain() };
    assert_eq!(decision(&strict, CacheControl::default(), 300), Decision::Forward(Forward::Stale));
    let proof = at(0);
    let judged = assess(&Config::default(), (&strict, at(0)), proof, HOUR, CacheControl::default(), at(301));
    assert!(!on_error(&strict, &judged, ErrorSource::Upstream, (301, 3600)));
}

#[test]
fn l48_a_stale_answer_serves_in_an_outage_within_its_window_and_the_proofs() {
    let usable = |now, granted_at| {
        let proof = at(granted_at);
        let judged =
            assess(&Config::default(), (&plain(), at(0)), proof, HOUR, CacheControl::default(), at(now));
        on_error(&plain(), &judged, ErrorSource::Upstream, (now - granted_at, 3600))
    };
    assert!(usable(899, 0));
    assert!(!usable(900, 0), "ten minutes past the TTL");
    assert!(!usable(900, 800), "a younger proof does not make the entry younger");
    let strict = Lifetime { must_revalidate: true, ..plain() };
    let at_hand = |now| {
        let proof = at(0);
        let judged =
            assess(&Config::default(), (&strict, at(0)), proof, HOUR, CacheControl::default(), at(now));
        on_error(&strict, &judged, ErrorSource::Upstream, (now, 3600))
    };
    assert!(at_hand(299), "somebody brought a fresh one meanwhile");
    assert!(!at_hand(300));
}

proptest! {
    /// Age never falls, what is left never grows, and a verdict never gets better with time.
    #[test]
    fn time_only_makes_things_worse(ttl in 1_u64..1000, age in 0_u64..1000, granted_at in 0_u64..100, one in 100_u64..2000, more in 0_u64..2000) {
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
fn a_ttl_that_is_lowered_holds_for_what_is_stored_and_a_longer_one_does_not() {
    let judged = |ttl, now| {
        let config = Config { ttl: Duration::from_secs(ttl), ..Config::default() };
        assess(&config, (&plain(), at(0)), at(0), HOUR, CacheControl::default(), at(now))
    };
    assert_eq!(judged(300, 100).remaining, Duration::from_secs(200));
    assert_eq!(
        (judged(101, 100).remaining, judged(101, 100).decision),
        (Duration::from_secs(1), Decision::Fresh)
    );
    assert_eq!(judged(100, 100).decision, Decision::StaleUsable);
    assert_eq!(judged(60, 100).decision, Decision::Forward(Forward::Stale));
    assert_eq!(judged(60, 100).overdue, Duration::from_secs(40));
    assert_eq!(judged(600, 299).remaining, Duration::from_secs(1), "it was promised five minutes");
}

#[test]
fn dials_show_what_they_were_set_to_but_for_whose_word_counts() {
    let dials = Dials::new(&Config::default());
    assert_eq!(dials.now(), Config::default());
    let other = Config {
        ttl: Duration::from_secs(1),
        proof_ttl: Duration::from_secs(2),
        stale_while_revalidate: Duration::from_secs(3),
        stale_if_error: Duration::from_secs(4),
        client_directives: ClientDirectives::Honor,
        freshness: FreshnessSource::Origin,
    };
    dials.set(&other);
    assert_eq!(dials.now(), Config { freshness: FreshnessSource::Operator, ..other });
}

#[test]
fn anything_is_of_use_for_the_longer_time_and_the_longer_grace() {
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
fn what_is_superseded_is_asked_about_whatever_the_caller_takes_and_serves_if_that_fails() {
    let most = |seconds| CacheControl { max_stale: Some(seconds), ..CacheControl::default() };
    for (client, now) in [(CacheControl::default(), 1), (CacheControl::default(), 310), (most(100), 350)] {
        let judged = assess(&Config::default(), (&plain(), at(0)), at(now), HOUR, client, at(now));
        assert!(!matches!(judged.decision, Decision::Forward(_)), "{now}");
        let superseded = judged.superseded();
        assert_eq!(
            (superseded.decision, superseded.remaining),
            (Decision::Forward(Forward::Stale), Duration::ZERO)
        );
        assert!(on_error(&plain(), &superseded, ErrorSource::Upstream, (0, 3600)));
    }
    let asks = CacheControl { no_cache: true, ..CacheControl::default() };
    let judged = assess(&Config::default(), (&plain(), at(0)), at(0), HOUR, asks, at(1)).superseded();
    assert_eq!(judged.decision, Decision::Forward(Forward::Request));
}
