//! Line 54: responses in gzip for callers that prefer it (RFC 9110, sections 8.4 and 12.5.3).

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;

use crate::common::client::{Client, H2, Response};
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::harness::{FLOW, Harness, STORED, bearer, cache_status_of, ok_named};

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate, br");
const VARY: Option<&str> = Some("Authorization, Accept, Accept-Encoding");

/// A 200 that is worth compressing.
fn long() -> Reply {
    ok_named(&"A connector of a sign-up flow. ".repeat(40))
}

fn coding(response: &Response) -> Option<&str> {
    response.header("content-encoding")
}

/// Decodes the body of a response in gzip.
fn read(response: &Response) -> Vec<u8> {
    assert_eq!((response.status, coding(response)), (200, Some("gzip")));
    let mut plain = Vec::new();
    GzDecoder::new(&response.body[..]).read_to_end(&mut plain).unwrap();
    plain
}

/// Returns all fields except ids, fields of the coding, `Cache-Status` and `Age`.
fn common(response: &Response) -> Vec<(String, String)> {
    let differs =
        ["content-encoding", "content-length", "request-id", "client-request-id", "cache-status", "age"];
    let mut fields = response.headers.clone();
    fields.retain(|(name, _)| !differs.contains(&name.as_str()));
    fields.sort();
    fields
}

#[tokio::test]
async fn l54_a_hit_in_gzip_is_the_same_hit_with_fewer_bytes() {
    // With Graph's usual fields, with other fields, and with a body large enough to be charged to the byte budget.
    for reply in [
        long(),
        long().header("odata-version", "4.0").header("request-id", ID),
        ok_named(&"ab".repeat(50_000)),
    ] {
        let harness = Harness::start().await;
        harness.set_replies(reply);
        let miss = harness.get(&[GZIP]).await;
        let (hit, plain) = (harness.get(&[GZIP]).await, harness.get(&[]).await);
        assert_eq!([&miss, &hit, &plain].map(cache_status_of), [STORED, "hit; ttl=300", "hit; ttl=300"]);
        assert_eq!((coding(&plain), read(&miss), read(&hit)), (None, plain.body.clone(), plain.body.clone()));
        assert!(hit.body.len() * 2 < plain.body.len());
        for response in [&miss, &hit, &plain] {
            assert_eq!(response.header("content-length"), Some(&*response.body.len().to_string()));
            assert_eq!((response.header("vary"), common(response)), (VARY, common(&plain)));
        }
        assert_eq!(harness.origin.requests(), 1);
        harness.stop().await;
    }
}

#[tokio::test]
async fn l54_each_request_gets_the_coding_that_it_prefers() {
    let harness = Harness::start().await;
    harness.set_replies(long());
    harness.get(&[GZIP]).await;
    for (preference, expected) in [
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
        let response = harness.get(&[("accept-encoding", preference)]).await;
        assert_eq!(
            (&*cache_status_of(&response), coding(&response)),
            ("hit; ttl=300", expected),
            "{preference}"
        );
    }
    // Two lines are one list.
    let two = harness.get(&[("accept-encoding", "br"), ("accept-encoding", "gzip")]).await;
    assert_eq!(coding(&two), Some("gzip"));
    let h2 = H2::connect(harness.proxy.data).await;
    let authorization = bearer("ada");
    let hit = h2.get(&path(FLOW), &[("authorization", &authorization), GZIP]).await.unwrap();
    assert_eq!(read(&hit), harness.get(&[]).await.body);
    harness.stop().await;
}

