//! Attacks on the admin port: connections that block it, and requests that pass for local ones.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use connector_cache::admin::readiness::Readiness;
use connector_cache::admin::{Admin, CacheAdmin, Config, PurgeQuery};
use connector_cache::observability::metrics::Metrics;
use connector_cache::server::Server;
use connector_cache::support::clock::Clock;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::common::client::{self, Client, tcp_from};
use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::within;

/// The admin port before a cache whose gauges take their time.
struct Port {
    address: SocketAddr,
    cache: Arc<Slow>,
}

#[derive(Default)]
struct Slow {
    purged: AtomicBool,
    /// Set by a test for as long as a scrape is to take.
    is_held: AtomicBool,
    scraping: AtomicBool,
}

impl CacheAdmin for Slow {
    fn overview(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn purge(&self, _: &PurgeQuery) -> u64 {
        self.purged.store(true, SeqCst);
        1
    }

    fn refresh_gauges(&self) {
        self.scraping.store(true, SeqCst);
        // Bounded: if scrapes block the thread of connections, the test continues and fails.
        let begun = Instant::now();
        while self.is_held.load(SeqCst) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
    }
}

async fn start() -> Port {
    let (metrics, cache, config) =
        (Arc::new(Metrics::new().unwrap()), Arc::new(Slow::default()), Config::default());
    let admin = Admin::new(&config, Arc::clone(&cache), Arc::clone(&metrics), Readiness::default()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(&config.server(), &Clock::system(), &metrics).unwrap();
    tokio::spawn(server.serve(listener, Arc::new(admin), CancellationToken::new()));
    Port { address, cache }
}

/// Fetches both probes, five times: others use this machine too. `None`: none was answered.
async fn fastest_probes(admin: SocketAddr) -> Option<Duration> {
    let mut fastest = None;
    for _ in 0..5 {
        let begun = Instant::now();
        for probe in ["/livez", "/readyz"] {
            let stream = TcpStream::connect(admin).await.unwrap();
            let mut client = Client::over(stream, admin);
            client.send_get(probe, &[]).await.ok()?;
            assert_eq!(client.response().await.ok()?.status, 200);
        }
        fastest = fastest.min(Some(begun.elapsed())).or(Some(begun.elapsed()));
    }
    fastest
}

/// Probes are answered while `source` holds 300 connections that sent `bytes` and read nothing.
async fn probes_pass_by(source: [u8; 4], bytes: &[u8]) {
    let origin = OriginServer::start().await;
    let proxy = Proxy::before(&origin.url()).await;
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut stream = tcp_from(source, proxy.admin).await;
        // It may have been replaced already.
        let _ = stream.write_all(bytes).await;
        held.push(stream);
    }
    let fastest = fastest_probes(proxy.admin).await;
    assert!(fastest.is_some_and(|time| time < Duration::from_millis(100)), "{fastest:?}");
}

#[tokio::test]
async fn probes_are_answered_while_one_address_holds_idle_connections() {
    probes_pass_by(OTHER, b"").await;
}

#[tokio::test]
async fn probes_are_answered_while_their_own_address_holds_idle_connections() {
    probes_pass_by(OWN, b"").await;
}

#[tokio::test]
async fn probes_are_answered_while_an_address_sends_heads_that_do_not_end() {
    probes_pass_by(OWN, b"GET /livez HTTP/1.1\r\nhost: a\r\nx: ").await;
}

#[tokio::test]
async fn probes_are_answered_while_an_address_does_not_read_its_scrapes() {
    probes_pass_by(OWN, &b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20)).await;
}

#[tokio::test]
async fn probes_are_answered_while_an_address_holds_http2_connections_half_open() {
    probes_pass_by(OWN, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    probes_pass_by(OTHER, b"PRI * HTTP/2.0\r\n\r\nSM").await;
}

#[tokio::test]
async fn an_idle_connection_to_the_admin_port_is_closed_after_five_seconds() {
    let port = start().await;
    let mut client = Client::connect(port.address).await;
    assert_eq!(client.get("/livez", &[]).await.status, 200);
    let begun = Instant::now();
    client.ended().await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_scrape_that_takes_long_delays_no_other_request() {
    let port = start().await;
    port.cache.is_held.store(true, SeqCst);
    let mut scrapes = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(port.address).await;
        client.send_get("/metrics", &[]).await.unwrap();
        scrapes.push(client);
    }
    within("a scrape to begin", async {
        while !port.cache.scraping.load(SeqCst) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let begun = Instant::now();
    assert_eq!(client::get(port.address, "/livez", &[]).await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    port.cache.is_held.store(false, SeqCst);
    for mut scrape in scrapes {
        assert_eq!(scrape.response().await.unwrap().status, 200);
    }
}

/// Sends this head of a purge. Returns the status and whether the cache was purged.
async fn purge(head: &str) -> (u16, bool) {
    let port = start().await;
    let response = client::exchange(port.address, head).await.unwrap();
    if response.status == 403 {
        assert!(response.text().contains("set admin.token_file"), "{}", response.text());
    }
    (response.status, port.cache.purged.load(SeqCst))
}

#[tokio::test]
async fn a_purge_through_a_relay_on_this_machine_is_refused() {
    // nginx without a line beside proxy_pass; with proxy_http_version 1.1; with the usual fields.
    for head in [
        "DELETE /cache HTTP/1.0\r\nHost: 127.0.0.1:9090\r\nConnection: close\r\nUser-Agent: a\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: 127.0.0.1:9090\r\nConnection: close\r\nUser-Agent: a\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: 127.0.0.1:9090\r\nX-Real-IP: 10.0.0.1\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: localhost\r\nVia: 1.1 squid\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: localhost\r\nReferer: http://evil.example/\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: localhost\r\nCookie: a=b\r\n\r\n",
        "DELETE http://evil.example/cache HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    ] {
        assert_eq!(purge(head).await, (403, false), "{head}");
    }
}

#[tokio::test]
async fn a_purge_by_the_usual_clients_on_this_machine_is_done() {
    for head in [
        "DELETE /cache HTTP/1.1\r\nHost: 127.0.0.1:9090\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
        "DELETE /cache HTTP/1.1\r\nHost: localhost:9090\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
         Content-Length: 0\r\n\r\n",
    ] {
        assert_eq!(purge(head).await, (200, true), "{head}");
    }
}

/// The address of the probes.
const OWN: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];
