//! F16: outages of Graph, by a manual clock.

use std::time::Duration;

use connector_cache::config::Config;

use crate::common::client::{Client, H2, Response};
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::token;
use crate::harness::{cache_status, ok};

/// Callers, and an origin server that fails on command.
struct Outage {
    origin: OriginServer,
    proxy: Proxy,
    client: Client,
    tokens: Vec<String>,
}

impl Outage {
    /// Starts a proxy and creates `callers` tokens, each valid for eight hours.
    async fn with(callers: usize, change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(ok());
        let proxy = Proxy::with(&origin.url(), change).await;
        let client = Client::connect(proxy.data).await;
        let day = Duration::from_hours(8);
        let tokens = (0..callers).map(|n| token::mint_for(&format!("caller-{n}"), day)).collect();
        Self { origin, proxy, client, tokens }
    }

    async fn get(&mut self, caller: usize, flow: &str) -> Response {
        let authorization = format!("Bearer {}", self.tokens[caller]);
        self.client.get(&path(flow), &[("authorization", &authorization)]).await
    }

    /// Sends one request of each caller, and expects 200.
    async fn all_callers_get_200(&mut self, flow: &str) {
        for caller in 0..self.tokens.len() {
            let response = self.get(caller, flow).await;
            assert_eq!(response.status, 200, "caller {caller}: {}", cache_status(&response));
        }
    }

    fn begin(&self) {
        self.origin.any(Reply::status(503));
    }

    fn end(&self) {
        self.origin.any(ok());
    }

    fn pass(&self, seconds: u64) {
        self.proxy.clock.advance(Duration::from_secs(seconds));
    }

