//! Replicas whose clocks are off.

use crate::common::origin::OriginServer;
use crate::common::redis::{Store, root};
use crate::common::reply::Reply;
use crate::common::token::mint;
use crate::fleet::{Replica, Setup, X, Y, assert_not_shared, graph, token, until, wait_for_entries};
use crate::throttle::throttled;

/// The settings with a clock that differs by `offset`, such as `+30s`. Time itself passes as usual.
fn with_clock(setup: &Setup, offset: &str) -> Setup {
    let library = root().join("target/tools/usr/lib/libfaketime.so.1");
    assert!(library.exists(), "{} does not exist; expected it after `make setup`", library.display());
    let setup = setup.with_plain("LD_PRELOAD", library.to_str().unwrap()).with_plain("FAKETIME", offset);
    setup.with_plain("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

#[tokio::test]
async fn a_replica_whose_clock_is_off_leaves_the_tier() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    for offset in ["+30s", "-30s", "+4s", "-4s"] {
        let off = with_clock(&setup, offset).start().await;
        off.wait_for_state("clock").await;
        assert_not_shared(&off.read(X, &token).await);
        writes_nothing(&graph, &off, &first).await;
    }
}

/// A response that this replica fetched is not found by the other one.
async fn writes_nothing(graph: &connector_cache::fake_graph::FakeGraph, off: &Replica, other: &Replica) {
    let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
    assert_eq!(off.read(X, &fresh).await.status, 200);
    assert_not_shared(&other.read(X, &fresh).await);
}

#[tokio::test]
async fn a_clock_that_is_off_by_less_than_two_seconds_does_not_matter() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    for offset in ["+1s", "-1s"] {
        let (off, first) = (with_clock(&setup, offset).live().await, setup.live().await);
        for (writer, reader) in [(&off, &first), (&first, &off)] {
            until("a shared answer", async || {
                let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
                writer.read(X, &fresh).await;
                crate::fleet::is_shared(&reader.read(X, &fresh).await)
            })
            .await;
        }
    }
}

/// The throttle of this replica would end ten minutes later for all others.
#[tokio::test]
async fn a_replica_whose_clock_is_off_closes_no_gate_of_others() {
    let (origin, store) = (OriginServer::start().await, Store::start().await);
    origin.any([Reply::json("{}"), Reply::json("{}"), throttled("30"), Reply::json("{}")]);
    let setup = Setup::new(&origin.url(), &store.url());
    let (first, off) = (setup.live().await, with_clock(&setup, "+600s").start().await);
    off.wait_for_state("clock").await;
    let token = mint("ada");
    // Both replicas know the token, so that it may share the limit of its application.
    first.read(X, &token).await;
    off.read(X, &token).await;
    let events = store.calls_of("xadd").await;
    assert_eq!(off.read(Y, &token).await.status, 429);
    // A replica adds its events in their order, and a purge is confirmed after all earlier ones.
    off.purge("?flow=other").await;
    until("an event of the replica", async || store.calls_of("xadd").await > events).await;
    first.purge("?flow=other").await;
    assert_eq!(first.read("B2X_1_z", &token).await.status, 200);
}
