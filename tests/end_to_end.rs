//! The main path over real sockets, with the fake Graph of the library.

#![cfg(feature = "demo")]

mod common;

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use common::client::{self, Client, H2};
use common::origin::OriginServer;
use common::proxy::{Proxy, path};
use common::reply::Reply;
use common::within;
use connector_cache::app::App;
use connector_cache::cache::outcome::{Outcome, ProofLookup};
use connector_cache::config::Config;
use connector_cache::fake_graph::{B2C_SIGN_UP, CONTOSO, FABRIKAM, FakeGraph, Options, SIGN_UP, forgery};
use connector_cache::http::ids::Ids;
use connector_cache::http::validate::RequestView;
use connector_cache::proxy::handler::{Handler, Lookup};
use connector_cache::support::clock::Clock;
use http::StatusCode;

fn graph() -> FakeGraph {
    FakeGraph::start(Options::default()).unwrap_or_else(|error| panic!("the stand-in cannot start: {error}"))
}

fn cache_status(response: &client::Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

#[tokio::test]
async fn a_first_request_is_a_miss_and_the_second_a_hit() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let miss = proxy.get(&path(SIGN_UP), &token).await;
    assert_eq!(
        (miss.status, cache_status(&miss)),
        (200, "connector-cache; fwd=uri-miss; fwd-status=200; stored")
    );
    proxy.clock.advance(Duration::from_secs(57));
    let hit = proxy.get(&path(SIGN_UP), &token).await;
    assert_eq!((hit.status, cache_status(&hit)), (200, "connector-cache; hit; ttl=243"));
    assert_eq!(hit.header("age"), Some("57"));
    assert_eq!(hit.header("cache-control"), Some("private, max-age=300"));
    assert_eq!(hit.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(hit.body, miss.body);
    assert_eq!(graph.calls(), 1);
    proxy.stop().await;
}

/// The server calls the synchronous handler first, and starts no task for its responses.
#[tokio::test]
async fn what_is_in_memory_is_answered_at_once_until_its_time_is_over() {
    let graph = graph();
    let mut config = Config::default();
    config.upstream.base_url = graph.url().parse().unwrap();
    config.freshness.ttl = Duration::from_secs(9);
    let clock = Clock::manual(SystemTime::now() + Duration::from_secs(30));
    let app = App::new(config, clock.clone()).unwrap();
    let (proxy, config) = (app.proxy().clone(), app.runtime().load_full());
    let (token, ids) = (graph.token().mint(), Ids::with_request_id(uuid::Uuid::nil()));
    let request = |more: &'static str| {
        let request = http::Request::get(path(SIGN_UP)).header("authorization", format!("Bearer {token}"));
        request.header(more, "refresh").body(()).unwrap().into_parts().0
    };
    let (plain, wants_graph) = (request("x-other"), request("connector-cache"));
    let look_up =
        |request: &http::request::Parts| match proxy.lookup(&RequestView::new(request), &ids, &config) {
            Lookup::Ready(answer) => Ok(answer.outcome),
            Lookup::Continue(prepared) => Err(prepared),
        };
    let prepared = look_up(&plain).expect_err("nothing is in memory");
    let answer = proxy.respond(prepared, plain.headers.clone(), &ids, (Ipv4Addr::LOCALHOST, 1).into()).await;
    assert_eq!(answer.outcome, Outcome::Miss);
    // The first two hits look the entry up in the store, the third finds it in the thread cache.
    for _ in 0..3 {
        assert_eq!(look_up(&plain).unwrap(), Outcome::Hit);
    }
    assert!(look_up(&wants_graph).is_err());
    clock.advance(Duration::from_secs(8));
    assert_eq!(look_up(&plain).unwrap(), Outcome::Hit);
    clock.advance(Duration::from_secs(1));
    assert!(look_up(&plain).is_err());
    assert_eq!(graph.calls(), 1);
}

