use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::poll;
use http::Response;
use http::uri::PathAndQuery;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::advance;
use url::Url;

use super::super::{Lease, LocalPool};
use super::*;
use crate::upstream::Retry;
use crate::upstream::config::Config;
use crate::upstream::connection::{Stream, UpstreamConnection};
use crate::upstream::connector::Connector;
use crate::upstream::error::{AttemptError, classify_attempt};
use crate::upstream::request::{BaseAddress, GraphRequest};
use crate::upstream::reuse::ReuseGuard;
use crate::upstream::stream_limit::LastStreamLimit;

/// Listener, and the connector to it.
async fn listener() -> (TcpListener, PoolConnector) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let config = Config { base_url: Url::parse(&base).unwrap(), ..Config::default() };
    let connector = Connector::new(&config).unwrap();
    let connector = PoolConnector::new(connector, base.parse().unwrap(), None);
    (listener, connector)
}

/// Connections to a listener that keep at most two idle ones.
async fn connections() -> (TcpListener, Arc<Connections>) {
    let (listener, connector) = listener().await;
    let limit = StreamLimit::new(&LastStreamLimit::unlimited().into(), &Arc::default());
    (listener, Arc::new(Connections::new(connector, 2, limit.into())))
}

/// A new byte stream and its other end.
async fn streams() -> (UpstreamConnection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let connection = UpstreamConnection::new(Stream::Http(TokioIo::new(stream)), Arc::default());
    (connection, listener.accept().await.unwrap().0)
}

/// A new HTTP/1.1 connection and its other end.
async fn pair() -> (HttpConnection, TcpStream) {
    let (connection, peer) = streams().await;
    (HttpConnection::handshake(connection, None).await.unwrap(), peer)
}

/// A new HTTP/2 connection, and the task of its other end, which ends with the connection.
async fn http2_pair() -> (HttpConnection, JoinHandle<()>) {
    let (connection, peer) = streams().await;
    let serving = tokio::spawn(async move {
        let mut peer = h2::server::handshake(peer).await.unwrap();
        while let Some(Ok((_, mut respond))) = peer.accept().await {
            respond.send_response(Response::new(()), true).unwrap();
        }
    });
    (HttpConnection::start_http2(connection).await.unwrap(), serving)
}

fn request() -> GraphRequest {
    request_over(Protocol::Http1)
}

fn request_over(protocol: Protocol) -> GraphRequest {
    let mut request = GraphRequest::default();
    let address = BaseAddress::new("http://graph.example".parse().unwrap());
    address.apply_to(&mut request, PathAndQuery::from_static("/target"), protocol).unwrap();
    request
}

/// Returns whether requests on the connection arrive at `peer`.
async fn leads_to(mut connection: HttpConnection, peer: &mut TcpStream) -> bool {
    let _response = connection.send(request());
    let mut received = [0; 19];
    tokio::select! {
        read = peer.read_exact(&mut received) => read.is_ok() && received[..] == b"GET /target HTTP/1.1"[..19],
        () = tokio::time::sleep(Duration::from_secs(1)) => false,
    }
}

