//! Purges and revocations: they remove exactly their selection, and requests in flight do not store it again.

mod race;

use std::time::Duration;

use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, user_id};

use crate::common::client::{self, Response};
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::within;

struct Stage {
    origin: OriginServer,
    proxy: Proxy,
    mint: FakeGraph,
}

impl Stage {
    async fn start() -> Self {
        let origin = OriginServer::start().await;
        origin.any(Reply::json(r#"{"v":1}"#));
        let proxy = Proxy::before(&origin.url()).await;
        Self { origin, proxy, mint: FakeGraph::start(Options::default()).unwrap() }
    }

    fn token(&self, user: &str) -> String {
        self.mint.token().user(user).mint()
    }

    async fn get(&self, flow: &str, token: &str) -> String {
        status(&self.proxy.get(&path(flow), token).await)
    }

    /// Purges, and returns how many entries that were.
    async fn purge(&self, query: &str) -> u64 {
        let response = self.delete(query).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["purged"].as_u64().unwrap()
    }

    async fn delete(&self, query: &str) -> Response {
        client::purge(self.proxy.admin, query).await
    }

    /// Sends a request in its own task. Returns when the origin has received `number` requests.
    async fn start_request(
        &self,
        number: usize,
        flow: &str,
        token: &str,
    ) -> tokio::task::JoinHandle<Response> {
        let (data, target, header) = (self.proxy.data, path(flow), format!("Bearer {token}"));
        let task =
            tokio::spawn(async move { client::get(data, &target, &[("authorization", &header)]).await });
        self.origin.wait_for_requests(number).await;
        task
    }

    async fn stop(self) {
        self.proxy.stop().await;
    }
}

fn status(response: &Response) -> String {
    response.header("cache-status").unwrap_or("none").replace("connector-cache; ", "")
}

const STORED: &str = "fwd=uri-miss; fwd-status=200; stored";
const NOT_STORED: &str = "fwd=uri-miss; fwd-status=200; detail=invalidated";
const HIT: &str = "hit; ttl=300";

/// Regression: a purge dropped all proofs of each token that had a proof for the flow.
#[tokio::test]
async fn a_purge_of_one_flow_leaves_the_tokens_other_flows() {
    let stage = Stage::start().await;
    let (ada, grace) = (stage.token("ada"), stage.token("grace"));
    for (flow, token) in [("first", &ada), ("second", &ada), ("First", &ada), ("second", &grace)] {
        assert_eq!(stage.get(flow, token).await, STORED);
    }
    assert_eq!(stage.purge("?flow=first").await, 1);
    for (flow, token) in [("second", &ada), ("First", &ada), ("second", &grace)] {
        assert_eq!(stage.get(flow, token).await, HIT, "{flow}");
    }
    assert_eq!(stage.get("first", &ada).await, STORED);
    stage.stop().await;
}

#[tokio::test]
async fn a_purge_removes_exactly_the_entries_that_all_its_selectors_match() {
    let stage = Stage::start().await;
    let ada = stage.token("ada");
    let all = [("x", ada.clone()), ("y", ada.clone()), ("x", stage.token("grace"))];
    let (id, tenant) = (user_id(CONTOSO, "ada"), CONTOSO);
    let sub = claim(&ada, "sub");
    let elsewhere = "99999999-0000-4000-8000-000000000000";
    for (query, is_purged) in [
        (format!("?subject={id}"), [true, true, false]),
        (format!("?subject=%7B{}%7D", id.to_uppercase()), [true, true, false]),
        (format!("?subject={}", id.replace('-', "")), [true, true, false]),
        (format!("?subject={sub}"), [true, true, false]),
        (format!("?subject={sub}&flow=y"), [false, true, false]),
        (format!("?tenant=%7B{tenant}%7D&flow=x"), [true, false, true]),
        (format!("?tenant={}", tenant.replace('-', "").to_uppercase()), [true, true, true]),
        (format!("?tenant={elsewhere}"), [false; 3]),
        (format!("?subject={elsewhere}&flow=x"), [false; 3]),
        (format!("?tenant={elsewhere}&subject={id}"), [false; 3]),
        ("?flow=X".to_owned(), [false; 3]),
        (String::new(), [true; 3]),
    ] {
        for (flow, token) in &all {
            stage.get(flow, token).await;
        }
        let count = is_purged.iter().filter(|is_purged| **is_purged).count();
        assert_eq!(stage.purge(&query).await, u64::try_from(count).unwrap(), "{query}");
        for ((flow, token), is_purged) in all.iter().zip(is_purged) {
            assert_eq!(stage.get(flow, token).await, if is_purged { STORED } else { HIT }, "{query} {flow}");
        }
    }
    stage.stop().await;
}

/// Regression: these requests purged nothing and got a 200.
#[tokio::test]
async fn a_selector_that_no_token_can_have_is_refused_with_the_expected_form() {
    let stage = Stage::start().await;
    for (query, expected) in [
        ("?tenant=contoso.onmicrosoft.com", "a GUID"),
        ("?tenant=common", "a GUID"),
        ("?subject=ada@contoso.com", "an oid"),
        ("?subject=aaaaaaaa-1111-4222-8333-bbbbbbbbbbb", "an oid"),
        ("?flow=a%20b", "the id of a user flow"),
    ] {
        let response = stage.delete(query).await;
        assert!(response.status == 400 && response.text().contains(expected), "{query}: {}", response.text());
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_purge_revokes_exactly_the_matching_requests_in_flight() {
    let others = "?tenant=99999999-0000-4000-8000-000000000000";
    let ada = user_id(CONTOSO, "ada");
    let matching = [String::new(), "?flow=x".into(), format!("?tenant={CONTOSO}"), format!("?subject={ada}")];
    let other =
        [others.to_owned(), "?flow=y".into(), format!("{others}&flow=x"), format!("?subject={CONTOSO}")];
    for (query, matches) in
        matching.into_iter().map(|query| (query, true)).chain(other.into_iter().map(|query| (query, false)))
    {
        let stage = Stage::start().await;
        let (gate, token) = (Gate::new(), stage.token("ada"));
        stage.origin.any([Reply::json(r#"{"v":1}"#).held_until(&gate), Reply::json(r#"{"v":2}"#)]);
        // Nothing is stored yet.
        let before = stage.start_request(1, "x", &token).await;
        assert_eq!(stage.purge(&query).await, 0, "{query}");
        gate.open();
        let late = within("the response", before).await.unwrap();
        assert_eq!(late.text(), r#"{"v":1}"#);
        assert_eq!(status(&late), if matches { NOT_STORED } else { STORED }, "{query}");
        assert_eq!(stage.get("x", &token).await, if matches { STORED } else { HIT }, "{query}");
        stage.stop().await;
    }
}

#[tokio::test]
async fn after_a_purge_a_token_counts_as_unproven() {
    let stage = Stage::start().await;
    let (ada, again) =
        (stage.token("ada"), stage.mint.token().user("ada").expires_in(Duration::from_secs(1_800)).mint());
    stage.get("x", &ada).await;
    assert_eq!(stage.purge("?flow=x").await, 1);
    stage.get("x", &again).await;
    stage.origin.any(Reply::status(401));
    stage.get("x", &ada).await;
    assert_eq!(stage.get("x", &again).await, HIT, "the 401 of another token revokes nothing");
    stage.stop().await;
}

/// A claim of a token.
fn claim(token: &str, name: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<serde_json::Value>(&payload).unwrap()[name].as_str().unwrap().to_owned()
}
