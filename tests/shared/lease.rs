//! The lease of a fill: one call to Graph for many callers on many replicas.

use std::time::{Duration, Instant};

use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::redis::Store;
use crate::common::reply::Reply;
use crate::common::{client, token};
use crate::fleet::{Setup, X, status, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_one_token_on_ten_replicas_make_one_call() {
    let graph = crate::fleet::graph();
    graph.set_latency(Duration::from_millis(200));
    let store = Store::start().await;
    // A busy machine may take longer than 50 ms; then a replica goes alone.
    let replicas = Setup::new(&graph.url(), &store.url()).with("SHARED__TIMEOUT", "5s").fleet(10).await;
    let token = crate::fleet::token(&graph, "ada");
    let reads = (0..20).flat_map(|_| replicas.iter().map(|replica| replica.read(X, &token)));
    let answers = futures_util::future::join_all(reads).await;
    let bad: Vec<_> = answers.iter().filter(|answer| answer.status != 200).map(status).collect();
    assert_eq!((bad, graph.calls()), (Vec::<&str>::new(), 1));
}

#[tokio::test]
async fn a_dead_holder_of_a_lease_costs_a_second_and_one_more_call() {
    let (origin, store, never) = (OriginServer::start().await, Store::start().await, Gate::new());
    origin.any([Reply::json("{}").held_until(&never), Reply::json("{}")]);
    let setup = Setup::new(&origin.url(), &store.url());
    let (first, second) = (setup.live().await, setup.live().await);
    let token = token::mint("ada");
    let (data, authorization) = (first.0.data, format!("Bearer {token}"));
    let held = tokio::spawn(async move {
        let mut client = client::Client::connect(data).await;
        client.send_get(&path(X), &[("authorization", &authorization)]).await.unwrap();
        client.response().await
    });
    origin.wait_for_requests(1).await;
    assert_eq!(store.keys(":l:").await.len(), 1);
    drop(first);
    let began = Instant::now();
    let answer = second.read(X, &token).await;
    assert_eq!((answer.status, origin.requests()), (200, 2), "{}", status(&answer));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(held.await.unwrap().is_err());
}

#[tokio::test]
async fn a_holder_that_fails_does_not_fail_the_others() {
    let (origin, store, gate) = (OriginServer::start().await, Store::start().await, Gate::new());
    let failure = Reply::status(403).header("content-type", "application/json").body("{}");
    origin.any([failure.held_until(&gate), Reply::json("{}")]);
    let setup = Setup::new(&origin.url(), &store.url());
    let (first, second) = (setup.live().await, setup.live().await);
    let token = token::mint("ada");
    let both = async {
        let early = first.read(X, &token);
        let late = async {
            origin.wait_for_requests(1).await;
            let late = second.read(X, &token);
            gate.open();
            late.await
        };
        futures_util::future::join(early, late).await
    };
    let (early, late) = both.await;
    assert_eq!((early.status, late.status), (403, 200), "{} {}", status(&early), status(&late));
}

#[tokio::test]
async fn leases_end_by_themselves() {
    let (graph, store) = (crate::fleet::graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    for number in 0..20 {
        replica.read(X, &crate::fleet::token(&graph, &format!("user-{number}"))).await;
    }
    let mut connection = store.connect().await;
    for key in store.keys(":l:").await {
        let milliseconds = connection.ok(&[b"PTTL".as_slice(), &key]).await.integer();
        assert!(milliseconds <= 3_000 && milliseconds != -1, "{milliseconds}");
    }
    until("the end of the leases", async || store.keys(":l:").await.is_empty()).await;
}

#[tokio::test]
async fn an_unproven_token_writes_nothing_but_its_lease() {
    let (graph, store) = (crate::fleet::graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    let events = async || {
        let mut sum = 0;
        for key in store.keys("").await {
            let name = String::from_utf8_lossy(&key).into_owned();
            if store.command(&["TYPE", &name]).await.into_text() == "stream" {
                sum += store.ok(&["XLEN", &name]).await.integer();
            }
        }
        sum
    };
    let before = events().await;
    for number in 0..10 {
        let stranger = token::mint(&format!("stranger-{number}"));
        assert_eq!(replica.read(X, &stranger).await.status, 401);
    }
    // A later proof is behind anything that the refused tokens could have written.
    replica.read(X, &crate::fleet::token(&graph, "ada")).await;
    store.wait_for_keys(":p:", 1).await;
    let counts = (store.keys(":e:").await.len(), store.keys(":p:").await.len(), events().await);
    assert_eq!(counts, (1, 1, before));
    assert!(store.keys(":l:").await.len() <= 11);
}

#[tokio::test]
async fn a_lost_lease_is_no_lost_answer() {
    let (graph, store) = (crate::fleet::graph(), Store::start().await);
    graph.set_latency(Duration::from_millis(200));
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let token = crate::fleet::token(&graph, "ada");
    let first = replicas[0].read(X, &token);
    let rest = async {
        graph.wait_for_calls(1).await;
        store.ok(&["FLUSHALL"]).await;
        replicas[1].read(X, &token).await
    };
    let (first, second) = futures_util::future::join(first, rest).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert!(graph.calls() <= 2);
}
