//! F16: outages of Graph, by a manual clock.

use std::time::Duration;

use connector_cache::config::Config;

use crate::common::client::{Client, H2, Response};
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::token;
use crate::stage::{cache_status, sound};

/// Callers, and an origin server that fails on command.
struct Outage {
    origin: OriginServer,
    proxy: Proxy,
    client: Client,
    tokens: Vec<String>,
}

impl Outage {
    /// As many callers as `callers`, each with a token of its own that lasts a working day.
    async fn with(callers: usize, change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(sound());
        let proxy = Proxy::with(&origin.url(), change).await;
        let client = Client::connect(proxy.data).await;
        let day = Duration::from_hours(8);
        let tokens = (0..callers).map(|n| token::mint_for(&format!("caller-{n}"), day)).collect();
        Self { origin, proxy, client, tokens }
    }

    async fn ask(&mut self, caller: usize, flow: &str) -> Response {
        let authorization = format!("Bearer {}", self.tokens[caller]);
        self.client.get(&path(flow), &[("authorization", &authorization)]).await
    }

    /// Every caller asks once, and gets a response of Graph.
    async fn everybody_is_answered(&mut self, flow: &str) {
        for caller in 0..self.tokens.len() {
            let response = self.ask(caller, flow).await;
            assert_eq!(response.status, 200, "caller {caller}: {}", cache_status(&response));
        }
    }

    fn begin(&self) {
        self.origin.any(Reply::status(503));
    }

    fn end(&self) {
        self.origin.any(sound());
    }

    fn pass(&self, seconds: u64) {
        self.proxy.clock.advance(Duration::from_secs(seconds));
    }

