//! The simulation beside arithmetic, and beside the proxy itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use connector_cache::app::App;
use connector_cache::cache::freshness::Config as Rules;
use connector_cache::config::Config;
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use connector_cache::http::ids::Ids;
use connector_cache::http::validate::RequestView;
use connector_cache::proxy::handler::{Handler, Lookup};
use connector_cache::support::clock::Clock;
use url::Url;

use super::stream::requests;
use super::{Cache, Counts, Request, Routing, Scenario, run};

/// One caller, or several in turn, with a request each second, at the replicas in turn. Tokens are renewed at full hours.
fn every_second(scenario: Scenario) -> [u64; 2] {
    let Scenario { callers, replicas, .. } = scenario;
    let request = |second: usize| Request {
        at_ms: second as u64 * 1000,
        caller: second % callers,
        flow: 0,
        replica: second % replicas,
    };
    run(&Scenario { renewals_are_spread: false, ..scenario }, (0..7200).map(request)).calls
}

fn rules(ttl_minutes: u64, proof_minutes: u64) -> Rules {
    let (ttl, proof_ttl) = (Duration::from_secs(ttl_minutes * 60), Duration::from_secs(proof_minutes * 60));
    Rules { ttl, proof_ttl, ..Rules::default() }
}

#[test]
fn one_token_calls_graph_each_five_minutes() {
    assert_eq!(every_second(Scenario::default()), [12, 12]);
}

#[test]
fn each_replica_without_a_tier_calls_graph_for_itself_and_with_a_tier_they_call_as_often_as_one() {
    let three = Scenario { replicas: 3, ..Scenario::default() };
    assert_eq!(every_second(three.clone()), [36, 36]);
    assert_eq!(every_second(Scenario { cache: Cache::Shared, ..three }), [12, 12]);
}

#[test]
fn with_a_long_ttl_only_a_new_token_calls_graph() {
    for (cache, replicas, expected) in
        [(Cache::Local, 1, 1), (Cache::Local, 3, 3), (Cache::Shared, 3, 1), (Cache::AuthorizationKeyed, 3, 3)]
    {
        let scenario = Scenario { replicas, cache, rules: rules(60, 60), ..Scenario::default() };
        assert_eq!(every_second(scenario), [expected; 2], "{cache:?} {replicas}");
    }
}

/// Caller 0 sends at even seconds, caller 1 at odd ones. Its call at second 1 renews the entry of both, which is stale at
/// second 301: an odd one. So caller 0 calls once in an hour, for its proof, and caller 1 twelve times.
#[test]
fn a_long_proof_spares_calls_only_if_tokens_share_a_principal() {
    let two = Scenario { callers: 2, ..Scenario::default() };
    for (principals, rules, first) in
        [(1, rules(5, 60), 13), (1, rules(5, 5), 24), (2, rules(5, 60), 24), (2, rules(5, 5), 24)]
    {
        let calls = every_second(Scenario { principals, rules, ..two.clone() });
        assert_eq!(calls[0], first, "{principals} principals");
        let cache = Cache::AuthorizationKeyed;
        let calls = every_second(Scenario { principals, rules, cache, ..two.clone() });
        assert_eq!(calls[0], 24, "the key has the token");
    }
}

#[test]
fn without_stale_responses_a_request_in_the_second_of_the_end_calls_graph_too() {
    let rules = Rules { stale_while_revalidate: Duration::ZERO, ..Rules::default() };
    assert_eq!(every_second(Scenario { rules, ..Scenario::default() }), [12, 12]);
}

#[test]
fn a_token_used_once_calls_graph_once_with_every_cache() {
    for cache in [Cache::Local, Cache::Shared, Cache::AuthorizationKeyed] {
        let scenario = Scenario { callers: 500, principals: 500, replicas: 10, cache, ..Scenario::default() };
        let once = (0..500).map(|number| Request {
            at_ms: number as u64 * 1000,
            caller: number,
            flow: 0,
            replica: number % 10,
        });
        assert_eq!(run(&scenario, once).calls, [500, 0], "{cache:?}");
    }
}

/// The response of the first request arrives after 150 ms.
#[test]
fn requests_in_flight_share_one_call_on_a_replica_and_by_the_fill_lease_in_the_fleet() {
    let at = |at_ms, replica| Request { at_ms, caller: 0, flow: 0, replica };
    for (cache, replicas, calls, shared_hits) in [
        (Cache::Local, [0, 0, 0], 1, 0),
        (Cache::Local, [0, 1, 2], 3, 0),
        (Cache::Shared, [0, 1, 2], 1, 2),
        (Cache::AuthorizationKeyed, [0, 0, 1], 2, 0),
    ] {
        let scenario = Scenario { replicas: 3, cache, ..Scenario::default() };
        let [a, b, c] = replicas;
        let Counts { calls: counted, shared_hits: hits, .. } =
            run(&scenario, [at(0, a), at(50, b), at(120, c), at(2_000, a)].into_iter());
        assert_eq!((counted[0], hits[0]), (calls, shared_hits), "{cache:?} {replicas:?}");
    }
}

