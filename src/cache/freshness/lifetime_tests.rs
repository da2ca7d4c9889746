//! Which responses may be stored, and for how long they are fresh.

use std::time::Duration;

use super::tests::{HOUR, at, headers};
use super::*;
use crate::cache::outcome::NotStored;

fn operator(fields: &[(&'static str, &str)]) -> Result<Duration, NotStored> {
    Lifetime::from_response(&headers(fields), &Config::default(), at(0)).map(|lifetime| lifetime.fresh_for)
}

fn origin(fields: &[(&'static str, &str)]) -> Result<Duration, NotStored> {
    let config = Config { freshness: FreshnessSource::Origin, ttl: HOUR, ..Config::default() };
    Lifetime::from_response(&headers(fields), &config, at(0)).map(|lifetime| lifetime.fresh_for)
}

#[test]
fn the_operators_ttl_replaces_graphs_directives() {
    for control in ["no-cache", "private", "max-age=0", "private, max-age=9"] {
        assert_eq!(operator(&[("cache-control", control)]), Ok(Duration::from_secs(300)), "{control}");
    }
}

#[test]
fn no_store_and_a_vary_that_no_request_can_match_are_honoured_in_both_modes() {
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
fn l11_an_asterisk_counts_in_any_line_of_vary() {
    assert_eq!(operator(&[("vary", "Accept-Encoding"), ("vary", "*")]), Err(NotStored::Vary));
}

#[test]
fn l15_max_age_has_precedence_over_expires_and_the_ttl_limits_both() {
    let expires = ("expires", "Thu, 01 Jan 1970 01:00:00 GMT");
    let date = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(origin(&[("cache-control", "max-age=60"), expires, date]), Ok(Duration::from_secs(60)));
    assert_eq!(origin(&[expires, date]), Ok(HOUR));
    assert_eq!(origin(&[("cache-control", "max-age=7200")]), Ok(HOUR));
    assert_eq!(origin(&[("cache-control", "s-maxage=60")]), Err(NotStored::NoLifetime));
}

#[test]
fn l07_must_understand_overrides_no_store_in_origin_mode() {
    let understood = [("cache-control", "must-understand, no-store, max-age=60")];
    assert_eq!(origin(&understood), Ok(Duration::from_secs(60)));
    assert_eq!(operator(&understood), Err(NotStored::NoStore));
    assert_eq!(origin(&[("cache-control", "no-store, max-age=60")]), Err(NotStored::NoStore));
}

#[test]
fn l25_without_explicit_lifetime_a_tenth_of_the_time_since_the_last_change_applies() {
    let date = ("date", "Thu, 01 Jan 1970 10:00:00 GMT");
    let modified = ("last-modified", "Thu, 01 Jan 1970 09:50:00 GMT");
    assert_eq!(origin(&[date, modified]), Ok(Duration::from_secs(60)));
    assert_eq!(
        origin(&[date, ("last-modified", "Mon, 01 Jan 1900 00:00:00 GMT")]),
        Err(NotStored::NoLifetime)
    );
    assert_eq!(origin(&[modified]), Ok(HOUR), "the TTL is the limit, and the time of arrival the date");
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
fn l29_a_response_without_lifetime_is_stored_only_with_a_validator() {
    let tag = ("etag", "\"a\"");
    for word in ["no-cache", "no-cache=\"x\", max-age=9", "max-age=0", "max-age=60a"] {
        assert_eq!(origin(&[("cache-control", word)]), Err(NotStored::NoLifetime), "{word}");
        assert_eq!(origin(&[("cache-control", word), tag]), Ok(Duration::ZERO), "{word}");
    }
    assert_eq!(origin(&[]), Err(NotStored::NoLifetime));
    assert_eq!(origin(&[tag]), Ok(Duration::ZERO));
}

#[test]
fn l20_an_invalid_expires_means_expired() {
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
    // A response with a validator is stored at any age, and no age overflows.
    for most in ["2147483648", "2147483649", "18446744073709551615", "99999999999999999999999"] {
        let fields = headers(&[("age", most), ("etag", "\"a\"")]);
        let lifetime = Lifetime::from_response(&fields, &Config::default(), at(0)).unwrap();
        assert_eq!(lifetime.initial_age, Duration::from_secs(1 << 31), "{most}");
    }
}

#[test]
fn l21_an_age_that_is_not_a_number_is_ignored() {
    for odd in ["-1", "+1", "1.5", "x", "", ", 900", "7200;a=b", "\u{663}", "0x10"] {
        let lifetime = Lifetime::from_response(&headers(&[("age", odd)]), &Config::default(), at(0)).unwrap();
        assert_eq!(lifetime.initial_age, Duration::ZERO, "{odd}");
    }
}
