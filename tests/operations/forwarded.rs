//! The counter behind "Why not from memory" of the console: each request that memory cannot answer has one reason.

use std::time::Duration;

use connector_cache::config::Config;

use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::token;

/// Returns the number of requests with this reason.
async fn forwarded(proxy: &Proxy, reason: &str) -> f64 {
    proxy.series(&format!("connector_cache_forwarded_total{{reason=\"{reason}\"}}")).await
}

/// Asserts that these reasons, and no other, have these counts.
async fn assert_forwarded(proxy: &Proxy, expected: &[(&str, u32)]) {
    for reason in
        ["no-proof", "proof-expired", "no-entry", "stale", "superseded", "request", "token-expiring"]
    {
        let count = expected.iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count);
        let found = forwarded(proxy, reason).await;
        assert!((found - f64::from(count)).abs() < 0.5, "{reason}: {found}, expected {expected:?}");
    }
}

/// Starts a proxy without windows for stale responses.
async fn start(origin: &OriginServer, ttl: u64, proof_ttl: u64) -> Proxy {
    Proxy::with(&origin.url(), |config: &mut Config| {
        config.freshness.ttl = Duration::from_secs(ttl);
        config.freshness.proof_ttl = Duration::from_secs(proof_ttl);
        config.freshness.stale_while_revalidate = Duration::ZERO;
        config.freshness.stale_if_error = Duration::ZERO;
    })
    .await
}

#[tokio::test]
async fn a_request_without_a_proof_or_with_an_old_one_is_counted_and_a_hit_is_not() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let (proxy, ada) = (start(&origin, 300, 60).await, token::mint("ada"));
    for _ in 0..3 {
        proxy.read(&ada).await;
    }
    assert_forwarded(&proxy, &[("no-proof", 1)]).await;
    proxy.clock.advance(Duration::from_secs(61));
    proxy.read(&ada).await;
    assert_forwarded(&proxy, &[("no-proof", 1), ("proof-expired", 1)]).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_past_its_freshness_and_a_demanded_refresh_are_counted_apart() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let (proxy, ada) = (start(&origin, 60, 300).await, token::mint("ada"));
    proxy.read(&ada).await;
    proxy.clock.advance(Duration::from_secs(61));
    proxy.read(&ada).await;
    assert_eq!(proxy.refresh(&ada).await.status, 200);
    assert_forwarded(&proxy, &[("no-proof", 1), ("stale", 1), ("request", 1)]).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_that_graph_has_changed_since_is_counted_as_superseded() {
    let origin = OriginServer::start().await;
    origin.any([Reply::json(r#"{"id":"1"}"#), Reply::json(r#"{"id":"2"}"#)]);
    let proxy = start(&origin, 300, 300).await;
    let [one, other] = [1, 2].map(|hours| token::mint_for("ada", Duration::from_hours(hours)));
    proxy.read(&one).await;
    proxy.read(&other).await;
    proxy.read(&one).await;
    assert_forwarded(&proxy, &[("no-proof", 2), ("superseded", 1)]).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_that_left_memory_for_space_is_counted_as_no_entry() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json(format!(r#"{{"displayName":"{}"}}"#, "x".repeat(4_000))));
    let proxy = Proxy::with(&origin.url(), |config: &mut Config| config.store.max_bytes = 64 << 10).await;
    let ada = token::mint("ada");
    // The second round finds proofs whose responses are evicted. A scrape evicts what is too much.
    for _ in 0..2 {
        for flow in 0..40 {
            assert_eq!(proxy.get(&path(&format!("B2X_1_{flow}")), &ada).await.status, 200);
        }
        proxy.scrape().await;
    }
    assert!(forwarded(&proxy, "no-entry").await > 0.5, "{}", proxy.scrape().await);
    proxy.stop().await;
}
