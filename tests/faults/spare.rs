//! Preconnect: the connection that is made in advance.

use connector_cache::cache::outcome::Retry;

use crate::common::h2::{Act, H2Origin};
use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::common::tls::Authority;
use crate::common::token;
use crate::stage::{BODY, sound};

fn stale(proxy: &Proxy) -> u64 {
    proxy.metrics.origin_retries.get(Retry::StaleConnection)
}

#[tokio::test]
async fn the_first_request_uses_the_preconnected_socket() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let config = authority.right().server_config_speaking(&["http/1.1"]);
    for origin in [OriginServer::start().await, OriginServer::start_tls(config).await] {
        origin.any(sound());
        let roots = authority.write_pem(directory.path());
        let proxy = Proxy::warm(&origin.url_by_name(), |config| config.origin.ca_file = Some(roots)).await;
        origin.wait_for_connections(1).await;
        assert_eq!(origin.requests(), 0, "and nothing is asked over it");
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
    let proxy = Proxy::warm(&origin.url(), |config| config.origin.ca_file = Some(roots)).await;
    origin.wait_for_connections(1).await;
    for subject in ["a", "b"] {
        assert_eq!(proxy.read(&token::mint(subject)).await.text(), BODY);
    }
    assert_eq!((origin.requests(), origin.connections(), stale(&proxy)), (2, 1, 0));
    proxy.stop().await;
}

#[tokio::test]
async fn f22_a_spare_that_was_closed_meanwhile_is_not_noticed() {
    let origin = OriginServer::start().await;
    origin.any(sound());
    let proxy = Proxy::warm(&origin.url(), |_| {}).await;
    origin.wait_for_connections(1).await;
    origin.hang_up().await;
    assert_eq!(proxy.read(&token::mint("a")).await.text(), BODY);
    assert_eq!((origin.requests(), origin.connections()), (1, 2));
    proxy.stop().await;
}

#[tokio::test]
async fn f22_a_spare_that_closes_as_we_send_is_replaced_once_unnoticed() {
    for end in [Reply::hang_up(), Reply::reset()] {
        let origin = OriginServer::start().await;
        origin.any([end, sound()]);
        let proxy = Proxy::warm(&origin.url(), |_| {}).await;
        origin.wait_for_connections(1).await;
        assert_eq!(proxy.read(&token::mint("a")).await.text(), BODY);
        assert_eq!((origin.requests(), origin.connections(), stale(&proxy)), (2, 2, 1));
        proxy.stop().await;
    }
}
