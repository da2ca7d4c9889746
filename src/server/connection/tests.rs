//! A connection in memory, whose bytes come one at a time.

use std::net::Ipv4Addr;

use http::request::Parts;
use tokio::io::duplex;

use super::*;
use crate::error::Response;

struct Stub;

impl Service for Stub {
    fn at_once(&self, _: &Parts) -> Option<Response> {
        None
    }

    async fn answer(&self, head: Parts, _: Incoming, _: SocketAddr) -> Response {
        let mut response = Response::default();
        if head.uri == "/last" {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What comes back for `sent`, until the server closes the connection.
async fn answers(sent: &[u8]) -> String {
    let (client, server) = duplex(1 << 12);
    let shared = Shared::new(
        Arc::new(Stub),
        Terms::new(&crate::server::Config::default()),
        Arc::new(Metrics::new().unwrap()),
    );
    let (mut from, mut to) = tokio::io::split(client);
    let mut answered = Vec::new();
    let ask = async {
        for byte in sent {
            let _ = to.write_all(&[*byte]).await; // the server may have hung up
            tokio::task::yield_now().await;
        }
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (.., end) = tokio::join!(
        shared.drive(server, peer, CancellationToken::new()),
        ask,
        from.read_to_end(&mut answered),
    );
    end.unwrap();
    String::from_utf8(answered).unwrap()
}

/// Found by the fuzzer: a fault was answered, and then what had come before it as well.
#[tokio::test(start_paused = true)]
async fn a_fault_is_the_last_thing_that_is_answered() {
    let answers = answers(b"PRI * HTTP/2.0\r\n\r\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(answers.starts_with("HTTP/1.1 400 "), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn bytes_one_at_a_time_are_a_request_like_any_other() {
    let answers = answers(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answers.starts_with("HTTP/1.1 200 ") && answers.ends_with("\r\n\r\n"), "{answers}");
}

/// Found by the fuzzer: the answer said `connection: close, keep-alive`.
#[tokio::test(start_paused = true)]
async fn a_last_answer_to_http_1_0_says_close_and_nothing_else() {
    let ask = |path| format!("GET {path} HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
    let answers = answers([ask("/"), ask("/last"), ask("/")].concat().as_bytes()).await;
    let connection: Vec<_> = answers.lines().filter(|line| line.starts_with("connection: ")).collect();
    assert_eq!(connection, ["connection: keep-alive", "connection: close"], "{answers}");
    assert_eq!(answers.matches("HTTP/1.0 200 ").count(), 2, "{answers}");
}
