//! Attacks by tokens without a proof, over real sockets, with the fake Graph of the library.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod common;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::client::{self, Client, Response};
use common::proxy::{Proxy, path};
use common::within;
use connector_cache::fake_graph::{FakeGraph, INVITATIONS, Options, PARTNERS, SIGN_UP, forgery};
use connector_cache::upstream::unauthorized_tokens::UNAUTHORIZED_RESPONSE_TTL;
use http::StatusCode;

fn graph() -> FakeGraph {
    FakeGraph::start(Options::default()).unwrap()
}

fn is_hit(response: &Response) -> bool {
    response.header("cache-status").is_some_and(|status| status.contains("; hit"))
}

async fn ask(proxy: &Proxy, flow: &str, token: &str, more: &[(&str, &str)]) -> Response {
    let authorization = format!("Bearer {token}");
    let headers = [&[("authorization", authorization.as_str())], more].concat();
    client::get(proxy.data, &path(flow), &headers).await
}

#[tokio::test]
async fn t01_twenty_forged_tokens_that_wait_beside_the_victims_request_all_get_401() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    graph.set_latency(Duration::from_millis(200));
    let victim = ask(&proxy, SIGN_UP, &token, &[]);
    let forged = forgery::forged(&token);
    let others = async {
        graph.wait_for_calls(1).await;
        futures_util::future::join_all((0..20).map(|_| ask(&proxy, SIGN_UP, &forged, &[]))).await
    };
    let (victim, others) = within("all answers", async { tokio::join!(victim, others) }).await;
    assert_eq!(victim.status, 200);
    assert_eq!(others.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401; 20]);
    proxy.stop().await;
}

#[tokio::test]
async fn t02_a_yes_for_one_flow_is_no_yes_for_another() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let other = graph.token().user("grace").mint();
    graph.deny(&token, PARTNERS);
    assert_eq!(
        ask(&proxy, PARTNERS, &other, &[]).await.status,
        200,
        "the resource exists for another caller"
    );
    for _ in 0..2 {
        assert_eq!(ask(&proxy, SIGN_UP, &token, &[]).await.status, 200);
        assert_eq!(ask(&proxy, PARTNERS, &token, &[]).await.status, 403);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn t04_no_trick_with_header_or_claims_gets_anothers_answer() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    assert_eq!(ask(&proxy, SIGN_UP, &token, &[]).await.status, 200);
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let doubled = payload.replacen('{', "{\"oid\":\"00000000-0000-0000-0000-000000000000\",", 1);
    let tricks = [
        forgery::alg_none(&token),
        forgery::stripped(&token),
        forgery::altered(&token, "kid", "../../key"),
        graph.sign(&doubled),
        token.replacen('.', "..", 1),
        format!("{token}.{token}"),
        format!("{token}="),
        token.trim_end_matches(|symbol| symbol != '.').to_owned(),
    ];
    for trick in &tricks {
        let before = graph.calls();
        let answer = ask(&proxy, SIGN_UP, trick, &[("if-none-match", "*")]).await;
        assert!(!is_hit(&answer) && answer.header("age").is_none(), "{trick}");
        assert_eq!(graph.calls(), before + 1, "Graph judges every token by itself: {trick}");
        // Two tricks send the same token.
        proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
    }
    assert!(is_hit(&ask(&proxy, SIGN_UP, &token, &[]).await));
    proxy.stop().await;
}

#[tokio::test]
async fn t06_a_path_that_two_servers_could_read_as_two_never_reaches_graph() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let authorization = format!("Bearer {token}");
    for flow in [
        "..%2f", "%2e%2e", "%252f", "..\\", "%c0%ae", "%00", "%0d%0a", "a/../b", "./a", "a;b", "a%20b",
        "a?b", "",
    ] {
        let path = format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration");
        let refused = client::get(proxy.data, &path, &[("authorization", &authorization)]).await;
        assert!((400..500).contains(&refused.status), "{flow:?}: {}", refused.status);
    }
    assert_eq!(graph.calls(), 0);
    proxy.stop().await;
}

