//! Tests of the servers of `tests/common/redis` themselves.

use crate::common::redis::Store;
use crate::common::redis::cluster::Cluster;
use crate::common::redis::resp::Value;
use crate::common::redis::sentinel::Watched;

#[tokio::test]
async fn a_store_keeps_values_until_it_is_restarted() {
    let mut store = Store::start().await;
    store.ok(&["SET", "name", "value"]).await;
    assert_eq!(store.ok(&["GET", "name"]).await, Value::Bytes(b"value".to_vec()));
    assert_eq!(store.wait_for_keys("am", 1).await, [b"name".to_vec()]);
    assert!(store.calls_of("get").await > 0);
    let port = store.address();
    store.restart().await;
    assert_eq!((store.address(), store.ok(&["GET", "name"]).await), (port, Value::Nil));
}

#[tokio::test]
async fn a_password_is_required_once_it_is_set() {
    let mut store = Store::start().await;
    store.require_password("hunter2").await;
    let mut stranger = crate::common::redis::resp::Connection::open(store.address()).await.unwrap();
    assert!(
        matches!(stranger.command(&["GET", "x"]).await.unwrap(), Value::Error(text) if text.starts_with("NOAUTH"))
    );
    store.ok(&["GET", "x"]).await;
}

#[tokio::test]
async fn a_cluster_of_three_nodes_serves_all_slots() {
    let cluster = Cluster::start(false).await;
    let node = cluster.node_of(b"{a}x").await;
    cluster.nodes[node].ok(&["SET", "{a}x", "1"]).await;
    let other = cluster.nodes[(node + 1) % 3].command(&["GET", "{a}x"]).await;
    assert!(matches!(other, Value::Error(text) if text.starts_with("MOVED")));
}

#[tokio::test]
async fn a_replica_of_the_cluster_replaces_its_primary() {
    let mut cluster = Cluster::start_with_replicas().await;
    cluster.nodes[1].kill();
    cluster.wait_for_failover(1).await;
}

#[tokio::test]
async fn a_sentinel_makes_the_replica_the_primary() {
    let mut watched = Watched::start().await;
    watched.primary.kill();
    watched.wait_for_failover().await;
    watched.replica.ok(&["SET", "x", "1"]).await;
}
