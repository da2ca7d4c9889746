//! Preconnect: the connection that is made before a request.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use connector_cache::config::Config;
use connector_cache::upstream::Retry;
use tokio::time::sleep;
use url::Url;

use crate::common::h2::{Act, H2Origin};
use crate::common::link::Link;
use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::common::tls::Authority;
use crate::common::token;
use crate::harness::{BODY, ok};

fn stale(proxy: &Proxy) -> u64 {
    proxy.upstream_metrics.retries.get(Retry::StaleConnection)
}

#[tokio::test]
async fn the_first_request_uses_the_preconnected_socket() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let config = authority.right().server_config_speaking(&["http/1.1"]);
    for origin in [OriginServer::start().await, OriginServer::start_tls(config).await] {
        origin.any(ok());
        let roots = authority.write_pem(directory.path());
        let proxy = Proxy::warm(&origin.url_by_name(), |config| config.upstream.ca_file = Some(roots)).await;
        origin.wait_for_connections(1).await;
        assert_eq!(origin.requests(), 0, "no request was sent on it");
        for subject in ["a", "b"] {
            assert_eq!(proxy.read(&token::mint(subject)).await.text(), BODY);
        }
        assert_eq!((origin.requests(), origin.connections(), stale(&proxy)), (2, 1, 0));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn frames_of_graph_before_the_first_http2_request_are_processed() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let config = authority.right().server_config_speaking(&["h2"]);
    let origin = H2Origin::start(config, |_| Act::Answer(BODY.to_owned())).await;
    let roots = authority.write_pem(directory.path());
    let proxy = Proxy::warm(&origin.url(), |config| config.upstream.ca_file = Some(roots)).await;
    origin.wait_for_connections(1).await;
    for subject in ["a", "b"] {
        assert_eq!(proxy.read(&token::mint(subject)).await.text(), BODY);
    }
    assert_eq!((origin.requests(), origin.connections(), stale(&proxy)), (2, 1, 0));
    proxy.stop().await;
}

#[tokio::test]
async fn f22_a_preconnected_connection_that_closed_while_idle_is_replaced() {
    let origin = OriginServer::start().await;
    origin.any(ok());
    let proxy = Proxy::warm(&origin.url(), |_| {}).await;
    origin.wait_for_connections(1).await;
    origin.hang_up().await;
    assert_eq!(proxy.read(&token::mint("a")).await.text(), BODY);
    assert_eq!((origin.requests(), origin.connections()), (1, 2));
    proxy.stop().await;
}

#[tokio::test]
async fn f22_a_preconnected_connection_that_closes_during_the_request_is_replaced_once() {
    for end in [Reply::hang_up(), Reply::reset()] {
        let origin = OriginServer::start().await;
        origin.any([end, ok()]);
        let proxy = Proxy::warm(&origin.url(), |_| {}).await;
        origin.wait_for_connections(1).await;
        assert_eq!(proxy.read(&token::mint("a")).await.text(), BODY);
        assert_eq!((origin.requests(), origin.connections(), stale(&proxy)), (2, 2, 1));
        proxy.stop().await;
    }
}

/// Prints the latency of three misses with and without preconnect, over a link with 20 ms of latency in each direction: the
/// first miss after the start, the first miss after `PRECONNECT_IDLE` seconds without a request (0; 75 closes the pooled
/// connections), and a miss on a pooled connection.
#[tokio::test(flavor = "multi_thread")]
async fn misses_are_answered_with_and_without_preconnect_over_a_slow_link() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let roots = authority.write_pem(directory.path());
    for protocol in ["http/1.1", "h2"] {
        let config = authority.right().server_config_speaking(&[protocol]);
        let (with, without) = if protocol == "h2" {
            let origin = H2Origin::start(config, |_| Act::Answer(BODY.to_owned())).await;
            let url = Url::parse(&origin.url()).unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], url.port().unwrap()));
            tokio::join!(first_misses(address, &roots, true), first_misses(address, &roots, false))
        } else {
            let origin = OriginServer::start_tls(config).await;
            origin.any(ok());
            let address = origin.address();
            tokio::join!(first_misses(address, &roots, true), first_misses(address, &roots, false))
        };
        println!(
            "{protocol}: [after start, after idle time, pooled]: with preconnect {with:?}, without {without:?}"
        );
    }
}

/// Returns the latency of the first miss, of the first miss after idle time, and of one on a pooled connection.
async fn first_misses(origin: SocketAddr, roots: &Path, preconnects: bool) -> [Duration; 3] {
    let link = Link::to(origin).await;
    link.latency(Duration::from_millis(20));
    let url = format!("https://localhost:{}", link.address().port());
    let change = |config: &mut Config| config.upstream.ca_file = Some(roots.to_owned());
    let proxy = if preconnects { Proxy::warm(&url, change).await } else { Proxy::with(&url, change).await };
    let miss = async |subject| {
        let (token, start) = (token::mint(subject), Instant::now());
        assert_eq!(proxy.read(&token).await.text(), BODY);
        start.elapsed()
    };
    let after_start = miss("a").await;
    let idle = std::env::var("PRECONNECT_IDLE").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    sleep(Duration::from_secs(idle)).await;
    let (after_idle, pooled) = (miss("b").await, miss("c").await);
    proxy.stop().await;
    [after_start, after_idle, pooled]
}
