//! Replicas that start late, or before the store.

use crate::common::redis::Store;
use crate::fleet::{Setup, X, assert_not_shared, assert_shared, graph, token, wait_for_entries};

#[tokio::test]
async fn the_first_request_of_a_fresh_replica_is_a_hit() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let token = token(&graph, "ada");
    let first = setup.live().await;
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    first.0.stop().await;
    assert_shared(&setup.live().await.read(X, &token).await);
    assert_eq!(graph.calls(), 1);
}

#[tokio::test]
async fn a_purge_before_its_start_holds_for_a_fresh_replica() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let purged = first.purge("").await;
    assert_eq!((&purged["replicas"], &purged["confirmed"]), (&1.into(), &1.into()), "{purged}");
    assert_not_shared(&setup.live().await.read(X, &token).await);
    assert_eq!(graph.calls(), 2);
}

#[tokio::test]
async fn readiness_does_not_wait_for_the_store() {
    let (graph, mut store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    store.kill();
    let (replica, token) = (setup.start().await, token(&graph, "ada"));
    assert_eq!(replica.0.look("/readyz").await.status, 200);
    assert_not_shared(&replica.read(X, &token).await);
    // It joins by itself.
    store.restart().await;
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn readiness_does_not_wait_for_a_frozen_store() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    store.freeze();
    let (replica, token) = (setup.start().await, token(&graph, "ada"));
    assert_eq!(replica.0.look("/readyz").await.status, 200);
    assert_not_shared(&replica.read(X, &token).await);
    store.thaw();
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn an_empty_store_is_used_at_once() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    assert_eq!(store.keys("").await, Vec::<Vec<u8>>::new());
    setup.fleet(3).await;
}
