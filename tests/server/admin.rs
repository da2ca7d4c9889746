//! The admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use connector_cache::admin::readiness::Readiness;
use connector_cache::admin::{Admin, CacheAdmin, Config, PurgeQuery};
use connector_cache::observability::metrics::Metrics;
use connector_cache::server::Server;
use connector_cache::support::clock::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::raw::{Raw, Reply};

#[derive(Default)]
struct Fake {
    purged: Mutex<Vec<PurgeQuery>>,
    metrics: Option<Arc<Metrics>>,
}

impl CacheAdmin for Fake {
    fn overview(&self) -> serde_json::Value {
        serde_json::json!({ "entries": 3 })
    }

    fn purge(&self, selection: &PurgeQuery) -> u64 {
        self.purged.lock().unwrap().push(selection.clone());
        3
    }

    fn refresh_gauges(&self) {
        self.metrics.iter().for_each(|metrics| metrics.entries.set(3));
    }
}

struct Port {
    address: SocketAddr,
    cache: Arc<Fake>,
    readiness: Readiness,
}

async fn start(config: Config) -> Port {
    let metrics = Arc::new(Metrics::new().unwrap());
    let cache = Arc::new(Fake { metrics: Some(Arc::clone(&metrics)), ..Fake::default() });
    let readiness = Readiness::default();
    let admin = Admin::new(&config, Arc::clone(&cache), Arc::clone(&metrics), readiness.clone()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(&config.server(), &Clock::system(), &metrics).unwrap();
    tokio::spawn(server.serve(listener, Arc::new(admin), CancellationToken::new()));
    Port { address, cache, readiness }
}

impl Port {
    async fn ask(&self, method: &str, target: &str, fields: &str) -> Reply {
        let mut raw = Raw::connect(self.address).await;
        raw.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")).await;
        raw.reply(method != "HEAD").await.unwrap()
    }

    fn purged(&self) -> usize {
        self.cache.purged.lock().unwrap().len()
    }
}

#[tokio::test]
async fn metrics_are_in_the_text_format_and_fresh() {
    let port = start(Config::default()).await;
    let reply = port.ask("GET", "/metrics", "").await;
    assert_eq!(reply.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(reply.body.contains("connector_cache_entries 3\n"), "{}", reply.body);
}

#[tokio::test]
async fn readiness_follows_the_latch_and_liveness_does_not() {
    let port = start(Config::default()).await;
    assert_eq!(port.ask("GET", "/readyz", "").await.status(), 503);
    port.readiness.set_ready();
    assert_eq!(port.ask("GET", "/readyz", "").await.status(), 200);
    port.readiness.set_draining();
    let draining = port.ask("GET", "/readyz", "").await;
    assert_eq!((draining.status(), &*draining.body), (503, "draining\n"));
    assert_eq!(port.ask("GET", "/livez", "").await.status(), 200);
}

#[tokio::test]
async fn the_overview_is_served_and_entries_are_purged_by_selection() {
    let port = start(Config::default()).await;
    assert_eq!(port.ask("GET", "/cache", "").await.body, r#"{"entries":3}"#);
    let tenant = "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb";
    let query = format!("/cache?flow=B2C_1&tenant=%7B{}%7D", tenant.to_uppercase());
    let reply = port.ask("DELETE", &query, "").await;
    assert_eq!((reply.status(), &*reply.body), (200, r#"{"purged":3}"#));
    let selection = PurgeQuery { flow: Some("B2C_1".into()), tenant: Some(tenant.into()), subject: None };
    assert_eq!(*port.cache.purged.lock().unwrap(), [selection]);
}

#[tokio::test]
async fn an_invalid_purge_or_one_of_a_browser_purges_nothing() {
    let port = start(Config::default()).await;
    assert_eq!(port.ask("DELETE", "/cache?flows=a", "").await.status(), 400);
    assert_eq!(port.ask("DELETE", "/cache?flow=a&flow=b", "").await.status(), 400);
    let refused = port.ask("DELETE", "/cache?tenant=contoso.com", "").await;
    assert!(refused.status() == 400 && refused.body.contains("tenant must be"), "{}", refused.body);
    assert_eq!(port.ask("DELETE", "/cache", "Origin: http://evil.example\r\n").await.status(), 403);
    assert_eq!(port.ask("DELETE", "/cache", "Content-Length: 2\r\n\r\n{}").await.status(), 400);
    assert_eq!(port.purged(), 0);
}

#[tokio::test]
async fn with_a_token_file_the_overview_and_a_purge_need_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "s3cret").unwrap();
    let port = start(Config { token_file: Some(file), ..Config::default() }).await;
    for method in ["GET", "DELETE"] {
        let refused = port.ask(method, "/cache", "").await;
        assert_eq!((refused.status(), refused.field("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(port.ask(method, "/cache", "Authorization: Bearer s3cret\r\n").await.status(), 200);
    }
    assert_eq!(port.ask("GET", "/metrics", "").await.status(), 200, "probes and metrics need none");
    assert_eq!(port.purged(), 1);
}

#[tokio::test]
async fn unknown_paths_and_methods_get_404_and_405() {
    let port = start(Config::default()).await;
    assert_eq!(port.ask("GET", "/nothing", "").await.status(), 404);
    assert_eq!(port.ask("POST", "/livez", "").await.field("allow"), Some("GET, HEAD"));
    assert_eq!(port.ask("PUT", "/cache", "").await.status(), 405);
    assert!(port.ask("GET", "/", "").await.body.contains("/readyz"));
    let head = port.ask("HEAD", "/livez", "").await;
    assert_eq!((head.status(), head.field("content-length")), (200, Some("6")));
}