    async fn clear(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

#[tokio::test]
async fn f16_an_outage_of_an_hour_is_not_noticed_by_callers_with_a_proof() {
    let hour = Duration::from_hours(1);
    let mut outage = Outage::with(2, |config| config.freshness.stale_if_error = hour).await;
    outage.everybody_is_answered("B2X_1_x").await;
    outage.pass(299);
    let before = outage.origin.requests();
    outage.begin();
    // Each second that is looked at, both ask. `OUTAGE_STEP=1` looks at every second of the hour.
    let step = std::env::var("OUTAGE_STEP").map_or(10, |step| step.parse().unwrap());
    let mut each_second = Vec::new();
    for _ in 0..3600 / step {
        let asked = outage.origin.requests();
        outage.everybody_is_answered("B2X_1_x").await;
        each_second.push(outage.origin.requests() - asked);
        outage.pass(step);
    }
    let asked = outage.origin.requests() - before;
    // An outage is known after five failures in a row.
    let (at_first, then) = each_second.split_at(10);
    assert!(at_first.iter().all(|asked| *asked <= 2), "{at_first:?}");
    assert!(then.iter().all(|asked| *asked <= 1), "{then:?}");
    assert!(
        (each_second.len() / 2..=each_second.len() + 5).contains(&asked),
        "Graph was asked {asked} times"
    );
    outage.end();
    outage.pass(1);
    outage.everybody_is_answered("B2X_1_x").await;
    let response = outage.ask(1, "B2X_1_x").await;
    assert_eq!(cache_status(&response), "connector-cache; hit; ttl=300", "and fresh again");
    outage.clear().await;
}

#[tokio::test]
async fn f16_queued_requests_are_not_sent_once_an_outage_is_known() {
    // One permit of six is left for another tenant.
    let (places, queue) = (5, 40);
    let mut outage = Outage::with(places + queue, |config| config.upstream.in_flight = places + 1).await;
    outage.everybody_is_answered("B2X_1_known").await;
    let (before, gate) = (outage.origin.requests(), Gate::new());
    outage.origin.any(Reply::status(503).held_until(&gate));
    let connection = H2::connect(outage.proxy.data).await;
    let bearers: Vec<_> = outage.tokens.iter().map(|token| format!("Bearer {token}")).collect();
    let asks = bearers.iter().map(|bearer| async {
        connection.get(&path("B2X_1_x"), &[("authorization", bearer.as_str())]).await.unwrap().status
    });
    let release = async {
        let everybody = i64::try_from(places + queue).unwrap();
        while outage.proxy.metrics.in_flight() < everybody {
            tokio::task::yield_now().await;
        }
        outage.origin.wait_for_requests(before + places).await;
        gate.open();
    };
    let (statuses, ()) = tokio::join!(futures_util::future::join_all(asks), release);
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    let asked = outage.origin.requests() - before;
    // The first four failures let one each out of the queue; the fifth says that it is an outage.
    assert!(asked < 2 * places, "Graph was asked {asked} times");
    outage.clear().await;
}

#[tokio::test]
async fn f16_after_stale_if_error_callers_get_the_error() {
    let mut outage = Outage::with(1, |_| {}).await;
    outage.everybody_is_answered("B2X_1_x").await;
    outage.begin();
    outage.pass(300 + 600 - 1);
    assert_eq!(outage.ask(0, "B2X_1_x").await.status, 200);
    outage.pass(1);
    let response = outage.ask(0, "B2X_1_x").await;
    assert_eq!((response.status, response.header("retry-after").is_some()), (503, true));
    outage.clear().await;
}

#[tokio::test]
async fn f16_an_outage_of_a_minute_does_not_multiply_requests_and_ends_within_five_seconds() {
    let mut outage = Outage::with(8, |_| {}).await;
    // All have a proof for another flow: their requests in the outage are misses.
    outage.everybody_is_answered("B2X_1_known").await;
    let before = outage.origin.requests();
    outage.begin();
    let mut told = 0;
    for second in 0..60 {
        for caller in 0..8 {
            let response = outage.ask(caller, &format!("B2X_1_{second}")).await;
            assert_eq!((response.status, response.header("retry-after").is_some()), (503, true));
            told += 1;
        }
        outage.pass(1);
    }
    let asked = outage.origin.requests() - before;
    // The breaker of the application opens at the third flow; five failures each open those of the first two.
    assert!(asked <= 70, "{told} callers were told no; Graph was asked {asked} times");
    outage.end();
    // Eight callers that repeat their requests after `Retry-After`.
    let mut left = 5;
    while outage.ask(0, "B2X_1_x").await.status != 200 {
        left -= 1;
        assert!(left > 0, "no response five seconds after the outage");
        outage.pass(1);
    }
    outage.everybody_is_answered("B2X_1_x").await;
    outage.clear().await;
}

#[tokio::test]
async fn f16_after_an_outage_all_callers_are_served_within_five_seconds() {
    let mut outage = Outage::with(100, |_| {}).await;
    outage.everybody_is_answered("B2X_1_known").await;
    outage.begin();
    for _ in 0..10 {
        assert_eq!(outage.ask(0, "B2X_1_x").await.status, 503);
    }
    outage.end();
    outage.pass(1);
    let connection = H2::connect(outage.proxy.data).await;
    let mut waiting: Vec<_> = outage.tokens.iter().map(|token| format!("Bearer {token}")).collect();
    for second in 0..=5 {
        assert!(second < 5, "{} callers still wait", waiting.len());
        let asks = waiting.iter().map(|bearer| async {
            let response =
                connection.get(&path("B2X_1_x"), &[("authorization", bearer.as_str())]).await.unwrap();
            (response.status != 200)
                .then(|| (bearer.clone(), response.status, response.header("retry-after").is_some()))
        });
        let refused = futures_util::future::join_all(asks).await.into_iter().flatten().collect::<Vec<_>>();
        assert!(refused.iter().all(|(_, status, wait)| *status == 503 && *wait), "{refused:?}");
        waiting = refused.into_iter().map(|(bearer, ..)| bearer).collect();
        if waiting.is_empty() {
            break;
        }
        outage.pass(1);
    }
    outage.clear().await;
}

#[tokio::test]
async fn f16_an_outage_for_unproven_tokens_alone_causes_one_request_to_graph_for_each_of_their_requests() {
    let mut outage = Outage::with(50, |_| {}).await;
    outage.begin();
    for caller in 0..50 {
        assert_eq!(outage.ask(caller, "B2X_1_x").await.status, 503);
    }
    assert_eq!(
        outage.origin.requests(),
        50,
        "a failure of an unproven token opens no breaker, and its request is not repeated"
    );
    outage.end();
    outage.everybody_is_answered("B2X_1_x").await;
    outage.clear().await;
}