#[tokio::test]
async fn no_planted_credential_comes_out() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let secrets = graph.planted_secrets();
    for (tenant, flows) in graph.tenants() {
        for flow in flows {
            for expand in ["postFederationSignup", "postAttributeCollection", "preTokenIssuance"] {
                let token = graph.token().tenant(&tenant).mint();
                let (kind, id) = (flow.kind(), flow.id());
                let path = format!("/beta/identity/{kind}/{id}/apiConnectorConfiguration?$expand={expand}");
                let answer = proxy.get(&path, &token).await;
                assert_eq!(answer.status, 200, "{tenant} {kind} {id}");
                let leaked: Vec<_> =
                    secrets.iter().filter(|secret| answer.text().contains(*secret)).collect();
                assert!(leaked.is_empty(), "{tenant} {id} {expand}: {leaked:?} in {}", answer.text());
            }
        }
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_flow_of_a_b2c_tenant_is_served_like_any_other() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let target = format!(
        "/beta/identity/b2cUserFlows/{B2C_SIGN_UP}/apiConnectorConfiguration?$expand=preTokenIssuance"
    );
    let miss = proxy.get(&target, &token).await;
    assert_eq!(
        (miss.status, &miss.json()["preTokenIssuance"]["displayName"]),
        (200, &"Loyalty claims".into())
    );
    let hit = proxy.get(&target.to_lowercase().replace("b2c_1_signup", B2C_SIGN_UP), &token).await;
    assert_eq!((cache_status(&hit), &hit.body), ("connector-cache; hit; ttl=300", &miss.body));
    assert_eq!(graph.calls(), 1);
    let other_kind = target.replace("b2cUserFlows", "b2xUserFlows");
    assert_eq!(proxy.get(&other_kind, &token).await.status, 404, "ids belong to a kind");
    proxy.stop().await;
}

#[tokio::test]
async fn a_second_user_never_gets_the_first_ones_entry() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let (ada, grace) = (graph.token().user("ada").mint(), graph.token().user("grace").mint());
    proxy.get(&path(SIGN_UP), &ada).await;
    let first = proxy.get(&path(SIGN_UP), &grace).await;
    assert_eq!(cache_status(&first), "connector-cache; fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(graph.calls(), 2);
    proxy.stop().await;
}

#[tokio::test]
async fn t01_a_forged_token_with_the_victims_claims_gets_graphs_401() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    proxy.get(&path(SIGN_UP), &token).await;
    for bad in [forgery::forged(&token), forgery::stripped(&token), forgery::alg_none(&token)] {
        let refused = client::get(
            proxy.data,
            &path(SIGN_UP),
            &[("authorization", &format!("Bearer {bad}")), ("if-none-match", "*")],
        )
        .await;
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer ")));
        assert_eq!(cache_status(&refused), "connector-cache; fwd=uri-miss; fwd-status=401");
        assert_eq!(refused.header("age"), None);
    }
    assert_eq!(cache_status(&proxy.get(&path(SIGN_UP), &token).await), "connector-cache; hit; ttl=300");
    proxy.stop().await;
}

#[tokio::test]
async fn another_token_of_the_same_user_needs_a_proof_of_its_own() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let (one, other) = (graph.token().mint(), graph.token().expires_in(Duration::from_secs(1800)).mint());
    proxy.get(&path(SIGN_UP), &one).await;
    graph.deny(&other, SIGN_UP);
    assert_eq!(
        proxy.get(&path(SIGN_UP), &other).await.status,
        403,
        "T2: the decision for one is not the other's"
    );
    assert_eq!(cache_status(&proxy.get(&path(SIGN_UP), &one).await), "connector-cache; hit; ttl=300");
    proxy.stop().await;
}

#[tokio::test]
async fn t03_a_revoked_token_is_refused_once_its_proof_is_over() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    proxy.get(&path(SIGN_UP), &token).await;
    graph.revoke(&token);
    proxy.clock.advance(Duration::from_secs(331));
    let refused = proxy.get(&path(SIGN_UP), &token).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(
        challenge.contains("error=\"insufficient_claims\"") && challenge.contains("claims=\""),
        "{challenge}"
    );
    assert_eq!(refused.json()["error"]["code"], "InvalidAuthenticationToken");
    let scrape = proxy.scrape().await;
    assert!(scrape.contains("connector_cache_entries 0\n"), "its principal's entries went with it");
    proxy.stop().await;
}

