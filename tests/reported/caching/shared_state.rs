//! B1 and B2: one request of an operator or of one token leaves what others share alone.

use std::time::Duration;

use super::harness::{Harness, cache_status, ok};
use crate::common::client;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::token;

#[tokio::test]
async fn b1_a_purge_of_one_flow_leaves_the_others_of_the_token() {
    let harness = Harness::start(ok("x")).await;
    let token = token::mint("ada");
    for flow in ["first", "second"] {
        harness.proxy.get(&path(flow), &token).await;
    }
    assert_eq!(client::purge(harness.proxy.admin, "?flow=first").await.status, 200);
    let second = harness.proxy.get(&path("second"), &token).await;
    assert!(cache_status(&second).starts_with("hit"), "{}", cache_status(&second));
    let first = harness.proxy.get(&path("first"), &token).await;
    assert!(cache_status(&first).starts_with("fwd=uri-miss"), "{}", cache_status(&first));
    harness.stop().await;
}

#[tokio::test]
async fn b2_a_proven_token_that_graph_refuses_gets_the_challenge_each_time() {
    let harness = Harness::start(ok("x")).await;
    harness.get(&[]).await;
    harness.advance(400);
    let challenge = "Bearer error=\"insufficient_claims\", claims=\"e30=\"";
    let (refused, challenged) = (format!("Bearer {}", token::mint("ada")), challenge.to_owned());
    harness.origin.handle("", move |request| match request.header("authorization") {
        Some(value) if value == refused => Reply::status(401).header("www-authenticate", &challenged),
        _ => ok("x"),
    });
    for number in 0..70 {
        let response = harness.get(&[]).await;
        assert_eq!(response.status, 401, "{number}");
        assert!(response.header("www-authenticate").is_some_and(|it| it.contains("insufficient_claims")));
        harness.proxy.clock.advance(Duration::from_millis(50));
    }
    for number in 0..20 {
        assert_eq!(harness.get_as(&format!("other{number}"), &[]).await.status, 200, "{number}");
    }
    harness.stop().await;
}
