//! A cluster of three nodes, each with a replica if wanted.

use std::time::Duration;

use super::super::within;
use super::resp::Value;
use super::{Store, free_port};

/// The nodes of a cluster.
pub struct Cluster {
    /// The primaries at the start: a third of the slots each.
    pub nodes: Vec<Store>,
    /// One replica of each primary, in the same order, or none.
    pub replicas: Vec<Store>,
}

impl Cluster {
    /// Starts three nodes without replicas. With `full_coverage` a lost node fails all slots.
    pub async fn start(full_coverage: bool) -> Self {
        Self::join(full_coverage, false).await
    }

    /// Starts three nodes with a replica each, which replaces its primary after about two seconds.
    pub async fn start_with_replicas() -> Self {
        Self::join(true, true).await
    }

    async fn join(full_coverage: bool, with_replicas: bool) -> Self {
        let (mut nodes, mut replicas) = (Vec::new(), Vec::new());
        for _ in 0..NODES {
            nodes.push(start_node(full_coverage).await);
            if with_replicas {
                replicas.push(start_node(full_coverage).await);
            }
        }
        for (number, ((node, _), (first, last))) in nodes.iter().zip(SLOTS).enumerate() {
            node.ok(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
            node.ok(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        let others: Vec<_> =
            nodes[1..].iter().chain(&replicas).map(|(node, bus)| (node.address().port(), *bus)).collect();
        let without_bus = |stores: Vec<(Store, u16)>| stores.into_iter().map(|(store, _)| store).collect();
        let cluster = Self { nodes: without_bus(nodes), replicas: without_bus(replicas) };
        cluster.meet(&others).await;
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
            let id = primary.ok(&["CLUSTER", "MYID"]).await.into_text();
            // Refused until the replica has heard of its primary.
            until("the replica to follow", async || {
                !matches!(replica.command(&["CLUSTER", "REPLICATE", &id]).await, Value::Error(_))
            })
            .await;
        }
        for replica in &cluster.replicas {
            until("the replica to have the data", async || {
                replica.info("replication", "master_link_status").await == "up"
            })
            .await;
        }
        for node in cluster.nodes.iter().chain(&cluster.replicas) {
            until("the cluster to be complete", async || info(node).await.contains("cluster_state:ok")).await;
        }
        cluster
    }

    /// URLs of all nodes, as one value of `shared.url`.
    pub fn url(&self) -> String {
        format!("redis+cluster://{}", self.nodes[0].address())
    }

    /// Waits until a replica of the node has replaced it.
    pub async fn wait_for_failover(&self, node: usize) {
        let replica = &self.replicas[node];
        until("the failover", async || replica.info("replication", "role").await == "master").await;
        until("the cluster to be complete", async || info(replica).await.contains("cluster_state:ok")).await;
    }

    /// Index of the node that has the slot of a key.
    pub async fn node_of(&self, key: &[u8]) -> usize {
        let mut connection = self.nodes[0].connect().await;
        let slot = connection.ok(&[b"CLUSTER", b"KEYSLOT".as_slice(), key]).await.integer();
        SLOTS.iter().position(|(_, last)| slot <= last.parse().unwrap()).unwrap()
    }

    /// Introduces the nodes of these ports to the first one, until all know all. On a busy machine an introduction can
    /// exceed its time, which is the node timeout, and is then forgotten.
    async fn meet(&self, others: &[(u16, u16)]) {
        let members = format!("cluster_known_nodes:{}", others.len() + 1);
        let stores: Vec<_> = self.nodes.iter().chain(&self.replicas).collect();
        let know_each_other = async || {
            for store in &stores {
                if !info(store).await.contains(&members) {
                    return false;
                }
            }
            true
        };
        within("the nodes to know each other", async {
            while !know_each_other().await {
                for (port, bus) in others {
                    let (port, bus) = (port.to_string(), bus.to_string());
                    self.nodes[0].ok(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
                }
                let patience = tokio::time::Instant::now() + Duration::from_secs(2);
                while tokio::time::Instant::now() < patience && !know_each_other().await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        })
        .await;
    }
}

async fn start_node(full_coverage: bool) -> (Store, u16) {
    let (bus, coverage) = (free_port(), if full_coverage { "yes" } else { "no" });
    let port = bus.to_string();
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &port];
    let arguments = [&arguments[..], &["--cluster-require-full-coverage", coverage]].concat();
    (Store::start_with(&arguments).await, bus)
}

async fn info(node: &Store) -> String {
    node.ok(&["CLUSTER", "INFO"]).await.into_text()
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    within(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

const NODES: usize = 3;
const SLOTS: [(&str, &str); NODES] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
