//! B3: every failed revalidation backs off alike.

use std::time::Duration;

use super::harness::{Harness, cache_status, name, ok};
use crate::common::reply::Reply;

fn failures() -> Vec<(&'static str, Reply)> {
    let html = Reply::status(200).header("content-type", "text/html").body("<html>");
    vec![
        ("500", Reply::status(500)),
        ("501", Reply::status(501)),
        ("502", Reply::status(502)),
        ("503", Reply::status(503)),
        ("504", Reply::status(504)),
        ("505", Reply::status(505)),
        ("429", Reply::status(429)),
        ("429 now", Reply::status(429).header("retry-after", "0")),
        ("302", Reply::status(302).header("location", "/")),
        ("broken JSON", Reply::json("{\"a\":")),
        ("an array", Reply::json("[1]")),
        ("HTML", html),
        ("too large", Reply::json("x".repeat(3 << 20))),
        ("gzip that is none", Reply::json("{}").header("content-encoding", "gzip")),
        ("another coding", Reply::json("{}").header("content-encoding", "br")),
        ("a partial response", Reply::json("{}").with_status(206)),
        ("no length", Reply::json("{}").cut_after(60)),
        ("reset", Reply::reset()),
        ("hang-up", Reply::hang_up()),
        ("no HTTP", Reply::raw("nonsense\r\n\r\n")),
        ("silence", Reply::silence()),
    ]
}

/// Plays 40 requests in each of three seconds against an entry that was stale for `stale_for` seconds at the start.
async fn calls_in_three_seconds(stale_for: u64, reply: Reply, users: &[&str], what: &str) -> usize {
    let harness = Harness::with(ok("x"), |config| {
        config.upstream.first_byte_timeout = Duration::from_millis(100);
        config.upstream.timeout = Duration::from_millis(200);
    })
    .await;
    for user in users {
        // On a busy machine the first response may be later than the short timeouts.
        crate::common::within("a stored response", async {
            while harness.get_as(user, &[]).await.status != 200 {}
        })
        .await;
    }
    let before = harness.origin.requests();
    harness.advance(300 + stale_for);
    harness.origin.any(reply);
    for _ in 0..30 {
        harness.proxy.clock.advance(Duration::from_millis(100));
        for number in 0..4 {
            let response = harness.get_as(users[number % users.len()], &[]).await;
            assert_eq!(
                (response.status, &*name(&response)),
                (200, "x"),
                "{what}: {}",
                cache_status(&response)
            );
        }
    }
    let calls = harness.origin.requests() - before;
    harness.stop().await;
    calls
}

#[tokio::test]
async fn b3_every_failed_revalidation_backs_off_alike() {
    for (what, reply) in failures() {
        for stale_for in [1, 60] {
            let calls = calls_in_three_seconds(stale_for, reply.clone(), &["ada"], what).await;
            assert!((1..=6).contains(&calls), "{what}, stale for {stale_for} s: {calls} calls");
        }
    }
}

#[tokio::test]
async fn b3_a_refused_revalidation_backs_off_while_the_stale_entry_is_served() {
    for status in [204, 400, 405, 406, 408, 409, 418, 422, 423] {
        let calls = calls_in_three_seconds(1, Reply::status(status), &["ada"], "refused").await;
        assert!((1..=6).contains(&calls), "{status}: {calls} calls");
    }
}

#[tokio::test]
async fn b3_an_entry_is_renewed_within_two_seconds_after_graph_works_again() {
    for stale_for in [1, 60] {
        let harness = Harness::start([ok("x"), Reply::status(500)]).await;
        harness.get(&[]).await;
        harness.advance(300 + stale_for);
        for _ in 0..20 {
            harness.get(&[]).await;
        }
        harness.origin.any(ok("new"));
        let before = harness.origin.requests();
        harness.advance(2);
        harness.get(&[]).await;
        harness.origin.wait_for_requests(before + 1).await;
        crate::common::within("the renewed entry", async { while name(&harness.get(&[]).await) != "new" {} })
            .await;
        harness.stop().await;
    }
}

#[tokio::test]
async fn b3_a_response_that_fails_for_one_token_does_not_keep_others_from_graph() {
    let harness = Harness::start(ok("x")).await;
    let mut tokens: Vec<String> = Vec::new();
    for life in [3600, 7200] {
        let token = crate::common::token::mint_for("ada", Duration::from_secs(life));
        harness.get_with(&token, &[]).await;
        tokens.push(token);
    }
    harness.advance(360);
    let broken = format!("Bearer {}", tokens[0]);
    harness.origin.handle("", move |request| {
        if request.header("authorization") == Some(&broken) { Reply::status(500) } else { ok("new") }
    });
    for round in 0..20 {
        harness.proxy.clock.advance(Duration::from_millis(100));
        for _ in 0..5 {
            harness.get_with(&tokens[0], &[]).await;
        }
        if round % 7 == 6 && name(&harness.get_with(&tokens[1], &[]).await) == "new" {
            harness.stop().await;
            return;
        }
    }
    panic!("the second token was never sent to Graph");
}
