//! Bodies that are coded wrongly, too large, or in too many pieces.

use std::time::Duration;

use connector_cache::config::Config;
use connector_cache::upstream::UpstreamFailure;

use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::{Reply, gzip, gzip_coded};
use crate::common::serve::Serve;
use crate::common::token;
use crate::harness::{BODY, Harness, ok};

fn small(config: &mut Config) {
    config.upstream.max_body = LIMIT;
}

/// Returns a JSON object of this many bytes.
fn object(bytes: usize) -> String {
    format!(r#"{{"displayName":"{}"}}"#, "x".repeat(bytes - 18))
}

#[tokio::test]
async fn f05_a_gzip_body_that_is_not_whole_is_a_502() {
    let mut harness = Harness::start().await;
    let whole = gzip(BODY.as_bytes());
    let mut bad_sum = whole.clone();
    let sum = bad_sum.len() - 8;
    bad_sum[sum] ^= 1;
    let cut = whole[..whole.len() - 9].to_vec();
    let junk = [&whole[..], b"junk"].concat();
    for broken in [bad_sum, cut, junk, Vec::new(), BODY.as_bytes().to_vec()] {
        harness.fails(gzip_coded(broken), 502, UpstreamFailure::Encoding).await;
    }
    assert_eq!(harness.passes(gzip_coded(whole)).await.text(), BODY);
    harness.stop().await;
}

#[tokio::test]
async fn f06_ten_megabytes_in_ten_kilobytes_stop_at_the_limit() {
    let mut harness = Harness::start().await;
    let bomb = gzip(&vec![0; 10 << 20]);
    assert!(bomb.len() < 11 << 10);
    harness.fails(gzip_coded(bomb), 502, UpstreamFailure::TooLarge).await;
    harness.stop().await;
}

#[tokio::test]
async fn f06_a_bomb_costs_less_than_four_megabytes() {
    let origin = OriginServer::start().await;
    let url = origin.url();
    // One thread: each thread has its own heap, and the measurement is about the bomb alone.
    let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__SERVER__THREADS", "1")];
    let serve = Serve::start(&env).await;
    origin.any(ok());
    for subject in ["warm", "warmer"] {
        assert_eq!(serve.get(&path("B2X_1_x"), &token::mint(subject)).await.status, 200);
    }
    // From here on the code of the decoder is in memory.
    origin.any(Reply::json([0; 1 << 10]).gzip());
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("small")).await.status, 502);
    let before = serve.peak_kib();
    origin.any(Reply::json(vec![0; 10 << 20]).gzip());
    for subject in ["a", "b", "c", "d", "e"] {
        assert_eq!(serve.get(&path("B2X_1_x"), &token::mint(subject)).await.status, 502);
    }
    let more = serve.peak_kib() - before;
    assert!(more < 4 << 10, "{more} KiB");
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn f07_a_chunk_size_that_overflows_is_a_502() {
    let mut harness = Harness::start().await;
    for size in ["FFFFFFFFFFFFFFFFF", "ffffffffffffffff", "-1", "0x10", "1 0", ""] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let bytes = format!("{head}{size}\r\n{BODY}\r\n0\r\n\r\n");
        let before = harness.faults();
        harness.origin.any(Reply::raw(bytes));
        let response = harness.get().await;
        assert_eq!(response.status, 502, "{size}");
        // The largest number is a valid size: the body is truncated, or above the limit.
        let one_more = harness.faults().iter().sum::<u64>() == before.iter().sum::<u64>() + 1;
        assert!(one_more, "{size}");
        harness.recovers().await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f07_an_invalid_chunk_is_a_protocol_error() {
    let mut harness = Harness::start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    harness.fails(Reply::raw(format!("{head}zz\r\n")), 502, UpstreamFailure::Protocol).await;
    harness.fails(Reply::raw(format!("{head}2\r\n{{}}xx")), 502, UpstreamFailure::Protocol).await;
    harness.stop().await;
}

#[tokio::test]
async fn f07_a_chunk_extension_of_a_megabyte_is_a_502() {
    let mut harness = Harness::start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let extension = "x".repeat(1 << 20);
    let bytes = format!("{head}2;{extension}\r\n{{}}\r\n0\r\n\r\n");
    harness.fails(Reply::raw(bytes), 502, UpstreamFailure::Protocol).await;
    harness.stop().await;
}

#[tokio::test]
async fn f07_a_million_chunks_of_a_byte_are_not_read_to_the_end() {
    let mut harness = Harness::start().await;
    let million = ok().body(object(1 << 20)).chunked(1);
    harness.fails(million, 502, UpstreamFailure::Protocol).await;
    let some = ok().body(object(3000)).chunked(1);
    assert_eq!(harness.passes(some).await.body.len(), 3000);
    harness.stop().await;
}

#[tokio::test]
async fn f07_trailers_are_discarded() {
    let mut harness = Harness::start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: set-cookie\r\n\r\n";
    let bytes = format!("{head}{:x}\r\n{BODY}\r\n0\r\nset-cookie: a=b\r\n\r\n", BODY.len());
    let response = harness.passes(Reply::raw(bytes)).await;
    assert_eq!(
        (response.text(), response.header("set-cookie"), response.header("trailer")),
        (BODY, None, None)
    );
    harness.stop().await;
}

#[tokio::test]
async fn f08_one_byte_more_than_the_limit_is_a_502_and_the_limit_itself_is_not() {
    let mut harness = Harness::with(small).await;
    let plain = |bytes| ok().body(object(bytes));
    for over in [plain(LIMIT + 1), plain(LIMIT + 1).chunked(512), plain(LIMIT + 1).gzip()] {
        harness.fails(over, 502, UpstreamFailure::TooLarge).await;
    }
    for just in [plain(LIMIT), plain(LIMIT).chunked(512), plain(LIMIT).gzip()] {
        assert_eq!(harness.passes(just).await.body.len(), LIMIT);
    }
    harness.stop().await;
}

#[tokio::test]
async fn f08_a_length_over_the_limit_is_refused_before_the_body_arrives() {
    let mut harness = Harness::with(|config| {
        small(config);
        config.upstream.timeout = Duration::from_secs(60);
    })
    .await;
    let never = crate::common::gate::Gate::new();
    let announced = ok().header("content-length", "1099511627776").paused_after(110, &never);
    harness.fails(announced, 502, UpstreamFailure::TooLarge).await;
    harness.stop().await;
}

#[tokio::test]
async fn f09_a_coding_that_was_not_requested_is_a_502() {
    let mut harness = Harness::start().await;
    for coding in ["br", "br,gzip", "gzip, gzip", "deflate", "zstd", "\u{fc}"] {
        harness.fails(ok().header("content-encoding", coding), 502, UpstreamFailure::Encoding).await;
    }
    let twice = Reply::json(BODY).gzip().header("content-encoding", "gzip");
    harness.fails(twice, 502, UpstreamFailure::Encoding).await;
    harness.stop().await;
}

const LIMIT: usize = 4096;
