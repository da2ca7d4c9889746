//! The replicas, each behind a relay that can fail, and their store.

use std::path::PathBuf;
use std::time::Duration;

use connector_cache::shared::Config;
use connector_cache::support::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use super::judge::Id;
use super::story::Break;
use crate::common::client;
use crate::common::link::Link;
use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::redis::Store;
use crate::common::within;

/// One replica.
pub struct Replica {
    pub id: Id,
    pub proxy: Proxy,
    pub is_cut: bool,
    link: Link,
}

/// All replicas and their store.
pub struct Members {
    pub store: Store,
    pub replicas: Vec<Replica>,
    graph: String,
    clock: Clock,
    folder: TempDir,
    started: Id,
}

impl Members {
    /// Starts the store and three replicas, and waits until they know each other.
    pub async fn start(origin: &OriginServer, clock: Clock) -> Self {
        let (store, folder) = (Store::start().await, tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("secret"), "0123456789abcdef".repeat(4)).unwrap();
        let graph = origin.url();
        let mut members = Self { store, replicas: Vec::new(), graph, clock, folder, started: 0 };
        for _ in 0..REPLICAS {
            members.join().await;
        }
        members.wait_until_complete().await;
        members
    }

    /// Starts a cold replica, and waits until it uses the store. Returns its index.
    pub async fn join(&mut self) -> usize {
        let link = Link::to(self.store.address()).await;
        let (url, secret) = (format!("redis://{}", link.address()), self.folder.path().join("secret"));
        let proxy = Proxy::with_clock(&self.graph, self.clock.clone(), |config| {
            config.shared = shared(&url, secret);
            config.freshness.stale_while_revalidate = Duration::ZERO;
            config.freshness.stale_if_error = Duration::ZERO;
            // The limits of callers are not the subject.
            config.refresh_limit.per_token = 100_000;
            config.unproven_limit.failures = 1_000_000;
            config.unproven_limit.failures_per_address = 1_000_000;
        })
        .await;
        self.started += 1;
        self.replicas.push(Replica { id: self.started, proxy, is_cut: false, link });
        let newest = self.replicas.len() - 1;
        self.replicas[newest].wait_for_live().await;
        newest
    }

    /// Stops a replica.
    pub async fn leave(&mut self, at: usize) {
        let replica = self.replicas.remove(at);
        replica.proxy.stop().await;
        self.wait_until_complete().await;
    }

    /// Waits until all replicas are connected and count each other. The states send no event.
    pub async fn wait_until_complete(&self) {
        for replica in &self.replicas {
            within("the replicas to count each other", async {
                while replica.shared().await["replicas"] != self.replicas.len() {
                    tokio::time::sleep(POLL).await;
                }
            })
            .await;
            replica.wait_for_live().await;
        }
    }

    /// Entries and proofs in the store.
    pub async fn values(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut values, mut connection) = (Vec::new(), self.store.connect().await);
        for key in [self.store.keys(":e:").await, self.store.keys(":p:").await].concat() {
            // The value may expire meanwhile.
            if let crate::common::redis::resp::Value::Bytes(value) =
                connection.ok(&[b"GET".as_slice(), &key]).await
            {
                values.push((key, value));
            }
        }
        values
    }

    /// Writes these values.
    pub async fn restore(&self, values: &[(Vec<u8>, Vec<u8>)]) {
        let mut connection = self.store.connect().await;
        for (key, value) in values {
            connection.ok(&[b"SET".as_slice(), key, value, b"EX", b"300"]).await;
        }
    }
}

impl Replica {
    /// Sends a GET for a flow.
    pub async fn get(&self, flow: &str, token: &str, is_refresh: bool) -> client::Response {
        let authorization = format!("Bearer {token}");
        let mut fields = vec![("authorization", &*authorization)];
        if is_refresh {
            fields.push(("connector-cache", "refresh"));
        }
        client::get(self.proxy.data, &crate::common::proxy::path(flow), &fields).await
    }

    /// Purges what the query selects. Returns the response.
    pub async fn purge(&self, query: &str) -> Value {
        let response = client::purge(self.proxy.admin, query).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Number of operations on the store with this result.
    pub async fn operations(&self, operation: &str, result: &str) -> f64 {
        let labels = format!("{{op=\"{operation}\",result=\"{result}\"}}");
        self.proxy.series(&format!("connector_cache_shared_requests_total{labels}")).await
    }

    /// Waits until more than `count` values are written.
    pub async fn wait_for_writes(&self, count: f64) {
        within("the value to be written", async {
            while self.operations("write", "ok").await <= count {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    /// Breaks the connection to the store, and waits until the replica notices.
    pub async fn cut(&mut self, how: Break) {
        self.is_cut = true;
        match how {
            Break::Reset => {
                self.link.refuse();
                self.link.break_off();
            }
            Break::Stall => {
                self.link.drop_bytes();
                self.link.go_silent();
            }
        }
        within("the replica to notice", async {
            while self.shared().await["state"] == "live" {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    /// Mends the connection, and waits until the replica uses the store.
    pub async fn mend(&mut self) {
        self.link.mend();
        // Silent connections stay silent otherwise until the replica gives them up.
        self.link.break_off();
        self.is_cut = false;
        self.wait_for_live().await;
    }

    async fn wait_for_live(&self) {
        within("the replica to use the store", async {
            while self.shared().await["state"] != "live" {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    async fn shared(&self) -> Value {
        client::get(self.proxy.admin, "/cache", &[]).await.json()["shared"].clone()
    }
}

fn shared(url: &str, secret: PathBuf) -> Config {
    // The machine of the tests is busy.
    let timeout = Duration::from_millis(500);
    Config { endpoint: url.parse().ok(), secret_file: Some(secret), timeout, ..Config::default() }
}

pub const REPLICAS: usize = 3;
const POLL: Duration = Duration::from_millis(5);
