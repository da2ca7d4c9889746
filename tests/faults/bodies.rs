//! Bodies: coded wrongly, too large, in too many pieces.

use std::io::Write as _;
use std::time::Duration;

use connector_cache::config::Config;
use connector_cache::upstream::UpstreamFailure;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::token;
use crate::stage::{BODY, Stage, sound};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A 200 that says that its body is gzip.
fn coded(body: Vec<u8>) -> Reply {
    Reply::json(body).header("content-encoding", "gzip")
}

fn small(config: &mut Config) {
    config.upstream.max_body = LIMIT;
}

/// An object of so many bytes.
fn object(bytes: usize) -> String {
    format!(r#"{{"displayName":"{}"}}"#, "x".repeat(bytes - 18))
}

#[tokio::test]
async fn f05_a_gzip_body_that_is_not_whole_is_a_502() {
    let mut stage = Stage::set().await;
    let whole = gzip(BODY.as_bytes());
    let mut bad_sum = whole.clone();
    let sum = bad_sum.len() - 8;
    bad_sum[sum] ^= 1;
    let cut = whole[..whole.len() - 9].to_vec();
    let junk = [&whole[..], b"junk"].concat();
    let two = [&whole[..], &whole[..]].concat();
    for broken in [bad_sum, cut, junk, two, Vec::new(), BODY.as_bytes().to_vec()] {
        stage.fails(coded(broken), 502, UpstreamFailure::Encoding).await;
    }
    assert_eq!(stage.passes(coded(whole)).await.text(), BODY);
    stage.clear().await;
}

#[tokio::test]
async fn f06_ten_megabytes_in_ten_kilobytes_stop_at_the_limit() {
    let mut stage = Stage::set().await;
    let bomb = gzip(&vec![0; 10 << 20]);
    assert!(bomb.len() < 11 << 10);
    stage.fails(coded(bomb), 502, UpstreamFailure::TooLarge).await;
    stage.clear().await;
}

#[tokio::test]
async fn f06_a_bomb_costs_less_than_four_megabytes() {
    let origin = OriginServer::start().await;
    let url = origin.url();
    // One thread: each has a heap of its own, and what is measured is the bomb, not their number.
    let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__SERVER__THREADS", "1")];
    let serve = Serve::start(&env).await;
    origin.any(sound());
    for subject in ["warm", "warmer"] {
        assert_eq!(serve.get(&path("B2X_1_x"), &token::mint(subject)).await.status, 200);
    }
    // The code that a small one needs is in memory from here on.
    origin.any(coded(gzip(&[0; 1 << 10])));
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("small")).await.status, 502);
    let before = serve.peak_kib();
    origin.any(coded(gzip(&vec![0; 10 << 20])));
    for subject in ["a", "b", "c", "d", "e"] {
        assert_eq!(serve.get(&path("B2X_1_x"), &token::mint(subject)).await.status, 502);
    }
    let more = serve.peak_kib() - before;
    assert!(more < 4 << 10, "{more} KiB");
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn f07_a_chunk_size_that_overflows_is_a_502() {
    let mut stage = Stage::set().await;
    for size in ["FFFFFFFFFFFFFFFFF", "ffffffffffffffff", "-1", "0x10", "1 0", ""] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let bytes = format!("{head}{size}\r\n{BODY}\r\n0\r\n\r\n");
        let before = stage.faults();
        stage.origin.any(Reply::raw(bytes));
        let response = stage.ask().await;
        assert_eq!(response.status, 502, "{size}");
        // The largest number is a size that the body then falls short of, or that is over the limit.
        let one_more = stage.faults().iter().sum::<u64>() == before.iter().sum::<u64>() + 1;
        assert!(one_more, "{size}");
        stage.recovers().await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f07_an_invalid_chunk_is_a_protocol_error() {
    let mut stage = Stage::set().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stage.fails(Reply::raw(format!("{head}zz\r\n")), 502, UpstreamFailure::Protocol).await;
    stage.fails(Reply::raw(format!("{head}2\r\n{{}}xx")), 502, UpstreamFailure::Protocol).await;
    stage.clear().await;
}

#[tokio::test]
async fn f07_a_chunk_extension_of_a_megabyte_is_a_502() {
    let mut stage = Stage::set().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let extension = "x".repeat(1 << 20);
    let bytes = format!("{head}2;{extension}\r\n{{}}\r\n0\r\n\r\n");
    stage.fails(Reply::raw(bytes), 502, UpstreamFailure::Protocol).await;
    stage.clear().await;
}

#[tokio::test]
async fn f07_a_million_chunks_of_a_byte_are_not_read_to_the_end() {
    let mut stage = Stage::set().await;
    let million = sound().body(object(1 << 20)).chunked(1);
    stage.fails(million, 502, UpstreamFailure::Protocol).await;
    let some = sound().body(object(3000)).chunked(1);
    assert_eq!(stage.passes(some).await.body.len(), 3000);
    stage.clear().await;
}

#[tokio::test]
async fn f07_trailers_are_discarded() {
    let mut stage = Stage::set().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: set-cookie\r\n\r\n";
    let bytes = format!("{head}{:x}\r\n{BODY}\r\n0\r\nset-cookie: a=b\r\n\r\n", BODY.len());
    let response = stage.passes(Reply::raw(bytes)).await;
    assert_eq!(
        (response.text(), response.header("set-cookie"), response.header("trailer")),
        (BODY, None, None)
    );
    stage.clear().await;
}

#[tokio::test]
async fn f08_one_byte_more_than_the_limit_is_a_502_and_the_limit_itself_is_not() {
    let mut stage = Stage::with(small).await;
    let plain = |bytes| sound().body(object(bytes));
    for over in [plain(LIMIT + 1), plain(LIMIT + 1).chunked(512), plain(LIMIT + 1).gzip()] {
        stage.fails(over, 502, UpstreamFailure::TooLarge).await;
    }
    for just in [plain(LIMIT), plain(LIMIT).chunked(512), plain(LIMIT).gzip()] {
        assert_eq!(stage.passes(just).await.body.len(), LIMIT);
    }
    stage.clear().await;
}

#[tokio::test]
async fn f08_a_length_over_the_limit_is_refused_before_the_body_arrives() {
    let mut stage = Stage::with(|config| {
        small(config);
        config.upstream.timeout = Duration::from_secs(60);
    })
    .await;
    let never = crate::common::gate::Gate::new();
    let announced = sound().header("content-length", "1099511627776").paused_after(110, &never);
    stage.fails(announced, 502, UpstreamFailure::TooLarge).await;
    stage.clear().await;
}

#[tokio::test]
async fn f09_a_coding_that_was_not_requested_is_a_502() {
    let mut stage = Stage::set().await;
    for coding in ["br", "br,gzip", "gzip, gzip", "deflate", "zstd", "\u{fc}"] {
        stage.fails(sound().header("content-encoding", coding), 502, UpstreamFailure::Encoding).await;
    }
    let twice = coded(gzip(BODY.as_bytes())).header("content-encoding", "gzip");
    stage.fails(twice, 502, UpstreamFailure::Encoding).await;
    stage.clear().await;
}

const LIMIT: usize = 4096;