#[tokio::test]
async fn a_stale_entry_is_served_during_its_revalidation() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    proxy.get(&path(SIGN_UP), &token).await;
    proxy.clock.advance(Duration::from_secs(310));
    let stale = proxy.get(&path(SIGN_UP), &token).await;
    assert_eq!((stale.status, cache_status(&stale)), (200, "connector-cache; hit; ttl=-10"));
    within("the refresh", graph.wait_for_calls(2)).await;
    within("the fresh entry", async {
        while cache_status(&proxy.get(&path(SIGN_UP), &token).await) != "connector-cache; hit; ttl=300" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(graph.calls(), 2);
    proxy.stop().await;
}

#[tokio::test]
async fn an_outage_is_bridged_with_what_is_stored() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let fresh = proxy.get(&path(SIGN_UP), &token).await;
    graph.fail_all(StatusCode::SERVICE_UNAVAILABLE);
    proxy.clock.advance(Duration::from_secs(400));
    let stale = proxy.get(&path(SIGN_UP), &token).await;
    assert_eq!(stale.status, 200);
    assert_eq!(cache_status(&stale), "connector-cache; fwd=stale; fwd-status=503; detail=stale-if-error");
    assert_eq!(stale.body, fresh.body);
    let stranger = graph.token().user("grace").mint();
    assert_eq!(proxy.get(&path(SIGN_UP), &stranger).await.status, 503, "who had nothing has nothing");
    proxy.clock.advance(Duration::from_secs(600));
    assert_eq!(proxy.get(&path(SIGN_UP), &token).await.status, 503, "past its window");
    proxy.stop().await;
}

