//! Lines 1 to 14: what is stored (RFC 9111, sections 3 and 5.2).

use crate::bench::{Bench, STORED, name, named, ok, said};
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::h2_origin;

#[tokio::test]
async fn l03_only_a_200_is_stored() {
    let bench = Bench::start().await;
    for status in [201, 202, 203, 204, 205, 301, 302, 307, 308, 400, 403, 404, 410, 451, 500, 501, 503] {
        bench.answers(Reply::status(status).header("cache-control", "public, max-age=600"));
        let before = bench.origin.requests();
        for _ in 0..2 {
            assert!(!bench.says(&[]).await.contains("stored"), "{status}");
        }
        assert_eq!(bench.origin.requests(), before + 2, "{status}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l04_a_206_or_304_that_was_not_requested_is_a_502() {
    let bench = Bench::start().await;
    let part = Reply::json("{\"a\"").header("content-range", "bytes 0-3/9");
    for reply in [part.with_status(206), Reply::status(304)] {
        bench.answers([reply, ok()]);
        assert_eq!(bench.get(&[]).await.status, 502);
    }
    assert_eq!(bench.says(&[]).await, STORED, "nothing was stored before");
    bench.stop().await;
}

#[tokio::test]
async fn l05_a_truncated_response_is_not_stored() {
    let bench = Bench::start().await;
    let broken_sum = Reply::json("{\"a\":1}").gzip().damaged(6);
    let no_last_chunk = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                         7\r\n{\"a\":1}\r\n";
    for (what, reply) in [
        ("short of its length", Reply::json("{\"a\":1}").header("content-length", "8").then_close()),
        ("reset", ok().reset_after(150)),
        ("without a last chunk", Reply::raw(no_last_chunk)),
        ("a wrong checksum", broken_sum),
    ] {
        bench.answers(reply);
        assert_eq!(bench.get(&[]).await.status, 502, "{what}");
    }
    bench.answers(ok());
    assert_eq!(bench.says(&[]).await, STORED);
    bench.stop().await;
}

#[tokio::test]
async fn l05_an_http2_stream_that_is_reset_is_not_stored() {
    let origin = h2_origin::that_resets_in_the_middle().await;
    let proxy = Proxy::with(&origin.url, |config| config.upstream.ca_file = Some(origin.root.clone())).await;
    for asked in 1..=2 {
        let answer = proxy.read(&crate::bench::token("ada")).await;
        assert_eq!((answer.status, origin.asked()), (502, asked));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn l06_private_is_stored_for_the_caller_alone() {
    let bench = Bench::of_the_origin().await;
    bench.answers(ok().header("cache-control", "private, max-age=60"));
    assert_eq!(bench.says(&[]).await, STORED);
    assert_eq!(bench.says(&[]).await, "hit; ttl=60");
    assert_eq!(said(&bench.get_as("grace", &[]).await), STORED);
    bench.stop().await;
}

#[tokio::test]
async fn l07_must_understand_overrides_no_store_only_if_the_origin_decides() {
    let not_stored = "fwd=uri-miss; fwd-status=200; detail=no-store";
    for (bench, first, second) in [
        (Bench::start().await, not_stored, not_stored),
        (Bench::of_the_origin().await, STORED, "hit; ttl=60"),
    ] {
        bench.answers(ok().header("cache-control", "must-understand, no-store, max-age=60"));
        assert_eq!([bench.says(&[]).await, bench.says(&[]).await], [first, second]);
        bench.stop().await;
    }
}

#[tokio::test]
async fn l08_fields_for_one_connection_are_not_passed_on() {
    let bench = Bench::start().await;
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
    bench.answers(fields.iter().fold(ok(), |reply, (name, value)| reply.header(name, value)));
    for answer in [bench.get(&[]).await, bench.get(&[]).await] {
        for (name, _) in fields {
            assert_eq!(answer.header(name), None, "{name}");
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn l09_trailers_are_discarded() {
    let bench = Bench::start().await;
    let reply = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
                 trailer: odata-version, set-cookie\r\n\r\n\
                 7\r\n{\"a\":1}\r\n0\r\nodata-version: 9\r\nset-cookie: a=b\r\n\r\n";
    bench.answers(Reply::raw(reply));
    for answer in [bench.get(&[]).await, bench.get(&[]).await] {
        assert_eq!((answer.status, answer.text()), (200, "{\"a\":1}"));
        assert_eq!((answer.header("odata-version"), answer.header("set-cookie")), (None, None));
    }
    bench.stop().await;
}

#[tokio::test]
async fn l12_no_cache_with_field_names_counts_as_no_cache() {
    let bench = Bench::of_the_origin().await;
    bench.answers(ok().header("cache-control", "max-age=60, no-cache=\"odata-version\""));
    for _ in 0..2 {
        assert_eq!(bench.says(&[]).await, "fwd=uri-miss; fwd-status=200; detail=no-lifetime");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l14_public_and_s_maxage_share_nothing_between_callers() {
    let bench = Bench::of_the_origin().await;
    let shared = "public, s-maxage=60, max-age=60";
    bench.answers([named("Ada's"), named("Grace's")].map(|reply| reply.header("cache-control", shared)));
    assert_eq!(name(&bench.get_as("ada", &[]).await), "Ada's");
    assert_eq!(name(&bench.get_as("grace", &[]).await), "Grace's");
    assert_eq!(name(&bench.get_as("ada", &[]).await), "Ada's");
    bench.stop().await;
}
