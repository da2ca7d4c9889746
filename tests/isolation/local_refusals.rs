//! Attacks that turn a refusal of the proxy into an outage of Graph.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_cache::config::Config;
use connector_cache::http::rejection::Rejection;

use crate::common::client::Response;
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{token, within};

/// Graph with one revoked token, and a proxy with a stored response for it, usable only by `stale_if_error`.
struct World {
    graph: OriginServer,
    proxy: Proxy,
    victim: String,
    attacker: String,
    reply: Arc<Mutex<Reply>>,
}

fn sound() -> Reply {
    Reply::json(r#"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#x"}"#)
}

impl World {
    /// Another tenant has a proven token as well. `reply`: Graph's reply to the next request of the victim.
    async fn start(change: impl FnOnce(&mut Config), reply: Reply) -> Self {
        let (victim, attacker) = (token::mint_in("good", "a", "user"), token::mint_in("evil", "a", "user"));
        let (graph, current) = (OriginServer::start().await, Arc::new(Mutex::new(sound())));
        let (replies, own) = (Arc::clone(&current), victim.clone());
        graph.handle("", move |request| match request.header("authorization") {
            Some(token) if token.ends_with(&own) => replies.lock().unwrap().clone(),
            _ if request.target.contains("/bad") => Reply::status(503),
            _ => sound(),
        });
        let proxy = Proxy::with(&graph.url(), change).await;
        let world = Self { graph, proxy, victim, attacker, reply: current };
        assert_eq!(world.proxy.read(&world.victim).await.status, 200);
        assert_eq!(world.proxy.read(&world.attacker).await.status, 200);
        *world.reply.lock().unwrap() = reply;
        world
    }

    async fn read(&self) -> Response {
        within("the victim's response", self.proxy.read(&self.victim)).await
    }

    async fn stop(self) {
        self.proxy.stop().await;
        self.graph.finish().await;
    }
}

/// Past the proof and `stale_while_revalidate`, within `stale_if_error`.
const EXPIRED: Duration = Duration::from_secs(300 + 31);

#[tokio::test]
async fn failures_of_another_tenant_do_not_keep_a_revoked_token_alive() {
    let world = World::start(|_| {}, Reply::status(401)).await;
    world.proxy.clock.advance(EXPIRED);
    for n in 0..20 {
        assert_eq!(world.proxy.get(&path(&format!("bad{}", n % 5)), &world.attacker).await.status, 503);
    }
    let response = world.read().await;
    assert_eq!(response.status, 401, "{:?}", response.header("cache-status"));
    world.stop().await;
}

#[tokio::test]
async fn a_flood_that_holds_all_permits_does_not_keep_a_revoked_token_alive() {
    let permits = 4;
    let change = |config: &mut Config| {
        config.upstream.in_flight = permits;
        // A request waits half of this timeout for a permit.
        config.upstream.timeout = Duration::from_secs(2);
        config.upstream.first_byte_timeout = Duration::from_secs(2);
    };
    let world = World::start(change, Reply::status(401)).await;
    world.proxy.clock.advance(EXPIRED);
    let gate = Gate::new();
    let before = world.graph.requests();
    for n in 0..permits {
        world.graph.route(&path(&format!("slow{n}")), sound().held_until(&gate));
    }
    let (proxy, attacker) = (&world.proxy, &world.attacker);
    let flood = (0..permits).map(|n| async move { proxy.get(&path(&format!("slow{n}")), attacker).await });
    let victim = async {
        // One caller may hold at least half of the permits.
        world.graph.wait_for_requests(before + permits / 2).await;
        let response = world.read().await;
        gate.open();
        response
    };
    let (_, response) = tokio::join!(futures_util::future::join_all(flood), victim);
    // Graph refuses the request if a permit is free, and the proxy if none is.
    assert!(
        matches!(response.status, 401 | 503),
        "{}: {:?}",
        response.status,
        response.header("cache-status")
    );
    world.stop().await;
}

/// Graph answers with more bytes than may be in flight: the proxy refuses the response.
fn too_many_bytes() -> (impl FnOnce(&mut Config), Reply) {
    let long = format!(r#"{{"@odata.context":"https://graph.microsoft.com/{}"}}"#, "x".repeat(200_000));
    (|config| config.bytes_in_flight = 100_000, Reply::json(long))
}

#[tokio::test]
async fn a_refusal_for_lack_of_bytes_does_not_prolong_an_expired_proof() {
    let (change, reply) = too_many_bytes();
    let world = World::start(change, reply).await;
    world.proxy.clock.advance(EXPIRED);
    let response = world.read().await;
    assert_eq!(response.status, 503, "{:?}", response.header("cache-status"));
    assert_eq!(world.proxy.metrics.rejected.get(Rejection::BytesInFlight), 1);
    world.stop().await;
}

#[tokio::test]
async fn after_a_refusal_for_lack_of_bytes_a_stale_entry_is_served_while_the_proof_is_live() {
    let (change, reply) = too_many_bytes();
    let hour = Duration::from_hours(1);
    let world = World::start(
        |config| {
            change(config);
            config.freshness.proof_ttl = hour;
        },
        reply,
    )
    .await;
    world.proxy.clock.advance(EXPIRED);
    let response = world.read().await;
    assert_eq!(response.status, 200, "{:?}", response.header("cache-status"));
    world.stop().await;
}

#[tokio::test]
async fn after_a_failure_of_graph_a_stale_entry_is_served_past_the_proof() {
    let world = World::start(|_| {}, Reply::status(503)).await;
    world.proxy.clock.advance(EXPIRED);
    for _ in 0..10 {
        let response = world.read().await;
        assert_eq!(response.status, 200, "{:?}", response.header("cache-status"));
        // Longer than the backoff of the entry.
        world.proxy.clock.advance(Duration::from_secs(2));
    }
    // A request to which the breaker is closed again for a probe.
    let response = world.read().await;
    assert_eq!(response.status, 200, "{:?}", response.header("cache-status"));
    let scrape = world.proxy.scrape().await;
    assert!(scrape.contains("\nconnector_cache_throttle_gates 1\n"), "the breaker of the flow is open");
    world.stop().await;
}
