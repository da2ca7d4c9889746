//! Line 54: answers in gzip, for callers that would have them so (RFC 9110, sections 8.4 and 12.5.3).

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;

use crate::bench::{Bench, FLOW, STORED, bearer, named, said};
use crate::common::client::{Client, H2, Response};
use crate::common::proxy::path;
use crate::common::reply::Reply;

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate, br");
const VARY: Option<&str> = Some("Authorization, Accept, Accept-Encoding");

/// A 200 that is worth compressing.
fn long() -> Reply {
    named(&"A connector of a sign-up flow. ".repeat(40))
}

fn coding(answer: &Response) -> Option<&str> {
    answer.header("content-encoding")
}

/// The body of an answer in gzip, as its caller reads it.
fn read(answer: &Response) -> Vec<u8> {
    assert_eq!((answer.status, coding(answer)), (200, Some("gzip")));
    let mut plain = Vec::new();
    GzDecoder::new(&answer.body[..]).read_to_end(&mut plain).unwrap();
    plain
}

/// Every field but the ids of the request, those of the coding, and what came of it.
fn common(answer: &Response) -> Vec<(String, String)> {
    let differs =
        ["content-encoding", "content-length", "request-id", "client-request-id", "cache-status", "age"];
    let mut fields = answer.headers.clone();
    fields.retain(|(name, _)| !differs.contains(&name.as_str()));
    fields.sort();
    fields
}

#[tokio::test]
async fn l54_a_hit_in_gzip_is_the_same_hit_with_fewer_bytes() {
    // With Graph's usual fields, with others, and with more bytes than go out without taking room.
    for reply in
        [long(), long().header("odata-version", "4.0").header("request-id", ID), named(&"ab".repeat(50_000))]
    {
        let bench = Bench::start().await;
        bench.answers(reply);
        let miss = bench.get(&[GZIP]).await;
        let (hit, plain) = (bench.get(&[GZIP]).await, bench.get(&[]).await);
        assert_eq!([&miss, &hit, &plain].map(said), [STORED, "hit; ttl=300", "hit; ttl=300"]);
        assert_eq!((coding(&plain), read(&miss), read(&hit)), (None, plain.body.clone(), plain.body.clone()));
        assert!(hit.body.len() * 2 < plain.body.len());
        for answer in [&miss, &hit, &plain] {
            assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
            assert_eq!((answer.header("vary"), common(answer)), (VARY, common(&plain)));
        }
        assert_eq!(bench.origin.requests(), 1);
        bench.stop().await;
    }
}

