//! Tokens of one principal to which Graph sends different responses. The principal is a selection of claims: two tokens of
//! one principal can differ in groups, device, authentication context and other claims that Graph may evaluate.
//!
//! A hit must return only bytes that Graph itself gave to this very token (promise 2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_cache::fake_graph::{FakeGraph, Options};
use serde_json::json;

use crate::common::client::{self, Response};
use crate::common::origin::{OriginServer, Request};
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;

/// Reply to each token; 503 to all others.
#[derive(Clone, Default)]
struct Views(Arc<Mutex<HashMap<String, Reply>>>);

impl Views {
    fn set(&self, token: &str, reply: Reply) {
        self.0.lock().unwrap().insert(format!("Bearer {token}"), reply);
    }

    fn fail(&self) {
        self.0.lock().unwrap().clear();
    }

    fn reply_to(&self, request: &Request) -> Reply {
        let token = request.header("authorization").unwrap_or_default();
        self.0.lock().unwrap().get(token).cloned().unwrap_or_else(|| Reply::status(503))
    }
}

struct Stage {
    origin: OriginServer,
    views: Views,
    proxy: Proxy,
    mint: FakeGraph,
}

impl Stage {
    async fn start() -> Self {
        let (origin, views) = (OriginServer::start().await, Views::default());
        let replies = views.clone();
        origin.handle("", move |request| replies.reply_to(request));
        let proxy = Proxy::before(&origin.url()).await;
        Self { origin, views, proxy, mint: FakeGraph::start(Options::default()).unwrap() }
    }

    /// Tokens of one principal.
    fn tokens<const N: usize>(&self) -> [String; N] {
        std::array::from_fn(|number| self.mint.token().claim("groups", json!([number.to_string()])).mint())
    }

    async fn get(&self, token: &str) -> (String, String) {
        body_and_source(&self.proxy.get(&path("x"), token).await)
    }

    async fn refresh(&self, token: &str) -> (String, String) {
        body_and_source(&client::refresh(self.proxy.data, &path("x"), token).await)
    }

    async fn stop(self) {
        self.proxy.stop().await;
    }
}

/// The body, and the source of the response.
fn body_and_source(response: &Response) -> (String, String) {
    let status = response.header("cache-status").unwrap_or("none").replace("connector-cache; ", "");
    (response.text().to_owned(), status)
}

