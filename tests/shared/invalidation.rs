//! Events of the log other than purges: withdrawn rights and renewed answers.

use std::time::{Duration, Instant};

use connector_cache::fake_graph::{CONTOSO, Flow, Step, connector, user_id};

use crate::common::gate::Gate;
use crate::common::link::Link;
use crate::common::origin::OriginServer;
use crate::common::redis::Store;
use crate::common::reply::Reply;
use crate::fleet::{Replica, Setup, X, Y, graph, status, token, until, wait_for_entries};

/// Two replicas that have an answer of a user for `X` and `Y` in memory.
async fn two_with_answers(
    graph: &connector_cache::fake_graph::FakeGraph,
    store: &Store,
    token: &str,
) -> Vec<Replica> {
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    for (number, flow) in [X, Y].into_iter().enumerate() {
        replicas[0].read(flow, token).await;
        wait_for_entries(store, number + 1).await;
        replicas[1].read(flow, token).await;
    }
    assert_eq!(graph.calls(), 2);
    replicas
}

#[tokio::test]
async fn a_401_at_one_replica_ends_the_hits_of_the_token_at_all() {
    let (graph, store) = (graph(), Store::start().await);
    let token = token(&graph, "ada");
    let replicas = two_with_answers(&graph, &store, &token).await;
    graph.revoke(&token);
    assert_eq!(replicas[0].refresh(X, &token).await.status, 401);
    let began = Instant::now();
    for flow in [X, Y] {
        until("the 401 at the other replica", async || replicas[1].read(flow, &token).await.status == 401)
            .await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let fresh = Setup::new(&graph.url(), &store.url()).live().await;
    assert_eq!(fresh.read(X, &token).await.status, 401);
}

/// The replica that receives the 401 has no proof of the token in its own memory.
#[tokio::test]
async fn a_401_at_a_replica_that_never_had_the_token_ends_its_hits_at_the_others() {
    let (graph, store) = (graph(), Store::start().await);
    let token = token(&graph, "ada");
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    replicas[0].read(X, &token).await;
    wait_for_entries(&store, 1).await;
    graph.revoke(&token);
    assert_eq!(replicas[1].refresh(X, &token).await.status, 401);
    until("the 401 at the other replica", async || replicas[0].read(X, &token).await.status == 401).await;
}

/// The event waits for the store.
#[tokio::test]
async fn a_forced_refresh_at_a_replica_without_the_store_renews_the_answer_at_all_afterwards() {
    let (graph, store) = (graph(), Store::start().await);
    let token = token(&graph, "ada");
    let (setup, link) = (Setup::new(&graph.url(), &store.url()), Link::to(store.address()).await);
    let near = setup.live().await;
    let far = setup.with("SHARED__URL", &format!("redis://{}", link.address())).live().await;
    near.read(X, &token).await;
    link.refuse();
    link.break_off();
    far.wait_for_one_of(&["connecting", "lagging"]).await;
    let changed = connector::basic("name", "https://changed.example", "user", "password");
    graph.put_flow(CONTOSO, Flow::new(X).connector(Step::PostAttributeCollection, changed));
    let new = far.refresh(X, &token).await;
    link.mend();
    until("the new answer at the other replica", async || near.read(X, &token).await.body == new.body).await;
}

#[tokio::test]
async fn a_403_at_one_replica_ends_the_hits_of_the_resource_at_all() {
    let (graph, store) = (graph(), Store::start().await);
    let token = token(&graph, "ada");
    let replicas = two_with_answers(&graph, &store, &token).await;
    graph.deny(&user_id(CONTOSO, "ada"), X);
    assert_eq!(replicas[0].refresh(X, &token).await.status, 403);
    until("the 403 at the other replica", async || replicas[1].read(X, &token).await.status == 403).await;
    let kept = replicas[1].read(Y, &token).await;
    assert!(status(&kept).contains("; hit"), "{}", status(&kept));
}

#[tokio::test]
async fn a_404_at_one_replica_ends_the_hits_of_the_resource_at_all() {
    let (graph, store) = (graph(), Store::start().await);
    let token = token(&graph, "ada");
    let replicas = two_with_answers(&graph, &store, &token).await;
    graph.remove_flow(CONTOSO, X);
    assert_eq!(replicas[0].refresh(X, &token).await.status, 404);
    until("the 404 at the other replica", async || replicas[1].read(X, &token).await.status == 404).await;
}

#[tokio::test]
async fn a_forced_refresh_at_one_replica_renews_the_answer_at_all() {
    let (graph, store) = (graph(), Store::start().await);
    let token = token(&graph, "ada");
    let replicas = two_with_answers(&graph, &store, &token).await;
    let changed = connector::basic("name", "https://changed.example", "user", "password");
    graph.put_flow(CONTOSO, Flow::new(X).connector(Step::PostAttributeCollection, changed));
    let new = replicas[0].refresh(X, &token).await;
    until("the new answer at the other replica", async || replicas[1].read(X, &token).await.body == new.body)
        .await;
}

#[tokio::test]
async fn an_answer_that_is_written_after_a_401_is_refused() {
    let (origin, store, late) = (OriginServer::start().await, Store::start().await, Gate::new());
    let refused = Reply::status(401).header("content-type", "application/json").body("{}");
    // Y proves the token. The answer for X is under way while Graph refuses the token elsewhere.
    origin.any([Reply::json("{}"), Reply::json("{}").held_until(&late), refused.clone(), refused]);
    let replicas = Setup::new(&origin.url(), &store.url()).fleet(2).await;
    let token = crate::common::token::mint("ada");
    replicas[1].read(Y, &token).await;
    wait_for_entries(&store, 1).await;
    let slow = replicas[0].read(X, &token);
    let refusal = async {
        origin.wait_for_requests(2).await;
        let refusal = replicas[1].refresh(Y, &token).await;
        // The event has reached the other replica when a purge behind it is confirmed.
        assert_eq!(replicas[1].purge("?flow=other").await["confirmed"], 2);
        late.open();
        refusal
    };
    let (slow, refusal) = futures_util::future::join(slow, refusal).await;
    assert_eq!((slow.status, refusal.status), (200, 401));
    let fresh = Setup::new(&origin.url(), &store.url()).live().await;
    for replica in [&replicas[0], &replicas[1], &fresh] {
        let answer = replica.read(X, &token).await;
        assert_eq!(answer.status, 401, "{}", status(&answer));
    }
}
