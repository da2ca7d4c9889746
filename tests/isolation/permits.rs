//! Attacks on the permits for requests to Graph.

use connector_cache::fake_graph::{FakeGraph, Options};
use futures_util::future::join_all;

use crate::common::client::{H2, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::within;

const PERMITS: usize = 16;

/// Graph that never answers for flows whose id begins with `slow`, and answers 403 to tokens in `forbidden`.
async fn graph(forbidden: Vec<String>) -> OriginServer {
    let graph = OriginServer::start().await;
    graph.handle("", move |request| {
        let token = request.header("authorization").unwrap_or_default();
        if request.target.contains("/slow") {
            Reply::silence()
        } else if forbidden.iter().any(|forbidden| token.ends_with(forbidden.as_str())) {
            Reply::status(403)
        } else {
            Reply::json(r#"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#x"}"#)
        }
    });
    graph
}

async fn proxy(graph: &OriginServer) -> Proxy {
    Proxy::with(&graph.url(), |config| config.upstream.in_flight = PERMITS).await
}

/// Sends a request for each flow over one HTTP/2 connection. The requests go on until the connection is dropped.
async fn flood(proxy: &Proxy, token: &str, flows: usize) -> tokio::task::JoinSet<()> {
    let connection = std::sync::Arc::new(H2::connect(proxy.data).await);
    let mut requests = tokio::task::JoinSet::new();
    for flow in 0..flows {
        let (connection, authorization) = (connection.clone(), format!("Bearer {token}"));
        requests.spawn(async move {
            let _ = connection.get(&path(&format!("slow{flow}")), &[("authorization", &authorization)]).await;
        });
    }
    requests
}

async fn read_all(proxy: &Proxy, tokens: &[String]) -> Vec<u16> {
    let requests = tokens.iter().map(|token| async move { proxy.read(token).await });
    let answers: Vec<Response> = within("the responses of the other callers", join_all(requests)).await;
    answers.iter().map(|response| response.status).collect()
}

#[tokio::test]
async fn a_proven_token_that_floods_slow_flows_leaves_permits_for_another_tenant() {
    let mint = FakeGraph::start(Options::default()).unwrap();
    let graph = graph(Vec::new()).await;
    let proxy = proxy(&graph).await;
    let attacker = mint.token().mint();
    assert_eq!(proxy.read(&attacker).await.status, 200);
    let flood = flood(&proxy, &attacker, 60).await;
    // The flood holds all permits of its share.
    graph.wait_for_requests(8).await;
    let victims: Vec<_> = (0..20)
        .map(|user| mint.token().tenant("fabrikam").user(&format!("user{user}")).app("portal").mint())
        .collect();
    assert_eq!(read_all(&proxy, &victims).await, [200; 20]);
    drop(flood);
    proxy.stop().await;
}

#[tokio::test]
async fn a_proven_token_that_floods_slow_flows_leaves_permits_for_a_new_flow_of_a_proven_caller() {
    let mint = FakeGraph::start(Options::default()).unwrap();
    let graph = graph(Vec::new()).await;
    let proxy = proxy(&graph).await;
    let (attacker, victim) = (mint.token().mint(), mint.token().tenant("fabrikam").mint());
    for token in [&attacker, &victim] {
        assert_eq!(proxy.read(token).await.status, 200);
    }
    let flood = flood(&proxy, &attacker, 60).await;
    graph.wait_for_requests(8).await;
    for flow in 0..20 {
        let response = within("a response", proxy.get(&path(&format!("flow{flow}")), &victim)).await;
        assert_eq!(response.status, 200);
    }
    drop(flood);
    proxy.stop().await;
}

#[tokio::test]
async fn a_token_without_permission_that_floods_leaves_permits_for_new_tokens_of_its_address() {
    let mint = FakeGraph::start(Options::default()).unwrap();
    let attacker = mint.token().mint();
    let graph = graph(vec![attacker.clone()]).await;
    let proxy = proxy(&graph).await;
    assert_eq!(proxy.read(&attacker).await.status, 403);
    let flood = flood(&proxy, &attacker, 60).await;
    graph.wait_for_requests(6).await;
    let honest: Vec<_> = (0..20).map(|user| mint.token().user(&format!("user{user}")).mint()).collect();
    assert_eq!(read_all(&proxy, &honest).await, [200; 20]);
    drop(flood);
    proxy.stop().await;
}
