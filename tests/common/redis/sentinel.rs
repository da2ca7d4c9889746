//! A primary with one replica, watched by one Sentinel.

use std::time::Duration;

use super::super::within;
use super::resp::Value;
use super::{Store, free_port};

/// The three processes.
pub struct Watched {
    /// The primary at the start.
    pub primary: Store,
    /// The replica at the start.
    pub replica: Store,
    pub sentinel: Store,
}

impl Watched {
    /// Starts them, and waits until the Sentinel knows the replica.
    pub async fn start() -> Self {
        let primary = Store::start().await;
        let port = primary.address().port().to_string();
        let replica = Store::start_with(&["--replicaof", &format!("127.0.0.1 {port}")]).await;
        within("the replica to have the data", async {
            while replica.info("replication", "master_link_status").await != "up" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let sentinel = start_sentinel(&port).await;
        let known = ["SENTINEL", "REPLICAS", NAME];
        within("the Sentinel to know the replica", async {
            while sentinel.ok(&known).await.into_list().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Self { primary, replica, sentinel }
    }

    /// URL of the installation: its Sentinel, and the name of the primary.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{NAME}", self.sentinel.address())
    }

    /// Waits until the Sentinel has made the replica the primary.
    pub async fn wait_for_failover(&self) {
        within("the failover", async {
            while self.replica.info("replication", "role").await != "master" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let named = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
            let port = Value::Bytes(self.replica.address().port().to_string().into_bytes());
            while self.sentinel.ok(&named).await.into_list()[1] != port {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

/// Debian's `redis-sentinel` is a link to the server's program, which starts as a Sentinel with `--sentinel`.
async fn start_sentinel(primary: &str) -> Store {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sentinel.conf");
    let text = format!(
        "sentinel monitor {NAME} 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds {NAME} 500\n\
         sentinel failover-timeout {NAME} 3000\n"
    );
    std::fs::write(&file, text).unwrap();
    Store::start_sentinel(file, directory, free_port()).await
}

const NAME: &str = "main";
