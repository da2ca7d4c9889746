//! B5 and B6: when a stored response may no longer be used after a failure.

use super::harness::{Harness, REFRESH, as_rfc, cache_status, name, ok};
use crate::common::reply::Reply;
use crate::common::token;

/// Lets the entry become stale, plays one response of Graph, then an outage. Returns the name in the last response.
async fn after(harness: &Harness, revalidation: Reply) -> String {
    harness.get(&[]).await;
    harness.advance(330);
    harness.origin.any(revalidation);
    let before = harness.origin.requests();
    harness.get(&[]).await;
    harness.origin.wait_for_requests(before + 1).await;
    harness.origin.any(Reply::status(503));
    harness.advance(2);
    let last = harness.get(&[]).await;
    if last.status == 200 { name(&last) } else { String::new() }
}

#[tokio::test]
async fn b5_a_response_that_may_not_be_stored_removes_the_one_that_it_supersedes() {
    for (field, value) in
        [("cache-control", "no-store"), ("vary", "*"), ("cache-control", "No-Store, max-age=60")]
    {
        for (change, then) in [((|_| {}) as fn(&mut _), ""), (as_rfc, "")] {
            for content in ["old", "new"] {
                let first = ok("old").header("cache-control", "max-age=60").header("etag", "\"a\"");
                let harness = Harness::with(first, change).await;
                assert_eq!(after(&harness, ok(content).header(field, value)).await, then, "{field}: {value}");
                harness.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn b5_a_304_that_forbids_storage_removes_the_stored_response() {
    let harness = Harness::start(ok("old").header("etag", "\"a\"")).await;
    let not_modified = Reply::status(304).header("etag", "\"a\"").header("cache-control", "no-store");
    assert_eq!(after(&harness, not_modified).await, "");
    harness.stop().await;
}

#[tokio::test]
async fn b5_a_response_without_lifetime_removes_the_one_that_it_supersedes() {
    let harness = Harness::as_rfc(ok("old").header("cache-control", "max-age=60")).await;
    assert_eq!(after(&harness, ok("new").header("cache-control", "max-age=0")).await, "");
    harness.stop().await;
}

#[tokio::test]
async fn b5_a_forced_refresh_that_may_not_be_stored_ends_the_hits() {
    let harness = Harness::start(ok("old")).await;
    for _ in 0..3 {
        harness.get(&[]).await;
    }
    harness.origin.any(ok("new").header("cache-control", "no-store"));
    assert_eq!(name(&harness.get(&[REFRESH]).await), "new");
    assert_eq!(name(&harness.get(&[]).await), "new");
    harness.origin.any(Reply::status(503));
    assert_eq!(harness.get(&[]).await.status, 503);
    harness.stop().await;
}

#[tokio::test]
async fn b5_a_caller_that_forbids_storage_removes_nothing() {
    let harness = Harness::as_rfc(ok("old").header("cache-control", "max-age=60")).await;
    harness.get(&[]).await;
    harness.get(&[("cache-control", "no-store, no-cache")]).await;
    let hit = harness.get(&[]).await;
    assert!(cache_status(&hit).starts_with("hit"), "{}", cache_status(&hit));
    harness.stop().await;
}

#[tokio::test]
async fn b5_another_token_with_the_same_bytes_sends_one_request() {
    let harness = Harness::start(ok("old")).await;
    let again = token::mint_for("ada", std::time::Duration::from_secs(7200));
    harness.get(&[]).await;
    harness.get_with(&again, &[]).await;
    harness.origin.any(ok("new").header("cache-control", "no-store"));
    harness.get(&[REFRESH]).await;
    harness.origin.any([ok("other"), Reply::status(503)]);
    let before = harness.origin.requests();
    for _ in 0..3 {
        assert_eq!(name(&harness.get_with(&again, &[]).await), "other");
    }
    assert_eq!(harness.origin.requests(), before + 1);
    assert_eq!(harness.get(&[]).await.status, 503);
    harness.stop().await;
}

#[tokio::test]
async fn b5_another_token_keeps_its_own_response() {
    let harness = Harness::start(ok("old")).await;
    for user in ["ada", "grace"] {
        harness.get_as(user, &[]).await;
    }
    harness.origin.any(ok("new").header("cache-control", "no-store"));
    harness.get(&[REFRESH]).await;
    let hit = harness.get_as("grace", &[]).await;
    assert_eq!((&*name(&hit), cache_status(&hit)), ("old", "hit; ttl=300"));
    harness.stop().await;
}

#[tokio::test]
async fn b6_graphs_window_limits_stale_if_error() {
    for (directive, seconds, status) in [
        ("stale-if-error=1", 61, 503),
        ("stale-if-error=0", 61, 503),
        ("stale-if-error=x", 61, 503),
        ("stale-if-error", 61, 503),
        ("stale-if-error=60", 119, 200),
        ("stale-if-error=60", 121, 503),
        ("stale-if-error=60, stale-if-error=5", 119, 503),
        ("stale-if-error=86400", 659, 200),
        ("stale-if-error=86400", 961, 503),
        ("private", 659, 200),
        ("must-revalidate, stale-if-error=60", 61, 503),
    ] {
        let first = ok("x").header("cache-control", &format!("max-age=60, {directive}"));
        let harness = Harness::as_rfc(first).await;
        harness.get(&[]).await;
        harness.origin.any(Reply::status(503));
        harness.advance(seconds);
        assert_eq!(harness.get(&[]).await.status, status, "{directive} at {seconds} s");
        harness.stop().await;
    }
}

#[tokio::test]
async fn b6_graphs_window_limits_stale_while_revalidate() {
    for (directive, seconds, is_stale_hit) in [
        ("stale-while-revalidate=0", 60, false),
        ("stale-while-revalidate=1", 60, true),
        ("stale-while-revalidate=1", 61, false),
        ("stale-while-revalidate=60", 89, true),
        ("stale-while-revalidate=60", 90, false),
        ("stale-while-revalidate=x", 61, false),
        ("private", 61, false),
    ] {
        let first = ok("x").header("cache-control", &format!("max-age=60, {directive}"));
        let harness = Harness::as_rfc(first).await;
        harness.get(&[]).await;
        harness.advance(seconds);
        let response = harness.get(&[]).await;
        assert_eq!(cache_status(&response).starts_with("hit"), is_stale_hit, "{directive} at {seconds} s");
        harness.stop().await;
    }
}

#[tokio::test]
async fn b6_the_operators_windows_apply_by_default() {
    let first = ok("x").header("cache-control", "max-age=60, stale-if-error=1");
    let harness = Harness::start([first, Reply::status(503)]).await;
    harness.get(&[]).await;
    harness.advance(400);
    assert_eq!(harness.get(&[]).await.status, 200);
    harness.stop().await;
}
