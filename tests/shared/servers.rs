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

#[tokio::test]
async fn a_store_refuses_commands_while_it_loads_its_data() {
    let mut store = Store::start().await;
    store.ok(&["DEBUG", "POPULATE", "20000"]).await;
    store.ok(&["SAVE"]).await;
    store.add_arguments(&["--key-load-delay", "200", "--loading-process-events-interval-bytes", "1024"]);
    store.restart().await;
    let refused = store.command(&["GET", "x"]).await;
    assert!(matches!(&refused, Value::Error(text) if text.starts_with("LOADING")), "{refused:?}");
}

#[tokio::test]
async fn a_replica_without_its_primary_refuses_commands() {
    let store = Store::start().await;
    store.ok(&["SET", "x", "1"]).await;
    store.ok(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(
        matches!(store.command(&["SET", "x", "2"]).await, Value::Error(text) if text.starts_with("READONLY"))
    );
    assert_eq!(store.ok(&["GET", "x"]).await, Value::Bytes(b"1".to_vec()));
    store.set("replica-serve-stale-data", "no").await;
    assert!(
        matches!(store.command(&["GET", "x"]).await, Value::Error(text) if text.starts_with("MASTERDOWN"))
    );
    store.ok(&["REPLICAOF", "NO", "ONE"]).await;
    store.ok(&["SET", "x", "2"]).await;
}

#[tokio::test]
async fn a_full_store_refuses_writes() {
    let store = Store::start().await;
    store.ok(&["SET", "x", "1"]).await;
    store.set("maxmemory", "1").await;
    assert!(matches!(store.command(&["SET", "x", "2"]).await, Value::Error(text) if text.starts_with("OOM")));
    assert_eq!(store.ok(&["GET", "x"]).await, Value::Bytes(b"1".to_vec()));
}

#[tokio::test]
async fn a_store_with_tls_shows_its_certificate() {
    let (authority, directory) = (crate::common::tls::Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.right().write_pem(directory.path());
    let ca = authority.write_pem(directory.path());
    let store = Store::start_tls((&certificate, &key), &ca, false).await;
    let port = store.tls_url().rsplit(':').next().unwrap().parse().unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let client =
        crate::common::client::Client::connect_tls(address, authority.client_config(&[]), "localhost");
    client.await.unwrap();
    store.ok(&["SET", "x", "1"]).await;
}

#[tokio::test]
async fn slots_of_a_cluster_can_move() {
    let cluster = Cluster::start(false).await;
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    let id = target.ok(&["CLUSTER", "MYID"]).await.into_text();
    for node in [target, source] {
        node.ok(&["CLUSTER", "SETSLOT", "5", "NODE", &id]).await;
    }
}
