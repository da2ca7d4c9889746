//! Validators: their use, their token, and the effect of a 304.

use std::time::UNIX_EPOCH;

use super::*;
use crate::auth::{HashKeys, Identity};
use crate::support::clock::Clock;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

fn now() -> Now {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(1_790_000_000)).now()
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn validators(fields: &[(&'static str, &str)]) -> Option<Validators> {
    Validators::from_headers(&headers(fields), now())
}

fn tokens() -> [TokenHash; 2] {
    let hash_keys = HashKeys::random().unwrap();
    ["ada", "eve"].map(|name| {
        let authorization = format!("Bearer {name}");
        Identity::from_headers(&headers(&[("authorization", &authorization)]), &hash_keys).unwrap().token_hash
    })
}

#[test]
fn l37_valid_validators_are_sent_and_malformed_ones_are_not() {
    let mut request = HeaderMap::new();
    let both = [("etag", "W/\"a\""), ("last-modified", EARLIER), ("date", DATE)];
    validators(&both).unwrap().apply_to(&mut request);
    assert_eq!(request, headers(&[("if-none-match", "W/\"a\""), ("if-modified-since", EARLIER)]));
    let long = format!("\"{}\"", "a".repeat(255));
    for odd in ["a", "\"a", "\"", "", "\"a\" ", "\"a b\"", "\"a\"b\"", "w/\"a\"", "\"aé\"", "*", &long] {
        assert_eq!(validators(&[("etag", odd)]), None, "{odd}");
    }
    assert_eq!(validators(&[("etag", "\"a\""), ("etag", "\"b\"")]), None, "two tags are ambiguous");
    let longest = format!("\"{}\"", "a".repeat(254));
    for odd in ["\"!\"", "\"#\"", "\"~\"", "\"\"", "W/\"\"", &longest] {
        assert!(validators(&[("etag", odd)]).is_some(), "{odd}");
    }
}

#[test]
fn l37_a_date_that_may_describe_two_states_is_not_a_validator() {
    assert!(validators(&[("last-modified", EARLIER), ("date", DATE)]).is_some());
    assert!(validators(&[("last-modified", EARLIER)]).is_some(), "without `Date` the time of arrival counts");
    for odd in [DATE, "Sun, 06 Nov 1994 08:49:38 GMT", "yesterday"] {
        assert_eq!(validators(&[("last-modified", odd), ("date", DATE)]), None, "{odd}");
    }
}

#[test]
fn l37_a_token_validates_its_own_response_and_fetches_the_full_response_once_an_hour() {
    let ([ada, eve], requested_at) = (tokens(), now());
    let known = RevalidationState::from_response(&headers(&[("etag", "\"a\"")]), ada, requested_at).unwrap();
    let later = requested_at.plus(MAX_BODY_AGE.saturating_sub(Duration::from_millis(1)));
    assert!(known.validators_for(ada, later).is_some());
    assert!(known.validators_for(eve, later).is_none());
    let renewed = known.renew(&headers(&[("etag", "\"a\"")]), later).unwrap();
    assert!(renewed.validators_for(ada, later).is_some());
    assert!(
        renewed.validators_for(ada, requested_at.plus(MAX_BODY_AGE)).is_none(),
        "a 304 does not renew the age of the body"
    );
    assert!(renewed.validators_for(eve, later).is_none(), "a 304 does not allow another token");
}

#[test]
fn l42_a_304_selects_the_response_that_it_names() {
    let about = |known: &[(&'static str, &str)], received: &[(&'static str, &str)]| {
        validators(known).unwrap().matches(&headers(received))
    };
    let (strong, weak) = ([("etag", "\"a\"")], [("etag", "W/\"a\"")]);
    assert!(about(&strong, &strong));
    assert!(about(&weak, &weak));
    assert!(about(&strong, &weak), "a weak tag is compared weakly");
    assert!(!about(&weak, &strong), "a strong tag is compared strongly");
    for received in [&[("etag", "\"b\"")][..], &[("etag", "a")], &[("etag", "\"a\""), ("etag", "\"a\"")]] {
        assert!(!about(&strong, received), "{received:?}");
    }
    let dated = [("last-modified", EARLIER), ("date", DATE)];
    assert!(about(&dated, &dated));
    assert!(!about(&dated, &[("last-modified", DATE)]));
    assert!(!about(&dated, &[dated[0], dated[0]]), "two equal fields are ambiguous");
    assert!(
        !about(&dated, &[("last-modified", EARLIER), ("etag", "\"a\"")]),
        "the tag names another response"
    );
    let both = [strong[0], dated[0], dated[1]];
    assert!(about(&both, &dated), "the date matches");
    assert!(!about(&both, &[dated[0], ("etag", "\"b\"")]), "the tag has precedence over the date");
    assert!(!about(&strong, &dated), "the request had no date");
    assert!(!about(&strong, &[("last-modified", EARLIER), ("last-modified", EARLIER)]), "two dates");
    for known in [&strong[..], &weak, &dated, &both] {
        assert!(about(known, &[("date", DATE)]), "the request named only one response");
    }
}

#[test]
fn l42_a_304_replaces_all_fields_except_those_that_describe_the_body() {
    let first = [
        ("etag", "\"a\""),
        ("cache-control", "max-age=5"),
        ("cache-control", "private"),
        ("age", "3"),
        ("vary", "accept"),
    ];
    let known = RevalidationState::from_response(&headers(&first), tokens()[0], now()).unwrap();
    let stored_headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0")),
        (HeaderName::from_static("sunset"), HeaderValue::from_static("never")),
    ];
    let received = headers(&[
        ("cache-control", "max-age=9"),
        ("content-length", "0"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("connection", "sunset, vary"),
        ("sunset", "now"),
        ("vary", "*"),
        ("odata-version", "4.01"),
        ("date", DATE),
    ]);
    let mut merged = known.merge(&stored_headers, &received);
    assert_eq!(merged.remove("date").unwrap(), DATE);
    let expected = headers(&[
        ("cache-control", "max-age=9"),
        ("etag", "\"a\""),
        ("vary", "accept"),
        ("content-type", "application/json"),
        ("odata-version", "4.01"),
        ("sunset", "never"),
    ]);
    assert_eq!(merged, expected);
}

#[test]
fn fields_that_are_too_long_to_store_prevent_validation() {
    let long = "x".repeat(MAX_STATE_BYTES);
    assert!(
        RevalidationState::from_response(&headers(&[("etag", "\"a\""), ("vary", &long)]), tokens()[0], now())
            .is_none()
    );
}