#[tokio::test]
async fn l54_each_request_gets_the_coding_that_it_prefers() {
    let bench = Bench::start().await;
    bench.answers(long());
    bench.get(&[GZIP]).await;
    for (wish, expected) in [
        ("gzip;q=0", None),
        ("gzip;q=0, *", None),
        ("*;q=0", None),
        ("br", None),
        ("", None),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0.001", Some("gzip")),
        ("identity;q=0.5, gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("*", Some("gzip")),
    ] {
        let answer = bench.get(&[("accept-encoding", wish)]).await;
        assert_eq!((&*said(&answer), coding(&answer)), ("hit; ttl=300", expected), "{wish}");
    }
    // Two lines are one list.
    let two = bench.get(&[("accept-encoding", "br"), ("accept-encoding", "gzip")]).await;
    assert_eq!(coding(&two), Some("gzip"));
    let h2 = H2::connect(bench.proxy.data).await;
    let authorization = bearer("ada");
    let hit = h2.get(&path(FLOW), &[("authorization", &authorization), GZIP]).await.unwrap();
    assert_eq!(read(&hit), bench.get(&[]).await.body);
    bench.stop().await;
}

#[tokio::test]
async fn l54_head_and_304_have_the_fields_of_get() {
    let bench = Bench::start().await;
    bench.answers(long());
    bench.get(&[GZIP]).await;
    let get = bench.get(&[GZIP]).await;
    let mut client = Client::connect(bench.proxy.data).await;
    let head =
        ["HEAD $path HTTP/1.1", "host: $host", "authorization: Bearer $token", "accept-encoding: gzip"];
    client.send(bench.fill(&(head.join("\r\n") + "\r\n\r\n"))).await.unwrap();
    let head = client.response_to_head().await.unwrap();
    assert_eq!((coding(&head), common(&head)), (Some("gzip"), common(&get)));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    // One tag for both: it is weak, and what it names is the same without its coding.
    let etag = get.header("etag").unwrap();
    for wish in ["gzip", "identity"] {
        let fields = [("accept-encoding", wish), ("if-none-match", etag), ("authorization", &bearer("ada"))];
        let unmodified = client.get(&path(FLOW), &fields).await;
        assert_eq!((unmodified.status, coding(&unmodified)), (304, None), "{wish}");
        assert_eq!((unmodified.header("vary"), unmodified.header("etag")), (VARY, Some(etag)));
    }
    bench.stop().await;
}

#[tokio::test]
async fn l54_a_body_fetched_for_a_caller_without_gzip_is_not_compressed() {
    let bench = Bench::start().await;
    bench.answers(long());
    // Who brings it does not decode, so most likely nobody who asks after does.
    bench.get(&[]).await;
    for wish in ["gzip", "identity;q=0, gzip"] {
        let answer = bench.get(&[("accept-encoding", wish)]).await;
        assert_eq!((answer.status, coding(&answer), answer.header("vary")), (200, None, VARY), "{wish}");
    }
    // Too small for it to be worth anything.
    bench.answers(named("A"));
    let small = bench.get_as("grace", &[GZIP]).await;
    assert_eq!((coding(&small), small.header("vary")), (None, VARY));
    bench.stop().await;
}

#[tokio::test]
async fn l54_only_stored_responses_are_compressed() {
    let bench = Bench::of_the_client().await;
    let opaque = ("authorization", "Bearer opaque");
    bench.answers([long(), long().header("cache-control", "no-store"), long()]);
    let bypass = bench.get_with(&[opaque, GZIP]).await;
    let no_store = bench.get(&[GZIP]).await;
    let forbidden = bench.get(&[GZIP, ("cache-control", "no-store")]).await;
    for (answer, why) in [(bypass, "bypass; "), (no_store, "uri-miss; "), (forbidden, "uri-miss; ")] {
        assert!(said(&answer).starts_with(&format!("fwd={why}")), "{answer:?}");
        assert!(!said(&answer).contains("stored"));
        assert_eq!((answer.status, coding(&answer)), (200, None));
    }
    bench.stop().await;
}

#[tokio::test]
async fn l54_an_entry_renewed_by_a_304_stays_compressed() {
    let bench = Bench::start().await;
    let unchanged = Reply::status(304).header("etag", "\"one\"");
    bench.answers([long().header("etag", "\"one\""), unchanged.clone(), unchanged]);
    bench.get(&[GZIP]).await;
    for wish in [("accept-encoding", "identity"), GZIP] {
        bench.proxy.clock.advance(Duration::from_secs(331));
        let renewed = bench.get(&[wish]).await;
        assert_eq!(said(&renewed), "fwd=stale; fwd-status=304; stored");
        let hit = bench.get(&[GZIP]).await;
        assert_eq!((&*said(&hit), read(&hit)), ("hit; ttl=300", bench.get(&[]).await.body));
    }
    bench.stop().await;
}

#[tokio::test]
async fn l54_both_forms_count_as_bytes_of_the_cache() {
    let mut weights = Vec::new();
    let mut length = 0.0;
    for wish in ["identity", "gzip"] {
        let bench = Bench::start().await;
        bench.answers(long());
        let answer = bench.get(&[("accept-encoding", wish)]).await;
        length = f64::from(u32::try_from(answer.body.len()).unwrap());
        weights.push(bench.proxy.series("connector_cache_bytes").await);
        bench.stop().await;
    }
    let more = weights[1] - weights[0];
    assert!(more >= length && more < length + 200.0, "{more} for {length}");
}

const ID: &str = "11111111-2222-4333-8444-555555555555";
