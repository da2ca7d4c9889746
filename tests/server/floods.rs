//! Peers that send more HTTP/2 frames than requests need.

use std::time::{Duration, Instant};

use connector_cache::server::ConnRejection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GET, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, field, frame, goaway, hello, kinds,
};
use crate::raw::Raw;
use crate::stub::{PATIENCE, Running, patient, start, until};

/// Sends `piece` repeatedly and reads all responses. Returns the number of bytes sent before the connection ended.
async fn pour(server: &Running, first: &[u8], piece: impl Fn(u32) -> Vec<u8>) -> usize {
    let (mut read, mut write) = TcpStream::connect(server.address).await.unwrap().into_split();
    let taking = tokio::spawn(async move {
        let mut space = vec![0; 64 << 10];
        while matches!(read.read(&mut space).await, Ok(1..)) {}
    });
    let pouring = async {
        let mut sent = first.len();
        if write.write_all(first).await.is_err() {
            return sent;
        }
        for number in 0.. {
            let piece = piece(number);
            if write.write_all(&piece).await.is_err() {
                break;
            }
            sent += piece.len();
        }
        sent
    };
    let sent = tokio::time::timeout(PATIENCE, pouring).await.expect("the server hangs up");
    taking.await.unwrap();
    sent
}

/// Asserts that the connection ends within some megabytes, that the end is counted once, and that other callers are served.
async fn ends(first: Vec<u8>, piece: impl Fn(u32) -> Vec<u8>) {
    let server = start(patient()).await;
    let mut other = Raw::connect(server.address).await;
    assert_eq!(other.get("/a").await.status(), 200);
    let sent = pour(&server, &[hello(), first].concat(), piece).await;
    // Bytes that the socket's buffers accepted count as sent.
    assert!(sent < 16 << 20, "{sent} bytes");
    until("it is counted", || server.rejected(ConnRejection::Flood) == 1).await;
    assert_eq!(other.get("/b").await.status(), 200);
}

#[tokio::test]
async fn f50_streams_opened_only_to_be_reset_end_the_connection() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    let mut bytes = hello();
    for n in 0..10_000 {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, GET));
        bytes.extend(frame(RST_STREAM, 0, n * 2 + 1, &8u32.to_be_bytes()));
    }
    raw.send(bytes).await;
    assert_eq!(goaway(&raw.rest().await), Some(ENHANCE_YOUR_CALM));
    until("it is counted", || server.rejected(ConnRejection::Flood) == 1).await;
}

#[tokio::test]
async fn f50_streams_that_the_server_must_reset_end_the_connection() {
    // CVE-2025-8671: a window update of zero is a stream error, which the server must reset.
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    let mut bytes = hello();
    for n in 0..2_000 {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, GET));
        bytes.extend(frame(WINDOW_UPDATE, 0, n * 2 + 1, &[0; 4]));
    }
    raw.send(bytes).await;
    assert!(goaway(&raw.rest().await).is_some(), "GOAWAY");
    assert!(server.stub.paths().len() < 1_000, "{}", server.stub.paths().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f50_other_callers_are_served_during_a_flood() {
    let server = start(patient()).await;
    let mut other = Raw::connect(server.address).await;
    let until_then = Instant::now() + Duration::from_secs(1);
    let address = server.address;
    let flooding: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(async move {
                let mut bytes = hello();
                for n in 0..1_000 {
                    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, GET));
                    bytes.extend(frame(RST_STREAM, 0, n * 2 + 1, &8u32.to_be_bytes()));
                }
                while Instant::now() < until_then {
                    let mut raw = Raw::connect(address).await;
                    raw.send(&bytes).await;
                    raw.rest().await;
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while Instant::now() < until_then {
        let began = Instant::now();
        assert_eq!(other.get("/a").await.status(), 200);
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for flood in flooding {
        flood.await.unwrap();
    }
}

#[tokio::test]
async fn f51_a_header_block_without_end_ends_the_connection() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    let mut bytes = [hello(), frame(HEADERS, END_STREAM, 1, GET)].concat();
    for _ in 0..1_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    raw.send(bytes).await;
    assert_eq!(goaway(&raw.rest().await), Some(ENHANCE_YOUR_CALM));
    until("it is counted", || server.rejected(ConnRejection::Flood) == 1).await;
}

#[tokio::test]
async fn f51_settings_without_end_end_the_connection() {
    ends(Vec::new(), |_| frame(SETTINGS, 0, 0, &[]).repeat(1_000)).await;
}

#[tokio::test]
async fn f51_pings_without_end_end_the_connection() {
    ends(Vec::new(), |_| frame(PING, 0, 0, &[7; 8]).repeat(1_000)).await;
}

#[tokio::test]
async fn f51_empty_data_without_end_ends_the_connection() {
    let held = [&[0x82, 0x86, 0x44, 5], &b"/held"[..], &[0x41, 1, b'a']].concat();
    ends(frame(HEADERS, END_HEADERS, 1, &held), |_| frame(DATA, 0, 1, &[]).repeat(1_000)).await;
}

#[tokio::test]
async fn f51_a_small_block_that_expands_to_a_large_one_ends_the_connection() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    // A field of 4,000 bytes is added to the dynamic table once. Each further byte repeats this field (RFC 7541).
    let long = [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e], &vec![b'x'; 4_000][..]].concat();
    let bomb = [GET, &long, &vec![0xbe; 8_000]].concat();
    raw.send([hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)].concat()).await;
    assert_eq!(goaway(&raw.rest().await), Some(ENHANCE_YOUR_CALM));
    assert_eq!(server.stub.paths(), [""; 0]);
    until("it is counted", || server.rejected(ConnRejection::Flood) == 1).await;
}

#[tokio::test]
async fn f44_a_request_that_http2_does_not_allow_reaches_no_handler() {
    for (what, bad) in [
        ("transfer-encoding", field(b"transfer-encoding", b"chunked")),
        ("connection", field(b"connection", b"close")),
        ("upper case", field(b"Upper", b"a")),
        ("a line's end", field(b"a", b"b\r\nc: d")),
        ("a path with a space", field(b":path", b"/a b")),
        ("a second path", field(b":path", b"/other")),
        ("a length unlike the data", field(b"content-length", b"5")),
    ] {
        let server = start(patient()).await;
        let mut raw = Raw::connect(server.address).await;
        let block = match what {
            "a path with a space" => [&[0x82, 0x86][..], &bad, &[0x41, 1, b'a']].concat(),
            _ => [GET, &bad].concat(),
        };
        raw.send([hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)].concat()).await;
        // A reset of the stream, an error response, or the end of the connection.
        raw.wait(|bytes| {
            kinds(bytes).contains(&(RST_STREAM, 1))
                || kinds(bytes).contains(&(HEADERS, 1))
                || goaway(bytes).is_some()
        })
        .await;
        assert_eq!(server.stub.paths(), [""; 0], "{what}");
    }
}
