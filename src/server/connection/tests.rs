//! A connection in memory, whose bytes come one at a time.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;

use http::request::Parts;
use tokio::io::duplex;

use super::*;
use crate::http::error::Response;
use crate::observability::metrics::Metrics;

struct Stub;

impl Service for Stub {
    type Pending = ();

    fn try_respond(&self, _: &Parts, _: bool, _: SocketAddr) -> ControlFlow<Response, ()> {
        ControlFlow::Continue(())
    }

    async fn respond(&self, (): (), head: Parts, _: Incoming, _: SocketAddr) -> Response {
        let mut response = Response::default();
        if head.uri == "/last" {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn shared() -> Shared<Stub> {
    Shared::new(
        Arc::new(Stub),
        ServerSettings::new(&crate::server::Config::default()),
        Arc::new(ServerMetrics::new(&Metrics::new().unwrap())),
        ByteBudget::new(usize::MAX),
    )
}

/// What comes back for `sent`, until the server closes the connection.
async fn answers(sent: &[u8]) -> String {
    let bytes: Vec<_> = sent.chunks(1).map(|byte| (byte, Duration::ZERO)).collect();
    with_pauses(&bytes).await
}

/// What comes back for pieces with a pause after each, until the server closes the connection.
async fn with_pauses(pieces: &[(&[u8], Duration)]) -> String {
    let (client, server) = duplex(1 << 12);
    let shared = shared();
    let (mut from, mut to) = tokio::io::split(client);
    let mut answered = Vec::new();
    let ask = async {
        for (piece, pause) in pieces {
            let _ = to.write_all(piece).await; // the server may have hung up
            if pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(*pause).await;
            }
        }
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (.., end) = tokio::join!(
        shared.drive(server, peer, CancellationToken::new(), shared.pulse()),
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

/// Long enough to be at rest after it.
const NAP: Duration = Duration::from_millis(1_500);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_holds_no_more_than_its_socket_and_is_answered_as_before() {
    let (mut client, server) = duplex(1 << 12);
    let (shared, pulse) = (shared(), Arc::new(ConnState::default()));
    let (back, _returned) = oneshot::channel();
    let io = MonitoredIo::new(server, back, Arc::clone(&pulse), Preflight::new(1 << 15));
    let settings = shared.settings.present();
    let unsent = UnsentCharge::new(ByteBudget::new(usize::MAX), Ipv4Addr::LOCALHOST.into());
    let mut visit = ConnContext {
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        watch: ConnTimeouts::new(Arc::clone(&pulse), settings.limits.clone(), unsent),
        parting: DrainTimer::new(CancellationToken::new(), Arc::clone(&pulse), FAREWELL),
        pulse,
        settings,
    };
    client.write_all(GET).await.unwrap();
    let Left::Resting(mut io) = shared.speak_http1(io, &mut visit).await else { panic!("it ended") };
    assert!(!io.holds_bytes());
    client.write_all(LAST).await.unwrap();
    assert_eq!(rest(&mut io, &mut visit).await.ok(), Some(Protocol::Http1));
    let left = shared.speak_http1(io, &mut visit).await;
    assert!(matches!(left, Left::Ended(End::Closed)));
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_rest_is_judged_as_before_it() {
    for (fault, status) in [
        (&b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..], "HTTP/1.1 400 "),
        (b"\0\r\n\r\n", "HTTP/1.1 400 "),
        (&[&b"GET /"[..], &b"a".repeat(40_000)].concat(), "HTTP/1.1 414 "),
    ] {
        let answers = with_pauses(&[(GET, NAP), (fault, NAP), (GET, NAP)]).await;
        assert!(answers.starts_with("HTTP/1.1 200 ") && answers.contains(status), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rest_ends_with_the_idle_timeout_or_with_the_peer() {
    let begun = tokio::time::Instant::now();
    assert_eq!(with_pauses(&[(GET, Duration::ZERO)]).await.matches("HTTP/1.1 200 ").count(), 1);
    assert_eq!(begun.elapsed().as_secs(), 75);
    let (mut client, server) = duplex(1 << 12);
    client.write_all(GET).await.unwrap();
    let visit = async {
        tokio::time::sleep(NAP).await;
        client.shutdown().await.unwrap();
    };
    let (begun, shared) = (tokio::time::Instant::now(), shared());
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    tokio::join!(shared.drive(server, peer, CancellationToken::new(), shared.pulse()), visit);
    assert_eq!(begun.elapsed(), NAP);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_the_listener_a_rest_ends_and_who_asks_in_time_is_answered() {
    for (asks, answered) in [(false, 1), (true, 2)] {
        let (client, server) = duplex(1 << 12);
        let (mut from, mut to) = tokio::io::split(client);
        let (shared, drain) = (shared(), CancellationToken::new());
        let mut answers = String::new();
        let visit = async {
            to.write_all(GET).await.unwrap();
            tokio::time::sleep(NAP).await;
            // As the listener does it.
            shared.leaving.store(true, Relaxed);
            drain.cancel();
            tokio::time::sleep(FAREWELL / 2).await;
            if asks {
                to.write_all(GET).await.unwrap();
            }
        };
        let begun = tokio::time::Instant::now();
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        tokio::join!(shared.drive(server, peer, drain.clone(), shared.pulse()), visit, async {
            from.read_to_string(&mut answers).await.unwrap();
        });
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), answered, "{answers}");
        assert_eq!(answers.contains("connection: close"), asks, "{answers}");
        assert!(begun.elapsed() <= NAP + FAREWELL, "{:?}", begun.elapsed());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// A rest may come anywhere, also within a head or between two requests that came together.
    #[test]
    fn however_requests_are_cut_and_wherever_their_peer_pauses_each_is_answered(
        cuts in proptest::collection::vec((1_usize..60, proptest::bool::ANY), 0..5),
    ) {
        let text = [GET, GET, LAST].concat();
        let mut rest = &text[..];
        let mut pieces = Vec::new();
        for (length, naps) in cuts {
            let (piece, next) = rest.split_at(length.min(rest.len()));
            pieces.push((piece, if naps { NAP } else { Duration::ZERO }));
            rest = next;
        }
        pieces.push((rest, Duration::ZERO));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let answers = runtime.unwrap().block_on(with_pauses(&pieces));
        proptest::prop_assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{}", answers);
    }
}
