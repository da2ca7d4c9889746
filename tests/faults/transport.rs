//! The way to the origin and the bytes of its answer: refused, reset, cut short.

use std::time::{Duration, Instant};

use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;
use tokio::net::{TcpSocket, TcpStream};

use crate::common::origin::{OriginServer, closed_port};
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{client, token};
use crate::stage::{BODY, STORED, Stage, cache_status, sound};

#[tokio::test]
async fn f01_a_reset_before_an_answer_is_a_502_and_a_new_connection_is_not_tried_twice() {
    let mut stage = Stage::set().await;
    stage.fails(Reply::reset(), 502, UpstreamFailure::Reset).await;
    assert_eq!(stage.origin.requests(), 2, "one question, and the one after it");
    assert_eq!(stage.proxy.upstream_metrics.retries.get(Retry::StaleConnection), 0);
    stage.clear().await;
}

#[tokio::test]
async fn f01_a_close_before_an_answer_is_a_502() {
    let mut stage = Stage::set().await;
    stage.fails(Reply::hang_up(), 502, UpstreamFailure::Reset).await;
    stage.clear().await;
}

#[tokio::test]
async fn f01_a_close_in_the_head_is_a_502() {
    let mut stage = Stage::set().await;
    stage.fails(Reply::raw("HTTP/1.1 200 OK\r\ncontent-"), 502, UpstreamFailure::Reset).await;
    stage.clear().await;
}

#[tokio::test]
async fn f02_a_reset_in_the_body_is_a_502() {
    let mut stage = Stage::set().await;
    stage.fails(sound().reset_after(90), 502, UpstreamFailure::Truncated).await;
    stage.fails(sound().chunked(7).reset_after(110), 502, UpstreamFailure::Truncated).await;
    stage.clear().await;
}

#[tokio::test]
async fn f03_a_body_that_ends_too_early_is_a_502() {
    let mut stage = Stage::set().await;
    let longer = (BODY.len() + 1).to_string();
    let short = sound().header("content-length", &longer).then_close();
    stage.fails(short, 502, UpstreamFailure::Truncated).await;
    stage.fails(sound().chunked(7).cut_after(110), 502, UpstreamFailure::Truncated).await;
    stage.clear().await;
}

#[tokio::test]
async fn f04_bytes_after_the_body_are_never_the_next_answer() {
    let mut stage = Stage::set().await;
    let poison = r#"{"poison":true}"#;
    let answer = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let longer = Reply::raw(answer(BODY) + &answer(poison)).keep_alive();
    for asked in 1..=30 {
        assert_eq!(stage.passes(longer.clone()).await.text(), BODY);
        assert_eq!(stage.origin.connections(), asked, "a connection with bytes left over is not used again");
    }
    stage.clear().await;
}

#[tokio::test]
async fn f15_a_port_without_a_listener_is_a_502() {
    let proxy = Proxy::before(&format!("http://{}", closed_port())).await;
    let answer = proxy.read(&token::mint("a")).await;
    assert_eq!(
        (answer.status, cache_status(&answer)),
        (502, "connector-cache; fwd=uri-miss; detail=connect")
    );
    assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::Connect), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f15_a_port_that_swallows_connections_is_a_504_after_the_connect_timeout() {
    // Linux drops the first packet of a connection while the queue of those not yet accepted is full.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(queued)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queue.push(queued);
    }
    let connect = Duration::from_millis(300);
    let proxy =
        Proxy::with(&format!("http://{address}"), |config| config.upstream.connect_timeout = connect).await;
    let began = Instant::now();
    let answer = proxy.read(&token::mint("a")).await;
    let said = "connector-cache; fwd=uri-miss; detail=connect-timeout";
    assert_eq!((answer.status, cache_status(&answer)), (504, said));
    assert!((connect..connect * 10).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::ConnectTimeout), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f18_a_name_that_does_not_resolve_is_a_502() {
    let proxy = Proxy::before("http://graph.invalid").await;
    let answer = proxy.read(&token::mint("a")).await;
    assert_eq!((answer.status, cache_status(&answer)), (502, "connector-cache; fwd=uri-miss; detail=dns"));
    assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::Dns), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f56_nothing_that_a_caller_sends_chooses_the_origin() {
    let (origin, elsewhere) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(sound());
    let proxy = Proxy::before(&origin.url()).await;
    let (token, path) = (token::mint("a"), path("B2X_1_x"));
    let (evil, data) = (elsewhere.address(), proxy.data);
    let requests = [
        format!("GET http://{evil}{path} HTTP/1.1\r\nhost: {evil}\r\n"),
        format!("GET http://169.254.169.254{path} HTTP/1.1\r\nhost: 169.254.169.254\r\n"),
        format!("GET {path} HTTP/1.1\r\nhost: {evil}\r\n"),
        format!(
            "GET {path} HTTP/1.1\r\nhost: {data}\r\nx-forwarded-host: {evil}\r\nx-forwarded-proto: http\r\n"
        ),
        format!(
            "GET {path} HTTP/1.1\r\nhost: {data}\r\nforwarded: host={evil}\r\nx-original-url: http://{evil}/\r\n"
        ),
    ];
    for request in requests {
        let whole = format!("{request}authorization: Bearer {token}\r\nconnection: close\r\n\r\n");
        let answer = client::exchange(data, &whole).await.unwrap();
        assert_eq!(answer.status, 200, "{request}");
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), 1, "one question, four hits");
    assert_eq!(seen[0].header("host"), Some(origin.address().to_string().as_str()));
    let told = format!("{:?}", seen[0].fields);
    assert!(!told.contains(&evil.to_string()) && !told.contains("forwarded"), "{told}");
    assert_eq!(elsewhere.connections(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn f56_connect_opens_no_tunnel() {
    let (origin, elsewhere) = (OriginServer::start().await, OriginServer::start().await);
    let proxy = Proxy::before(&origin.url()).await;
    let evil = elsewhere.address();
    let refused =
        client::exchange(proxy.data, format!("CONNECT {evil} HTTP/1.1\r\nhost: {evil}\r\n\r\n")).await;
    assert!(refused.unwrap().status >= 400);
    assert_eq!((origin.connections(), elsewhere.connections()), (0, 0));
    proxy.stop().await;
}

#[tokio::test]
async fn a_sound_answer_is_stored_as_the_other_tests_take_for_granted() {
    let mut stage = Stage::set().await;
    stage.passes(sound()).await;
    let hit = stage.ask_again().await;
    assert_eq!((cache_status(&hit), stage.origin.requests()), ("connector-cache; hit; ttl=300", 1));
    assert_ne!(STORED, cache_status(&hit));
    stage.clear().await;
}
