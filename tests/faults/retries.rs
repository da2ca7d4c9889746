//! Retries: which requests are repeated, and which are not.

use std::time::Duration;

use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;

use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::{token, within};
use crate::harness::{BODY, Harness, ok};

fn stale(harness: &Harness) -> u64 {
    harness.proxy.upstream_metrics.retries.get(Retry::StaleConnection)
}

#[tokio::test]
async fn f22_a_pooled_connection_that_closes_during_the_request_is_replaced_once() {
    for end in [Reply::hang_up(), Reply::reset()] {
        let mut harness = Harness::start().await;
        harness.passes(ok()).await;
        assert_eq!(harness.passes([end, ok()]).await.text(), BODY);
        assert_eq!((stale(&harness), harness.origin.requests(), harness.origin.connections()), (1, 3, 2));
        harness.stop().await;
    }
}

#[tokio::test]
async fn f22_a_pooled_connection_that_closed_while_idle_is_replaced() {
    let mut harness = Harness::start().await;
    for round in 1..=20 {
        harness.passes(ok()).await;
        harness.origin.hang_up().await;
        assert_eq!(harness.origin.connections(), round);
    }
    assert_eq!(harness.origin.requests(), 20);
    harness.stop().await;
}

#[tokio::test]
async fn f22_the_second_attempt_does_not_take_another_stale_connection() {
    let mut harness = Harness::start().await;
    // Four connections in the pool, which all end at the next request.
    let gate = Gate::new();
    harness.origin.any(ok().held_until(&gate));
    let requests: Vec<_> = (0..4)
        .map(|n| {
            let (data, token) = (harness.proxy.data, token::mint(&format!("pool-{n}")));
            tokio::spawn(async move {
                let authorization = format!("Bearer {token}");
                crate::common::client::get(data, &path("B2X_1_x"), &[("authorization", &authorization)]).await
            })
        })
        .collect();
    harness.origin.wait_for_requests(4).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap().status, 200);
    }
    assert_eq!(harness.origin.connections(), 4);
    let origin = &harness.origin;
    origin.handle("", |request| if request.connection <= 4 { Reply::hang_up() } else { ok() });
    let response = within("a response", harness.get()).await;
    assert_eq!((response.status, stale(&harness)), (200, 1));
    harness.stop().await;
}

