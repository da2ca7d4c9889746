//! Callers that read all the time, and a store that fails in the meantime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use connector_cache::fake_graph::FakeGraph;
use tokio::task::JoinHandle;

use crate::common::client::Client;
use crate::common::proxy::path;
use crate::common::redis::Store;
use crate::fleet::{Replica, Setup, X, Y, graph, until};

/// Callers with many tokens, so that misses are frequent. Each uses the replicas in turn.
pub(crate) struct Load {
    answers: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn start(graph: &FakeGraph, replicas: &[Replica]) -> Self {
        let (answers, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let addresses: Vec<_> = replicas.iter().map(|replica| replica.0.data).collect();
        let callers = (0..4_usize).map(|caller| {
            let tokens: Vec<_> =
                (0..50).map(|number| graph.token().user(&format!("{caller}-{number}")).mint()).collect();
            let (addresses, answers, is_over) =
                (addresses.clone(), Arc::clone(&answers), Arc::clone(&is_over));
            tokio::spawn(async move {
                let (mut failed, mut step) = (Vec::new(), 0_usize);
                let mut clients = Vec::new();
                for address in &addresses {
                    clients.push(Client::connect(*address).await);
                }
                while !is_over.load(SeqCst) {
                    let client = &mut clients[step % addresses.len()];
                    let authorization = format!("Bearer {}", tokens[step / 6 % tokens.len()]);
                    let fields = [("authorization", authorization.as_str())];
                    client.send_get(&path([X, Y][step / 3 % 2]), &fields).await.unwrap();
                    match client.response().await {
                        Ok(answer) if answer.status == 200 => drop(answers.fetch_add(1, SeqCst)),
                        Ok(answer) => failed.push(format!("{} {}", answer.status, answer.text())),
                        Err(error) => return vec![error.to_string()],
                    }
                    step += 1;
                }
                failed
            })
        });
        Self { callers: callers.collect(), answers, is_over }
    }

    /// Waits until so many further requests have got a 200.
    pub(crate) async fn wait_for_answers(&self, more: usize) {
        let enough = self.answers.load(SeqCst) + more;
        until("answers under load", async || {
            self.answers.load(SeqCst) >= enough || self.callers.iter().any(JoinHandle::is_finished)
        })
        .await;
    }

    /// Ends the load. Returns the failed requests.
    pub(crate) async fn end(self) -> Vec<String> {
        self.is_over.store(true, SeqCst);
        let mut failed = Vec::new();
        for caller in self.callers {
            failed.extend(caller.await.unwrap());
        }
        failed
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_under_load_fails_no_request() {
    let (graph, mut store) = (graph(), Store::start().await);
    graph.set_throttle(None);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let load = Load::start(&graph, &replicas);
    load.wait_for_answers(300).await;
    store.kill();
    load.wait_for_answers(500).await;
    store.restart().await;
    for replica in &replicas {
        replica.wait_for_state("live").await;
    }
    load.wait_for_answers(300).await;
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_frozen_under_load_fails_no_request() {
    let (graph, store) = (graph(), Store::start().await);
    graph.set_throttle(None);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let load = Load::start(&graph, &replicas);
    load.wait_for_answers(300).await;
    store.freeze();
    let began = Instant::now();
    load.wait_for_answers(500).await;
    let took = began.elapsed();
    store.thaw();
    load.wait_for_answers(300).await;
    assert_eq!(load.end().await, Vec::<String>::new());
    assert!(took < Duration::from_secs(20), "{took:?} for 500 answers while the store was frozen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_loses_connections_under_load_fails_no_request() {
    let (graph, store) = (graph(), Store::start().await);
    graph.set_throttle(None);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let load = Load::start(&graph, &replicas);
    for _ in 0..10 {
        load.wait_for_answers(50).await;
        store.end_connections().await;
    }
    for replica in &replicas {
        replica.wait_for_state("live").await;
    }
    assert_eq!(load.end().await, Vec::<String>::new());
    // Replaced connections are closed.
    until("the end of the replaced connections", async || {
        let clients: usize = store.info("clients", "connected_clients").await.parse().unwrap();
        clients <= 2 * 8 + 1
    })
    .await;
}
