//! Attacks on memory by requests that wait.

use std::sync::Arc;

use connector_cache::fake_graph::{FakeGraph, Options};

use crate::common::client::{Client, H2};
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::within;

const ANSWER: &str = r#"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#x"}"#;

/// Graph that never answers for flows whose id begins with `slow`.
async fn silent_graph() -> OriginServer {
    let graph = OriginServer::start().await;
    graph.handle(
        "",
        |request| {
            if request.target.contains("/slow") { Reply::silence() } else { Reply::json(ANSWER) }
        },
    );
    graph
}

/// Waits until the requests in flight are as many as `wanted`.
async fn in_flight(proxy: &Proxy, wanted: impl Fn(i64) -> bool) {
    within("requests in flight", async {
        while !wanted(proxy.metrics.in_flight()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn requests_that_wait_for_a_slow_graph_are_bounded_and_leave_room_for_other_tokens() {
    let (graph, mint) = (silent_graph().await, FakeGraph::start(Options::default()).unwrap());
    let proxy = Proxy::with(&graph.url(), |config| config.waiting_requests.requests = 70).await;
    let attacker = mint.token().mint();
    let connection = Arc::new(H2::connect(proxy.data).await);
    let mut flood = tokio::task::JoinSet::new();
    for flow in 0..100 {
        let (connection, authorization) = (connection.clone(), format!("Bearer {attacker}"));
        flood.spawn(async move {
            let path = path(&format!("slow{flow}"));
            connection.get(&path, &[("authorization", &authorization)]).await.map(|response| response.status)
        });
    }
    let mut refused = 0;
    while refused < 60 {
        let response = within("a refusal", flood.join_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(response, 503);
        refused += 1;
    }
    // Four sevenths of the requests wait; no other caller is refused.
    in_flight(&proxy, |count| count == 40).await;
    for user in 0..10 {
        let token = mint.token().user(&format!("user{user}")).mint();
        assert_eq!(within("a response", proxy.read(&token)).await.status, 200);
    }
    drop(flood);
    proxy.stop().await;
}

#[tokio::test]
async fn a_fetch_that_has_not_reached_graph_ends_when_its_caller_leaves() {
    let (graph, mint) = (silent_graph().await, FakeGraph::start(Options::default()).unwrap());
    let proxy = Proxy::with(&graph.url(), |config| config.upstream.in_flight = 2).await;
    let token = mint.token().mint();
    assert_eq!(proxy.read(&token).await.status, 200);
    // The first two requests take the permits. Graph receives them, so they continue without their callers.
    let mut callers = Vec::new();
    for flow in 0..2 {
        let mut caller = Client::connect(proxy.data).await;
        let authorization = format!("Bearer {token}");
        caller.send_get(&path(&format!("slow{flow}")), &[("authorization", &authorization)]).await.unwrap();
        callers.push(caller);
        graph.wait_for_requests(2 + flow).await;
    }
    // All others wait for a permit, and are reset.
    for round in 0..20 {
        let mut caller = Client::connect(proxy.data).await;
        let authorization = format!("Bearer {token}");
        caller.send_get(&path(&format!("slow9{round}")), &[("authorization", &authorization)]).await.unwrap();
        in_flight(&proxy, |count| count == 3).await;
        caller.reset();
        in_flight(&proxy, |count| count == 2).await;
    }
    callers.into_iter().for_each(Client::reset);
    in_flight(&proxy, |count| count == 0).await;
    let overview = crate::common::client::get(proxy.admin, "/cache", &[]).await.json();
    assert_eq!(overview["flights"], 2, "only the requests that Graph has received continue");
    assert_eq!(graph.requests(), 3);
}

#[tokio::test]
async fn a_fetch_goes_on_for_a_follower_when_its_leader_leaves_before_graph_was_reached() {
    let (gate, mint) = (Gate::default(), FakeGraph::start(Options::default()).unwrap());
    let graph = OriginServer::start().await;
    graph.any(Reply::json(ANSWER));
    graph.route("/beta/identity/b2xUserFlows/slow1", Reply::json(ANSWER).held_until(&gate));
    let proxy = Proxy::with(&graph.url(), |config| config.upstream.in_flight = 1).await;
    let (token, busy) = (mint.token().mint(), mint.token().user("grace").mint());
    let authorization = format!("Bearer {busy}");
    let mut holder = Client::connect(proxy.data).await;
    holder.send_get(&path("slow1"), &[("authorization", &authorization)]).await.unwrap();
    graph.wait_for_requests(1).await;
    let authorization = format!("Bearer {token}");
    let mut leader = Client::connect(proxy.data).await;
    leader.send_get(&path("flow1"), &[("authorization", &authorization)]).await.unwrap();
    in_flight(&proxy, |count| count == 2).await;
    let mut follower = Client::connect(proxy.data).await;
    follower.send_get(&path("flow1"), &[("authorization", &authorization)]).await.unwrap();
    in_flight(&proxy, |count| count == 3).await;
    leader.reset();
    in_flight(&proxy, |count| count == 2).await;
    gate.open();
    let response = within("the response of the follower", follower.response()).await.unwrap();
    assert_eq!(response.header("cache-status").unwrap().matches("collapsed").count(), 1, "{response:?}");
    assert_eq!((response.status, graph.requests()), (200, 2));
}
