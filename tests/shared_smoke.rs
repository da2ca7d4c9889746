//! Two or three proxies that share one real store: each mechanism once. `tests/shared` has the faults.
//!
//! The tests do nothing where `redis-server` is not installed.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::client::{self, Response};
use common::gate::Gate;
use common::origin::OriginServer;
use common::proxy::{Proxy, path};
use common::reply::Reply;
use common::within;
use connector_cache::fake_graph::{FakeGraph, Options};

/// A server of the store. It ends on drop.
struct Store {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Store {
    /// Starts a server, if one is installed.
    fn start() -> Option<Self> {
        let any = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = any.local_addr().unwrap().port();
        drop(any);
        let folder = tempfile::tempdir().unwrap();
        let process = Self::spawn(port, folder.path())?;
        let mut secret = std::fs::File::create(folder.path().join("secret")).unwrap();
        writeln!(secret, "{}", "0123456789abcdef".repeat(2)).unwrap();
        Some(Self { process, port, folder })
    }

    fn spawn(port: u16, folder: &std::path::Path) -> Option<Child> {
        let args = ["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
            .map(str::to_owned);
        let mut command = Command::new("redis-server");
        command.args(args).arg("--dir").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = Self::spawn(self.port, self.folder.path()).unwrap();
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// Runs a command of `redis-cli`.
    fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a replica and waits until it uses the store.
    async fn replica(&self, graph: &str) -> Proxy {
        let proxy = self.start_replica(graph).await;
        wait_for_state(&proxy, "live").await;
        proxy
    }

    async fn start_replica(&self, graph: &str) -> Proxy {
        let (url, secret) = (format!("redis://127.0.0.1:{}", self.port), self.secret());
        Proxy::with(graph, |config| {
            config.shared.endpoint = url.parse().ok();
            config.shared.secret_file = Some(secret);
            // The machine of the tests is busy.
            config.shared.timeout = Duration::from_millis(500);
        })
        .await
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn wait_for_state(proxy: &Proxy, state: &str) {
    let series = format!("connector_cache_shared_state{{state=\"{state}\"}}");
    within(state, async {
        while proxy.series(&series).await < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn wait_for_series(proxy: &Proxy, series: &str, at_least: f64) {
    within(series, async {
        while proxy.series(series).await < at_least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits until a replica has written the values of `count` responses.
async fn wait_for_writes(proxy: &Proxy, count: f64) {
    wait_for_series(proxy, "connector_cache_shared_requests_total{op=\"write\",result=\"ok\"}", count).await;
}

fn token() -> String {
    FakeGraph::start(Options::default()).unwrap().token().mint()
}

fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

fn is_shared_hit(response: &Response) -> bool {
    let status = cache_status(response);
    status.starts_with("connector-cache; hit; ttl=") && status.ends_with("; detail=shared")
}

async fn purge(proxy: &Proxy, query: &str) -> serde_json::Value {
    let request = format!("DELETE /cache{query} HTTP/1.1\r\nhost: {}\r\n\r\n", proxy.admin);
    client::exchange(proxy.admin, request).await.unwrap().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_replica_answers_its_first_request_from_the_store() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{\"displayName\":\"a\"}")]);
    let (one, token) = (store.replica(&origin.url()).await, token());
    let first = one.read(&token).await;
    wait_for_writes(&one, 1.0).await;
    let other = store.replica(&origin.url()).await;
    let second = other.read(&token).await;
    assert!(is_shared_hit(&second), "{}", cache_status(&second));
    assert_eq!((second.text(), second.header("etag")), (first.text(), first.header("etag")));
    assert_eq!(origin.requests(), 1);
    let third = other.read(&token).await;
    assert!(!cache_status(&third).contains("shared"), "{}", cache_status(&third));
    let names = store.cli(&["keys", "*"]);
    assert!(
        names.lines().all(|name| store.cli(&["ttl", name]).trim().parse::<i64>().unwrap() > 0),
        "{names}"
    );
    other.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_token_of_the_same_principal_gets_nothing_from_the_store() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}"), Reply::status(403)]);
    let mint = FakeGraph::start(Options::default()).unwrap();
    let (one, other) = (mint.token().mint(), mint.token().expires_in(Duration::from_secs(1800)).mint());
    let (first, second) = (store.replica(&origin.url()).await, store.replica(&origin.url()).await);
    first.read(&one).await;
    wait_for_writes(&first, 1.0).await;
    assert_eq!(second.read(&other).await.status, 403);
    assert!(is_shared_hit(&second.read(&one).await), "the other token has changed nothing");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_confirmed_by_all_replicas_and_nothing_old_is_served_afterwards() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{\"displayName\":\"old\"}"), Reply::json("{\"displayName\":\"new\"}")]);
    let (one, other, token) =
        (store.replica(&origin.url()).await, store.replica(&origin.url()).await, token());
    one.read(&token).await;
    wait_for_writes(&one, 1.0).await;
    assert!(is_shared_hit(&other.read(&token).await));
    let answer = purge(&one, "?flow=B2X_1_x").await;
    let expected = serde_json::json!({ "purged": 1, "replicas": 2, "confirmed": 2, "unconfirmed": [] });
    assert_eq!(answer, expected);
    let after = other.read(&token).await;
    assert!(after.text().contains("new"), "{}: {}", cache_status(&after), after.text());
    wait_for_writes(&other, 1.0).await;
    let last = one.read(&token).await;
    assert!(is_shared_hit(&last) && last.text().contains("new"), "{}", cache_status(&last));
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_to_a_proven_token_withdraws_the_responses_on_all_replicas() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}"), Reply::status(401), Reply::status(401)]);
    let (one, other, token) =
        (store.replica(&origin.url()).await, store.replica(&origin.url()).await, token());
    one.read(&token).await;
    wait_for_writes(&one, 1.0).await;
    assert!(is_shared_hit(&other.read(&token).await));
    assert_eq!(one.refresh(&token).await.status, 401);
    within("the withdrawal", async {
        while other.read(&token).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_refresh_reaches_the_other_replicas() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{\"displayName\":\"old\"}"), Reply::json("{\"displayName\":\"new\"}")]);
    let (one, other, token) =
        (store.replica(&origin.url()).await, store.replica(&origin.url()).await, token());
    one.read(&token).await;
    wait_for_writes(&one, 1.0).await;
    assert!(is_shared_hit(&other.read(&token).await));
    let renewed = one.refresh(&token).await;
    assert!(renewed.text().contains("new"), "{}", renewed.text());
    wait_for_writes(&one, 2.0).await;
    within("the newer response", async {
        while !other.read(&token).await.text().contains("new") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(origin.requests(), 2, "the other replica read it from the store");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_refreshes_without_a_pause_between_them_are_all_written() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}")]);
    let (one, token) = (store.replica(&origin.url()).await, token());
    one.read(&token).await;
    wait_for_writes(&one, 1.0).await;
    // The event of the first refresh waits for the store while the second one receives its response.
    store.cli(&["client", "pause", "100", "write"]);
    for _ in 0..2 {
        one.refresh(&token).await;
    }
    wait_for_writes(&one, 3.0).await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_calls_graph_for_a_token_and_the_other_waits_for_the_value() {
    let Some(store) = Store::start() else { return };
    let (origin, gate) = (OriginServer::start().await, Gate::default());
    origin.any([Reply::json("{}").held_until(&gate)]);
    let (one, other, token) =
        (store.replica(&origin.url()).await, store.replica(&origin.url()).await, token());
    let header = format!("Bearer {token}");
    let (data, own) = (one.data, header.clone());
    let first =
        tokio::spawn(async move { client::get(data, &path("B2X_1_x"), &[("authorization", &own)]).await });
    origin.wait_for_requests(1).await;
    let data = other.data;
    let second =
        tokio::spawn(async move { client::get(data, &path("B2X_1_x"), &[("authorization", &header)]).await });
    wait_for_series(&other, "connector_cache_shared_requests_total{op=\"lease\",result=\"taken\"}", 1.0)
        .await;
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    let second = second.await.unwrap();
    assert!(is_shared_hit(&second), "{}", cache_status(&second));
    assert_eq!(origin.requests(), 1);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_store_costs_nothing_but_hits_and_is_used_again_later() {
    let Some(mut store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}")]);
    let (one, token) = (store.replica(&origin.url()).await, token());
    one.read(&token).await;
    store.kill();
    wait_for_state(&one, "connecting").await;
    for flow in 0..20 {
        let started = Instant::now();
        let response = one.get(&path(&format!("f{flow}")), &token).await;
        assert_eq!(response.status, 200);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    let answer = purge(&one, "").await;
    assert_eq!((answer["replicas"].as_u64(), answer["confirmed"].as_u64()), (Some(1), Some(1)));
    store.restart();
    wait_for_state(&one, "live").await;
    let before = one.series("connector_cache_shared_requests_total{op=\"write\",result=\"ok\"}").await;
    one.get(&path("after"), &token).await;
    wait_for_writes(&one, before + 1.0).await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_value_and_a_flushed_store_are_misses() {
    let Some(store) = Store::start() else { return };
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}")]);
    let (one, other, token) =
        (store.replica(&origin.url()).await, store.replica(&origin.url()).await, token());
    one.read(&token).await;
    wait_for_writes(&one, 1.0).await;
    let names = store.cli(&["keys", "*:p:*"]);
    store.cli(&["setrange", names.trim(), "30", "x"]);
    assert!(cache_status(&other.read(&token).await).contains("fwd=uri-miss"));
    wait_for_series(&other, "connector_cache_shared_requests_total{op=\"read\",result=\"invalid\"}", 1.0)
        .await;
    store.cli(&["flushall"]);
    let answer = purge(&one, "").await;
    assert_eq!(answer["purged"].as_u64(), Some(1));
    // On a busy machine the purge returns before the new log is read. A response of that time stays local.
    let written = "connector_cache_shared_requests_total{op=\"write\",result=\"ok\"}";
    within("a write after the flush", async {
        while one.series(written).await < 2.0 {
            assert_eq!(one.refresh(&token).await.status, 200);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(is_shared_hit(&store.replica(&origin.url()).await.read(&token).await));
    one.stop().await;
    other.stop().await;
}