#[tokio::test]
async fn a_proof_is_counted_as_live_until_its_time_is_over() {
    let graph = graph();
    let minute = Duration::from_secs(60);
    let proxy = Proxy::with(&graph.url(), |config| config.freshness.proof_ttl = minute).await;
    let token = graph.token().mint();
    let counted = |result| proxy.metrics.proof_lookups(result);
    for (wait, missing, live, expired) in [
        (Duration::ZERO, 1, 0, 0),
        (Duration::from_millis(59_999), 1, 1, 0),
        (Duration::from_millis(1), 1, 1, 1),
    ] {
        proxy.clock.advance(wait);
        assert_eq!(proxy.get(&path(SIGN_UP), &token).await.status, 200);
        let all = (counted(ProofLookup::Missing), counted(ProofLookup::Live), counted(ProofLookup::Expired));
        assert_eq!(all, (missing, live, expired));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_token_near_its_end_is_forwarded_though_it_has_a_proof() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let token = graph.token().expires_in(Duration::from_secs(120)).mint();
    proxy.get(&path(SIGN_UP), &token).await;
    proxy.clock.advance(Duration::from_secs(95));
    let answer = proxy.get(&path(SIGN_UP), &token).await;
    assert_eq!(cache_status(&answer), "connector-cache; fwd=bypass; fwd-status=200; detail=token-expiring");
    assert_eq!((answer.status, graph.calls()), (200, 2));
    proxy.stop().await;
}

#[tokio::test]
async fn a_token_that_may_not_use_the_cache_is_forwarded_each_time() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint_opaque());
    for calls in 1..=2 {
        let answer = proxy.get(&path(SIGN_UP), &token).await;
        let said = "connector-cache; fwd=bypass; fwd-status=200; detail=token-opaque";
        assert_eq!((answer.status, cache_status(&answer)), (200, said));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(graph.calls(), calls);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn the_reason_of_a_bypass_is_in_cache_status_whatever_graph_responds() {
    let origin = OriginServer::start().await;
    let proxy = Proxy::before(&origin.url()).await;
    for status in [200, 204, 400, 401, 403, 404, 429, 500] {
        let body = if status == 204 { "" } else { r#"{"error":{"code":"x","message":"y"}}"# };
        origin.any(Reply::json(body).with_status(status));
        // A token of its own, and a flow of its own: no throttle and no breaker is open.
        let answer = proxy.get(&path(&format!("B2X_1_{status}")), &format!("opaque-{status}")).await;
        let said = format!("connector-cache; fwd=bypass; fwd-status={status}; detail=token-opaque");
        assert_eq!((answer.status, cache_status(&answer)), (status, &*said));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn f57_a_thousand_equal_misses_are_one_request() {
    let graph = graph();
    graph.set_latency(Duration::from_millis(200));
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let one = H2::connect(proxy.data).await;
    let authorization = format!("Bearer {token}");
    let asks = (0..50).map(|_| async {
        let headers = [("authorization", authorization.as_str())];
        one.get(&path(SIGN_UP), &headers).await.unwrap().status
    });
    let statuses = futures_util::future::join_all(asks).await;
    assert!(statuses.iter().all(|status| *status == 200));
    assert_eq!(graph.calls(), 1);
    assert_eq!(proxy.metrics.collapsed.get(), 49);
    proxy.stop().await;
}

#[tokio::test]
async fn an_operator_purges_by_flow_tenant_and_subject() {
    let graph = graph();
    let proxy = Proxy::before(&graph.url()).await;
    let contoso = graph.token().mint();
    let fabrikam = graph.token().tenant(FABRIKAM).mint();
    proxy.get(&path(SIGN_UP), &contoso).await;
    proxy.get(&path(SIGN_UP), &fabrikam).await;
    let purge =
        async |query: &str| client::purge(proxy.admin, query).await.json()["purged"].as_u64().unwrap();
    assert_eq!(purge("?flow=B2X_1_other").await, 0);
    assert_eq!(purge(&format!("?tenant={CONTOSO}&flow={SIGN_UP}")).await, 1);
    assert!(cache_status(&proxy.get(&path(SIGN_UP), &contoso).await).contains("fwd=uri-miss"));
    assert!(cache_status(&proxy.get(&path(SIGN_UP), &fabrikam).await).contains("hit"));
    assert_eq!(purge("").await, 2);
    assert!(cache_status(&proxy.get(&path(SIGN_UP), &fabrikam).await).contains("fwd=uri-miss"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_validator_of_ours_saves_the_body() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let etag = proxy.get(&path(SIGN_UP), &token).await.header("etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");
    let mut client = Client::connect(proxy.data).await;
    let authorization = format!("Bearer {token}");
    let unmodified =
        client.get(&path(SIGN_UP), &[("authorization", &authorization), ("if-none-match", &etag)]).await;
    assert_eq!((unmodified.status, unmodified.body.len()), (304, 0));
    for field in ["etag", "date", "cache-control", "vary", "cache-status"] {
        assert!(unmodified.header(field).is_some(), "{field}");
    }
    let whole =
        client.get(&path(SIGN_UP), &[("authorization", &authorization), ("if-none-match", "\"x\"")]).await;
    assert_eq!(whole.status, 200, "the connection is usable after a 304");
    proxy.stop().await;
}

#[tokio::test]
async fn only_the_key_the_token_and_correlation_reach_graph() {
    let graph = graph();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let ours = "11111111-2222-4333-8444-555555555555";
    client::get(
        proxy.data,
        &path(SIGN_UP).replace(
            "postFederationSignup,postAttributeCollection",
            "postAttributeCollection%2CpostFederationSignup",
        ),
        &[
            ("authorization", &format!("Bearer {token}")),
            ("client-request-id", ours),
            ("cookie", "a=b"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-for", "1.2.3.4"),
            ("if-none-match", "*"),
            ("range", "bytes=0-1"),
            ("prefer", "return=minimal"),
            ("accept-language", "de"),
            ("user-agent", "theirs"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ],
    )
    .await;
    let requests = graph.requests();
    let mut names: Vec<_> = requests[0].headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "client-request-id",
        "host",
        "traceparent",
        "user-agent",
        "via",
    ];
    assert_eq!(names, expected);
    assert_eq!(requests[0].headers["client-request-id"], ours);
    assert_eq!(requests[0].headers["host"], graph.address().to_string());
    assert_eq!(requests[0].target.to_string(), path(SIGN_UP));
    proxy.stop().await;
}
