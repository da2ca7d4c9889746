//! HTTP/2 to Graph: limits of streams, GOAWAY, refused streams.

use std::sync::Arc;
use std::time::Duration;

use connector_cache::upstream::{Retry, UpstreamFailure};
use futures_util::future::join_all;

use super::BODY;
use crate::common::frames::{Frame, FrameOrigin};
use crate::common::gate::Gate;
use crate::common::h2::{Act, H2Origin};
use crate::common::proxy::{Proxy, path};
use crate::common::tls::Authority;
use crate::common::{token, within};

/// A root, and the configuration of a server with HTTP/2.
fn speaking_h2() -> (Authority, Arc<rustls::ServerConfig>) {
    let authority = Authority::new();
    let config = authority.right().server_config_speaking(&["h2", "http/1.1"]);
    (authority, config)
}

async fn proxy(url: &str, authority: &Authority) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let roots = authority.write_pem(directory.path());
    Proxy::with(url, |config| {
        config.upstream.ca_file = Some(roots);
        // One token holds at most half of the permits.
        config.upstream.in_flight = 1_000;
        config.unproven_limit.in_flight = 256;
        // A request that waits behind another one fails the test early.
        config.upstream.first_byte_timeout = Duration::from_secs(30);
        config.upstream.timeout = Duration::from_secs(60);
    })
    .await
}

/// Sends `count` requests of one proven token at once, holds each response until all of them arrived, and returns the
/// number of connections.
async fn concurrent(limit: u32, count: usize) -> usize {
    let (authority, config) = speaking_h2();
    let gate = Gate::default();
    let held = gate.clone();
    let mut http2 = h2::server::Builder::new();
    http2.max_concurrent_streams(limit);
    let script = move |n| if n == 1 { ok() } else { Act::Held(held.clone(), BODY.to_owned()) };
    let origin = H2Origin::start_with(config, http2, script).await;
    let proxy = proxy(&origin.url(), &authority).await;
    let token = token::mint("a");
    assert_eq!(proxy.read(&token).await.status, 200);
    let paths: Vec<_> = (0..count).map(|n| path(&format!("B2X_1_{n}"))).collect();
    let requests = join_all(paths.iter().map(|path| proxy.get(path, &token)));
    let opening = async {
        origin.wait_for_requests(1 + count).await;
        gate.open();
    };
    let (responses, ()) = futures_util::future::join(requests, opening).await;
    assert!(responses.iter().all(|response| response.status == 200));
    let connections = origin.connections();
    proxy.stop().await;
    connections
}

fn ok() -> Act {
    Act::Answer(BODY.to_owned())
}

#[tokio::test]
async fn d5_requests_past_the_stream_limit_of_a_connection_use_a_second_connection() {
    assert_eq!(concurrent(100, 190).await, 2);
}

#[tokio::test]
async fn d5_a_limit_of_one_stream_leads_to_one_connection_for_each_request() {
    assert_eq!(concurrent(1, 20).await, 20);
}

#[tokio::test]
async fn d5_a_burst_on_an_empty_pool_opens_no_connection_for_each_request() {
    let (authority, config) = speaking_h2();
    let mut http2 = h2::server::Builder::new();
    http2.max_concurrent_streams(10);
    let gate = Gate::default();
    let held = gate.clone();
    let origin = H2Origin::start_with(config, http2, move |_| Act::Held(held.clone(), BODY.to_owned())).await;
    let proxy = proxy(&origin.url(), &authority).await;
    let tokens: Vec<_> = (0..30).map(|n| token::mint(&format!("subject-{n}"))).collect();
    let requests = join_all(tokens.iter().map(|token| proxy.read(token)));
    let opening = async {
        origin.wait_for_requests(30).await;
        gate.open();
    };
    let (responses, ()) = futures_util::future::join(requests, opening).await;
    assert!(responses.iter().all(|response| response.status == 200));
    assert_eq!(origin.connections(), 3);
    proxy.stop().await;
}

#[tokio::test]
async fn d5_a_limit_that_graph_lowers_later_applies_to_further_requests() {
    let (authority, config) = speaking_h2();
    // The second request of the first connection gets no response, and no stream is free from then on.
    let origin = FrameOrigin::start(config, |connection| match connection {
        1 => vec![vec![Frame::Settings(Some(100))], vec![Frame::Settings(Some(1)), Frame::Answer(1, BODY)]],
        _ => vec![vec![Frame::Settings(Some(1))], vec![Frame::Answer(1, BODY)]],
    })
    .await;
    let proxy = proxy(&origin.url(), &authority).await;
    assert_eq!(proxy.read(&token::mint("a")).await.status, 200);
    let (first, second) = (token::mint("first"), token::mint("second"));
    let stuck = proxy.read(&first);
    let other = async {
        within("the first request", async {
            while origin.counts().1 < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        proxy.read(&second).await
    };
    let response =
        tokio::select! { _ = stuck => panic!("no response was sent"), response = other => response };
    assert_eq!((response.status, origin.counts()), (200, (2, 3)));
}

#[tokio::test]
async fn d6_a_request_above_the_last_stream_id_of_a_goaway_is_sent_once_more() {
    for code in [0, 1, 2, 11] {
        let (authority, config) = speaking_h2();
        let origin = FrameOrigin::start(config, move |connection| match connection {
            1 => vec![vec![Frame::Settings(None)], vec![Frame::GoAway(0, code), Frame::Close]],
            _ => vec![vec![Frame::Settings(None)], vec![Frame::Answer(1, BODY)]],
        })
        .await;
        let proxy = proxy(&origin.url(), &authority).await;
        assert_eq!(proxy.read(&token::mint("a")).await.status, 200, "code {code}");
        assert_eq!(origin.counts(), (2, 2), "code {code}");
        assert_eq!(proxy.upstream_metrics.retries.get(Retry::RefusedStream), 1);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn d6_a_refused_stream_is_sent_once_more_and_only_once() {
    let (authority, config) = speaking_h2();
    let refused = |id| vec![Frame::Reset(id, 7)];
    let origin = FrameOrigin::start(config, move |_| {
        vec![vec![Frame::Settings(None)], refused(1), vec![Frame::Answer(3, BODY)], refused(5), refused(7)]
    })
    .await;
    let proxy = proxy(&origin.url(), &authority).await;
    assert_eq!(proxy.read(&token::mint("a")).await.status, 200);
    assert_eq!((proxy.read(&token::mint("b")).await.status, origin.counts().1), (502, 4));
    proxy.stop().await;
}

#[tokio::test]
async fn d6_a_request_that_may_have_been_processed_is_not_sent_again() {
    let endings = [
        vec![Frame::GoAway(1, 2), Frame::Close],
        vec![Frame::GoAway(1, 0), Frame::Close],
        vec![Frame::GoAway(0x7fff_ffff, 0), Frame::GoAway(1, 0), Frame::Close],
        vec![Frame::Reset(1, 2)],
    ];
    for (index, ending) in endings.into_iter().enumerate() {
        let (authority, config) = speaking_h2();
        let origin =
            FrameOrigin::start(config, move |_| vec![vec![Frame::Settings(None)], ending.clone()]).await;
        let proxy = proxy(&origin.url(), &authority).await;
        assert_eq!((proxy.read(&token::mint("a")).await.status, origin.counts().1), (502, 1), "{index}");
        assert_eq!(proxy.upstream_metrics.errors.get(UpstreamFailure::Reset), 1);
        proxy.stop().await;
    }
}
