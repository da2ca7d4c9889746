//! HTTP/2 with prior knowledge.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use connector_cache::http::rejection::Rejection;
use connector_cache::server::ConnRejection;
use connector_cache::server::ServerLimits;
use connector_cache::support::byte_budget::{ByteBudget, RESPONSE_BYTES};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, GET, HEADERS, PREFACE, SETTINGS, frame, goaway, hello, kinds,
};
use crate::raw::Raw;
use crate::stub::{PATIENCE, config, patient, start, start_within, until};

struct Client {
    send: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client {
    async fn connect(address: SocketAddr, window: u32) -> Self {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let mut builder = Builder::new(TokioExecutor::new());
        // The connection's window is larger than any response, so only the windows of the streams matter.
        builder.initial_stream_window_size(window).initial_connection_window_size(64 << 20);
        let (send, connection) = builder.handshake(io).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    async fn ask(&mut self, request: http::request::Builder, body: &'static str) -> Response<Incoming> {
        self.send.ready().await.unwrap();
        self.send.send_request(request.body(Full::from(body)).unwrap()).await.unwrap()
    }

    async fn get(&mut self, path: &str) -> Response<Incoming> {
        self.ask(Request::get(format!("http://cache{path}")), "").await
    }
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_get_is_answered_with_its_length() {
    let server = start(patient()).await;
    let mut client = Client::connect(server.address, 65_535).await;
    let response = client.get("/a").await;
    assert_eq!(response.headers()["content-length"], "2");
    assert_eq!(text(response).await, "/a");
}

#[tokio::test]
async fn line_83_head_has_the_length_of_get_and_no_body() {
    let server = start(patient()).await;
    let mut client = Client::connect(server.address, 65_535).await;
    let response = client.ask(Request::head("http://cache/four"), "").await;
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(text(response).await, "");
    assert_eq!(text(client.get("/next").await).await, "/next");
}

#[tokio::test]
async fn f36_a_token_of_16_kb_works_and_one_of_64_kb_is_431() {
    let server = start(patient()).await;
    let mut client = Client::connect(server.address, 65_535).await;
    let with_token = |length| {
        let token = format!("Bearer {}", "t".repeat(length));
        Request::get("http://cache/token").header("authorization", token)
    };
    let response = client.ask(with_token(16 << 10), "").await;
    assert_eq!(text(response).await, ((16 << 10) + 7).to_string());
    assert_eq!(client.ask(with_token(64 << 10), "").await.status(), 431);
    assert_eq!(text(client.get("/next").await).await, "/next");
}

#[tokio::test]
async fn f44_a_body_or_a_host_unlike_the_authority_is_refused_and_the_connection_goes_on() {
    let server = start(patient()).await;
    let mut client = Client::connect(server.address, 65_535).await;
    assert_eq!(client.ask(Request::get("http://cache/a"), "body").await.status(), 400);
    let other = Request::get("http://cache/a").header("host", "other");
    assert_eq!(client.ask(other, "").await.status(), 400);
    assert_eq!(server.stub.paths(), [""; 0]);
    assert_eq!((server.rejected(Rejection::Body), server.rejected(Rejection::Host)), (1, 1));
    assert_eq!(client.get("/next").await.status(), 200);
}

#[tokio::test]
async fn an_idle_connection_gets_goaway() {
    let server = start(ServerLimits { idle_timeout: Duration::from_millis(100), ..patient() }).await;
    let mut client = Client::connect(server.address, 65_535).await;
    text(client.get("/a").await).await;
    client.connection.await.unwrap().expect("GOAWAY is no error");
}

#[tokio::test]
async fn f49_a_window_that_stays_shut_ends_the_connection() {
    let server = start(ServerLimits { write_timeout: Duration::from_millis(100), ..patient() }).await;
    let mut client = Client::connect(server.address, 0).await;
    let response = client.get("/a").await;
    assert_eq!(response.status(), 200, "the head needs no window");
    until("the connection is closed", || server.rejected(ConnRejection::Slow) == 1).await;
}

#[tokio::test]
async fn f49_a_stream_whose_window_stays_shut_is_reset_and_the_others_go_on() {
    // The client does not read `/big`: a window that was never open, one that is shut after the first bytes, and one that is
    // shut when only the last of the response is left.
    for window in [0, 65_535, (8 << 20) - 1] {
        let budget = ByteBudget::new(usize::MAX);
        let limits = ServerLimits { write_timeout: Duration::from_millis(300), ..patient() };
        let server = start_within(config(limits), budget.clone()).await;
        let mut client = Client::connect(server.address, window).await;
        let shut = client.get("/big").await;
        assert_eq!(budget.used(), (8 << 20) + RESPONSE_BYTES);
        let beside = async {
            while server.rejected(ConnRejection::Slow) == 0 {
                assert_eq!(client.get("/a").await.status(), 200, "with a window of {window}");
            }
        };
        timeout(PATIENCE, beside).await.expect("the stream is reset");
        until("its memory is given back", || budget.used() == 0).await;
        let error = shut.into_body().collect().await.unwrap_err();
        assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
        assert_eq!(client.get("/b").await.status(), 200, "the connection continues");
        assert_eq!(server.rejected(ConnRejection::Slow), 1, "with a window of {window}");
    }
}

#[tokio::test]
async fn a_large_response_is_complete_and_releases_its_bytes() {
    let budget = ByteBudget::new(usize::MAX);
    let server = start_within(config(patient()), budget.clone()).await;
    let mut client = Client::connect(server.address, 65_535).await;
    let response = client.get("/big").await;
    assert_eq!(response.headers()["content-length"], (8 << 20).to_string());
    assert_eq!(text(response).await.len(), 8 << 20);
    until("its room is given back", || budget.used() == 0).await;
}

#[tokio::test]
async fn f49_beside_a_small_response_that_is_not_read_other_streams_end_and_then_the_connection() {
    let server = start(ServerLimits { write_timeout: Duration::from_millis(300), ..patient() }).await;
    let mut client = Client::connect(server.address, 3).await;
    // `/shut` is longer than its window, and the client does not read it; the other responses fit.
    let shut = client.get("/shut").await;
    let mut answered = 0;
    // Sends requests until the connection accepts no more; earlier requests are answered.
    let beside = async {
        while client.send.ready().await.is_ok() {
            let request = Request::get("http://cache/a").body(Full::from("")).unwrap();
            let Ok(response) = client.send.send_request(request).await else { break };
            assert_eq!(text(response).await, "/a");
            answered += 1;
        }
    };
    timeout(PATIENCE, beside).await.expect("the server sends GOAWAY");
    assert!(answered > 0);
    until("the connection is closed", || server.rejected(ConnRejection::Slow) == 1).await;
    drop(shut);
}

/// A second DATA frame only for `END_STREAM` would cost each hit another poll of its stream.
#[tokio::test]
async fn a_small_response_is_one_data_frame_that_ends_its_stream() {
    // The client sends no acknowledgement of the server's PING, so the graceful end takes `write_timeout`.
    let short = Duration::from_millis(100);
    let server = start(ServerLimits { idle_timeout: short, write_timeout: short, ..patient() }).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send([hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)].concat()).await;
    let kinds = kinds(&raw.rest().await);
    assert_eq!(kinds.iter().filter(|kind| **kind == (DATA, 1)).count(), 1, "{kinds:?}");
}

#[tokio::test]
async fn f61_a_drain_sends_goaway_and_lets_streams_finish() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    let held = [&[0x82, 0x86, 0x44, 5], &b"/held"[..], &[0x41, 1, b'a']].concat();
    raw.send([PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 5, 1, &held)].concat()).await;
    until("the request is held", || server.stub.held() == 1).await;
    server.drain.cancel();
    raw.wait(|bytes| goaway(bytes) == Some(0)).await;
    server.stub.release();
    raw.wait(|bytes| bytes.ends_with(b"/held")).await;
    drop(raw);
    assert_eq!(server.task.await.unwrap(), 0);
}
