//! Races of requests in flight with error responses of Graph and with purges. Each was a fault once.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::Duration;

use common::client::{self, Response};
use common::gate::Gate;
use common::origin::OriginServer;
use common::proxy::{Proxy, path};
use common::reply::Reply;
use common::within;
use connector_cache::fake_graph::{FakeGraph, Options};

/// Tokens of one user: they share entries, and each has its own proofs.
fn tokens() -> (String, String) {
    let mint = FakeGraph::start(Options::default()).unwrap();
    (mint.token().mint(), mint.token().expires_in(Duration::from_secs(1800)).mint())
}

fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

/// Sends a request in its own task, and returns when it arrives at the origin server as its `number`th request.
macro_rules! asked {
    ($proxy:ident, $origin:ident, $number:literal, $flow:literal, $token:ident) => {{
        let (data, header) = ($proxy.data, format!("Bearer {}", $token));
        let task =
            tokio::spawn(async move { client::get(data, &path($flow), &[("authorization", &header)]).await });
        $origin.wait_for_requests($number).await;
        task
    }};
}

async fn purge(proxy: &Proxy) {
    assert_eq!(client::purge(proxy.admin, "").await.status, 200);
}

#[tokio::test]
async fn a_403_whose_body_breaks_off_is_a_403_all_the_same() {
    let origin = OriginServer::start().await;
    let broken = Reply::status(403)
        .header("content-type", "application/json")
        .body("{}")
        .header("content-length", "9");
    origin.any([Reply::json("{}"), broken.then_close(), Reply::status(503)]);
    let (proxy, (token, _)) = (Proxy::before(&origin.url()).await, tokens());
    proxy.get(&path("x"), &token).await;
    proxy.clock.advance(Duration::from_secs(400));
    let refused = proxy.get(&path("x"), &token).await;
    assert_eq!(
        (refused.status, cache_status(&refused)),
        (403, "connector-cache; fwd=stale; fwd-status=403; detail=unreadable-error")
    );
    assert_eq!(proxy.get(&path("x"), &token).await.status, 503, "what was withdrawn bridges no outage");
    proxy.stop().await;
}

#[tokio::test]
async fn a_401_whose_body_never_ends_is_a_401_all_the_same() {
    let (origin, never) = (OriginServer::start().await, Gate::new());
    let slow = Reply::status(401).body("{}").header("content-length", "9").paused_after(60, &never);
    origin.any([Reply::json("{}"), slow]);
    let proxy =
        Proxy::with(&origin.url(), |config| config.upstream.timeout = Duration::from_millis(300)).await;
    let (token, _) = tokens();
    proxy.get(&path("x"), &token).await;
    proxy.clock.advance(Duration::from_secs(400));
    let refused = proxy.get(&path("x"), &token).await;
    assert_eq!(
        (refused.status, cache_status(&refused)),
        (401, "connector-cache; fwd=stale; fwd-status=401; detail=unreadable-error")
    );
    never.open();
    proxy.stop().await;
}

#[tokio::test]
async fn after_a_401_no_response_to_earlier_requests_of_the_token_is_stored() {
    let (origin, gate) = (OriginServer::start().await, Gate::new());
    let path_of = |flow| path(flow).split('?').next().unwrap().to_owned();
    origin.route(&path_of("x"), [Reply::json("{}").held_until(&gate), Reply::status(401)]);
    origin.route(&path_of("y"), Reply::status(401));
    let (proxy, (token, _)) = (Proxy::before(&origin.url()).await, tokens());
    let before = asked!(proxy, origin, 1, "x", token);
    assert_eq!(proxy.get(&path("y"), &token).await.status, 401);
    gate.open();
    let late = within("the answer", before).await.unwrap();
    assert_eq!(cache_status(&late), "connector-cache; fwd=uri-miss; fwd-status=200; detail=invalidated");
    assert_eq!(proxy.get(&path("x"), &token).await.status, 401, "Graph's last word");
    proxy.stop().await;
}

#[tokio::test]
async fn a_401_to_one_token_leaves_what_is_on_its_way_to_another() {
    let (origin, gate) = (OriginServer::start().await, Gate::new());
    let replies = [Reply::json("{}"), Reply::json("{}").held_until(&gate), Reply::status(401)];
    origin.any(replies);
    let (proxy, (one, other)) = (Proxy::before(&origin.url()).await, tokens());
    proxy.get(&path("x"), &one).await;
    let before = asked!(proxy, origin, 2, "x", other);
    proxy.clock.advance(Duration::from_secs(331));
    assert_eq!(proxy.get(&path("x"), &one).await.status, 401);
    gate.open();
    let late = within("the answer", before).await.unwrap();
    assert_eq!(cache_status(&late), "connector-cache; fwd=uri-miss; fwd-status=200; stored");
    proxy.stop().await;
}

