//! Faults of a single store: killed, frozen, slow, half-open, full, read-only, loading, flushed, trimmed.

use std::time::{Duration, Instant};

use crate::common::client::Response;
use crate::common::link::Link;
use crate::common::redis::Store;
use crate::fleet::{
    Replica, Saved, Setup, X, Y, assert_not_shared, assert_shared, graph, is_shared, status, token, until,
    wait_for_entries,
};

#[tokio::test]
async fn a_store_that_is_killed_costs_misses_and_is_used_again_by_itself() {
    let (graph, mut store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    store.kill();
    // The local hit goes on; a miss goes to Graph.
    assert!(status(&first.read(X, &token).await).contains("; hit"));
    assert_not_shared(&second.read(X, &token).await);
    let state = second.wait_for_one_of(&["open", "connecting", "lagging"]).await;
    assert_ne!(state, "live");
    store.restart().await;
    for replica in [&first, &second] {
        replica.wait_for_state("live").await;
    }
    until("an answer over the new store", async || {
        let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
        first.read(Y, &fresh).await;
        is_shared(&second.read(Y, &fresh).await)
    })
    .await;
}

#[tokio::test]
async fn a_frozen_store_costs_a_miss_the_timeout_and_then_nothing() {
    let (graph, store) = (graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    let tokens: Vec<_> = (0..40).map(|number| token(&graph, &format!("user-{number}"))).collect();
    replica.read(X, &tokens[0]).await;
    store.freeze();
    let mut waits = Vec::new();
    for token in &tokens[1..] {
        let began = Instant::now();
        assert_not_shared(&replica.read(X, token).await);
        waits.push(began.elapsed());
    }
    assert!(replica.state().await != "live");
    waits.sort();
    // The breaker is open for most of them. The bounds are wide because of busy machines.
    assert!(waits[waits.len() / 2] < Duration::from_millis(45), "median {:?}", waits[waits.len() / 2]);
    assert!(*waits.last().unwrap() < Duration::from_millis(500), "{waits:?}");
    assert!(status(&replica.read(X, &tokens[0]).await).contains("; hit"));
    store.thaw();
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn concurrent_misses_at_a_frozen_store_all_end_soon() {
    let (graph, store) = (graph(), Store::start().await);
    graph.set_throttle(None);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    let tokens: Vec<_> = (0..100).map(|number| token(&graph, &format!("user-{number}"))).collect();
    store.freeze();
    let began = Instant::now();
    let answers = futures_util::future::join_all(tokens.iter().map(|token| replica.read(X, token))).await;
    let took = began.elapsed();
    store.thaw();
    answers.iter().for_each(assert_not_shared);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_slow_store_is_no_slower_than_the_timeout() {
    let (graph, store) = (graph(), Store::start().await);
    let link = Link::to(store.address()).await;
    let setup = Setup::new(&graph.url(), &format!("redis://{}", link.address()));
    let (replica, token) = (setup.live().await, token(&graph, "ada"));
    link.latency(Duration::from_secs(2));
    let began = Instant::now();
    assert_not_shared(&replica.read(X, &token).await);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    link.mend();
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_and_replaced() {
    let (graph, store) = (graph(), Store::start().await);
    let link = Link::to(store.address()).await;
    let setup = Setup::new(&graph.url(), &format!("redis://{}", link.address()));
    let (near, far) = (Setup::new(&graph.url(), &store.url()).live().await, setup.live().await);
    let token = token(&graph, "ada");
    // No end of the connection arrives. New connections work.
    link.go_silent();
    let began = Instant::now();
    assert_not_shared(&far.read(X, &token).await);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    near.read(Y, &token).await;
    until("an answer over a new connection", async || {
        let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
        near.read(X, &fresh).await;
        is_shared(&far.read(X, &fresh).await)
    })
    .await;
    assert_eq!(far.state().await, "live");
}

#[tokio::test]
async fn a_full_store_still_gives_and_its_refused_writes_are_counted() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    store.set("maxmemory", "1").await;
    assert_shared(&second.read(X, &token).await);
    refuses_writes(&first, &second, &token).await;
    store.set("maxmemory", "0").await;
    takes_writes_again(&store, &first, &graph.token().user("bob").mint()).await;
}

#[tokio::test]
async fn a_read_only_store_still_gives_and_its_refused_writes_are_counted() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    // A replica of a primary that is away.
    store.ok(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_shared(&second.read(X, &token).await);
    refuses_writes(&first, &second, &token).await;
    store.ok(&["REPLICAOF", "NO", "ONE"]).await;
    takes_writes_again(&store, &first, &graph.token().user("bob").mint()).await;
}

/// A miss is answered although the store refuses the writes, which are counted.
async fn refuses_writes(first: &Replica, second: &Replica, token: &str) {
    assert_not_shared(&first.read(Y, token).await);
    first.until("a dropped write", async || first.sum("shared_writes_dropped_total", &[]).await >= 1.0).await;
    assert_not_shared(&second.read(Y, token).await);
}

async fn takes_writes_again(store: &Store, replica: &Replica, token: &str) {
    replica.wait_for_state("live").await;
    replica.read(X, token).await;
    store.wait_for_keys(":p:", 2).await;
}

#[tokio::test]
async fn a_store_that_loads_its_data_costs_misses() {
    let (graph, mut store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (replica, token) = (setup.live().await, token(&graph, "ada"));
    store.ok(&["DEBUG", "POPULATE", "20000"]).await;
    store.ok(&["SAVE"]).await;
    // About 4 s for all keys.
    store.add_arguments(&["--key-load-delay", "200", "--loading-process-events-interval-bytes", "1024"]);
    store.restart().await;
    assert_eq!(store.info("persistence", "loading").await, "1");
    let began = Instant::now();
    assert_not_shared(&replica.read(X, &token).await);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn a_replica_without_its_primary_costs_misses() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (replica, token) = (setup.live().await, token(&graph, "ada"));
    // Answers everything with MASTERDOWN.
    store.set("replica-serve-stale-data", "no").await;
    store.ok(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_not_shared(&replica.read(X, &token).await);
    replica.wait_for_one_of(&["open", "lagging", "connecting"]).await;
    store.ok(&["REPLICAOF", "NO", "ONE"]).await;
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn flushall_empties_the_store_and_not_the_replicas() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    store.ok(&["FLUSHALL"]).await;
    let hit = first.read(X, &token).await;
    assert!(status(&hit).contains("; hit"), "{}", status(&hit));
    assert_not_shared(&second.read(X, &token).await);
    // The tier works on.
    for replica in [&first, &second] {
        replica.wait_for_state("live").await;
    }
    until("an answer over the emptied store", async || {
        let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
        first.read(Y, &fresh).await;
        is_shared(&second.read(Y, &fresh).await)
    })
    .await;
    until("a purge that both confirm", async || first.purge("").await["confirmed"] == 2).await;
}

#[tokio::test]
async fn a_purge_right_after_flushall_still_counts_every_replica() {
    let (graph, store) = (graph(), Store::start().await);
    let (replicas, token) = (Setup::new(&graph.url(), &store.url()).fleet(2).await, token(&graph, "ada"));
    replicas[1].read(X, &token).await;
    store.ok(&["FLUSHALL"]).await;
    let purged = replicas[0].purge("").await;
    assert_eq!(purged["replicas"], 2, "{purged}");
    if purged["confirmed"] == 2 {
        assert!(!status(&replicas[1].read(X, &token).await).contains("; hit"));
    }
}

#[tokio::test]
async fn a_purge_whose_event_is_flushed_still_holds() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let saved = Saved::of(&store).await;
    first.purge("").await;
    store.ok(&["FLUSHALL"]).await;
    first.wait_for_state("live").await;
    // Someone with access to the store brings the values from before the purge back.
    saved.restore(&store).await;
    assert_not_shared(&setup.live().await.read(X, &token).await);
}

#[tokio::test]
async fn a_value_older_than_the_log_is_refused() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    // Events about another flow, and only the last of them stays.
    for number in 0..5 {
        first.purge(&format!("?flow=other-{number}")).await;
    }
    let before = setup.live().await;
    assert_shared(&before.read(X, &token).await);
    let [log] = &log_names(&store).await[..] else { panic!("one log is expected") };
    store.ok(&["XTRIM", log, "MAXLEN", "1"]).await;
    assert_not_shared(&setup.live().await.read(X, &token).await);
}

/// Names of the streams in the store.
async fn log_names(store: &Store) -> Vec<String> {
    let mut logs = Vec::new();
    for key in store.keys("").await {
        let name = String::from_utf8_lossy(&key).into_owned();
        if store.command(&["TYPE", &name]).await.into_text() == "stream" {
            logs.push(name);
        }
    }
    logs
}

#[tokio::test]
async fn a_value_from_before_a_purge_does_not_return() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.wait_for_replicas(2).await;
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let saved = Saved::of(&store).await;
    assert_eq!(first.purge("").await["confirmed"], 2);
    saved.restore(&store).await;
    let answers: [Response; 2] = [second.read(X, &token).await, setup.live().await.read(X, &token).await];
    assert_not_shared(&answers[0]);
    assert_eq!(graph.calls(), 2, "{} {}", status(&answers[0]), status(&answers[1]));
}
