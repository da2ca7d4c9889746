//! Drain of a server: requests in flight are finished, and no new connection is accepted.

use std::time::Duration;

use connector_cache::server::Drain;
use tokio::net::TcpStream;

use crate::raw::{Raw, get};
use crate::stub::{config, patient, start, start_with, until};

#[tokio::test]
async fn f61_requests_in_flight_are_finished_and_no_connection_is_accepted() {
    let server = start(patient()).await;
    let mut busy = Raw::connect(server.address).await;
    busy.send(get("/held")).await;
    until("the request is held", || server.stub.held() == 1).await;
    let mut idle = Raw::connect(server.address).await;
    idle.get("/a").await;
    server.drain.cancel();
    assert_eq!(idle.rest_text().await, "", "an idle connection is closed");
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
    server.stub.release();
    let reply = busy.reply(true).await.unwrap();
    assert_eq!((&*reply.body, reply.field("connection")), ("/held", Some("close")));
    assert_eq!(busy.rest_text().await, "");
    assert_eq!(server.task.await.unwrap(), 0, "no connection was cut");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_with_connection_close() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.get("/a").await;
    server.drain.cancel();
    while TcpStream::connect(server.address).await.is_ok() {}
    raw.send(get("/b")).await;
    let reply = raw.reply(true).await.unwrap();
    assert_eq!((&*reply.body, reply.field("connection")), ("/b", Some("close")));
}

#[tokio::test]
async fn during_the_delay_all_connections_are_served() {
    let drain = Drain { delay: Duration::from_mins(1), timeout: Duration::ZERO };
    let server = start_with(connector_cache::server::Config { drain, ..config(patient()) }).await;
    let mut old = Raw::connect(server.address).await;
    old.get("/a").await;
    server.drain.cancel();
    let mut new = Raw::connect(server.address).await;
    for raw in [&mut old, &mut new] {
        let reply = raw.get("/b").await;
        assert_eq!((reply.status(), reply.field("connection")), (200, None));
    }
}

#[tokio::test]
async fn f61_in_the_second_half_of_the_delay_responses_close_their_connection() {
    let drain = Drain { delay: Duration::from_secs(2), timeout: Duration::from_secs(10) };
    let server = start_with(connector_cache::server::Config { drain, ..config(patient()) }).await;
    let mut raw = Raw::connect(server.address).await;
    assert_eq!(raw.get("/a").await.field("connection"), None);
    let began = std::time::Instant::now();
    server.drain.cancel();
    while raw.get("/a").await.field("connection").is_none() {}
    let elapsed = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&elapsed), "after {elapsed:?}");
    assert_eq!(raw.rest_text().await, "");
}

#[tokio::test]
async fn connections_that_do_not_end_in_time_are_cut_and_counted() {
    let drain = Drain { delay: Duration::ZERO, timeout: Duration::from_millis(100) };
    let server = start_with(connector_cache::server::Config { drain, ..config(patient()) }).await;
    let mut stuck = Raw::connect(server.address).await;
    stuck.send(get("/held")).await;
    until("the request is held", || server.stub.held() == 1).await;
    server.drain.cancel();
    assert_eq!(stuck.rest_text().await, "");
    assert_eq!(server.task.await.unwrap(), 1);
    assert_eq!(server.metrics.in_flight(), 0);
}
