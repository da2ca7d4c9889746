//! Attacks on the circuit breakers.

use std::slice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_cache::config::Config;
use futures_util::future::join_all;

use crate::common::client::{H2, Response};
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{token, within};

/// Graph that answers 503 for flows whose id begins with `bad`, and that can be down for all flows.
struct World {
    graph: OriginServer,
    proxy: Proxy,
    down: Arc<Mutex<bool>>,
}

fn sound() -> Reply {
    Reply::json(r#"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#x"}"#)
}

/// Tests that hold requests in flight must not run into the deadlines of a busy machine.
fn patient(config: &mut Config) {
    let long = Duration::from_mins(5);
    (config.upstream.timeout, config.upstream.first_byte_timeout) = (long, long);
}

impl World {
    async fn start() -> Self {
        let (graph, down) = (OriginServer::start().await, Arc::new(Mutex::new(false)));
        let is_down = Arc::clone(&down);
        graph.handle("", move |request| {
            let fails = *is_down.lock().unwrap() || request.target.contains("/bad");
            if fails { Reply::status(503) } else { sound() }
        });
        let proxy = Proxy::with(&graph.url(), patient).await;
        Self { graph, proxy, down }
    }

    /// A token of the tenant and application to which Graph has answered 200.
    async fn proven(&self, tenant: &str, app: &str) -> String {
        let token = token::mint_in(tenant, app, "user");
        assert_eq!(self.get("known", &token).await.status, 200);
        token
    }

    async fn get(&self, flow: &str, token: &str) -> Response {
        within("a response", self.proxy.get(&path(flow), token)).await
    }

    fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    fn pass(&self, millis: u64) {
        self.proxy.clock.advance(Duration::from_millis(millis));
    }

    async fn stop(self) {
        self.proxy.stop().await;
        self.graph.finish().await;
    }
}

/// Plays a second in which the victim is idle, so that no response ends a row of failures, and then three seconds in which
/// it requests flows that are not cached. The attackers request flows that fail, 20 times a second all the time. Returns
/// the number of the victim's answers that are not 200.
async fn attack(world: &World, attackers: &[String], victim: &str, bad: impl Fn(u64) -> String) -> usize {
    let mut refused = 0;
    for tick in 0..80 {
        for attacker in attackers {
            assert_eq!(world.get(&bad(tick), attacker).await.status, 503);
        }
        world.pass(50);
        if tick < 20 {
            continue;
        }
        refused += usize::from(world.get(&format!("flow{tick}"), victim).await.status != 200);
    }
    refused
}

#[tokio::test]
async fn a_flow_of_one_tenant_that_always_fails_costs_other_tenants_no_miss() {
    let world = World::start().await;
    let (attacker, victim) = (world.proven("evil", "a").await, world.proven("good", "a").await);
    assert_eq!(attack(&world, slice::from_ref(&attacker), &victim, |_| "bad".to_owned()).await, 0);
    let calls = world.graph.seen().iter().filter(|request| request.target.contains("/bad")).count();
    assert!(calls <= 8, "Graph was called {calls} times in four seconds");
    world.stop().await;
}

#[tokio::test]
async fn many_applications_and_flows_of_one_tenant_that_fail_cost_other_tenants_no_miss() {
    let world = World::start().await;
    let victim = world.proven("good", "a").await;
    let mut attackers = Vec::new();
    for app in 0..8 {
        attackers.push(world.proven("evil", &format!("app{app}")).await);
    }
    assert_eq!(attack(&world, &attackers, &victim, |tick| format!("bad{tick}")).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn several_tenants_that_fail_together_cost_a_tenant_that_works_no_miss() {
    let world = World::start().await;
    let victim = world.proven("good", "a").await;
    let mut attackers = Vec::new();
    for tenant in 0..6 {
        attackers.push(world.proven(&format!("evil{tenant}"), "a").await);
    }
    assert_eq!(attack(&world, &attackers, &victim, |tick| format!("bad{}", tick % 4)).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_flow_that_always_fails_costs_the_other_flows_of_its_application_no_miss() {
    let world = World::start().await;
    let caller = world.proven("good", "a").await;
    assert_eq!(attack(&world, slice::from_ref(&caller), &caller, |_| "bad".to_owned()).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn after_an_outage_an_unproven_token_does_not_open_the_breaker_again() {
    for unproven_probes in [true, false] {
        let world = World::start().await;
        let caller = world.proven("good", "a").await;
        world.set_down(true);
        for flow in 0..6 {
            assert_eq!(world.get(&format!("flow{flow}"), &caller).await.status, 503);
        }
        world.set_down(false);
        world.pass(1_000);
        if !unproven_probes {
            assert_eq!(world.get("flow8", &caller).await.status, 200, "the probe");
        }
        let forged = token::mint_in("good", "a", "forged");
        assert_eq!(world.get("bad", &forged).await.status, 503);
        let response = world.get("flow9", &caller).await;
        assert_eq!(
            response.status,
            200,
            "the unproven token came first: {unproven_probes}; {}",
            response.text()
        );
        world.stop().await;
    }
}

#[tokio::test]
async fn a_flow_that_always_fails_does_not_prolong_an_outage_of_other_tenants() {
    let world = World::start().await;
    let mut callers = Vec::new();
    for tenant in 0..4 {
        callers.push(world.proven(&format!("good{tenant}"), "a").await);
    }
    let attacker = world.proven("evil", "a").await;
    world.set_down(true);
    for round in 0..3 {
        for caller in callers.iter().chain([&attacker]) {
            assert_eq!(world.get(&format!("bad{round}"), caller).await.status, 503);
        }
    }
    world.set_down(false);
    world.pass(1_000);
    for tick in 0..20 {
        let flow = format!("bad{tick}");
        join_all((0..4).map(|_| world.get(&flow, &attacker))).await;
        for caller in &callers {
            assert_eq!(world.get(&format!("flow{tick}"), caller).await.status, 200, "tick {tick}");
        }
        world.pass(50);
    }
    world.stop().await;
}

#[tokio::test]
async fn requests_that_hang_do_not_prolong_the_ramp() {
    let world = World::start().await;
    let mut callers = Vec::new();
    for user in 0..10 {
        let token = token::mint_in("good", "a", &format!("user{user}"));
        assert_eq!(world.get("known", &token).await.status, 200);
        callers.push(token);
    }
    world.set_down(true);
    for _ in 0..5 {
        assert_eq!(world.get("flow", &callers[0]).await.status, 503);
    }
    world.set_down(false);
    world.pass(1_000);
    assert_eq!(world.get("flow", &callers[0]).await.status, 200, "the probe");
    // Eight requests fill the ramp, and hang.
    let (gate, target) = (Gate::new(), path("flow"));
    world.graph.route(&target, sound().held_until(&gate));
    let before = world.graph.requests();
    let connection = H2::connect(world.proxy.data).await;
    let bearers: Vec<_> = callers[1..9].iter().map(|token| format!("Bearer {token}")).collect();
    let fields: Vec<_> = bearers.iter().map(|bearer| [("authorization", bearer.as_str())]).collect();
    let hanging = join_all(fields.iter().map(|fields| connection.get(&target, fields)));
    let others = async {
        world.graph.wait_for_requests(before + 8).await;
        let refused = world.get("flow", &callers[9]).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        world.pass(10_000);
        let next = world.get("flow", &callers[9]);
        let release = async {
            world.graph.wait_for_requests(before + 9).await;
            gate.open();
        };
        assert_eq!(tokio::join!(next, release).0.status, 200);
    };
    let (answers, ()) = tokio::join!(hanging, others);
    assert!(answers.into_iter().all(|response| response.unwrap().status == 200));
    world.stop().await;
}

/// A user requests ever new flows that fail, 100 times a second.
#[tokio::test]
async fn a_user_whose_flows_always_fail_costs_other_users_of_its_application_no_miss() {
    let world = World::start().await;
    let users: Vec<_> = (0..5).map(|user| token::mint_in("good", "a", &format!("user{user}"))).collect();
    let attacker = token::mint_in("good", "a", "attacker");
    for token in users.iter().chain([&attacker]) {
        assert_eq!(world.get("known", token).await.status, 200);
    }
    let mut refused = 0;
    for tick in 0..300_usize {
        assert_eq!(world.get(&format!("bad{tick}"), &attacker).await.status, 503);
        world.pass(10);
        if tick >= 100 && tick % 10 == 0 {
            let response = world.get(&format!("flow{tick}"), &users[tick / 10 % 5]).await;
            refused += usize::from(response.status != 200);
        }
    }
    assert_eq!(refused, 0, "of 20 misses");
    let calls = world.graph.seen().iter().filter(|request| request.target.contains("/bad")).count();
    assert!(calls <= 7, "Graph was called {calls} times in three seconds");
    world.stop().await;
}

/// After three seconds of outage, the flows of all other users work again.
#[tokio::test]
async fn a_user_whose_flows_always_fail_does_not_prolong_an_outage_of_its_application() {
    let world = World::start().await;
    let (victim, attacker) = (world.proven("good", "a").await, token::mint_in("good", "a", "attacker"));
    assert_eq!(world.get("known", &attacker).await.status, 200);
    world.set_down(true);
    for tick in 0..60 {
        for token in [&victim, &attacker] {
            assert_eq!(world.get(&format!("bad{tick}"), token).await.status, 503);
        }
        world.pass(50);
    }
    world.set_down(false);
    let mut answered = 0;
    for tick in 60..160 {
        assert_eq!(world.get(&format!("bad{tick}"), &attacker).await.status, 503);
        world.pass(50);
        if tick % 20 == 19 {
            answered += usize::from(world.get(&format!("flow{tick}"), &victim).await.status == 200);
        }
    }
    assert!(answered >= 3, "{answered} of 5 misses, one a second");
    world.stop().await;
}