fn view(name: &str) -> Reply {
    Reply::json(format!(r#"{{"id":"{name}"}}"#))
}

fn body(name: &str) -> String {
    format!(r#"{{"id":"{name}"}}"#)
}

fn assert_response(response: &(String, String), name: &str, how: &str) {
    assert_eq!((&*response.0, &*response.1), (&*body(name), how));
}

const STORED: &str = "fwd=uri-miss; fwd-status=200; stored";
const FORWARDED: &str = "fwd=stale; fwd-status=200; stored";
const HIT: &str = "hit; ttl=300";

#[tokio::test]
async fn tokens_of_one_principal_receive_only_the_bytes_that_graph_sent_to_each() {
    for (claim, values) in [
        ("groups", [json!(["a"]), json!(["b"])]),
        ("acrs", [json!(["c1"]), json!(["c2"])]),
        ("amr", [json!(["pwd"]), json!(["pwd", "mfa"])]),
        ("appidacr", [json!("1"), json!("2")]),
        ("deviceid", [json!("d1"), json!("d2")]),
        ("iss", [json!("https://sts.windows.net/a/"), json!("https://login.microsoftonline.com/a/v2.0")]),
        ("aud", [json!("https://graph.microsoft.com"), json!("00000003-0000-0000-c000-000000000000")]),
    ] {
        let stage = Stage::start().await;
        let [one, other] = values.map(|value| stage.mint.token().claim(claim, value).mint());
        stage.views.set(&one, view("one"));
        stage.views.set(&other, view("other"));
        assert_response(&stage.get(&one).await, "one", STORED);
        assert_response(&stage.get(&other).await, "other", STORED);
        assert_response(&stage.get(&one).await, "one", FORWARDED);
        // From here on neither causes a request to Graph for the other.
        for _ in 0..3 {
            assert_response(&stage.get(&other).await, "other", HIT);
            assert_response(&stage.get(&one).await, "one", HIT);
        }
        assert_eq!(stage.origin.requests(), 3, "{claim}");
        stage.stop().await;
    }
}

#[tokio::test]
async fn a_refresh_with_the_same_bytes_keeps_all_hits_and_one_with_other_bytes_costs_each_token_one_request()
{
    let stage = Stage::start().await;
    let tokens: [String; 4] = stage.tokens();
    for token in &tokens {
        stage.views.set(token, view("first"));
        assert_response(&stage.get(token).await, "first", STORED);
    }
    assert_response(&stage.refresh(&tokens[0]).await, "first", "fwd=request; fwd-status=200; stored");
    for token in &tokens {
        assert_response(&stage.get(token).await, "first", HIT);
    }
    assert_eq!(stage.origin.requests(), 5);
    for round in ["second", "third", "first"] {
        for token in &tokens {
            stage.views.set(token, view(round));
        }
        stage.proxy.clock.advance(Duration::from_secs(60));
        assert_response(&stage.refresh(&tokens[0]).await, round, "fwd=request; fwd-status=200; stored");
        for token in &tokens[1..] {
            assert_response(&stage.get(token).await, round, FORWARDED);
        }
        for token in &tokens {
            assert_response(&stage.get(token).await, round, HIT);
        }
    }
    assert_eq!(stage.origin.requests(), 5 + 3 * 4);
    stage.stop().await;
}

/// The thread cache keeps lookups. A new body for another token must invalidate them, and so must a new body for the same
/// token.
#[tokio::test]
async fn thread_cache_lookups_end_when_graph_sends_other_bytes() {
    let stage = Stage::start().await;
    let [one, other] = stage.tokens();
    stage.views.set(&one, view("first"));
    stage.views.set(&other, view("other"));
    assert_response(&stage.get(&one).await, "first", STORED);
    for _ in 0..3 {
        assert_response(&stage.get(&one).await, "first", HIT);
    }
    assert_response(&stage.get(&other).await, "other", STORED);
    stage.views.set(&one, view("second"));
    assert_response(&stage.get(&one).await, "second", FORWARDED);
    for _ in 0..3 {
        assert_response(&stage.get(&one).await, "second", HIT);
    }
    stage.stop().await;
}

#[tokio::test]
async fn in_an_outage_each_token_receives_its_own_bytes_or_none() {
    let stage = Stage::start().await;
    let [one, other, third] = stage.tokens();
    stage.views.set(&one, view("one"));
    stage.views.set(&other, view("other"));
    assert_response(&stage.get(&one).await, "one", STORED);
    assert_response(&stage.get(&other).await, "other", STORED);
    stage.views.fail();
    // Superseded, then stale: in both cases the request goes to Graph first.
    assert_response(&stage.get(&one).await, "one", "fwd=stale; fwd-status=503; detail=stale-if-error");
    stage.proxy.clock.advance(Duration::from_secs(400));
    assert_response(&stage.get(&one).await, "one", "fwd=stale; fwd-status=503; detail=stale-if-error");
    assert_response(&stage.get(&other).await, "other", "fwd=stale; fwd-status=503; detail=stale-if-error");
    assert_ne!(stage.get(&third).await.0, body("other"));
    stage.stop().await;
}

#[tokio::test]
async fn during_a_revalidation_each_token_gets_its_own_bytes() {
    let stage = Stage::start().await;
    let [one, other] = stage.tokens();
    stage.views.set(&one, view("one"));
    stage.views.set(&other, view("other"));
    for _ in 0..2 {
        stage.get(&one).await;
        stage.get(&other).await;
    }
    stage.proxy.clock.advance(Duration::from_secs(310));
    for (number, (token, name)) in [(&one, "one"), (&other, "other")].into_iter().enumerate() {
        assert_response(&stage.get(token).await, name, "hit; ttl=-10");
        stage.origin.wait_for_requests(4 + number).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_304_renews_the_proof_for_the_bytes_that_it_confirms() {
    let stage = Stage::start().await;
    let [one, other] = stage.tokens();
    let tagged = |name: &str| view(name).header("etag", &format!("\"{name}\""));
    stage.views.set(&one, tagged("one"));
    stage.views.set(&other, tagged("other"));
    stage.get(&one).await;
    stage.get(&other).await;
    for (token, name) in [(&one, "one"), (&other, "other")] {
        stage.views.set(token, Reply::status(304).header("etag", &format!("\"{name}\"")));
    }
    let sent_tag =
        |stage: &Stage| stage.origin.seen().last().unwrap().header("if-none-match").map(str::to_owned);
    assert_response(&stage.get(&one).await, "one", "fwd=stale; fwd-status=304; stored");
    assert_eq!(sent_tag(&stage).as_deref(), Some("\"one\""));
    for (token, name) in [(&one, "one"), (&other, "other")] {
        assert_response(&stage.get(token).await, name, HIT);
    }
    stage.proxy.clock.advance(Duration::from_secs(400));
    for (token, name) in [(&other, "other"), (&one, "one")] {
        assert_response(&stage.get(token).await, name, "fwd=stale; fwd-status=304; stored");
        assert_eq!(sent_tag(&stage).unwrap(), format!("\"{name}\""));
        assert_response(&stage.get(token).await, name, HIT);
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_digest_covers_the_header_fields_that_are_passed_on() {
    let stage = Stage::start().await;
    let [one, other] = stage.tokens();
    let dated = |date: &str| view("same").header("sunset", date);
    stage.views.set(&one, dated("Fri, 01 Jan 2027 00:00:00 GMT"));
    stage.views.set(&other, dated("Sat, 01 Jan 2028 00:00:00 GMT"));
    let mut tags = Vec::new();
    for _ in 0..3 {
        for (token, year) in [(&one, "2027"), (&other, "2028")] {
            let response = stage.proxy.get(&path("x"), token).await;
            assert!(response.header("sunset").unwrap().contains(year), "{response:?}");
            tags.push(response.header("etag").unwrap().to_owned());
        }
    }
    assert_eq!(stage.origin.requests(), 3);
    tags.dedup();
    assert_eq!(tags.len(), 1, "the entity tag is that of the body");
    stage.stop().await;
}

/// More views than the variants of an entry: a token whose view was dropped causes a request to Graph, and no token gets the
/// body of another.
#[tokio::test]
async fn more_representations_than_variants_cost_only_requests_to_graph() {
    let stage = Stage::start().await;
    let tokens: [String; 12] = stage.tokens();
    for (number, token) in tokens.iter().enumerate() {
        stage.views.set(token, view(&format!("view-{number}")));
    }
    for _ in 0..4 {
        for (number, token) in tokens.iter().enumerate() {
            assert_eq!(stage.get(token).await.0, body(&format!("view-{number}")));
        }
    }
    for _ in 0..2 {
        stage.get(&tokens[0]).await;
    }
    assert_response(&stage.get(&tokens[0]).await, "view-0", HIT);
    stage.stop().await;
}
