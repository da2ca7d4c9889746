//! Connections on worker threads.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_cache::server::{Config, Drain, WorkerThreads, Workers};
use connector_cache::support::byte_budget::ByteBudget;
use tokio::net::TcpStream;

use crate::raw::{Raw, get};
use crate::stub::{Running, config, patient, start_on, until};

/// A server with two threads for its connections.
async fn start(drain: Duration) -> (Running, WorkerThreads) {
    let (workers, threads) = Workers::start(2).unwrap();
    let drain = Drain { delay: Duration::ZERO, timeout: drain };
    let server = start_on(workers, Config { drain, ..config(patient()) }, ByteBudget::new(usize::MAX)).await;
    (server, threads)
}

#[tokio::test]
async fn connections_are_distributed_and_stay_on_their_thread() {
    let (server, _threads) = start(Duration::ZERO).await;
    let mut connections = Vec::new();
    let mut of_thread = BTreeMap::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(server.address).await;
        let thread = raw.get("/thread").await.body;
        *of_thread.entry(thread.clone()).or_insert(0) += 1;
        connections.push((raw, thread));
    }
    assert_eq!(of_thread.values().copied().collect::<Vec<_>>(), [2, 2]);
    let accepting = format!("{:?}", std::thread::current().id());
    assert!(!of_thread.contains_key(&accepting), "the accepting thread serves no connection");
    for (raw, thread) in &mut connections {
        assert_eq!(raw.get("/thread").await.body, *thread);
    }
}

#[tokio::test]
async fn a_blocked_thread_blocks_only_its_own_connections() {
    let (server, _threads) = start(Duration::ZERO).await;
    let mut blocked = Raw::connect(server.address).await;
    blocked.send(get("/blocked")).await;
    until("the thread is held up", || server.stub.held() == 1).await;
    let mut other = Raw::connect(server.address).await;
    assert_eq!(other.get("/a").await.body, "/a");
    server.stub.release();
    assert_eq!(blocked.reply(true).await.unwrap().body, "/blocked");
}

#[tokio::test]
async fn f61_requests_in_flight_on_worker_threads_are_finished() {
    let (server, _threads) = start(Duration::from_secs(10)).await;
    let (mut one, mut other) = (Raw::connect(server.address).await, Raw::connect(server.address).await);
    one.send(get("/held")).await;
    other.send(get("/held")).await;
    until("both are held", || server.stub.held() == 2).await;
    server.drain.cancel();
    while TcpStream::connect(server.address).await.is_ok() {}
    (0..2).for_each(|_| server.stub.release());
    for raw in [&mut one, &mut other] {
        let reply = raw.reply(true).await.unwrap();
        assert_eq!((&*reply.body, reply.field("connection")), ("/held", Some("close")));
        assert_eq!(raw.rest_text().await, "");
    }
    assert_eq!(server.task.await.unwrap(), 0, "no connection was cut");
}

#[tokio::test]
async fn connections_on_worker_threads_that_do_not_end_in_time_are_cut() {
    let (server, _threads) = start(Duration::ZERO).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(get("/held")).await;
    until("the request is held", || server.stub.held() == 1).await;
    server.drain.cancel();
    assert_eq!(server.task.await.unwrap(), 1);
    assert_eq!(raw.rest_text().await, "");
}

#[tokio::test]
async fn a_panic_ends_its_own_request_and_the_thread_goes_on() {
    let (server, _threads) = start(Duration::ZERO).await;
    let mut connections = [Raw::connect(server.address).await, Raw::connect(server.address).await];
    for raw in &mut connections {
        assert_eq!(raw.get("/panic").await.status(), 500);
        assert_eq!(raw.get("/a").await.body, "/a");
    }
}
