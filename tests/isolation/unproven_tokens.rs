//! Attacks by tokens without a proof on the other callers of their address.

use std::time::Duration;

use connector_cache::fake_graph::{FakeGraph, Options, SIGN_UP, forgery};
use connector_cache::http::rejection::Rejection;
use connector_cache::upstream::unauthorized_tokens::UNAUTHORIZED_RESPONSE_TTL;

use crate::common::client::Response;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::within;

const CHALLENGE: &str =
    r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;

/// Graph that refuses tokens that end in `dead` with a claims challenge, and answers all others.
async fn graph() -> OriginServer {
    let graph = OriginServer::start().await;
    graph.handle("", |request| {
        if request.header("authorization").unwrap_or_default().ends_with("dead") {
            let body =
                r#"{"error":{"code":"InvalidAuthenticationToken","message":"Continuous access evaluation"}}"#;
            Reply::json(body).with_status(401).header("www-authenticate", CHALLENGE)
        } else {
            Reply::json(r#"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#x"}"#)
        }
    });
    graph
}

/// Reads a flow of the fake Graph.
async fn read(proxy: &Proxy, token: &str) -> Response {
    proxy.get(&path(SIGN_UP), token).await
}

fn is_challenge(response: &Response) -> bool {
    response.status == 401 && response.header("www-authenticate") == Some(CHALLENGE)
}

#[tokio::test]
async fn a_dead_token_that_is_repeated_locks_out_no_other_token_of_its_address() {
    let (graph, mint) = (graph().await, FakeGraph::start(Options::default()).unwrap());
    let proxy = Proxy::before(&graph.url()).await;
    for _ in 0..70 {
        assert!(is_challenge(&proxy.read("dead").await), "the caller gets the challenge each time");
        proxy.clock.advance(Duration::from_secs(1));
    }
    for user in 0..20 {
        let token = mint.token().user(&format!("user{user}")).expires_in(Duration::from_mins(50)).mint();
        assert_eq!(within("a response", proxy.read(&token)).await.status, 200);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_refused_token_receives_the_same_challenge_from_memory_for_a_few_seconds() {
    let graph = graph().await;
    let proxy = Proxy::before(&graph.url()).await;
    let first = proxy.read("dead").await;
    let again = proxy.read("dead").await;
    assert!(is_challenge(&first) && is_challenge(&again));
    assert_eq!((first.text(), graph.requests()), (again.text(), 1));
    assert_eq!(again.header("cache-status"), Some("connector-cache; detail=token-refused"));
    assert_eq!(proxy.metrics.rejected.get(Rejection::TokenRefused), 1);
    proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
    assert!(is_challenge(&proxy.read("dead").await));
    assert_eq!(graph.requests(), 2, "after that the token is sent to Graph again");
    proxy.stop().await;
}

#[tokio::test]
async fn a_revoked_token_that_had_proofs_is_not_counted_as_a_forgery() {
    let mint = FakeGraph::start(Options::default()).unwrap();
    let proxy = Proxy::with(&mint.url(), |config| config.unproven_limit.failures_per_address = 1).await;
    let tokens: Vec<_> = (0..5).map(|user| mint.token().user(&format!("user{user}")).mint()).collect();
    for token in &tokens {
        assert_eq!(read(&proxy, token).await.status, 200);
        mint.revoke(token);
    }
    proxy.clock.advance(Duration::from_mins(20));
    for token in &tokens {
        assert_eq!(read(&proxy, token).await.status, 401);
        proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
        assert_eq!(
            read(&proxy, token).await.status,
            401,
            "and again, after the first response was forgotten"
        );
    }
    let honest = mint.token().user("honest").mint();
    assert_eq!(read(&proxy, &honest).await.status, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn honest_new_tokens_are_answered_beside_forged_tokens_of_the_same_address() {
    let mint = FakeGraph::start(Options::default()).unwrap();
    let proxy = Proxy::before(&mint.url()).await;
    let victim = mint.token().mint();
    let forged = |number: usize| forgery::altered(&victim, "kid", number.to_string());
    for number in 0..60 {
        assert_eq!(read(&proxy, &forged(number)).await.status, 401);
    }
    // The address is above its limit. Twenty forged tokens come before each honest one.
    for round in 0..5 {
        let flood = (0..20).map(|number| {
            let token = forged(1000 + round * 20 + number);
            let proxy = &proxy;
            async move { read(proxy, &token).await.status }
        });
        let honest = mint.token().user(&format!("user{round}")).mint();
        let (flood, honest) = within("the responses of a round", async {
            tokio::join!(futures_util::future::join_all(flood), read(&proxy, &honest))
        })
        .await;
        assert_eq!(honest.status, 200);
        assert!(flood.iter().all(|status| *status == 401), "no forged token gets anything else: {flood:?}");
    }
    proxy.stop().await;
}
