//! Timeouts of connections, and limits on their number.

use std::sync::Arc;
use std::time::Duration;

use connector_cache::http::rejection::Rejection;
use connector_cache::proxy::runtime_config::RuntimeConfig;
use connector_cache::server::ConnRejection;
use connector_cache::server::{Config, ServerLimits, SettingsSnapshot};
use connector_cache::support::byte_budget::ByteBudget;

use crate::raw::{Raw, get};
use crate::stub::{config, patient, start, start_with, start_within, until};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn f48_a_connection_with_an_incomplete_head_is_closed() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r";
    for bytes in ["", "G", "GET / HTTP/1.1\r\nHost: cac", preface] {
        let server = start(ServerLimits { header_timeout: SHORT, ..patient() }).await;
        let mut raw = Raw::connect(server.address).await;
        raw.send(bytes).await;
        assert_eq!(raw.rest_text().await, "", "{bytes:?}");
        assert_eq!(server.rejected(ConnRejection::Slow), 1, "{bytes:?}");
    }
}

#[tokio::test]
async fn f48_a_head_that_arrives_byte_by_byte_has_no_more_time() {
    let server = start(ServerLimits { header_timeout: SHORT, ..patient() }).await;
    let (mut read, mut write) = tokio::net::TcpStream::connect(server.address).await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        let mut pause = tokio::time::interval(SHORT / 5);
        for byte in std::iter::repeat(b'G') {
            pause.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut write, &[byte]).await.is_err() {
                break;
            }
        }
    });
    let mut end = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut end);
    let _ =
        tokio::time::timeout(crate::stub::PATIENCE, read).await.expect("the server closes the connection");
    trickle.await.unwrap();
}

#[tokio::test]
async fn a_pause_between_requests_has_its_own_timeout() {
    let server = start(ServerLimits { idle_timeout: SHORT, ..patient() }).await;
    let mut raw = Raw::connect(server.address).await;
    assert_eq!(raw.get("/a").await.status(), 200);
    assert_eq!(raw.rest_text().await, "");
    assert_eq!(server.rejected(ConnRejection::Slow), 0, "an idle connection is not counted as slow");
}

#[tokio::test]
async fn a_second_head_has_the_timeout_of_the_first() {
    let server = start(ServerLimits { header_timeout: SHORT, ..patient() }).await;
    let mut raw = Raw::connect(server.address).await;
    assert_eq!(raw.get("/a").await.status(), 200);
    raw.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(raw.rest_text().await, "");
    assert_eq!(server.rejected(ConnRejection::Slow), 1);
}

#[tokio::test]
async fn a_request_that_waits_for_the_handler_is_not_idle() {
    let limits =
        ServerLimits { idle_timeout: SHORT, header_timeout: SHORT, write_timeout: SHORT, ..patient() };
    let server = start(limits).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(get("/held")).await;
    until("the request is held", || server.stub.held() == 1).await;
    // Meanwhile other connections end by each of the timeouts.
    let mut other = Raw::connect(server.address).await;
    other.get("/a").await;
    assert_eq!(other.rest_text().await, "");
    assert_eq!(Raw::connect(server.address).await.rest_text().await, "");
    server.stub.release();
    assert_eq!(raw.reply(true).await.unwrap().body, "/held");
}

#[tokio::test]
async fn f49_a_peer_that_takes_no_bytes_is_closed() {
    let server = start(ServerLimits { write_timeout: SHORT, ..patient() }).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send([get("/big"), get("/big"), get("/big")].concat()).await;
    until("the connection is closed", || server.rejected(ConnRejection::Slow) == 1).await;
}

#[tokio::test]
async fn f49_a_peer_that_takes_a_byte_now_and_then_is_closed() {
    let server = start(ServerLimits { write_timeout: SHORT * 3, ..patient() }).await;
    let (mut read, mut write) = tokio::net::TcpStream::connect(server.address).await.unwrap().into_split();
    let all = [get("/big"), get("/big"), get("/big")].concat();
    tokio::io::AsyncWriteExt::write_all(&mut write, all.as_bytes()).await.unwrap();
    let sipping = async {
        let mut pause = tokio::time::interval(SHORT / 5);
        while server.rejected(ConnRejection::Slow) == 0 {
            pause.tick().await;
            let _ = tokio::io::AsyncReadExt::read(&mut read, &mut [0; 1]).await;
        }
    };
    tokio::time::timeout(crate::stub::PATIENCE, sipping).await.expect("the server closes the connection");
}