/// The default limits suit a whole node behind one address: a thousand new tokens, two hundred callers at a time, more than
/// there are permits, beside a caller with invalid tokens.
#[tokio::test]
async fn t09_a_thousand_honest_tokens_that_start_cold_behind_one_address_are_all_answered() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let forged = forgery::forged(&graph.token().mint());
    for number in 0..10 {
        assert_eq!(ask(&proxy, SIGN_UP, &format!("{forged}{number}"), &[]).await.status, 401);
    }
    let callers = (0..200_u64).map(|caller| {
        let mint = |number| graph.token().expires_in(Duration::from_secs(1_800 + number)).mint();
        let tokens: Vec<_> = (0..5).map(|number| mint(5 * caller + number)).collect();
        let data = proxy.data;
        tokio::spawn(async move {
            let mut connection = Client::connect(data).await;
            for token in tokens {
                let authorization = format!("Bearer {token}");
                connection.send_get(&path(SIGN_UP), &[("authorization", &authorization)]).await.unwrap();
                assert_eq!(connection.response().await.unwrap().status, 200);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert_eq!(graph.calls(), 10 + 1_000);
    let granted = proxy.series(r#"connector_cache_proof_changes_total{change="granted"}"#).await;
    assert!((granted - 1_000.0).abs() < 0.5, "{granted}");
    proxy.stop().await;
}

#[tokio::test]
async fn t10_a_forged_token_blocks_no_caller_before_or_after_the_genuine_one() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let forged = forgery::forged(&token);
    assert_eq!(ask(&proxy, SIGN_UP, &forged, &[]).await.status, 401);
    assert_eq!(ask(&proxy, SIGN_UP, &token, &[]).await.status, 200);
    assert_eq!(ask(&proxy, SIGN_UP, &forged, &[]).await.status, 401);
    assert!(is_hit(&ask(&proxy, SIGN_UP, &token, &[]).await), "the forged token's 401 dropped nothing");
    proxy.stop().await;
}

#[tokio::test]
async fn t18_an_unproven_token_cannot_find_out_what_is_in_the_cache() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let stored = ask(&proxy, SIGN_UP, &token, &[]).await;
    let tag = stored.header("etag").unwrap();
    let guess = [("if-none-match", tag), ("if-modified-since", "Fri, 31 Dec 9999 23:59:59 GMT")];
    let forged = forgery::forged(&token);
    let mut told = Vec::new();
    for flow in [SIGN_UP, INVITATIONS] {
        let answer = ask(&proxy, flow, &forged, &guess).await;
        let fields = ["age", "etag", "cache-control", "vary", "cache-status"];
        told.push((answer.status, fields.map(|name| answer.header(name).map(str::to_owned))));
        // Within this time the second answer would come from the first, whatever is in the cache.
        proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
    }
    assert_eq!(told[0].0, 401);
    assert_eq!(told[0], told[1], "a cached resource and an unknown resource look alike");
    assert_eq!(graph.calls(), 3, "and take the same way");
    proxy.stop().await;
}

#[tokio::test]
async fn t24_a_429_of_one_token_affects_no_other() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let (throttled, other) =
        (graph.token().app("one").user("ada").mint(), graph.token().app("two").user("grace").mint());
    graph.fail_next(1, StatusCode::TOO_MANY_REQUESTS);
    let refused = ask(&proxy, SIGN_UP, &throttled, &[]).await;
    assert_eq!(refused.status, 429);
    for name in ["x-ms-throttle-scope", "x-ms-throttle-information", "x-ms-ags-diagnostic"] {
        assert_eq!(refused.header(name), None, "{name} names app and tenant");
    }
    assert_eq!(ask(&proxy, SIGN_UP, &other, &[]).await.status, 200);
    proxy.stop().await;
}