#[tokio::test]
async fn f01_no_second_attempt_once_anything_was_received() {
    for partial in [
        Reply::raw("H"),
        Reply::raw("HTTP/1.1 200 OK\r\ncontent-"),
        Reply::raw("HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let mut harness = Harness::start().await;
        harness.passes(ok()).await;
        harness.fails([partial, ok()], 502, UpstreamFailure::Reset).await;
        assert_eq!(stale(&harness), 0);
        harness.stop().await;
    }
}

#[tokio::test]
async fn f01_no_second_attempt_once_a_head_was_received() {
    let mut harness = Harness::start().await;
    harness.passes(ok()).await;
    harness.fails([ok().cut_after(90), ok()], 502, UpstreamFailure::Truncated).await;
    assert_eq!(stale(&harness), 0);
    harness.stop().await;
}

#[tokio::test]
async fn f22_a_second_attempt_that_fails_is_not_followed_by_a_third() {
    let mut harness = Harness::start().await;
    harness.passes(ok()).await;
    harness.fails([Reply::hang_up(), Reply::hang_up(), ok()], 502, UpstreamFailure::Reset).await;
    assert_eq!((stale(&harness), harness.origin.requests()), (1, 4));
    harness.stop().await;
}

#[tokio::test]
async fn t23_an_error_response_is_never_retried() {
    let mut harness = Harness::start().await;
    for status in [429, 500, 502, 503, 504] {
        harness.origin.any(Reply::json("{}").status_of(status));
        let requests = harness.origin.requests();
        assert_eq!(harness.get().await.status, status);
        assert_eq!(harness.origin.requests(), requests + 1);
    }
    harness.stop().await;
}

/// A 200 whose head has many fields.
fn many_fields(fields: usize) -> Reply {
    (0..fields).fold(ok(), |reply, number| reply.header(&format!("x-{number}"), "1"))
}

fn large_heads(harness: &Harness) -> u64 {
    harness.proxy.upstream_metrics.retries.get(Retry::LargeHead)
}

#[tokio::test]
async fn a_head_with_many_fields_is_requested_again_once_in_a_process() {
    let mut harness = Harness::start().await;
    assert_eq!(harness.passes(many_fields(90)).await.text(), BODY);
    assert_eq!((large_heads(&harness), harness.origin.requests(), harness.origin.connections()), (0, 1, 1));
    assert_eq!(harness.passes(many_fields(1_000)).await.text(), BODY);
    assert_eq!((large_heads(&harness), harness.origin.requests(), harness.origin.connections()), (1, 3, 2));
    for _ in 0..5 {
        assert_eq!(harness.passes(many_fields(1_000)).await.text(), BODY);
    }
    assert_eq!((large_heads(&harness), harness.origin.requests()), (1, 8));
    assert_eq!(harness.origin.connections(), 3, "the new connections of the pool accept many fields");
    harness.stop().await;
}

#[tokio::test]
async fn a_head_with_many_fields_after_another_retry_is_received_too() {
    let mut harness = Harness::start().await;
    harness.passes(ok()).await;
    // The second attempt has a connection of its own, which accepts many fields.
    assert_eq!(harness.passes([Reply::hang_up(), many_fields(1_000)]).await.text(), BODY);
    assert_eq!((stale(&harness), large_heads(&harness)), (1, 0));
    harness.stop().await;
}

#[tokio::test]
async fn a_head_with_too_many_bytes_is_not_requested_again() {
    let mut harness = Harness::start().await;
    let long = "a".repeat(200 << 10);
    for _ in 0..2 {
        let requests = harness.origin.requests();
        harness.origin.any(ok().header("x-long", &long));
        let response = harness.get().await;
        assert_eq!(response.status, 502);
        assert_eq!((harness.origin.requests(), large_heads(&harness)), (requests + 1, 0));
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_head_with_more_fields_than_the_limit_is_requested_again_once_in_a_process() {
    let mut harness = Harness::start().await;
    for requests in [2, 3, 4] {
        harness.origin.any(many_fields(3_000));
        assert_eq!(harness.get().await.status, 502);
        assert_eq!((harness.origin.requests(), large_heads(&harness)), (requests, 1));
    }
    harness.stop().await;
}

#[tokio::test]
async fn the_second_request_after_a_large_head_ends_at_the_deadline_of_the_first() {
    let timeout = Duration::from_secs(6);
    let mut harness = Harness::with(|config| config.upstream.timeout = timeout).await;
    let (first, second) = (Gate::new(), Gate::new());
    harness.origin.any([many_fields(1_000).held_until(&first), ok().held_until(&second)]);
    let clock = PausedClock::new();
    let response = harness.get_during(async |origin, proxy| {
        origin.wait_for_requests(1).await;
        clock.advance(timeout / 2).await;
        first.open();
        origin.wait_for_requests(2).await;
        // A timer fires up to a millisecond after its time.
        clock.advance(timeout / 2 + Duration::from_millis(10)).await;
        // Without an end at this deadline the second request would receive its response.
        yield_until(|| proxy.metrics.in_flight() == 0).await;
        second.open();
    });
    assert_eq!(response.await.status, 504);
    assert_eq!(large_heads(&harness), 1);
    drop(clock);
    harness.stop().await;
}

/// A paused clock. While a blocking task runs, tokio does not advance it by itself.
struct PausedClock(std::sync::mpsc::Sender<()>);

impl PausedClock {
    fn new() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        drop(tokio::task::spawn_blocking(move || receiver.recv()));
        tokio::time::pause();
        Self(sender)
    }

    async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}

impl Drop for PausedClock {
    fn drop(&mut self) {
        let _ = self.0.send(());
        tokio::time::resume();
    }
}

/// Lets other tasks run until `holds`, for at most a thousand turns.
async fn yield_until(holds: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
