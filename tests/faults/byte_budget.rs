//! Byte budget: bodies of Graph above the limit are refused, and their bytes are released.

use connector_cache::config::Config;
use connector_cache::http::rejection::Rejection;

use crate::common::client::Client;
use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::token;
use crate::harness::{Harness, STORED, cache_status};

fn small(config: &mut Config) {
    config.bytes_in_flight = 128 << 10;
}

/// A body of a little more than 40 KiB.
fn large() -> Reply {
    Reply::json(format!("{{\"id\":{}}}", "7".repeat(40 << 10)))
}

async fn is_refused(harness: &mut Harness) {
    let faults = harness.faults();
    let response = harness.get().await;
    let expected = "connector-cache; detail=bytes-in-flight";
    assert_eq!((response.status, cache_status(&response)), (503, expected), "{}", response.text());
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(harness.faults(), faults, "no failure of the origin is counted");
}

#[tokio::test]
async fn a_body_above_the_byte_budget_is_a_503_and_the_admitted_one_completes() {
    let mut harness = Harness::with(small).await;
    let limit = harness.proxy.series("connector_cache_bytes_in_flight_limit").await;
    assert!((limit - 131_072.0).abs() < 0.5, "the limit is {limit} bytes");
    let rest = Gate::new();
    harness.origin.any(vec![large().paused_after(1000, &rest), large()]);
    let mut first = Client::connect(harness.proxy.data).await;
    let authorization = format!("Bearer {}", token::mint("first"));
    first.send_get(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
    crate::common::within("the first body to be charged", async {
        while harness.proxy.series("connector_cache_bytes_in_flight").await < 40_000.0 {}
    })
    .await;
    is_refused(&mut harness).await;
    assert_eq!(harness.proxy.metrics.rejected.get(Rejection::BytesInFlight), 1);
    rest.open();
    let response = first.response().await.unwrap();
    assert_eq!((response.status, response.body.len()), (200, (40 << 10) + 7));
    crate::common::within("the bytes to be released", async {
        while harness.proxy.series("connector_cache_bytes_in_flight").await > 0.0 {}
    })
    .await;
    assert_eq!(cache_status(&harness.get().await), STORED);
    harness.stop().await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_charged_as_it_arrives_and_released() {
    let mut harness = Harness::with(small).await;
    let larger = format!("{{\"id\":{}}}", "7".repeat(100 << 10));
    harness.origin.any(Reply::json(larger.clone()).chunked(1 << 10));
    is_refused(&mut harness).await;
    harness.origin.any(Reply::json(larger).gzip());
    is_refused(&mut harness).await;
    assert!(harness.proxy.series("connector_cache_bytes_in_flight").await < 1.0);
    harness.origin.any(large().chunked(1 << 10));
    assert_eq!(cache_status(&harness.get().await), STORED);
    harness.stop().await;
}

#[tokio::test]
async fn an_error_response_above_the_byte_budget_keeps_its_status() {
    let mut harness = Harness::with(|config| config.bytes_in_flight = 100).await;
    harness.origin.any(large().with_status(403));
    let response = harness.get().await;
    let expected = "connector-cache; fwd=uri-miss; fwd-status=403; detail=unreadable-error";
    assert_eq!((response.status, cache_status(&response)), (403, expected));
    harness.stop().await;
}
