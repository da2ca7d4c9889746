//! Attacks, by the numbers of the threat model.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::Duration;

use common::client::{self, Client, Response};
use common::gate::Gate;
use common::origin::OriginServer;
use common::proxy::{Proxy, path};
use common::reply::Reply;
use common::within;
use connector_cache::fake_graph::{FakeGraph, Options, forgery};
use connector_cache::upstream::unauthorized_tokens::UNAUTHORIZED_RESPONSE_TTL;
use futures_util::future::join_all;

/// Two tokens of one user.
fn tokens() -> (String, String) {
    let mint = FakeGraph::start(Options::default()).unwrap();
    (mint.token().mint(), mint.token().expires_in(Duration::from_secs(1800)).mint())
}

/// Tokens with the claims of `token` and a wrong signature, in this number.
fn forged(token: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{}x{number}", forgery::forged(token))).collect()
}

/// An origin server that accepts one token with the reply `good`, and answers 401 to all others.
async fn origin_of(token: &str, good: Reply) -> OriginServer {
    let (origin, authorization) = (OriginServer::start().await, format!("Bearer {token}"));
    origin.handle("", move |request| {
        let known = request.header("authorization") == Some(&authorization);
        if known { good.clone() } else { refusal() }
    });
    origin
}

fn refusal() -> Reply {
    Reply::status(401).header("content-type", "application/json").body(r#"{"error":{"code":"x"}}"#)
}

fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

#[tokio::test]
async fn t01_forged_tokens_beside_a_slow_request_of_the_victim_get_graphs_401() {
    let ((token, _), gate) = (tokens(), Gate::new());
    let origin = origin_of(&token, Reply::json("{}").held_until(&gate)).await;
    let proxy = Proxy::before(&origin.url()).await;
    let (data, header) = (proxy.data, format!("Bearer {token}"));
    let slow =
        tokio::spawn(async move { client::get(data, &path("B2X_1_x"), &[("authorization", &header)]).await });
    origin.wait_for_requests(1).await;
    let bad = forged(&token, 20);
    let answers = within("the 401s", join_all(bad.iter().map(|bad| proxy.read(bad)))).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    gate.open();
    assert_eq!(within("the victim's answer", slow).await.unwrap().status, 200);
    assert_eq!(cache_status(&proxy.read(&token).await), "connector-cache; hit; ttl=300");
    proxy.stop().await;
}

#[tokio::test]
async fn t02_a_200_for_one_resource_is_no_proof_for_another() {
    let (origin, (token, _)) = (OriginServer::start().await, tokens());
    let asked = path("a");
    let other_expand = asked.replace("postFederationSignup,", "");
    let (other_flow, other_version) = (path("b"), asked.replace("/beta/", "/v1.0/"));
    origin.any(Reply::status(403));
    origin.route(&asked, Reply::json("{}"));
    let proxy = Proxy::before(&origin.url()).await;
    assert_eq!(proxy.get(&asked, &token).await.status, 200);
    for other in [other_expand, other_flow, other_version] {
        assert_eq!(proxy.get(&other, &token).await.status, 403, "{other}");
    }
    assert_eq!(cache_status(&proxy.get(&asked, &token).await), "connector-cache; hit; ttl=300");
    proxy.stop().await;
}

#[tokio::test]
async fn t06_an_ambiguous_path_does_not_reach_graph() {
    let (origin, (token, _)) = (OriginServer::start().await, tokens());
    let proxy = Proxy::before(&origin.url()).await;
    for flow in
        ["..%2f", "%2e%2e/", "%252f", "..\\", "%c0%ae", "%00", "x%0d%0a", "a/../b", "..", "", ".", "x;y"]
    {
        let status = proxy.get(&path(flow), &token).await.status;
        assert!(matches!(status, 400 | 404), "{flow}: {status}");
    }
    for path in
        ["/beta/../v1.0", "/v1.0/identity/b2cUserFlows/x/apiConnectorConfiguration", "//x", "/beta/me"]
    {
        assert_eq!(proxy.get(path, &token).await.status, 404, "{path}");
    }
    assert_eq!(origin.requests(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn t07_a_request_hidden_in_a_body_is_not_answered() {
    let (token, _) = tokens();
    let origin = origin_of(&token, Reply::json("{}")).await;
    let proxy = Proxy::before(&origin.url()).await;
    let hidden =
        format!("GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n", path("B2X_1_x"));
    for framing in [format!("content-length: {}", hidden.len()), "transfer-encoding: chunked".to_owned()] {
        let mut client = Client::connect(proxy.data).await;
        let head = format!(
            "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{framing}\r\n\r\n",
            path("B2X_1_x")
        );
        client.send(format!("{head}{hidden}")).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 400, "{framing}");
        client.ended().await;
    }
    assert_eq!(origin.requests(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn t08_only_a_whole_200_of_json_is_kept() {
    let (token, _) = tokens();
    let bad = [
        Reply::json("{}").header("content-length", "9").then_close(),
        Reply::status(206).header("content-type", "application/json").body("{}"),
        Reply::status(304),
        Reply::status(200).header("content-type", "text/html").body("{}"),
        Reply::json("{\"a\" 1}"),
        Reply::json(""),
        Reply::json("[]"),
    ];
    for (number, reply) in bad.into_iter().enumerate() {
        let origin = origin_of(&token, reply).await;
        let proxy = Proxy::before(&origin.url()).await;
        for requests in 1..=2 {
            assert_eq!(proxy.read(&token).await.status, 502, "{number}");
            assert_eq!(origin.requests(), requests, "{number}");
        }
        proxy.stop().await;
    }
}

#[tokio::test]
async fn t09_forged_tokens_fill_nothing_that_a_proven_one_needs() {
    let ((token, _), gate) = (tokens(), Gate::new());
    let (origin, authorization, held) =
        (OriginServer::start().await, format!("Bearer {token}"), gate.clone());
    origin.handle("", move |request| {
        let known = request.header("authorization") == Some(&authorization);
        if known { Reply::json("{}") } else { Reply::status(401).held_until(&held) }
    });
    let proxy = Proxy::with(&origin.url(), |config| config.upstream.in_flight = 8).await;
    proxy.read(&token).await;
    let (data, bad) = (proxy.data, forged(&token, 30));
    let flood = bad.into_iter().map(|bad| {
        tokio::spawn(async move {
            client::get(data, &path("B2X_1_x"), &[("authorization", &format!("Bearer {bad}"))]).await.status
        })
    });
    let flood: Vec<_> = flood.collect();
    // Six permits of eight are for unproven tokens, and one of these is left for another address.
    origin.wait_for_requests(1 + 5).await;
    let mine = within("a proven token's question", proxy.get(&path("y"), &token)).await;
    assert_eq!(cache_status(&mine), "connector-cache; fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(cache_status(&proxy.read(&token).await), "connector-cache; hit; ttl=300");
    gate.open();
    let statuses = within("the 401s", join_all(flood)).await;
    assert!(statuses.into_iter().all(|status| status.unwrap() == 401));
    proxy.stop().await;
}

#[tokio::test]
async fn t10_a_forged_token_that_comes_first_spoils_nothing() {
    let (token, _) = tokens();
    let origin = origin_of(&token, Reply::json("{}")).await;
    let proxy = Proxy::before(&origin.url()).await;
    assert_eq!(proxy.read(&forged(&token, 1)[0]).await.status, 401);
    assert_eq!(proxy.read(&token).await.status, 200);
    assert_eq!(proxy.read(&forged(&token, 1)[0]).await.status, 401);
    assert_eq!(cache_status(&proxy.read(&token).await), "connector-cache; hit; ttl=300");
    proxy.stop().await;
}

#[tokio::test]
async fn t11_a_credential_in_a_refusal_is_masked_too() {
    let (origin, (token, _)) = (OriginServer::start().await, tokens());
    let body = r#"{"error":{"code":"x","innerError":{"clientSecret":"planted","password":"planted"}}}"#;
    origin.any(
        Reply::status(403)
            .header("content-type", "application/json")
            .header("x-secret", "planted")
            .body(body),
    );
    let proxy = Proxy::before(&origin.url()).await;
    let refused = proxy.read(&token).await;
    assert_eq!((refused.status, refused.text()), (403, &*body.replace("planted", "******")));
    assert!(refused.headers.iter().all(|(_, value)| !value.contains("planted")));
    proxy.stop().await;
}

#[tokio::test]
async fn t13_neither_a_redirect_nor_a_caller_says_where_a_token_goes() {
    let (origin, elsewhere, (token, _)) =
        (OriginServer::start().await, OriginServer::start().await, tokens());
    let proxy = Proxy::before(&origin.url()).await;
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}{}", elsewhere.url(), path("B2X_1_x"));
        origin.any(Reply::status(status).header("location", &target));
        assert_eq!(proxy.read(&token).await.status, 502, "{status}");
    }
    origin.any(Reply::json("{}"));
    let host = elsewhere.address();
    let request = format!(
        "GET http://{host}{} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: {host}\r\nauthorization: Bearer {token}\r\n\r\n",
        path("B2X_1_x")
    );
    assert_eq!(client::exchange(proxy.data, request).await.unwrap().status, 200);
    assert_eq!(origin.seen().last().unwrap().header("host"), Some(&*origin.address().to_string()));
    assert_eq!(elsewhere.connections(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn t15_a_bomb_of_graphs_is_a_502() {
    let (token, _) = tokens();
    let zeros = format!("{{\"a\":\"{}\"}}", "0".repeat(10 << 20));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for reply in [Reply::json(zeros).gzip(), Reply::json(deep)] {
        let origin = origin_of(&token, reply).await;
        let proxy = Proxy::before(&origin.url()).await;
        assert_eq!(proxy.read(&token).await.status, 502);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn t16_nothing_that_a_caller_sends_becomes_a_series() {
    let (origin, (token, _)) = (OriginServer::start().await, tokens());
    origin.any([Reply::json("{}"), Reply::status(404)]);
    let proxy = Proxy::before(&origin.url()).await;
    let series = async || {
        let text = proxy.scrape().await;
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let round = async |number: usize| {
        proxy.get(&path(&format!("flow{number}")), &format!("{token}{number}")).await;
        proxy.get(&format!("/unknown/{number}"), &token).await;
        let odd = format!("BREW{number} / HTTP/1.1\r\nhost: x\r\n\r\n");
        client::exchange(proxy.data, odd).await.unwrap();
    };
    round(0).await;
    round(1).await;
    let before = series().await;
    for number in 2..40 {
        round(number).await;
    }
    assert_eq!(series().await, before);
    proxy.stop().await;
}

#[tokio::test]
async fn t18_a_guessed_entity_tag_tells_an_unproven_token_nothing() {
    let (token, _) = tokens();
    let origin = origin_of(&token, Reply::json("{}")).await;
    let proxy = Proxy::before(&origin.url()).await;
    let etag = proxy.read(&token).await.header("etag").unwrap().to_owned();
    let stranger = format!("Bearer {}", forged(&token, 1)[0]);
    for guess in ["*", &etag] {
        let headers = [("authorization", &*stranger), ("if-none-match", guess)];
        let refused = client::get(proxy.data, &path("B2X_1_x"), &headers).await;
        assert_eq!(refused.status, 401);
        assert_eq!((refused.header("age"), refused.header("etag")), (None, None));
        assert_eq!(cache_status(&refused), "connector-cache; fwd=uri-miss; fwd-status=401");
        proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn t21_nothing_of_the_admin_port_is_on_the_data_port() {
    let (origin, (token, _)) = (OriginServer::start().await, tokens());
    let proxy = Proxy::before(&origin.url()).await;
    for path in ["/metrics", "/cache", "/livez", "/readyz", "/"] {
        assert_eq!(proxy.get(path, &token).await.status, 404, "{path}");
    }
    let purge = "DELETE /cache HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_eq!(client::exchange(proxy.data, purge).await.unwrap().status, 405);
    assert_eq!(origin.requests(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn t23_a_bad_response_is_not_requested_again() {
    let (origin, (token, _)) = (OriginServer::start().await, tokens());
    let proxy = Proxy::before(&origin.url()).await;
    let bad = [Reply::json("{}").reset_after(20), Reply::status(503), Reply::json("x"), Reply::status(429)];
    for (asked, reply) in bad.into_iter().enumerate() {
        origin.any(reply);
        proxy.read(&token).await;
        assert_eq!(origin.requests(), asked + 1);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn t24_a_429_is_for_its_own_token_and_keeps_its_scope_to_itself() {
    let ((one, other), gate) = (tokens(), Gate::new());
    let (origin, authorization, held) = (OriginServer::start().await, format!("Bearer {one}"), gate.clone());
    let scope = "Tenant_Application/ReadWrite/planted-app/planted-tenant";
    origin.handle("", move |request| {
        if request.header("authorization") == Some(&authorization) {
            let throttled =
                Reply::status(429).header("x-ms-throttle-scope", scope).header("retry-after", "7");
            return throttled.header("x-ms-ags-diagnostic", scope).held_until(&held);
        }
        Reply::json("{}").header("x-ms-ags-diagnostic", scope)
    });
    let proxy = Proxy::before(&origin.url()).await;
    let (data, header) = (proxy.data, format!("Bearer {one}"));
    let throttled =
        tokio::spawn(async move { client::get(data, &path("B2X_1_x"), &[("authorization", &header)]).await });
    origin.wait_for_requests(1).await;
    let granted = within("the other's answer", proxy.read(&other)).await;
    gate.open();
    let throttled = within("the 429", throttled).await.unwrap();
    assert_eq!((granted.status, throttled.status), (200, 429));
    assert_eq!(throttled.header("retry-after"), Some("7"));
    let hit = proxy.read(&other).await;
    assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300");
    for answer in [granted, throttled, hit] {
        assert!(answer.headers.iter().all(|(_, value)| !value.contains("planted")));
    }
    proxy.stop().await;
}
