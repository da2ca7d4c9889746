//! Slow origin servers.

use std::time::{Duration, Instant};

use connector_cache::config::Config;
use connector_cache::upstream::UpstreamFailure;

use crate::common::client::H2;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::token;
use crate::harness::{Harness, STORED, cache_status, ok};

fn short(config: &mut Config) {
    config.upstream.timeout = DEADLINE;
}

#[tokio::test]
async fn f13_an_origin_that_never_responds_is_a_504_at_the_deadline_for_all_followers() {
    let mut harness = Harness::with(short).await;
    harness.origin.any(Reply::silence());
    let connection = H2::connect(harness.proxy.data).await;
    let authorization = format!("Bearer {}", token::mint("waits"));
    let began = Instant::now();
    let requests = (0..20).map(|_| async {
        let response = connection.get(&path("B2X_1_x"), &[("authorization", authorization.as_str())]).await;
        (response.unwrap().status, began.elapsed())
    });
    let responses = futures_util::future::join_all(requests).await;
    for (status, waited) in &responses {
        assert!(*status == 504 && (DEADLINE..DEADLINE * 4).contains(waited), "{status} after {waited:?}");
    }
    assert_eq!(harness.origin.requests(), 1);
    assert_eq!(
        harness.proxy.upstream_metrics.errors.get(UpstreamFailure::Timeout),
        1,
        "one request, one failure"
    );
    harness.origin.wait_for_ended(1).await;
    let response = harness.fails(Reply::silence(), 504, UpstreamFailure::Timeout).await;
    assert_eq!(response.header("retry-after"), Some("1"));
    harness.stop().await;
}

#[tokio::test]
async fn f13_a_response_that_does_not_begin_is_a_504_at_the_first_byte_timeout() {
    let mut harness = Harness::with(|config| config.upstream.first_byte_timeout = DEADLINE).await;
    let began = Instant::now();
    let response = harness.fails(Reply::silence(), 504, UpstreamFailure::FirstByte).await;
    assert!((DEADLINE..DEADLINE * 8).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(response.header("retry-after"), Some("1"));
    harness.stop().await;
}

#[tokio::test]
async fn f13_a_response_that_has_begun_has_the_total_timeout() {
    let mut harness = Harness::with(|config| config.upstream.first_byte_timeout = DEADLINE).await;
    let rest = crate::common::gate::Gate::new();
    let reply = ok().paused_after(100, &rest);
    let opening = async {
        tokio::time::sleep(DEADLINE * 3 / 2).await;
        rest.open();
    };
    futures_util::future::join(harness.passes(reply), opening).await;
    harness.stop().await;
}

#[tokio::test]
async fn f14_a_slow_response_ends_at_the_total_timeout() {
    let mut harness = Harness::with(short).await;
    let drip = ok().drip(1, Duration::from_millis(20));
    let began = Instant::now();
    harness.fails(drip, 504, UpstreamFailure::Timeout).await;
    assert!(began.elapsed() < DEADLINE * 4, "{:?}", began.elapsed());
    harness.stop().await;
}

#[tokio::test]
async fn f14_a_slow_body_ends_at_the_total_timeout() {
    let mut harness = Harness::with(short).await;
    let never = crate::common::gate::Gate::new();
    harness.fails(ok().paused_after(100, &never), 504, UpstreamFailure::Timeout).await;
    harness.origin.wait_for_connections(2).await;
    harness.stop().await;
}

#[tokio::test]
async fn f13_a_caller_that_waits_for_a_permit_gets_a_503_and_no_upstream_failure_counts() {
    let mut harness = Harness::with(|config| {
        short(config);
        config.upstream.in_flight = 1;
    })
    .await;
    harness.origin.any(Reply::silence());
    let connection = H2::connect(harness.proxy.data).await;
    let leading = tokio::spawn(async move {
        let authorization = format!("Bearer {}", token::mint("first"));
        connection.get(&path("B2X_1_x"), &[("authorization", authorization.as_str())]).await.unwrap().status
    });
    harness.origin.wait_for_requests(1).await;
    let began = harness.faults();
    let response = harness.get().await;
    let status = leading.await.unwrap();
    assert_eq!(status, 504);
    assert_eq!((response.status, cache_status(&response)), (503, "connector-cache; detail=overloaded"));
    assert_eq!(response.header("retry-after"), Some("1"));
    harness.assert_counted(&began, UpstreamFailure::Timeout);
    assert_eq!(harness.origin.requests(), 1, "the second request was never sent");
    harness.stop().await;
}

#[tokio::test]
async fn f13_a_proven_caller_that_waits_for_a_permit_gets_a_503_too() {
    let mut harness = Harness::with(|config| {
        short(config);
        config.upstream.in_flight = 1;
    })
    .await;
    harness.origin.any(ok());
    let first = token::mint("first");
    assert_eq!(harness.proxy.read(&first).await.status, 200);
    assert_eq!(cache_status(&harness.get().await), STORED);
    // Past the freshness lifetime and every grace.
    harness.proxy.clock.advance(Duration::from_secs(1200));
    harness.origin.any(Reply::silence());
    let (requests, address) = (harness.origin.requests(), harness.proxy.data);
    let leading = tokio::spawn(async move {
        let authorization = format!("Bearer {first}");
        let headers = [("authorization", authorization.as_str())];
        crate::common::client::get(address, &path("B2X_1_x"), &headers).await.status
    });
    harness.origin.wait_for_requests(requests + 1).await;
    let response = harness.get_again().await;
    assert_eq!((response.status, cache_status(&response)), (503, "connector-cache; detail=overloaded"));
    assert_eq!((leading.await.unwrap(), harness.origin.requests()), (504, requests + 1));
    harness.stop().await;
}

const DEADLINE: Duration = Duration::from_millis(500);
