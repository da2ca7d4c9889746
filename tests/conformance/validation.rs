//! Lines 37 to 46: conditional requests (RFC 9111, section 4.3; RFC 9110, sections 8.8, 13 and 15.4.5).

use connector_cache::scrub::UsernamePolicy;

use crate::bench::{Bench, name, named, ok, said};
use crate::common::reply::Reply;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

async fn dated() -> (Bench, String) {
    let bench = Bench::start().await;
    bench.answers(ok().header("date", DATE));
    let etag = bench.get(&[]).await.header("etag").unwrap().to_owned();
    (bench, etag)
}

#[tokio::test]
async fn l38_if_none_match_beats_if_modified_since() {
    let (bench, etag) = dated().await;
    for (tag, since, status) in [
        ("\"other\"", AFTER, 200),
        (&etag, BEFORE, 304),
        (etag.trim_start_matches("W/"), BEFORE, 304),
        ("*", BEFORE, 304),
    ] {
        let answer = bench.get(&[("if-none-match", tag), ("if-modified-since", since)]).await;
        assert_eq!(answer.status, status, "{tag} {since}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l39_if_modified_since_is_compared_with_the_date_of_the_response() {
    let (bench, _) = dated().await;
    for (since, status) in [(BEFORE, 200), (DATE, 304), (AFTER, 304), ("yesterday", 200)] {
        assert_eq!(bench.get(&[("if-modified-since", since)]).await.status, status, "{since}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l41_conditions_that_only_an_origin_may_evaluate_are_ignored() {
    let (bench, etag) = dated().await;
    for headers in [
        &[("if-match", "\"other\"")][..],
        &[("if-unmodified-since", BEFORE)],
        &[("if-range", &*etag), ("range", "bytes=0-0")],
    ] {
        let answer = bench.get(headers).await;
        assert_eq!((answer.status, &*name(&answer)), (200, "First"), "{headers:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l43_a_304_to_an_unconditional_request_is_502_and_leaves_the_entry_alone() {
    let bench = Bench::of_the_client().await;
    bench.answers([ok(), Reply::status(304), ok()]);
    bench.get(&[]).await;
    assert_eq!(bench.get(&[("cache-control", "no-cache")]).await.status, 502);
    assert_eq!(bench.says(&[]).await, "hit; ttl=300");
    bench.stop().await;
}

#[tokio::test]
async fn l45_the_entity_tag_is_the_proxys_own_weak_and_depends_on_the_scrub_rules() {
    let strict = Bench::start().await;
    let lax = Bench::with(|config| config.scrub.usernames = UsernamePolicy::Keep).await;
    let mut tags = Vec::new();
    for bench in [&strict, &lax] {
        // Without a credential in it, the same body comes out under either rule.
        bench.answers(Reply::json("{\"a\":1}").header("etag", "\"origin\""));
        let answer = bench.get(&[]).await;
        assert_eq!(answer.text(), "{\"a\":1}");
        tags.push(answer.header("etag").unwrap().to_owned());
    }
    assert!(tags.iter().all(|tag| tag.starts_with("W/\"") && !tag.contains("origin")), "{tags:?}");
    assert_ne!(tags[0], tags[1]);
    strict.stop().await;
    lax.stop().await;
}

#[tokio::test]
async fn l45_another_body_has_another_tag() {
    let bench = Bench::start().await;
    bench.answers([named("one"), named("other")]);
    let (one, other) = (bench.get_as("ada", &[]).await, bench.get_as("grace", &[]).await);
    assert_ne!(one.header("etag"), other.header("etag"));
    bench.stop().await;
}

#[tokio::test]
async fn l46_a_range_request_gets_the_full_response() {
    let bench = Bench::start().await;
    bench.answers(ok().header("accept-ranges", "bytes"));
    for _ in 0..2 {
        let answer = bench.get(&[("range", "bytes=0-1")]).await;
        assert_eq!((answer.status, &*name(&answer)), (200, "First"), "{}", said(&answer));
        assert_eq!((answer.header("accept-ranges"), answer.header("content-range")), (None, None));
    }
    bench.stop().await;
}
