//! What an operator sees: metrics, the overview, the log.

use crate::common::redis::Store;
use crate::fleet::{Setup, X, Y, assert_shared, graph, token, until, wait_for_entries};

const STATES: [&str; 8] = ["off", "connecting", "live", "lagging", "open", "auth", "tls", "clock"];

#[tokio::test]
async fn every_series_exists_from_the_start() {
    let (graph, store) = (graph(), Store::start().await);
    let on = Setup::new(&graph.url(), &store.url()).live().await;
    let off =
        Setup::new(&graph.url(), "redis://unused").without("SHARED__URL").without("SHARED__SECRET_FILE");
    let off = off.start().await;
    for (replica, expected) in [(&on, "live"), (&off, "off")] {
        for state in STATES {
            let value = replica.0.series(&format!("connector_cache_shared_state{{state=\"{state}\"}}")).await;
            assert!((value - f64::from(u8::from(state == expected))).abs() < 0.1, "{state}: {value}");
        }
        for metric in
            ["shared_requests_total", "shared_writes_dropped_total", "shared_log_lag_seconds", "replicas"]
        {
            replica.sum(metric, &[]).await;
        }
        replica.sum("shared_request_duration_seconds_count", &[]).await;
    }
    assert!((off.sum("shared_requests_total", &[]).await).abs() < 0.1);
}

#[tokio::test]
async fn the_state_is_in_the_overview() {
    let (graph, mut store) = (graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    let state = async || replica.0.look("/cache").await.json()["shared"]["state"].clone();
    assert_eq!(state().await, "live");
    store.kill();
    until("another state", async || state().await != "live").await;
    assert_eq!(state().await, replica.state().await);
    let off =
        Setup::new(&graph.url(), "redis://unused").without("SHARED__URL").without("SHARED__SECRET_FILE");
    assert_eq!(off.start().await.0.look("/cache").await.json()["shared"]["state"], "off");
}

#[tokio::test]
async fn hits_and_misses_of_the_store_are_counted_and_timed() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    assert_shared(&second.read(X, &token).await);
    second.read(Y, &token).await;
    let count = async |result: &str| second.sum("shared_requests_total", &[("result", result)]).await;
    assert!((count("hit").await - 1.0).abs() < 0.1, "{}", count("hit").await);
    assert!(count("miss").await >= 1.0);
    assert!(second.sum("shared_request_duration_seconds_count", &[]).await >= 2.0);
    // A hit of the store is a hit for callers.
    let hits = second.sum("requests_total", &[("cache", "hit"), ("status", "200")]).await;
    assert!((hits - 1.0).abs() < 0.1, "{hits}");
}

#[tokio::test]
async fn the_replicas_know_their_number() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let mut replicas = setup.fleet(3).await;
    // A replica that has ended is forgotten after a while.
    let gone = replicas.pop().unwrap();
    gone.0.stop().await;
    for replica in &replicas {
        replica.wait_for_replicas(2).await;
    }
}

#[tokio::test]
async fn the_log_lag_is_small_while_the_store_answers_and_grows_while_it_does_not() {
    let (graph, store) = (graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    assert!(replica.sum("shared_log_lag_seconds", &[]).await < 5.0);
    store.freeze();
    until("a lag", async || replica.sum("shared_log_lag_seconds", &[]).await > 1.0).await;
    assert_ne!(replica.state().await, "live");
    store.thaw();
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn a_change_of_the_state_is_logged_once() {
    let (graph, mut store) = (graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    store.kill();
    until("another state", async || replica.state().await != "live").await;
    store.restart().await;
    replica.wait_for_state("live").await;
    let lines = replica.0.log_lines();
    let about: Vec<_> = lines.iter().filter(|line| line.contains("shared")).collect();
    assert!((1..=20).contains(&about.len()), "{about:#?}");
}