#[tokio::test]
async fn l54_head_and_304_have_the_fields_of_get() {
    let harness = Harness::start().await;
    harness.set_replies(long());
    harness.get(&[GZIP]).await;
    let get = harness.get(&[GZIP]).await;
    let mut client = Client::connect(harness.proxy.data).await;
    let head =
        ["HEAD $path HTTP/1.1", "host: $host", "authorization: Bearer $token", "accept-encoding: gzip"];
    client.send(harness.fill(&(head.join("\r\n") + "\r\n\r\n"))).await.unwrap();
    let head = client.response_to_head().await.unwrap();
    assert_eq!((coding(&head), common(&head)), (Some("gzip"), common(&get)));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    // Both codings have one tag: it is weak, and the decoded bodies are equal.
    let etag = get.header("etag").unwrap();
    for preference in ["gzip", "identity"] {
        let fields =
            [("accept-encoding", preference), ("if-none-match", etag), ("authorization", &bearer("ada"))];
        let unmodified = client.get(&path(FLOW), &fields).await;
        assert_eq!((unmodified.status, coding(&unmodified)), (304, None), "{preference}");
        assert_eq!((unmodified.header("vary"), unmodified.header("etag")), (VARY, Some(etag)));
    }
    harness.stop().await;
}

#[tokio::test]
async fn l54_a_body_fetched_for_a_caller_without_gzip_is_not_compressed() {
    let harness = Harness::start().await;
    harness.set_replies(long());
    // The first caller does not accept gzip, so later callers most likely do not either.
    harness.get(&[]).await;
    for preference in ["gzip", "identity;q=0, gzip"] {
        let response = harness.get(&[("accept-encoding", preference)]).await;
        assert_eq!(
            (response.status, coding(&response), response.header("vary")),
            (200, None, VARY),
            "{preference}"
        );
    }
    // Too small for compression.
    harness.set_replies(ok_named("A"));
    let small = harness.get_as("grace", &[GZIP]).await;
    assert_eq!((coding(&small), small.header("vary")), (None, VARY));
    harness.stop().await;
}

#[tokio::test]
async fn l54_only_stored_responses_are_compressed() {
    let harness = Harness::with_client_directives().await;
    let opaque = ("authorization", "Bearer opaque");
    harness.set_replies([long(), long().header("cache-control", "no-store"), long()]);
    let bypass = harness.get_with(&[opaque, GZIP]).await;
    let no_store = harness.get(&[GZIP]).await;
    let forbidden = harness.get(&[GZIP, ("cache-control", "no-store")]).await;
    for (response, why) in [(bypass, "bypass; "), (no_store, "uri-miss; "), (forbidden, "uri-miss; ")] {
        assert!(cache_status_of(&response).starts_with(&format!("fwd={why}")), "{response:?}");
        assert!(!cache_status_of(&response).contains("stored"));
        assert_eq!((response.status, coding(&response)), (200, None));
    }
    harness.stop().await;
}

#[tokio::test]
async fn l54_an_entry_renewed_by_a_304_stays_compressed() {
    let harness = Harness::start().await;
    let unchanged = Reply::status(304).header("etag", "\"one\"");
    harness.set_replies([long().header("etag", "\"one\""), unchanged.clone(), unchanged]);
    harness.get(&[GZIP]).await;
    for preference in [("accept-encoding", "identity"), GZIP] {
        harness.proxy.clock.advance(Duration::from_secs(331));
        let renewed = harness.get(&[preference]).await;
        assert_eq!(cache_status_of(&renewed), "fwd=stale; fwd-status=304; stored");
        let hit = harness.get(&[GZIP]).await;
        assert_eq!((&*cache_status_of(&hit), read(&hit)), ("hit; ttl=300", harness.get(&[]).await.body));
    }
    harness.stop().await;
}

#[tokio::test]
async fn l54_both_forms_count_as_bytes_of_the_cache() {
    let mut weights = Vec::new();
    let mut length = 0.0;
    for preference in ["identity", "gzip"] {
        let harness = Harness::start().await;
        harness.set_replies(long());
        let response = harness.get(&[("accept-encoding", preference)]).await;
        length = f64::from(u32::try_from(response.body.len()).unwrap());
        weights.push(harness.proxy.series("connector_cache_bytes").await);
        harness.stop().await;
    }
    let more = weights[1] - weights[0];
    assert!(more >= length && more < length + 200.0, "{more} for {length}");
}

const ID: &str = "11111111-2222-4333-8444-555555555555";