    async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

#[tokio::test]
async fn f16_an_outage_of_an_hour_is_not_noticed_by_callers_with_a_proof() {
    let hour = Duration::from_hours(1);
    let mut outage = Outage::with(2, |config| config.freshness.stale_if_error = hour).await;
    outage.all_callers_get_200("B2X_1_x").await;
    outage.pass(299);
    let before = outage.origin.requests();
    outage.begin();
    // In each sampled second both callers send a request. `OUTAGE_STEP=1` samples every second of the hour.
    let step = std::env::var("OUTAGE_STEP").map_or(10, |step| step.parse().unwrap());
    let mut each_second = Vec::new();
    for _ in 0..3600 / step {
        let requests = outage.origin.requests();
        outage.all_callers_get_200("B2X_1_x").await;
        each_second.push(outage.origin.requests() - requests);
        outage.pass(step);
    }
    let requests = outage.origin.requests() - before;
    // An outage is known after five failures in a row.
    let (at_first, then) = each_second.split_at(10);
    assert!(at_first.iter().all(|requests| *requests <= 2), "{at_first:?}");
    assert!(then.iter().all(|requests| *requests <= 1), "{then:?}");
    assert!(
        (each_second.len() / 2..=each_second.len() + 5).contains(&requests),
        "Graph received {requests} requests"
    );
    outage.end();
    outage.pass(1);
    outage.all_callers_get_200("B2X_1_x").await;
    let response = outage.get(1, "B2X_1_x").await;
    assert_eq!(cache_status(&response), "connector-cache; hit; ttl=300", "the entry is fresh again");
    outage.stop().await;
}

#[tokio::test]
async fn f16_queued_requests_are_not_sent_once_an_outage_is_known() {
    // One permit of six is left for another tenant.
    let (permits, queue) = (5, 40);
    let mut outage = Outage::with(permits + queue, |config| config.upstream.in_flight = permits + 1).await;
    outage.all_callers_get_200("B2X_1_known").await;
    let (before, gate) = (outage.origin.requests(), Gate::new());
    outage.origin.any(Reply::status(503).held_until(&gate));
    let connection = H2::connect(outage.proxy.data).await;
    let bearers: Vec<_> = outage.tokens.iter().map(|token| format!("Bearer {token}")).collect();
    let requests = bearers.iter().map(|bearer| async {
        connection.get(&path("B2X_1_x"), &[("authorization", bearer.as_str())]).await.unwrap().status
    });
    let release = async {
        let all = i64::try_from(permits + queue).unwrap();
        while outage.proxy.metrics.in_flight() < all {
            tokio::task::yield_now().await;
        }
        outage.origin.wait_for_requests(before + permits).await;
        gate.open();
    };
    let (statuses, ()) = tokio::join!(futures_util::future::join_all(requests), release);
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    let requests = outage.origin.requests() - before;
    // Each of the first four failures admits one request of the queue; the fifth opens the breaker.
    assert!(requests < 2 * permits, "Graph received {requests} requests");
    outage.stop().await;
}

#[tokio::test]
async fn f16_after_stale_if_error_callers_get_the_error() {
    let mut outage = Outage::with(1, |_| {}).await;
    outage.all_callers_get_200("B2X_1_x").await;
    outage.begin();
    outage.pass(300 + 600 - 1);
    assert_eq!(outage.get(0, "B2X_1_x").await.status, 200);
    outage.pass(1);
    let response = outage.get(0, "B2X_1_x").await;
    assert_eq!((response.status, response.header("retry-after").is_some()), (503, true));
    outage.stop().await;
}

#[tokio::test]
async fn f16_an_outage_of_a_minute_does_not_multiply_requests_and_ends_within_five_seconds() {
    let mut outage = Outage::with(8, |_| {}).await;
    // All have a proof for another flow: their requests in the outage are misses.
    outage.all_callers_get_200("B2X_1_known").await;
    let before = outage.origin.requests();
    outage.begin();
    let mut rejected = 0;
    for second in 0..60 {
        for caller in 0..8 {
            let response = outage.get(caller, &format!("B2X_1_{second}")).await;
            assert_eq!((response.status, response.header("retry-after").is_some()), (503, true));
            rejected += 1;
        }
        outage.pass(1);
    }
    let requests = outage.origin.requests() - before;
    // The breaker of the application opens at the third flow; five failures each open those of the first two.
    assert!(requests <= 70, "{rejected} requests got 503; Graph received {requests}");
    outage.end();
    // Eight callers that repeat their requests after `Retry-After`.
    let mut left = 5;
    while outage.get(0, "B2X_1_x").await.status != 200 {
        left -= 1;
        assert!(left > 0, "no response five seconds after the outage");
        outage.pass(1);
    }
    outage.all_callers_get_200("B2X_1_x").await;
    outage.stop().await;
}

#[tokio::test]
async fn f16_after_an_outage_all_callers_are_served_within_five_seconds() {
    let mut outage = Outage::with(100, |_| {}).await;
    outage.all_callers_get_200("B2X_1_known").await;
    outage.begin();
    for _ in 0..10 {
        assert_eq!(outage.get(0, "B2X_1_x").await.status, 503);
    }
    outage.end();
    outage.pass(1);
    let connection = H2::connect(outage.proxy.data).await;
    let mut waiting: Vec<_> = outage.tokens.iter().map(|token| format!("Bearer {token}")).collect();
    for second in 0..=5 {
        assert!(second < 5, "{} callers still wait", waiting.len());
        let requests = waiting.iter().map(|bearer| async {
            let response =
                connection.get(&path("B2X_1_x"), &[("authorization", bearer.as_str())]).await.unwrap();
            (response.status != 200)
                .then(|| (bearer.clone(), response.status, response.header("retry-after").is_some()))
        });
        let refused =
            futures_util::future::join_all(requests).await.into_iter().flatten().collect::<Vec<_>>();
        assert!(refused.iter().all(|(_, status, wait)| *status == 503 && *wait), "{refused:?}");
        waiting = refused.into_iter().map(|(bearer, ..)| bearer).collect();
        if waiting.is_empty() {
            break;
        }
        outage.pass(1);
    }
    outage.stop().await;
}

#[tokio::test]
async fn f16_an_outage_for_unproven_tokens_alone_causes_one_request_to_graph_for_each_of_their_requests() {
    let mut outage = Outage::with(50, |_| {}).await;
    outage.begin();
    for caller in 0..50 {
        assert_eq!(outage.get(caller, "B2X_1_x").await.status, 503);
    }
    assert_eq!(
        outage.origin.requests(),
        50,
        "a failure of an unproven token opens no breaker, and its request is not repeated"
    );
    outage.end();
    outage.all_callers_get_200("B2X_1_x").await;
    outage.stop().await;
}
