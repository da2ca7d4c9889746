//! B4: the `Date` of one response changes nothing for tokens.

use std::time::Duration;

use super::harness::{Harness, cache_status, ok};
use crate::common::proxy::path;
use crate::common::token;

/// Returns the `Date` of a clock that differs from the proxy's by so many seconds.
fn date(harness: &Harness, ahead: i64) -> String {
    let (now, offset) = (harness.proxy.clock.now().wall(), Duration::from_secs(ahead.unsigned_abs()));
    httpdate::fmt_http_date(if ahead < 0 { now - offset } else { now + offset })
}

#[tokio::test]
async fn b4_one_odd_date_does_not_end_the_use_of_other_tokens() {
    for ahead in [3_600, 86_400, 10 * 365 * 86_400, -3_600, -86_400] {
        let harness = Harness::start(ok("x")).await;
        let soon = token::mint_for("soon", Duration::from_mins(5));
        for _ in 0..2 {
            harness.get(&[]).await;
            harness.get_with(&soon, &[]).await;
        }
        harness.origin.any(ok("x").header("date", &date(&harness, ahead)));
        for flow in ["odd1", "odd2", "odd3"] {
            harness.proxy.get(&path(flow), &token::mint("eve")).await;
            for response in [harness.get(&[]).await, harness.get_with(&soon, &[]).await] {
                assert!(cache_status(&response).starts_with("hit"), "{ahead}: {}", cache_status(&response));
            }
        }
        harness.stop().await;
    }
}

#[tokio::test]
async fn b4_one_server_with_an_odd_clock_among_others_changes_nothing() {
    let harness = Harness::start(ok("x")).await;
    harness.get(&[]).await;
    for number in 0..30 {
        let ahead = if number % 4 == 0 { 0 } else { 3_600 };
        harness.origin.any(ok("x").header("date", &date(&harness, ahead)));
        harness.proxy.get(&path(&format!("flow{number}")), &token::mint("eve")).await;
        let response = harness.get(&[]).await;
        assert!(cache_status(&response).starts_with("hit"), "{number}: {}", cache_status(&response));
    }
    harness.stop().await;
}

#[tokio::test]
async fn b4_a_date_an_hour_ahead_in_every_response_leaves_most_of_a_tokens_life() {
    let harness = Harness::start(ok("x")).await;
    harness.origin.any(ok("x").header("date", &date(&harness, 3_600)));
    for number in 0..30 {
        harness.proxy.get(&path(&format!("flow{number}")), &token::mint("eve")).await;
    }
    harness.get(&[]).await;
    let response = harness.get(&[]).await;
    assert!(cache_status(&response).starts_with("hit"), "{}", cache_status(&response));
    harness.stop().await;
}
