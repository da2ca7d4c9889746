//! Tests over a connection in memory, whose bytes arrive one at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use http::request::Parts;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, duplex};

use super::*;
use crate::http::error::Response;
use crate::observability::metrics::Metrics;

struct Stub;

impl Service for Stub {
    type Pending = ();

    fn try_respond(&self, _: &Parts, _: bool, _: &Peer) -> ControlFlow<Response, ()> {
        ControlFlow::Continue(())
    }

    async fn respond(&self, (): (), head: Parts, _: Option<Incoming>, _: Peer) -> Response {
        let mut response = Response::default();
        if head.uri == "/last" {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn shared() -> ListenerContext<Stub> {
    ListenerContext::new(
        Arc::new(Stub),
        ServerSettings::new(&crate::server::Config::default()),
        Arc::new(ServerMetrics::new(&Metrics::new().unwrap())),
        ByteBudget::new(usize::MAX),
    )
}

/// Sends bytes one at a time. Returns all responses until the server closes the connection.
async fn responses_to(sent: &[u8]) -> String {
    let bytes: Vec<_> = sent.chunks(1).map(|byte| (byte, Duration::ZERO)).collect();
    responses_to_pieces(&bytes).await
}

/// Sends pieces with a pause after each. Returns all responses until the server closes the connection.
async fn responses_to_pieces(pieces: &[(&[u8], Duration)]) -> String {
    let (client, server) = duplex(1 << 12);
    let shared = shared();
    let (mut from, mut to) = tokio::io::split(client);
    let mut received = Vec::new();
    let send = async {
        for (piece, pause) in pieces {
            let _ = to.write_all(piece).await; // the server may have closed the connection
            if pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(*pause).await;
            }
        }
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (.., end) = tokio::join!(
        shared.serve_connection(server, peer.into(), CancellationToken::new(), shared.new_conn_state()),
        send,
        from.read_to_end(&mut received),
    );
    end.unwrap();
    String::from_utf8(received).unwrap()
}

/// Found by the fuzzer: the bytes before an error had a response too, after the response to the error.
#[tokio::test(start_paused = true)]
async fn the_response_to_an_error_is_the_last_response() {
    let responses = responses_to(b"PRI * HTTP/2.0\r\n\r\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(responses.matches("HTTP/1.1 ").count(), 1, "{responses}");
    assert!(responses.starts_with("HTTP/1.1 400 "), "{responses}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_bytes_arrive_one_at_a_time_is_served() {
    let responses = responses_to(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(responses.starts_with("HTTP/1.1 200 ") && responses.ends_with("\r\n\r\n"), "{responses}");
}

/// Found by the fuzzer: the response carried `connection: close, keep-alive`.
#[tokio::test(start_paused = true)]
async fn the_last_response_to_http_1_0_carries_only_close() {
    let get = |path| format!("GET {path} HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
    let responses = responses_to([get("/"), get("/last"), get("/")].concat().as_bytes()).await;
    let connection: Vec<_> = responses.lines().filter(|line| line.starts_with("connection: ")).collect();
    assert_eq!(connection, ["connection: keep-alive", "connection: close"], "{responses}");
    assert_eq!(responses.matches("HTTP/1.0 200 ").count(), 2, "{responses}");
}

/// Long enough for the release of the buffers of an idle connection.
const PAUSE: Duration = Duration::from_millis(1_500);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_idle_connection_holds_no_buffers_and_is_served_as_before() {
    let (mut client, server) = duplex(1 << 12);
    let (shared, conn_state) = (shared(), Arc::new(ConnState::default()));
    let (io_sender, _returned) = oneshot::channel();
    let io = MonitoredIo::new(server, io_sender, Arc::clone(&conn_state), Preflight::new(1 << 15));
    let settings = shared.settings.current();
    let unsent = ResponseCharge::new(ByteBudget::new(usize::MAX), Ipv4Addr::LOCALHOST.into());
    let mut context = ConnContext {
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into(),
        timeouts: ConnTimeouts::new(Arc::clone(&conn_state), settings.limits.clone(), unsent),
        drain_timer: DrainTimer::new(CancellationToken::new(), Arc::clone(&conn_state), DRAIN_GRACE),
        conn_state,
        settings,
    };
    client.write_all(GET).await.unwrap();
    let Http1Exit::Idle(mut io) = shared.serve_http1(io, &mut context).await else {
        panic!("the connection ended")
    };
    assert!(!io.has_read_ahead());
    client.write_all(LAST).await.unwrap();
    assert_eq!(wait_for_request(&mut io, &mut context).await.ok(), Some(Protocol::Http1));
    let exit = shared.serve_http1(io, &mut context).await;
    assert!(matches!(exit, Http1Exit::Closed(CloseReason::Normal)));
    let mut responses = String::new();
    client.read_to_string(&mut responses).await.unwrap();
    assert_eq!(responses.matches("HTTP/1.1 200 ").count(), 2, "{responses}");
}

#[tokio::test(start_paused = true)]
async fn bytes_after_an_idle_period_are_checked_as_before_it() {
    for (invalid, status) in [
        (&b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..], "HTTP/1.1 400 "),
        (b"\0\r\n\r\n", "HTTP/1.1 400 "),
        (&[&b"GET /"[..], &b"a".repeat(40_000)].concat(), "HTTP/1.1 414 "),
    ] {
        let responses = responses_to_pieces(&[(GET, PAUSE), (invalid, PAUSE), (GET, PAUSE)]).await;
        assert!(responses.starts_with("HTTP/1.1 200 ") && responses.contains(status), "{responses}");
        assert_eq!(responses.matches("HTTP/1.1 ").count(), 2, "{responses}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_period_ends_with_the_idle_timeout_or_with_the_peer() {
    let begun = tokio::time::Instant::now();
    assert_eq!(responses_to_pieces(&[(GET, Duration::ZERO)]).await.matches("HTTP/1.1 200 ").count(), 1);
    assert_eq!(begun.elapsed().as_secs(), 75);
    let (mut client, server) = duplex(1 << 12);
    client.write_all(GET).await.unwrap();
    let client = async {
        tokio::time::sleep(PAUSE).await;
        client.shutdown().await.unwrap();
    };
    let (begun, shared) = (tokio::time::Instant::now(), shared());
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    tokio::join!(
        shared.serve_connection(server, peer.into(), CancellationToken::new(), shared.new_conn_state()),
        client
    );
    assert_eq!(begun.elapsed(), PAUSE);
}

#[tokio::test(start_paused = true)]
async fn after_the_close_of_the_listener_an_idle_connection_ends_and_a_request_in_time_is_served() {
    for (sends_request, expected) in [(false, 1), (true, 2)] {
        let (client, server) = duplex(1 << 12);
        let (mut from, mut to) = tokio::io::split(client);
        let (shared, drain) = (shared(), CancellationToken::new());
        let mut responses = String::new();
        let client = async {
            to.write_all(GET).await.unwrap();
            tokio::time::sleep(PAUSE).await;
            // In the order of the listener.
            shared.listener_closing.store(true, Relaxed);
            drain.cancel();
            tokio::time::sleep(DRAIN_GRACE / 2).await;
            if sends_request {
                to.write_all(GET).await.unwrap();
            }
        };
        let begun = tokio::time::Instant::now();
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        tokio::join!(
            shared.serve_connection(server, peer.into(), drain.clone(), shared.new_conn_state()),
            client,
            async {
                from.read_to_string(&mut responses).await.unwrap();
            }
        );
        assert_eq!(responses.matches("HTTP/1.1 200 ").count(), expected, "{responses}");
        assert_eq!(responses.contains("connection: close"), sends_request, "{responses}");
        assert!(begun.elapsed() <= PAUSE + DRAIN_GRACE, "{:?}", begun.elapsed());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// An idle period may begin anywhere, also within a head or between two requests that arrived together.
    #[test]
    fn each_request_is_served_for_any_split_and_any_pauses(
        cuts in proptest::collection::vec((1_usize..60, proptest::bool::ANY), 0..5),
    ) {
        let text = [GET, GET, LAST].concat();
        let mut rest = &text[..];
        let mut pieces = Vec::new();
        for (length, pauses) in cuts {
            let (piece, next) = rest.split_at(length.min(rest.len()));
            pieces.push((piece, if pauses { PAUSE } else { Duration::ZERO }));
            rest = next;
        }
        pieces.push((rest, Duration::ZERO));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let responses = runtime.unwrap().block_on(responses_to_pieces(&pieces));
        proptest::prop_assert_eq!(responses.matches("HTTP/1.1 200 ").count(), 3, "{}", responses);
    }
}
