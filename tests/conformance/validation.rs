//! Lines 37 to 46: conditional requests (RFC 9111, section 4.3; RFC 9110, sections 8.8, 13 and 15.4.5).

use connector_cache::scrub::UsernamePolicy;

use crate::common::reply::Reply;
use crate::harness::{Harness, cache_status_of, connector_name, ok, ok_named};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

async fn dated() -> (Harness, String) {
    let harness = Harness::start().await;
    harness.set_replies(ok().header("date", DATE));
    let etag = harness.get(&[]).await.header("etag").unwrap().to_owned();
    (harness, etag)
}

#[tokio::test]
async fn l38_if_none_match_beats_if_modified_since() {
    let (harness, etag) = dated().await;
    for (tag, since, status) in [
        ("\"other\"", AFTER, 200),
        (&etag, BEFORE, 304),
        (etag.trim_start_matches("W/"), BEFORE, 304),
        ("*", BEFORE, 304),
    ] {
        let response = harness.get(&[("if-none-match", tag), ("if-modified-since", since)]).await;
        assert_eq!(response.status, status, "{tag} {since}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l39_if_modified_since_is_compared_with_the_date_of_the_response() {
    let (harness, _) = dated().await;
    for (since, status) in [(BEFORE, 200), (DATE, 304), (AFTER, 304), ("yesterday", 200)] {
        assert_eq!(harness.get(&[("if-modified-since", since)]).await.status, status, "{since}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l41_conditions_that_only_an_origin_may_evaluate_are_ignored() {
    let (harness, etag) = dated().await;
    for headers in [
        &[("if-match", "\"other\"")][..],
        &[("if-unmodified-since", BEFORE)],
        &[("if-range", &*etag), ("range", "bytes=0-0")],
    ] {
        let response = harness.get(headers).await;
        assert_eq!((response.status, &*connector_name(&response)), (200, "First"), "{headers:?}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l43_a_304_to_an_unconditional_request_is_502_and_leaves_the_entry_alone() {
    let harness = Harness::with_client_directives().await;
    harness.set_replies([ok(), Reply::status(304), ok()]);
    harness.get(&[]).await;
    assert_eq!(harness.get(&[("cache-control", "no-cache")]).await.status, 502);
    assert_eq!(harness.cache_status(&[]).await, "hit; ttl=300");
    harness.stop().await;
}

#[tokio::test]
async fn l45_the_entity_tag_is_the_proxys_own_weak_and_depends_on_the_scrub_rules() {
    let strict = Harness::start().await;
    let lax = Harness::with(|config| config.scrub.usernames = UsernamePolicy::Keep).await;
    let mut tags = Vec::new();
    for harness in [&strict, &lax] {
        // Without a credential the scrubbed body is the same under both rules.
        harness.set_replies(Reply::json("{\"a\":1}").header("etag", "\"origin\""));
        let response = harness.get(&[]).await;
        assert_eq!(response.text(), "{\"a\":1}");
        tags.push(response.header("etag").unwrap().to_owned());
    }
    assert!(tags.iter().all(|tag| tag.starts_with("W/\"") && !tag.contains("origin")), "{tags:?}");
    assert_ne!(tags[0], tags[1]);
    strict.stop().await;
    lax.stop().await;
}

#[tokio::test]
async fn l45_another_body_has_another_tag() {
    let harness = Harness::start().await;
    harness.set_replies([ok_named("one"), ok_named("other")]);
    let (one, other) = (harness.get_as("ada", &[]).await, harness.get_as("grace", &[]).await);
    assert_ne!(one.header("etag"), other.header("etag"));
    harness.stop().await;
}

#[tokio::test]
async fn l46_a_range_request_gets_the_full_response() {
    let harness = Harness::start().await;
    harness.set_replies(ok().header("accept-ranges", "bytes"));
    for _ in 0..2 {
        let response = harness.get(&[("range", "bytes=0-1")]).await;
        assert_eq!(
            (response.status, &*connector_name(&response)),
            (200, "First"),
            "{}",
            cache_status_of(&response)
        );
        assert_eq!((response.header("accept-ranges"), response.header("content-range")), (None, None));
    }
    harness.stop().await;
}
