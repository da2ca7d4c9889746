//! Cluster and Sentinel: reads and purges, a lost node, a failover.

use crate::common::redis::cluster::Cluster;
use crate::common::redis::sentinel::Watched;
use crate::fleet::{
    Replica, Setup, X, assert_not_shared, assert_shared, graph, is_shared, status, token, until,
};
use crate::load::Load;

/// Waits until an answer of the first replica for a new user is found in the store by the second one.
async fn wait_until_shared(graph: &connector_cache::fake_graph::FakeGraph, replicas: &[Replica]) {
    until("an answer over the store", async || {
        let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
        replicas[0].read(X, &fresh).await;
        is_shared(&replicas[1].read(X, &fresh).await)
    })
    .await;
}

#[tokio::test]
async fn replicas_share_a_cluster() {
    let (graph, cluster) = (graph(), Cluster::start(false).await);
    let replicas = Setup::new(&graph.url(), &cluster.url()).fleet(2).await;
    // The secret of the fleet, which is random, decides the nodes of the keys. With 20 users one of three nodes stays empty in one
    // of a thousand runs.
    let mut users = 0;
    while users < 10 || has_empty_node(&cluster).await {
        assert!(users < 100, "a node receives no entry");
        let token = token(&graph, &format!("user-{users}"));
        users += 1;
        replicas[0].read(X, &token).await;
        cluster_has(&cluster, ":p:", users).await;
        assert_shared(&replicas[1].read(X, &token).await);
    }
    let purged = replicas[0].purge("").await;
    assert_eq!((&purged["replicas"], &purged["confirmed"]), (&2.into(), &2.into()), "{purged}");
    assert_eq!(graph.calls(), u64::try_from(users).unwrap());
}

async fn has_empty_node(cluster: &Cluster) -> bool {
    for node in &cluster.nodes {
        if node.keys(":e:").await.is_empty() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_cluster_may_be_named_by_several_urls() {
    let (graph, cluster) = (graph(), Cluster::start(false).await);
    let urls: Vec<_> = cluster.nodes.iter().map(crate::common::redis::Store::url).collect();
    let replicas = Setup::new(&graph.url(), &urls.join(",")).fleet(2).await;
    wait_until_shared(&graph, &replicas).await;
}

async fn cluster_has(cluster: &Cluster, part: &str, count: usize) {
    until("keys of the cluster", async || {
        let mut sum = 0;
        for node in &cluster.nodes {
            sum += node.keys(part).await.len();
        }
        sum >= count
    })
    .await;
}

#[tokio::test]
async fn a_lost_node_costs_its_own_slots_only() {
    let (graph, mut cluster) = (graph(), Cluster::start(false).await);
    let setup = Setup::new(&graph.url(), &cluster.url());
    let replicas = setup.fleet(2).await;
    let tokens: Vec<_> = (0..20).map(|number| token(&graph, &format!("user-{number}"))).collect();
    for token in &tokens {
        replicas[0].read(X, token).await;
    }
    cluster_has(&cluster, ":p:", 20).await;
    // A node without the log.
    let log = cluster.node_of(b"{log}").await;
    let lost = (log + 1) % 3;
    let kept: usize = {
        let mut sum = 0;
        for (number, node) in cluster.nodes.iter().enumerate() {
            sum += if number == lost { 0 } else { node.keys(":p:").await.len() };
        }
        sum
    };
    cluster.nodes[lost].kill();
    let mut shared = 0;
    for token in &tokens {
        let answer = replicas[1].read(X, token).await;
        assert_eq!(answer.status, 200, "{}", status(&answer));
        shared += usize::from(is_shared(&answer));
    }
    assert_eq!(shared, kept, "of 20");
}

#[tokio::test]
async fn a_cluster_that_is_down_costs_misses() {
    let (graph, mut cluster) = (graph(), Cluster::start(true).await);
    let replicas = Setup::new(&graph.url(), &cluster.url()).fleet(1).await;
    let log = cluster.node_of(b"{log}").await;
    cluster.nodes[(log + 1) % 3].kill();
    until("CLUSTERDOWN", async || {
        let info = cluster.nodes[log].ok(&["CLUSTER", "INFO"]).await.into_text();
        info.contains("cluster_state:fail")
    })
    .await;
    for number in 0..10 {
        assert_not_shared(&replicas[0].read(X, &token(&graph, &format!("user-{number}"))).await);
    }
    cluster.nodes[(log + 1) % 3].restart().await;
}

#[tokio::test]
async fn slots_that_move_cost_nothing_but_a_miss() {
    let (graph, cluster) = (graph(), Cluster::start(false).await);
    let replicas = Setup::new(&graph.url(), &cluster.url()).fleet(2).await;
    wait_until_shared(&graph, &replicas).await;
    // Half of the slots of the first node become slots of the second one, empty ones.
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    source.ok(&["FLUSHALL"]).await;
    let id = target.ok(&["CLUSTER", "MYID"]).await.into_text();
    for node in [target, source] {
        let mut connection = node.connect().await;
        for slot in 0..2_000 {
            connection.ok(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]).await;
        }
    }
    for number in 0..60 {
        let answer = replicas[number % 2].read(X, &token(&graph, &format!("user-{number}"))).await;
        assert_eq!(answer.status, 200, "{}", status(&answer));
    }
    wait_until_shared(&graph, &replicas).await;
}

#[tokio::test]
async fn a_failover_of_the_cluster_is_followed() {
    let (graph, mut cluster) = (graph(), Cluster::start_with_replicas().await);
    let replicas = Setup::new(&graph.url(), &cluster.url()).fleet(2).await;
    let token = token(&graph, "ada");
    replicas[0].read(X, &token).await;
    let log = cluster.node_of(b"{log}").await;
    cluster.nodes[log].kill();
    assert!(status(&replicas[0].read(X, &token).await).contains("; hit"));
    cluster.wait_for_failover(log).await;
    for replica in &replicas {
        replica.wait_for_state("live").await;
    }
    wait_until_shared(&graph, &replicas).await;
    until("a confirmed purge", async || replicas[0].purge("").await["confirmed"] == 2).await;
    assert_not_shared(&replicas[1].read(X, &token).await);
}

#[tokio::test]
async fn replicas_share_a_store_that_a_sentinel_names() {
    let (graph, watched) = (graph(), Watched::start().await);
    let replicas = Setup::new(&graph.url(), &watched.url()).fleet(2).await;
    wait_until_shared(&graph, &replicas).await;
    assert!(!watched.primary.keys(":e:").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_by_sentinel_under_load_fails_no_request() {
    let (graph, mut watched) = (graph(), Watched::start().await);
    graph.set_throttle(None);
    let replicas = Setup::new(&graph.url(), &watched.url()).fleet(2).await;
    let load = Load::start(&graph, &replicas);
    load.wait_for_answers(200).await;
    watched.primary.kill();
    watched.wait_for_failover().await;
    for replica in &replicas {
        replica.wait_for_state("live").await;
    }
    load.wait_for_answers(200).await;
    assert_eq!(load.end().await, Vec::<String>::new());
    wait_until_shared(&graph, &replicas).await;
    until("a confirmed purge", async || replicas[0].purge("").await["confirmed"] == 2).await;
}
