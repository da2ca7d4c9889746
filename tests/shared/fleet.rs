//! Replicas as processes: settings, start, reads, state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connector_cache::fake_graph::{CONTOSO, FakeGraph, Flow, Options};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::client::{self, Response};
use crate::common::proxy::path;
use crate::common::redis::Store;
use crate::common::serve::Serve;
use crate::common::within;

/// Environment of a replica, and the files that it names.
#[derive(Clone)]
pub(crate) struct Setup {
    directory: Arc<TempDir>,
    env: BTreeMap<String, String>,
}

impl Setup {
    /// Replicas before `graph` that share the store at the URL `store`.
    pub(crate) fn new(graph: &str, store: &str) -> Self {
        let setup = Self { directory: Arc::new(tempfile::tempdir().unwrap()), env: BTreeMap::new() };
        let setup = setup.with("GRAPH__BASE_URL", graph).with("SHARED__URL", store);
        setup.secret("secret", SECRET)
    }

    /// Sets a variable `CONNECTOR_CACHE__` and `key`.
    pub(crate) fn with(&self, key: &str, value: &str) -> Self {
        let mut setup = self.clone();
        setup.env.insert(format!("CONNECTOR_CACHE__{key}"), value.to_owned());
        setup
    }

    /// Sets a variable of the system.
    pub(crate) fn with_plain(&self, key: &str, value: &str) -> Self {
        let mut setup = self.clone();
        setup.env.insert(key.to_owned(), value.to_owned());
        setup
    }

    /// The environment of a process.
    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Removes a variable.
    pub(crate) fn without(&self, key: &str) -> Self {
        let mut setup = self.clone();
        setup.env.remove(&format!("CONNECTOR_CACHE__{key}"));
        setup
    }

    /// Uses the file `name` with this text as the file of the secret.
    pub(crate) fn secret(&self, name: &str, text: &str) -> Self {
        self.with_file("SHARED__SECRET_FILE", name, text)
    }

    /// Sets a variable to the path of a new file with this text.
    pub(crate) fn with_file(&self, key: &str, name: &str, text: &str) -> Self {
        let path = self.write(name, text);
        self.with(key, path.to_str().unwrap())
    }

    /// Writes a file of the directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts a replica, and waits until it serves. The store may be away.
    pub(crate) async fn start(&self) -> Replica {
        let env: Vec<_> = self.env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Replica(Serve::start(&env).await)
    }

    /// Starts a replica, and waits until it uses the store.
    pub(crate) async fn live(&self) -> Replica {
        let replica = self.start().await;
        replica.wait_for_state("live").await;
        replica
    }

    /// Starts so many replicas at the same time, and waits until all of them use the store and know each other.
    pub(crate) async fn fleet(&self, count: usize) -> Vec<Replica> {
        let replicas = futures_util::future::join_all((0..count).map(|_| self.live())).await;
        for replica in &replicas {
            replica.wait_for_replicas(count).await;
        }
        replicas
    }
}

/// One replica.
pub(crate) struct Replica(pub(crate) Serve);

impl Replica {
    /// Reads a flow with a token.
    pub(crate) async fn read(&self, flow: &str, token: &str) -> Response {
        self.0.get(&path(flow), token).await
    }

    /// Reads a flow and requires a new response of Graph.
    pub(crate) async fn refresh(&self, flow: &str, token: &str) -> Response {
        client::refresh(self.0.data, &path(flow), token).await
    }

    /// Purges what the query selects, `?flow=x` or nothing. Returns the response.
    pub(crate) async fn purge(&self, query: &str) -> Value {
        let response = client::purge(self.0.admin, query).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Sum of the series of a metric that have all these labels. At least one must exist.
    pub(crate) async fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let values = self.values(metric, labels).await;
        assert!(!values.is_empty(), "no series of {metric} with {labels:?}");
        values.iter().sum()
    }

    async fn values(&self, metric: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let scrape = self.0.look("/metrics").await;
        let series = scrape.text().lines().filter_map(|line| line.strip_prefix("connector_cache_"));
        let series = series.filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
        let has =
            |text: &str| labels.iter().all(|(name, value)| text.contains(&format!("{name}=\"{value}\"")));
        let own = series.filter(|(text, _)| (text.is_empty() || text.starts_with('{')) && has(text));
        own.map(|(_, value)| value.parse().unwrap()).collect()
    }

