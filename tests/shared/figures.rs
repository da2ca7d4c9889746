//! Figures of docs/performance.md about the shared tier: printed, not judged, because times of a busy machine fail no test.
//!
//! `make bench-shared` runs them in their whole size, in a release build. The counts are judged in each size.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{CONTOSO, FakeGraph, Flow};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::common::client::Client;
use crate::common::proxy::path;
use crate::common::redis::Store;
use crate::fleet::{Replica, Setup, X, graph, is_shared, status, wait_for_entries};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_replicas_confirm_each_purge() {
    let (graph, store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(10).await;
    let mut times = Vec::new();
    for purge in 0..size(10, 500) {
        let began = Instant::now();
        let purged = replicas[purge % replicas.len()].purge(&format!("?flow=B2X_1_{purge}")).await;
        times.push(began.elapsed());
        assert_eq!((&purged["replicas"], &purged["confirmed"]), (&json!(10), &json!(10)), "{purged}");
    }
    print("purge confirmed by ten replicas", times);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_miss_takes_one_round_trip_to_the_store() {
    let count = size(50, 2000);
    let (graph, store) = (graph(), Store::start().await);
    graph.set_throttle(None);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let tokens: Vec<_> = (0..count).map(|user| graph.token().user(&format!("user-{user}")).mint()).collect();
    let mut clients = [client(&replicas[0]).await, client(&replicas[1]).await];
    for token in &tokens {
        get(&mut clients[0], X, token).await;
    }
    wait_for_entries(&store, count).await;
    let (calls, reads) = (graph.calls(), store.calls_of("mget").await);
    let (mut misses, mut hits) = (Vec::new(), Vec::new());
    let mut found = 0;
    for token in &tokens {
        let read = async || found += u64::from(is_shared(&get(&mut clients[1], X, token).await));
        misses.push(timed(read).await);
    }
    // A busy machine may delay a read or the log for longer than the limits.
    assert!(found > 0, "no response was found in the store");
    assert_eq!(graph.calls() - calls, count as u64 - found);
    let once = store.calls_of("mget").await - reads;
    assert!((found..=count as u64).contains(&once), "{once} reads for {count} misses");
    for token in &tokens {
        hits.push(timed(async || drop(get(&mut clients[1], X, token).await)).await);
    }
    assert_eq!(store.calls_of("mget").await - reads, once, "a local hit reads the store");
    print("local miss that is found in the store", misses);
    print("local hit of the same client", hits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_replicas_call_graph_as_often_as_one() {
    let (users, flows) = (size(8, 50), size(4, 20));
    let mut calls = Vec::new();
    for count in [1, 10] {
        let (graph, store) = (graph_with(flows), Store::start().await);
        let replicas = Setup::new(&graph.url(), &store.url()).fleet(count).await;
        let mut clients = Vec::new();
        for replica in &replicas {
            clients.push(client(replica).await);
        }
        let tokens: Vec<_> =
            (0..users).map(|user| graph.token().user(&format!("user-{user}")).mint()).collect();
        // The same stream for both: a linear congruential generator with a full period.
        let mut state = 1_usize;
        for _ in 0..users * flows * 10 {
            state = (state * 1_103_515_245 + 12_345) % 0x8000_0000;
            let (token, flow) = (&tokens[state / 7 % users], flow(state / 1009 % flows));
            let client = &mut clients[state / 65_537 % count];
            assert_eq!(get(client, &flow, token).await.status, 200);
        }
        calls.push(graph.calls());
    }
    println!("calls to Graph: {} by one replica, {} by ten", calls[0], calls[1]);
    assert!(calls[1] * 10 <= calls[0] * 11, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_store_fails_no_request_of_a_steady_stream() {
    let mut stage = Steady::start().await;
    stage.run("store killed", Store::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_store_fails_no_request_of_a_steady_stream() {
    let mut stage = Steady::start().await;
    stage.run("store frozen", |store| store.freeze()).await;
    stage.store.thaw();
}

/// A stream of misses at a constant rate.
struct Steady {
    graph: FakeGraph,
    store: Store,
    replica: Replica,
    tokens: Arc<Vec<String>>,
}

impl Steady {
    async fn start() -> Self {
        let (graph, store) = (graph_with(STEADY_FLOWS), Store::start().await);
        graph.set_throttle(None);
        let replica = Setup::new(&graph.url(), &store.url()).live().await;
        let tokens =
            (0..size(9, 240)).map(|user| graph.token().user(&format!("user-{user}")).mint()).collect();
        Self { graph, store, replica, tokens: Arc::new(tokens) }
    }

    /// Sends a third of the misses before the store fails, and two thirds after. The direct calls are made first.
    async fn run(&mut self, name: &str, fail: impl FnOnce(&mut Store)) {
        let tokens = self.tokens.len();
        let direct = self.stream(self.graph.address(), 0..tokens / 3).await;
        print("direct call", direct.iter().map(|(_, took)| *took).collect());
        let before = self.stream(self.replica.0.data, 0..tokens / 3).await;
        print("miss with the store", before.iter().map(|(_, took)| *took).collect());
        fail(&mut self.store);
        let after = self.stream(self.replica.0.data, tokens / 3..tokens).await;
        let (first, later): (Vec<_>, Vec<_>) =
            after.into_iter().partition(|(at, _)| *at < Duration::from_secs(1));
        print(
            &format!("miss in the first second, {name}"),
            first.into_iter().map(|(_, took)| took).collect(),
        );
        print(&format!("miss afterwards, {name}"), later.into_iter().map(|(_, took)| took).collect());
    }

    /// Requests all flows with each of the tokens, 1,000 a second over 50 connections. Returns start and duration of each.
    async fn stream(&self, address: SocketAddr, tokens: std::ops::Range<usize>) -> Vec<(Duration, Duration)> {
        let began = Instant::now();
        let callers = (0..STEADY_FLOWS).map(|number| {
            let (all, tokens) = (Arc::clone(&self.tokens), tokens.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                tokio::time::sleep(Duration::from_millis(number as u64)).await;
                let mut ticks = interval(Duration::from_millis(STEADY_FLOWS as u64));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                let mut times = Vec::new();
                for token in &all[tokens] {
                    ticks.tick().await;
                    let at = began.elapsed();
                    let took = timed(async || {
                        let answer = get(&mut client, &flow(number), token).await;
                        assert_eq!(answer.status, 200, "{} {}", status(&answer), answer.text());
                    });
                    times.push((at, took.await));
                }
                times
            })
        });
        let callers: Vec<_> = callers.collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.await.unwrap());
        }
        times
    }
}

fn graph_with(flows: usize) -> FakeGraph {
    let graph = graph();
    for number in 0..flows {
        graph.put_flow(CONTOSO, Flow::new(&flow(number)));
    }
    graph
}

fn flow(number: usize) -> String {
    format!("B2X_1_flow{number:03}")
}

async fn client(replica: &Replica) -> Client {
    Client::connect(replica.0.data).await
}

async fn get(client: &mut Client, flow: &str, token: &str) -> crate::common::client::Response {
    client.get(&path(flow), &[("authorization", &format!("Bearer {token}"))]).await
}

async fn timed(action: impl AsyncFnOnce()) -> Duration {
    let began = Instant::now();
    action().await;
    began.elapsed()
}

fn size(small: usize, whole: usize) -> usize {
    if std::env::var_os("SHARED_FIGURES").is_some() { whole } else { small }
}

#[allow(clippy::print_stdout, reason = "the figures are for the reader of the output")]
fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    if times.is_empty() {
        // The small size ends within a second.
        return;
    }
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what}: {} times, p50 {:.0?}, p99 {:.0?}, max {:.0?}", times.len(), at(50), at(99), at(100));
}

const STEADY_FLOWS: usize = 50;
