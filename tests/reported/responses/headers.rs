//! Header fields: `Retry-After`, and the number of fields.

use std::time::Duration;

use super::harness::{BODY, Harness, cache_status};
use crate::common::reply::Reply;

#[tokio::test]
async fn c7_retry_after_is_passed_on_as_graph_says() {
    let mut harness = Harness::start().await;
    let error = r#"{"error":{"code":"TooManyRequests","message":"m"}}"#;
    for status in [429, 503] {
        for (value, expected) in [("1800", "1800"), ("601", "601"), ("1799.5", "1800"), ("86400", "86400")] {
            let reply = Reply::json(error).status_of(status).header("retry-after", value);
            let response = harness.play(reply).await;
            assert_eq!((response.status, response.header("retry-after")), (status, Some(expected)));
        }
        // The date has whole seconds, and the clock fractions.
        let date = httpdate::fmt_http_date(harness.proxy.clock.now().wall() + Duration::from_mins(30));
        let response = harness.play(Reply::json(error).status_of(status).header("retry-after", &date)).await;
        assert!(matches!(response.header("retry-after"), Some("1799" | "1800")), "{response:?}");
        // More than a day is shortened to a day.
        for value in ["1000000000000", "86401", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            let reply = Reply::json(error).status_of(status).header("retry-after", value);
            assert_eq!(harness.play(reply).await.header("retry-after"), Some("86400"), "{value}");
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn c7_of_several_valid_values_the_longest_is_passed_on() {
    let mut harness = Harness::start().await;
    let date = |clock: &connector_cache::support::clock::Clock| {
        httpdate::fmt_http_date(clock.now().wall() + Duration::from_mins(30))
    };
    let date = date(&harness.proxy.clock);
    let error = r#"{"error":{"code":"TooManyRequests","message":"m"}}"#;
    for (lines, expected) in [
        (&["5", "1800"] as &[&str], ["1800", "1800"]),
        (&["1800", "5"], ["1800", "1800"]),
        (&["soon", "7"], ["7", "7"]),
        (&["7", "-1"], ["7", "7"]),
        // A proxy on the way may join lines (RFC 9110, section 5.3).
        (&["5, 7"], ["7", "7"]),
        (&["120,"], ["120", "120"]),
        (&["5", &date], ["1799", "1800"]),
        (&[&date, "5"], ["1799", "1800"]),
        (&["-1", "soon"], ["6", "6"]),
    ] {
        let reply = Reply::json(error).status_of(503);
        let reply = lines.iter().fold(reply, |reply, line| reply.header("retry-after", line));
        let response = harness.play(reply).await;
        let wait = response.header("retry-after").unwrap_or_default();
        assert!(expected.contains(&wait), "{lines:?}: {wait}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn c7_the_own_gate_opens_again_after_ten_minutes() {
    let mut harness = Harness::start().await;
    let error = r#"{"error":{"code":"TooManyRequests","message":"m"}}"#;
    harness.play(Reply::json(error).status_of(429).header("retry-after", "1800")).await;
    let held_back = harness.again().await;
    assert_eq!(cache_status(&held_back), "connector-cache; detail=throttle-gate");
    assert_eq!(held_back.header("retry-after"), Some("600"));
    harness.origin.any(Reply::json(BODY));
    harness.proxy.clock.advance(Duration::from_secs(600));
    assert_eq!(harness.again().await.status, 200);
    harness.stop().await;
}

#[tokio::test]
async fn c8_a_head_may_have_a_thousand_fields_within_its_limit_of_bytes() {
    let mut harness = Harness::start().await;
    for (fields, expected) in [(99, 200), (101, 200), (500, 200), (1000, 200), (16_000, 502)] {
        let with_field =
            |reply: Reply, number: usize| reply.header(&format!("x-{number}"), &number.to_string());
        let reply = (0..fields).fold(Reply::json(BODY), with_field);
        let response = harness.play(reply).await;
        assert_eq!(response.status, expected, "{fields}: {}", cache_status(&response));
        if expected == 200 {
            assert_eq!(response.text(), BODY);
        }
    }
    harness.stop().await;
}
