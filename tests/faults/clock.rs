//! F40: wrong clocks, steps of the clock, and clocks that stand still.

use std::time::Duration;

use crate::common::client::Response;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::{token, within};
use crate::harness::{Harness, STORED, cache_status, ok};

/// Harness with one token.
struct Time {
    harness: Harness,
    token: String,
}

impl Time {
    /// Starts a harness with a token that expires `life` after the machine's time. The proxy's clock is 30 s ahead of the
    /// machine's and stands still, so the lifetime does not depend on the speed of the machine.
    async fn of(life: Duration) -> Self {
        let harness = Harness::start().await;
        harness.origin.any(ok());
        let end = harness.proxy.clock.now().unix_seconds() - 30 + life.as_secs();
        Self { harness, token: token::mint_until("clock", end) }
    }

    async fn get(&self) -> Response {
        self.harness.proxy.get(&path("B2X_1_x"), &self.token).await
    }

    async fn is_hit(&self) -> bool {
        cache_status(&self.get().await).starts_with("connector-cache; hit")
    }

    /// Sets the `Date` of Graph's responses ahead of the proxy's clock, or behind it.
    fn set_graph_date(&self, ahead: Duration, behind: Duration) {
        let date = self.harness.proxy.clock.now().wall() + ahead - behind;
        self.harness.origin.any(ok().header("date", &httpdate::fmt_http_date(date)));
    }
}

const TEN: Duration = Duration::from_mins(10);

#[tokio::test]
async fn f40_with_a_clock_ten_minutes_late_tokens_expire_by_graphs_clock() {
    let time = Time::of(Duration::from_mins(14)).await;
    time.set_graph_date(TEN, Duration::ZERO);
    assert_eq!(cache_status(&time.get().await), STORED);
    // Several responses must agree on the lead of Graph's clock.
    for flow in 0..7 {
        time.harness.proxy.get(&path(&format!("B2X_1_{flow}")), &time.token).await;
    }
    // 14 minutes less 30 s by the proxy's clock, less its delay of 10 minutes, less 30 s of margin.
    time.harness.proxy.clock.advance(Duration::from_secs(178));
    assert!(time.is_hit().await);
    time.harness.proxy.clock.advance(Duration::from_secs(3));
    let response = time.get().await;
    let expected = "connector-cache; fwd=bypass; fwd-status=200; detail=token-expiring";
    assert_eq!(cache_status(&response), expected, "the token has expired by Graph's clock");
    time.harness.stop().await;
}

#[tokio::test]
async fn f40_with_a_clock_ten_minutes_early_tokens_expire_early() {
    let time = Time::of(Duration::from_mins(4)).await;
    time.set_graph_date(Duration::ZERO, TEN);
    assert_eq!(cache_status(&time.get().await), STORED);
    time.harness.proxy.clock.advance(Duration::from_secs(178));
    assert!(time.is_hit().await);
    time.harness.proxy.clock.advance(Duration::from_secs(3));
    assert!(!time.is_hit().await);
    time.harness.stop().await;
}

#[tokio::test]
async fn f40_a_step_back_of_an_hour_empties_the_cache_and_is_counted() {
    let time = Time::of(Duration::from_hours(1)).await;
    time.get().await;
    assert!(time.is_hit().await);
    let clock = &time.harness.proxy.clock;
    let before = clock.now();
    clock.set_back(Duration::from_hours(1));
    assert!(
        clock.now().unix_millis() >= before.unix_millis(),
        "before the step is noticed, time does not go back"
    );
    within("the step to be noticed", async {
        while time.harness.proxy.metrics.clock_steps.get() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(cache_status(&time.get().await), STORED, "the cache is empty");
    assert_eq!(time.harness.proxy.metrics.clock_steps.get(), 1, "the step is counted once");
    time.harness.stop().await;
}

#[tokio::test]
async fn f40_steps_too_small_to_empty_the_cache_make_no_token_last_longer() {
    let time = Time::of(Duration::from_mins(3)).await;
    time.get().await;
    for _ in 0..4 {
        time.harness.proxy.clock.advance(Duration::from_secs(30));
        time.harness.proxy.clock.set_back(Duration::from_secs(14));
    }
    // Two minutes have passed. The token had three minutes, less 30 s and the margin of 30 s.
    assert!(!time.is_hit().await);
    time.harness.stop().await;
}

#[tokio::test]
async fn f40_a_machine_that_slept_for_five_minutes_has_nothing_fresh() {
    let time = Time::of(Duration::from_hours(1)).await;
    time.get().await;
    time.harness.proxy.clock.suspend(Duration::from_secs(331));
    let response = time.get().await;
    assert_eq!(cache_status(&response), "connector-cache; fwd=stale; fwd-status=200; stored");
    time.harness.stop().await;
}

#[tokio::test]
async fn f40_a_token_that_ended_while_the_machine_slept_gets_nothing_from_memory() {
    let time = Time::of(Duration::from_mins(5)).await;
    time.get().await;
    time.harness.origin.any(Reply::status(503));
    time.harness.proxy.clock.suspend(Duration::from_mins(5));
    assert_eq!(time.get().await.status, 503, "not even in an outage");
    time.harness.stop().await;
}
