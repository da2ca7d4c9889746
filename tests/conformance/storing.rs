//! Lines 1 to 14: the responses that are stored (RFC 9111, sections 3 and 5.2).

use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::h2_origin;
use crate::harness::{Harness, STORED, cache_status_of, connector_name, ok, ok_named};

#[tokio::test]
async fn l03_only_a_200_is_stored() {
    let harness = Harness::start().await;
    for status in [201, 202, 203, 204, 205, 301, 302, 307, 308, 400, 403, 404, 410, 451, 500, 501, 503] {
        harness.set_replies(Reply::status(status).header("cache-control", "public, max-age=600"));
        let before = harness.origin.requests();
        for _ in 0..2 {
            assert!(!harness.cache_status(&[]).await.contains("stored"), "{status}");
        }
        assert_eq!(harness.origin.requests(), before + 2, "{status}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l04_a_206_or_304_that_was_not_requested_is_a_502() {
    let harness = Harness::start().await;
    let part = Reply::json("{\"a\"").header("content-range", "bytes 0-3/9");
    for reply in [part.with_status(206), Reply::status(304)] {
        harness.set_replies([reply, ok()]);
        assert_eq!(harness.get(&[]).await.status, 502);
    }
    assert_eq!(harness.cache_status(&[]).await, STORED, "nothing was stored before");
    harness.stop().await;
}

#[tokio::test]
async fn l05_a_truncated_response_is_not_stored() {
    let harness = Harness::start().await;
    let broken_sum = Reply::json("{\"a\":1}").gzip().damaged(6);
    let no_last_chunk = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                         7\r\n{\"a\":1}\r\n";
    for (what, reply) in [
        ("short of its length", Reply::json("{\"a\":1}").header("content-length", "8").then_close()),
        ("reset", ok().reset_after(150)),
        ("without a last chunk", Reply::raw(no_last_chunk)),
        ("a wrong checksum", broken_sum),
    ] {
        harness.set_replies(reply);
        assert_eq!(harness.get(&[]).await.status, 502, "{what}");
    }
    harness.set_replies(ok());
    assert_eq!(harness.cache_status(&[]).await, STORED);
    harness.stop().await;
}

#[tokio::test]
async fn l05_an_http2_stream_that_is_reset_is_not_stored() {
    let origin = h2_origin::start_and_reset_bodies().await;
    let proxy = Proxy::with(&origin.url, |config| config.upstream.ca_file = Some(origin.root.clone())).await;
    for requests in 1..=2 {
        let response = proxy.read(&crate::harness::token("ada")).await;
        assert_eq!((response.status, origin.requests()), (502, requests));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn l06_private_is_stored_for_the_caller_alone() {
    let harness = Harness::with_origin_freshness().await;
    harness.set_replies(ok().header("cache-control", "private, max-age=60"));
    assert_eq!(harness.cache_status(&[]).await, STORED);
    assert_eq!(harness.cache_status(&[]).await, "hit; ttl=60");
    assert_eq!(cache_status_of(&harness.get_as("grace", &[]).await), STORED);
    harness.stop().await;
}

#[tokio::test]
async fn l07_must_understand_overrides_no_store_only_if_the_origin_decides() {
    let not_stored = "fwd=uri-miss; fwd-status=200; detail=no-store";
    for (harness, first, second) in [
        (Harness::start().await, not_stored, not_stored),
        (Harness::with_origin_freshness().await, STORED, "hit; ttl=60"),
    ] {
        harness.set_replies(ok().header("cache-control", "must-understand, no-store, max-age=60"));
        assert_eq!([harness.cache_status(&[]).await, harness.cache_status(&[]).await], [first, second]);
        harness.stop().await;
    }
}

#[tokio::test]
async fn l08_fields_for_one_connection_are_not_passed_on() {
    let harness = Harness::start().await;
    let fields = [
        ("connection", "odata-version, keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "a"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("upgrade", "h2c"),
        ("odata-version", "4.0"),
    ];
    harness.set_replies(fields.iter().fold(ok(), |reply, (name, value)| reply.header(name, value)));
    for response in [harness.get(&[]).await, harness.get(&[]).await] {
        for (name, _) in fields {
            assert_eq!(response.header(name), None, "{name}");
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn l09_trailers_are_discarded() {
    let harness = Harness::start().await;
    let reply = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
                 trailer: odata-version, set-cookie\r\n\r\n\
                 7\r\n{\"a\":1}\r\n0\r\nodata-version: 9\r\nset-cookie: a=b\r\n\r\n";
    harness.set_replies(Reply::raw(reply));
    for response in [harness.get(&[]).await, harness.get(&[]).await] {
        assert_eq!((response.status, response.text()), (200, "{\"a\":1}"));
        assert_eq!((response.header("odata-version"), response.header("set-cookie")), (None, None));
    }
    harness.stop().await;
}

#[tokio::test]
async fn l12_no_cache_with_field_names_counts_as_no_cache() {
    let harness = Harness::with_origin_freshness().await;
    harness.set_replies(ok().header("cache-control", "max-age=60, no-cache=\"odata-version\""));
    for _ in 0..2 {
        assert_eq!(harness.cache_status(&[]).await, "fwd=uri-miss; fwd-status=200; detail=no-lifetime");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l14_public_and_s_maxage_share_nothing_between_callers() {
    let harness = Harness::with_origin_freshness().await;
    let shared = "public, s-maxage=60, max-age=60";
    harness.set_replies(
        [ok_named("Ada's"), ok_named("Grace's")].map(|reply| reply.header("cache-control", shared)),
    );
    assert_eq!(connector_name(&harness.get_as("ada", &[]).await), "Ada's");
    assert_eq!(connector_name(&harness.get_as("grace", &[]).await), "Grace's");
    assert_eq!(connector_name(&harness.get_as("ada", &[]).await), "Ada's");
    harness.stop().await;
}
