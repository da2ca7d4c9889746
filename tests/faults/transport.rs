//! Connections to the origin and bytes of its responses: refused, reset, truncated.

use std::time::{Duration, Instant};

use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;
use tokio::net::{TcpSocket, TcpStream};

use crate::common::origin::{OriginServer, closed_port};
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{client, token};
use crate::harness::{BODY, Harness, STORED, cache_status, ok};

#[tokio::test]
async fn f01_a_reset_before_a_response_is_a_502_and_not_retried_after_a_new_connection() {
    let mut harness = Harness::start().await;
    harness.fails(Reply::reset(), 502, UpstreamFailure::Reset).await;
    assert_eq!(harness.origin.requests(), 2, "the failed request and the request after it");
    assert_eq!(harness.proxy.upstream_metrics.retries.get(Retry::StaleConnection), 0);
    harness.stop().await;
}

#[tokio::test]
async fn f01_a_close_before_a_response_is_a_502() {
    let mut harness = Harness::start().await;
    harness.fails(Reply::hang_up(), 502, UpstreamFailure::Reset).await;
    harness.stop().await;
}

#[tokio::test]
async fn f01_a_close_in_the_head_is_a_502() {
    let mut harness = Harness::start().await;
    harness.fails(Reply::raw("HTTP/1.1 200 OK\r\ncontent-"), 502, UpstreamFailure::Reset).await;
    harness.stop().await;
}

#[tokio::test]
async fn f02_a_reset_in_the_body_is_a_502() {
    let mut harness = Harness::start().await;
    harness.fails(ok().reset_after(90), 502, UpstreamFailure::Truncated).await;
    harness.fails(ok().chunked(7).reset_after(110), 502, UpstreamFailure::Truncated).await;
    harness.stop().await;
}

#[tokio::test]
async fn f03_a_body_that_ends_too_early_is_a_502() {
    let mut harness = Harness::start().await;
    let longer = (BODY.len() + 1).to_string();
    let short = ok().header("content-length", &longer).then_close();
    harness.fails(short, 502, UpstreamFailure::Truncated).await;
    harness.fails(ok().chunked(7).cut_after(110), 502, UpstreamFailure::Truncated).await;
    harness.stop().await;
}

#[tokio::test]
async fn f04_bytes_after_the_body_are_never_the_next_response() {
    let mut harness = Harness::start().await;
    let poison = r#"{"poison":true}"#;
    let response = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let longer = Reply::raw(response(BODY) + &response(poison)).keep_alive();
    for connections in 1..=30 {
        assert_eq!(harness.passes(longer.clone()).await.text(), BODY);
        assert_eq!(
            harness.origin.connections(),
            connections,
            "a connection with bytes left over is not used again"
        );
    }
    harness.stop().await;
}

#[tokio::test]
async fn f15_a_port_without_a_listener_is_a_502() {
    let proxy = Proxy::before(&format!("http://{}", closed_port())).await;
    let response = proxy.read(&token::mint("a")).await;
    assert_eq!(
        (response.status, cache_status(&response)),
        (502, "connector-cache; fwd=uri-miss; detail=connect")
    );
    assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::Connect), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f15_a_port_that_drops_connections_is_a_504_after_the_connect_timeout() {
    // Linux drops the first packet of a connection while the accept queue is full.
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
    let response = proxy.read(&token::mint("a")).await;
    let expected = "connector-cache; fwd=uri-miss; detail=connect-timeout";
    assert_eq!((response.status, cache_status(&response)), (504, expected));
    assert!((connect..connect * 10).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::ConnectTimeout), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f18_a_name_that_does_not_resolve_is_a_502() {
    let proxy = Proxy::before("http://graph.invalid").await;
    let response = proxy.read(&token::mint("a")).await;
    assert_eq!(
        (response.status, cache_status(&response)),
        (502, "connector-cache; fwd=uri-miss; detail=dns")
    );
    assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::Dns), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f56_nothing_that_a_caller_sends_selects_the_origin() {
    let (origin, elsewhere) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(ok());
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
        let response = client::exchange(data, &whole).await.unwrap();
        assert_eq!(response.status, 200, "{request}");
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), 1, "one request, four hits");
    assert_eq!(seen[0].header("host"), Some(origin.address().to_string().as_str()));
    let fields = format!("{:?}", seen[0].fields);
    assert!(!fields.contains(&evil.to_string()) && !fields.contains("forwarded"), "{fields}");
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
async fn a_valid_response_is_stored_as_the_other_tests_assume() {
    let mut harness = Harness::start().await;
    harness.passes(ok()).await;
    let hit = harness.get_again().await;
    assert_eq!((cache_status(&hit), harness.origin.requests()), ("connector-cache; hit; ttl=300", 1));
    assert_ne!(STORED, cache_status(&hit));
    harness.stop().await;
}