async fn is_closed(peer: &mut TcpStream) -> bool {
    peer.read(&mut [0]).await.unwrap_or(0) == 0
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_was_used_last_is_used_first() {
    let (_listener, connections) = connections().await;
    let ((first, mut first_peer), (second, mut second_peer)) = (pair().await, pair().await);
    connections.put(first);
    connections.put(second);
    let now = Instant::now();
    assert!(leads_to(connections.take(now).unwrap(), &mut second_peer).await);
    assert!(leads_to(connections.take(now).unwrap(), &mut first_peer).await);
    assert!(connections.take(now).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_its_time_without_a_request() {
    let (_listener, connections) = connections().await;
    let ((first, mut first_peer), (second, mut second_peer)) = (pair().await, pair().await);
    let started = Instant::now();
    connections.put(first);
    advance(Duration::from_secs(20)).await;
    connections.put(second);
    assert!(is_closed(&mut first_peer).await);
    assert_eq!(started.elapsed().as_secs(), 50);
    assert!(is_closed(&mut second_peer).await);
    assert_eq!(started.elapsed().as_secs(), 70);
    // The task has ended, and the next idle connection starts another one.
    let (third, mut third_peer) = pair().await;
    connections.put(third);
    assert!(is_closed(&mut third_peer).await);
    assert_eq!(started.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn no_request_uses_a_connection_that_was_idle_for_too_long_or_was_closed() {
    let (_listener, connections) = connections().await;
    let (old, _peer) = pair().await;
    connections.put(old);
    assert!(connections.take(Instant::now() + IDLE_TIMEOUT).is_none());
    let (closed, peer) = pair().await;
    connections.put(closed);
    drop(peer);
    while let Some(still_open) = connections.take(Instant::now()) {
        connections.put(still_open);
        yield_now().await;
    }
}

#[tokio::test]
async fn more_idle_connections_than_allowed_are_closed() {
    let (_listener, connections) = connections().await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (connection, peer) = pair().await;
        connections.put(connection);
        peers.push(peer);
    }
    assert!(is_closed(&mut peers[2]).await);
    assert_eq!(connections.lock().idle.len(), 2);
}

#[tokio::test]
async fn a_returned_connection_precedes_a_new_one_which_serves_a_later_request() {
    let (listener, connections) = connections().await;
    let mut connecting = std::pin::pin!(Arc::clone(&connections).connect());
    assert!(poll!(&mut connecting).is_pending());
    let (returned, mut peer) = pair().await;
    connections.put_back(returned, true);
    assert!(leads_to(connecting.await.unwrap(), &mut peer).await);
    let (mut new_peer, _) = listener.accept().await.unwrap();
    let new = loop {
        match connections.take(Instant::now()) {
            Some(new) => break new,
            None => yield_now().await,
        }
    };
    assert!(leads_to(new, &mut new_peer).await);
    assert!(connections.lock().waiters.is_empty());
}

#[tokio::test]
async fn a_connection_for_a_request_that_has_left_is_kept() {
    let (_listener, connections) = connections().await;
    let mut connecting = Box::pin(Arc::clone(&connections).connect());
    assert!(poll!(&mut connecting).is_pending());
    assert_eq!(connections.lock().waiters.len(), 1);
    connections.put(pair().await.0);
    assert!(connections.take(Instant::now()).is_none(), "the connection belongs to the request");
    drop(connecting);
    assert!(connections.take(Instant::now()).is_some());
    assert!(connections.lock().waiters.is_empty());
}

#[tokio::test]
async fn a_connection_is_returned_once_its_response_was_received_as_a_whole() {
    let (_listener, connections) = connections().await;
    let (mut connection, mut peer) = pair().await;
    let response = connection.send(request());
    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await.unwrap();
    let mut body = response.await.unwrap().into_body();
    assert!(!connection.is_ready());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "o");
    peer.write_all(b"k").await.unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "k");
    connections.put_back(connection, true);
    while connections.take(Instant::now()).is_none() {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_was_not_sent_is_retried_on_another_connection() {
    let (mut connection, peer) = pair().await;
    drop(peer);
    while connection.is_ready() {
        yield_now().await;
    }
    let error = SendError::Http(connection.send(request()).await.unwrap_err());
    let pool_is_stale = AtomicBool::new(false);
    let guard = ReuseGuard::new(Instant::now(), &pool_is_stale);
    let classified = classify_attempt(&error, &guard);
    assert!(matches!(classified, AttemptError::Retryable(Retry::StaleConnection)), "{classified:?}");
}

#[tokio::test]
async fn a_connection_with_the_rest_of_a_response_is_closed() {
    let (_listener, connections) = connections().await;
    for has_head in [false, true] {
        let (mut connection, mut peer) = pair().await;
        let response = connection.send(request());
        if has_head {
            peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await.unwrap();
            drop(response.await.unwrap());
        } else {
            drop(response);
        }
        connections.put_back(connection, has_head);
        while !is_closed(&mut peer).await {}
        assert!(connections.take(Instant::now()).is_none());
    }
}

#[tokio::test]
async fn a_thousand_requests_that_are_canceled_leave_no_connection_open() {
    let (listener, connector) = listener().await;
    let pool = LocalPool::new(connector, 256, LastStreamLimit::unlimited().into());
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                while !is_closed(&mut peer).await {}
                counted.fetch_sub(1, Relaxed);
            });
        }
    });
    for canceled_at in 0..1_000 {
        let mut lease = Lease::pooled(pool.acquire(Duration::ZERO).await);
        let attempt = async {
            let response = lease.connect(Instant::now()).await.unwrap().send(request());
            response.await.map(drop)
        };
        let mut attempt = std::pin::pin!(attempt);
        for _ in 0..canceled_at % 16 {
            assert!(poll!(&mut attempt).is_pending());
            yield_now().await;
        }
    }
    let rest = pool.acquire(Duration::ZERO).await;
    assert_eq!(
        (rest.connections().open_streams.load(Relaxed), rest.connections().lock().waiters.len()),
        (1, 0)
    );
    let idle = rest.connections().lock().idle.len();
    while open.load(Relaxed) > idle {
        yield_now().await;
    }
}

#[tokio::test]
async fn requests_share_an_http2_connection_until_it_must_not_be_used_any_more() {
    let (_listener, connections) = connections().await;
    let (connection, serving) = http2_pair().await;
    let mut connecting = std::pin::pin!(Arc::clone(&connections).connect());
    assert!(poll!(&mut connecting).is_pending());
    connections.put(connection);
    let mut senders = vec![connecting.await.unwrap()];
    senders.extend((0..2).map(|_| connections.take(Instant::now()).unwrap()));
    for sender in &mut senders {
        assert_eq!(sender.send(request_over(Protocol::Http2)).await.unwrap().status(), 200);
    }
    connections.put(http2_pair().await.0);
    assert_eq!(connections.lock().idle.len(), 1, "another connection is not necessary");
    let pool_is_stale = AtomicBool::new(false);
    let mut guard = ReuseGuard::new(Instant::now() + IDLE_TIMEOUT, &pool_is_stale);
    guard.observe(senders[0].state());
    guard.close_when_idle();
    assert!(connections.take(Instant::now()).is_none());
    assert!(!serving.is_finished(), "requests on the connection go on");
    drop(senders);
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_is_closed_after_its_time_without_a_request() {
    let (_listener, connections) = connections().await;
    let (connection, serving) = http2_pair().await;
    let started = Instant::now();
    connections.put(connection);
    advance(Duration::from_secs(30)).await;
    drop(connections.take(Instant::now()).unwrap());
    serving.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 80);
}
