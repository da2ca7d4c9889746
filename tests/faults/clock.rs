//! F40: wrong clocks, steps of the clock, and clocks that stand still.

use std::time::Duration;

use crate::common::client::Response;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::{token, within};
use crate::stage::{STORED, Stage, cache_status, sound};

/// A stage, and a caller of it with a token of its own.
struct Time {
    stage: Stage,
    token: String,
}

impl Time {
    /// The proxy's clock is 30 s ahead of the tokens' maker's. The token is made by the proxy's, which stands still:
    /// however long a busy machine takes for that, it is as far from its end.
    async fn of(life: Duration) -> Self {
        let stage = Stage::set().await;
        stage.origin.any(sound());
        let end = stage.proxy.clock.now().unix_seconds() - 30 + life.as_secs();
        Self { stage, token: token::mint_until("clock", end) }
    }

    async fn ask(&self) -> Response {
        self.stage.proxy.get(&path("B2X_1_x"), &self.token).await
    }

    async fn is_hit(&self) -> bool {
        cache_status(&self.ask().await).starts_with("connector-cache; hit")
    }

    /// Graph's answers say that it is so much later, or earlier, than our clock has it.
    fn graph_says(&self, ahead: Duration, behind: Duration) {
        let date = self.stage.proxy.clock.now().wall() + ahead - behind;
        self.stage.origin.any(sound().header("date", &httpdate::fmt_http_date(date)));
    }
}

const TEN: Duration = Duration::from_mins(10);

#[tokio::test]
async fn f40_with_a_clock_ten_minutes_late_tokens_expire_by_graphs_clock() {
    let time = Time::of(Duration::from_mins(14)).await;
    time.graph_says(TEN, Duration::ZERO);
    assert_eq!(cache_status(&time.ask().await), STORED);
    // 14 minutes less 30 s by our clock, less 10 minutes by which it is late, less 30 s of margin.
    time.stage.proxy.clock.advance(Duration::from_secs(178));
    assert!(time.is_hit().await);
    time.stage.proxy.clock.advance(Duration::from_secs(3));
    let response = time.ask().await;
    let said = "connector-cache; fwd=bypass; fwd-status=200; detail=token-expiring";
    assert_eq!(cache_status(&response), said, "Graph's clock says that the token is at its end");
    time.stage.clear().await;
}

#[tokio::test]
async fn f40_with_a_clock_ten_minutes_early_tokens_expire_early() {
    let time = Time::of(Duration::from_mins(4)).await;
    time.graph_says(Duration::ZERO, TEN);
    assert_eq!(cache_status(&time.ask().await), STORED);
    time.stage.proxy.clock.advance(Duration::from_secs(178));
    assert!(time.is_hit().await);
    time.stage.proxy.clock.advance(Duration::from_secs(3));
    assert!(!time.is_hit().await);
    time.stage.clear().await;
}

#[tokio::test]
async fn f40_a_step_back_of_an_hour_empties_the_cache_and_is_counted() {
    let time = Time::of(Duration::from_hours(1)).await;
    time.ask().await;
    assert!(time.is_hit().await);
    let clock = &time.stage.proxy.clock;
    let before = clock.now();
    clock.set_back(Duration::from_hours(1));
    assert!(clock.now().unix_millis() >= before.unix_millis(), "until it is noticed, time does not go back");
    within("the step to be noticed", async {
        while time.stage.proxy.metrics.clock_steps.get() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(cache_status(&time.ask().await), STORED, "what was there is gone");
    assert_eq!(time.stage.proxy.metrics.clock_steps.get(), 1, "it is counted once");
    time.stage.clear().await;
}

#[tokio::test]
async fn f40_steps_too_small_to_empty_the_cache_make_no_token_last_longer() {
    let time = Time::of(Duration::from_mins(3)).await;
    time.ask().await;
    for _ in 0..4 {
        time.stage.proxy.clock.advance(Duration::from_secs(30));
        time.stage.proxy.clock.set_back(Duration::from_secs(14));
    }
    // Two minutes have passed; three less 30 s and the margin of 30 s were all that the token had.
    assert!(!time.is_hit().await);
    time.stage.clear().await;
}

#[tokio::test]
async fn f40_a_machine_that_slept_for_five_minutes_has_nothing_fresh() {
    let time = Time::of(Duration::from_hours(1)).await;
    time.ask().await;
    time.stage.proxy.clock.suspend(Duration::from_secs(331));
    let response = time.ask().await;
    assert_eq!(cache_status(&response), "connector-cache; fwd=stale; fwd-status=200; stored");
    time.stage.clear().await;
}

#[tokio::test]
async fn f40_a_token_that_ended_while_the_machine_slept_gets_nothing_from_memory() {
    let time = Time::of(Duration::from_mins(5)).await;
    time.ask().await;
    time.stage.origin.any(Reply::status(503));
    time.stage.proxy.clock.suspend(Duration::from_mins(5));
    assert_eq!(time.ask().await.status, 503, "not even in an outage");
    time.stage.clear().await;
}