#[test]
fn a_value_of_the_tier_ends_with_the_lifetime_of_its_entry() {
    let at = |at_ms, replica| Request { at_ms, caller: 0, flow: 0, replica };
    let scenario = Scenario { replicas: 2, cache: Cache::Shared, ..Scenario::default() };
    let calls = |second_ms| run(&scenario, [at(0, 0), at(second_ms, 1)].into_iter()).calls[0];
    assert_eq!([calls(299_900), calls(300_000)], [1, 2]);
}

/// The new replica finds the value of the old one in the tier: no call until it ends.
#[test]
fn after_a_rollout_only_a_tier_has_the_responses() {
    for (cache, expected) in [(Cache::Local, 1), (Cache::Shared, 0)] {
        let rollout_at = Some(Duration::from_secs(3660));
        let at = |second: u64| Request { at_ms: second * 1000, caller: 0, flow: 0, replica: 0 };
        let scenario = Scenario { cache, rollout_at, renewals_are_spread: false, ..Scenario::default() };
        let counts = run(&scenario, (3600..3840).map(at));
        assert_eq!((counts.calls[1], counts.after_rollout), (1 + expected, expected), "{cache:?}");
    }
}

#[test]
fn with_affinity_a_caller_of_one_address_is_on_one_replica() {
    let scenario = Scenario { callers: 50, principals: 50, flows: 5, rate: 30.0, ..Scenario::default() };
    let one = run(&scenario, requests(&scenario, 7));
    let ten = Scenario { replicas: 10, routing: Routing::Affinity, ..scenario };
    assert_eq!(run(&ten, requests(&ten, 7)), one);
}

#[test]
fn the_stream_has_the_stated_rate_and_popularity() {
    let scenario = Scenario { callers: 100, flows: 10, rate: 6.0, ..Scenario::default() };
    let (mut count, mut first) = (0.0, 0.0);
    for request in requests(&scenario, 1) {
        count += 1.0;
        first += f64::from(u8::from(request.flow == 0));
    }
    assert!((count / 72_000.0_f64 - 1.0).abs() < 0.02, "{count}");
    assert!((first / count / 0.3414_f64 - 1.0).abs() < 0.03, "{first} of {count}");
}

/// Every decision about a stream of 40 minutes, by the proxy before the stand-in for Graph, and by the simulation.
#[tokio::test]
async fn the_proxy_itself_calls_graph_as_often() -> Result<(), Box<dyn std::error::Error>> {
    for rules in [rules(5, 5), rules(5, 60), rules(60, 5)] {
        let sandbox = FakeGraph::start(Options::default())?;
        let mut config = Config::default();
        config.upstream.base_url = Url::parse(&sandbox.url())?;
        config.freshness = rules;
        let clock = Clock::manual(SystemTime::now());
        // Two callers have one principal: their tokens differ in their time of issue.
        let token = |user: &str, minutes: u64| {
            sandbox.token().tenant(CONTOSO).user(user).expires_in(Duration::from_secs(minutes * 60)).mint()
        };
        let tokens = [token("ada", 70), token("ada", 80), token("alan", 70)];
        let app = App::new(config, clock.clone())?;
        let scenario = Scenario {
            callers: 3,
            principals: 2,
            rate: 4.0,
            rules,
            graph_latency: Duration::ZERO,
            token_renewal: Duration::from_secs(7200),
            renewals_are_spread: false,
            ..Scenario::default()
        };
        // The principal of a caller is its number modulo two.
        let token_of = |caller| &tokens[[0, 2, 1][caller]];
        let stream = requests(&scenario, 3).take_while(|request| request.at_ms < 2_400_000);
        let stream: Vec<_> = stream.collect();
        let mut at_ms = 0;
        for request in &stream {
            clock.advance(Duration::from_millis(request.at_ms - at_ms));
            at_ms = request.at_ms;
            send(&app, token_of(request.caller)).await?;
        }
        let calls = sandbox.requests().len() as u64;
        assert!(calls > 2, "each token calls Graph at least once");
        assert_eq!(run(&scenario, stream.into_iter()).calls[0], calls, "{rules:?}");
    }
    Ok(())
}

async fn send(app: &App, token: &str) -> Result<(), Box<dyn std::error::Error>> {
    let request = http::Request::get(crate::path(SIGN_UP))
        .header("host", "graph.microsoft.com")
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(())?;
    let (head, ()) = request.into_parts();
    let ids = Ids::from_headers(&head.headers);
    let config = app.runtime().load();
    let lookup = app.proxy().lookup(&RequestView::new(&head), &ids, &config);
    if let Lookup::Continue(prepared) = lookup {
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
        app.proxy().respond(prepared, head.headers, &ids, peer).await;
    }
    // A refresh goes on in the background.
    while app.proxy().inner().coalescer.count() > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}