    /// `GET /cache`.
    pub(crate) async fn overview(&self) -> Value {
        self.0.look("/cache").await.json()
    }

    /// The state of the shared tier, by the metric.
    pub(crate) async fn state(&self) -> String {
        let scrape = self.0.look("/metrics").await;
        let states = scrape.text().lines().filter_map(|line| {
            line.strip_prefix("connector_cache_shared_state{state=\"")?.strip_suffix("\"} 1")
        });
        let states: Vec<_> = states.collect();
        assert_eq!(states.len(), 1, "exactly one state has the value 1: {states:?}");
        states[0].to_owned()
    }

    /// Waits for a state of the shared tier.
    pub(crate) async fn wait_for_state(&self, state: &str) {
        self.until(&format!("the state {state}"), async || self.state().await == state).await;
    }

    /// Waits until one of these states is reached, and returns it.
    pub(crate) async fn wait_for_one_of(&self, states: &[&str]) -> String {
        let what = format!("one of the states {states:?}");
        self.until(&what, async || states.contains(&self.state().await.as_str())).await;
        self.state().await
    }

    /// Waits until the replica knows of so many replicas, itself included.
    pub(crate) async fn wait_for_replicas(&self, count: usize) {
        let count = f64::from(u32::try_from(count).unwrap());
        let what = format!("{count} replicas");
        self.until(&what, async || (self.sum("replicas", &[]).await - count).abs() < 0.5).await;
    }

    /// Waits until this is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        until(what, is_so).await;
    }
}

/// Waits until this is so. The state sends no event.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    within(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Starts the stand-in for Graph with the flows `B2X_1_x` and `B2X_1_y`.
pub(crate) fn graph() -> FakeGraph {
    let graph = FakeGraph::start(Options::default()).unwrap();
    for flow in [X, Y] {
        graph.put_flow(CONTOSO, Flow::new(flow));
    }
    graph
}

/// A token of this user for the stand-in.
pub(crate) fn token(graph: &FakeGraph, user: &str) -> String {
    graph.token().user(user).mint()
}

/// `Cache-Status` of a response.
pub(crate) fn status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

/// Returns whether a response was found in the store.
pub(crate) fn is_shared(response: &Response) -> bool {
    status(response).contains("; hit") && status(response).contains("detail=shared")
}

/// Requires a hit that was found in the store.
#[track_caller]
pub(crate) fn assert_shared(response: &Response) {
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(is_shared(response), "{}", status(response));
}

/// Requires a 200 that was not found in the store.
#[track_caller]
pub(crate) fn assert_not_shared(response: &Response) {
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(!is_shared(response), "{}", status(response));
}

/// Waits until the store has `count` entries and as many proofs.
pub(crate) async fn wait_for_entries(store: &Store, count: usize) {
    store.wait_for_keys(":e:", count).await;
    store.wait_for_keys(":p:", count).await;
}

/// Entries and proofs of a store at a time.
pub(crate) struct Saved(Vec<(Vec<u8>, Vec<u8>)>);

impl Saved {
    pub(crate) async fn of(store: &Store) -> Self {
        let (mut saved, mut connection) = (Vec::new(), store.connect().await);
        for key in [store.keys(":e:").await, store.keys(":p:").await].concat() {
            let value = connection.ok(&[b"GET".as_slice(), &key]).await.into_bytes();
            saved.push((key, value));
        }
        Self(saved)
    }

    pub(crate) async fn restore(&self, store: &Store) {
        let mut connection = store.connect().await;
        for (key, value) in &self.0 {
            connection.ok(&[b"SET".as_slice(), key, value, b"EX", b"300"]).await;
        }
    }
}

pub(crate) const X: &str = "B2X_1_x";
pub(crate) const Y: &str = "B2X_1_y";
/// 64 hex digits.
pub(crate) const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
pub(crate) const OTHER_SECRET: &str = "aaaabbbbccccddddeeeeffff00001111aaaabbbbccccddddeeeeffff00001111";