#[tokio::test]
async fn a_token_that_lost_its_last_proof_is_as_one_that_never_had_any() {
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}"), Reply::status(403), Reply::json("{}"), Reply::status(401)]);
    let (proxy, (one, other)) = (Proxy::before(&origin.url()).await, tokens());
    proxy.get(&path("x"), &one).await;
    proxy.clock.advance(Duration::from_secs(331));
    assert_eq!(proxy.get(&path("x"), &one).await.status, 403);
    proxy.get(&path("x"), &other).await;
    assert_eq!(proxy.get(&path("x"), &one).await.status, 401);
    let hit = proxy.get(&path("x"), &other).await;
    assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300", "its principal keeps what is there");
    proxy.stop().await;
}

/// Proofs may be evicted before their entry, and a 401 then revokes nothing more. The lookups in the thread cache must be
/// invalid from the eviction of the proofs on.
#[tokio::test]
async fn after_a_401_nothing_comes_from_memory_though_the_proofs_had_left_before() {
    let (origin, (one, _)) = (OriginServer::start().await, tokens());
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), |config| config.store.max_bytes = 12 << 10).await;
    let others = FakeGraph::start(Options::default()).unwrap();
    for _ in 0..3 {
        proxy.get(&path("x"), &one).await;
    }
    for seconds in 0..40 {
        let other = others.token().expires_in(Duration::from_secs(1_800 + seconds)).mint();
        assert_eq!(proxy.get(&path("z"), &other).await.status, 200);
        // Evicts the surplus now.
        proxy.scrape().await;
    }
    origin.any(Reply::status(401));
    assert_eq!(proxy.get(&path("y"), &one).await.status, 401);
    assert_eq!(proxy.get(&path("x"), &one).await.status, 401, "Graph's last word");
    proxy.stop().await;
}

/// A token has a maximum number of proofs; the oldest is dropped, and its lookups in the thread cache with it.
#[tokio::test]
async fn after_a_403_nothing_comes_from_memory_though_the_proof_had_made_room_before() {
    let (origin, (one, _)) = (OriginServer::start().await, tokens());
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), |config| config.store.proofs_per_token = 1).await;
    proxy.get(&path("x"), &one).await;
    assert_eq!(cache_status(&proxy.get(&path("x"), &one).await), "connector-cache; hit; ttl=300");
    assert_eq!(proxy.get(&path("y"), &one).await.status, 200);
    origin.any(Reply::status(403));
    let spelled_otherwise = path("x").replace("/beta/", "/beta//");
    assert_eq!(proxy.get(&spelled_otherwise, &one).await.status, 403);
    assert_eq!(proxy.get(&path("x"), &one).await.status, 403, "Graph's last word");
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_after_a_purge_joins_no_fetch_from_before() {
    let (origin, gate) = (OriginServer::start().await, Gate::new());
    origin.any([Reply::json(r#"{"v":1}"#).held_until(&gate), Reply::json(r#"{"v":2}"#)]);
    let (proxy, (token, _)) = (Proxy::before(&origin.url()).await, tokens());
    let before = asked!(proxy, origin, 1, "x", token);
    purge(&proxy).await;
    assert_eq!(proxy.get(&path("x"), &token).await.text(), r#"{"v":2}"#);
    gate.open();
    assert_eq!(within("the answer", before).await.unwrap().text(), r#"{"v":1}"#);
    let hit = proxy.get(&path("x"), &token).await;
    assert_eq!((hit.text(), cache_status(&hit)), (r#"{"v":2}"#, "connector-cache; hit; ttl=300"));
    proxy.stop().await;
}

#[tokio::test]
async fn l34_an_answer_that_took_its_time_does_not_replace_a_newer_one() {
    let (origin, gate) = (OriginServer::start().await, Gate::new());
    origin.any([Reply::json(r#"{"v":1}"#).held_until(&gate), Reply::json(r#"{"v":2}"#)]);
    let (proxy, (one, other)) = (Proxy::before(&origin.url()).await, tokens());
    let before = asked!(proxy, origin, 1, "x", one);
    proxy.clock.advance(Duration::from_secs(5));
    proxy.get(&path("x"), &other).await;
    gate.open();
    within("the answer", before).await.unwrap();
    let hit = proxy.get(&path("x"), &other).await;
    assert_eq!((hit.text(), cache_status(&hit)), (r#"{"v":2}"#, "connector-cache; hit; ttl=300"));
    let asked = proxy.get(&path("x"), &one).await;
    assert_eq!(
        (asked.text(), cache_status(&asked)),
        (r#"{"v":2}"#, "connector-cache; fwd=stale; fwd-status=200; stored"),
        "it was given what Graph has changed since"
    );
    proxy.stop().await;
}