#[tokio::test]
async fn a_connection_above_the_limit_is_closed_and_the_others_continue() {
    let server = start(ServerLimits { connections: 1, ..patient() }).await;
    let mut first = Raw::connect(server.address).await;
    first.get("/a").await;
    assert_eq!(Raw::connect(server.address).await.rest_text().await, "");
    assert_eq!(server.rejected(ConnRejection::Connections), 1);
    assert_eq!(first.get("/b").await.status(), 200);
}

#[tokio::test]
async fn a_connection_above_the_limit_of_its_address_is_closed_and_the_others_continue() {
    let server = start(ServerLimits { connections_per_address: 2, ..patient() }).await;
    let mut own = [Raw::connect(server.address).await, Raw::connect(server.address).await];
    for raw in &mut own {
        assert_eq!(raw.get("/a").await.status(), 200);
    }
    assert_eq!(Raw::connect(server.address).await.rest_text().await, "");
    assert_eq!(server.rejected(ConnRejection::AddressConnections), 1);
    let mut other = Raw::connect_from("127.0.0.2", server.address).await;
    for raw in own.iter_mut().chain([&mut other]) {
        assert_eq!(raw.get("/b").await.status(), 200);
    }
}

#[tokio::test]
async fn new_settings_apply_to_the_next_connection() {
    let config = config(ServerLimits { connections: 1, ..patient() });
    let server = start_with(config.clone()).await;
    let mut first = Raw::connect(server.address).await;
    first.get("/a").await;
    assert_eq!(Raw::connect(server.address).await.rest_text().await, "");
    let limits = ServerLimits { connections: 2, idle_timeout: SHORT, ..patient() };
    let server_settings = Arc::new(SettingsSnapshot::from_config(&Config { limits, ..config }, usize::MAX));
    let settings = RuntimeConfig { server: server_settings, ..RuntimeConfig::clone(&server.runtime.load()) };
    server.runtime.store(Arc::new(settings));
    let mut second = Raw::connect(server.address).await;
    assert_eq!(second.get("/b").await.status(), 200);
    assert_eq!(second.rest_text().await, "", "the new connection has the new idle timeout");
    assert_eq!(first.get("/c").await.status(), 200, "an earlier connection keeps its limits");
}

#[tokio::test]
async fn large_responses_that_are_not_read_exhaust_the_byte_budget_and_release_it() {
    let budget = ByteBudget::new(36 << 20);
    let server = start_within(config(patient()), budget.clone()).await;
    let mut slow = [Raw::connect(server.address).await, Raw::connect(server.address).await];
    for raw in &mut slow {
        raw.send(get("/big")).await;
    }
    until("both responses are charged", || budget.used() > 16 << 20).await;
    let mut other = Raw::connect(server.address).await;
    let refused = other.get("/big").await;
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("1")));
    assert!(refused.body.contains("ServiceNotAvailable"), "{}", refused.body);
    assert_eq!(server.rejected(Rejection::BytesInFlight), 1);
    assert_eq!(other.get("/small").await.status(), 200, "a small response is not charged");
    let [one, mut two] = slow;
    drop(one);
    assert_eq!(two.reply(true).await.unwrap().body.len(), 8 << 20);
    until("all charges are released", || budget.used() == 0).await;
    assert_eq!(other.get("/big").await.status(), 200);
}

#[tokio::test]
async fn the_slot_of_a_connection_is_free_after_its_end() {
    let server = start(ServerLimits { connections: 1, ..patient() }).await;
    let mut first = Raw::connect(server.address).await;
    first.send("GET /a HTTP/1.1\r\nHost: cache\r\nConnection: close\r\n\r\n").await;
    first.rest().await;
    drop(first);
    // The permit is released just after the end of the connection; a connection before that is refused.
    let mut second = Raw::connect(server.address).await;
    second.send(get("/b")).await;
    while second.reply(true).await.is_none() {
        second = Raw::connect(server.address).await;
        second.send(get("/b")).await;
    }
}
