//! Error responses and redirects.

use connector_cache::cache::outcome::{NotStored, Outcome};
use connector_cache::observability::metrics::MethodLabel;
use connector_cache::upstream::UpstreamFailure;
use connector_cache::upstream::unauthorized_tokens::UNAUTHORIZED_RESPONSE_TTL;
use http::StatusCode;

use crate::common::origin::OriginServer;
use crate::common::reply::Reply;
use crate::harness::{CANARY, Harness, cache_status, ok};

const NO: &str = r#"{"error":{"code":"c","message":"m"}}"#;

/// An error response in Graph's format.
fn error_reply(status: u16) -> Reply {
    Reply::json(NO).status_of(status)
}

#[tokio::test]
async fn f16_every_503_is_passed_on_without_a_retry() {
    let mut harness = Harness::start().await;
    harness.origin.any(error_reply(503));
    for requests in 1..=50 {
        let response = harness.get().await;
        assert_eq!((response.status, response.header("retry-after"), response.text()), (503, Some("6"), NO));
        assert_eq!(harness.origin.requests(), requests, "no request is repeated");
    }
    harness.recovers().await;
    let counted =
        harness.proxy.metrics.requests(MethodLabel::Get, StatusCode::SERVICE_UNAVAILABLE, Outcome::Miss);
    assert_eq!((counted, harness.proxy.metrics.not_stored.get(NotStored::Status)), (50, 50));
    harness.stop().await;
}

#[tokio::test]
async fn f17_a_429_is_passed_on_with_whole_seconds() {
    let mut harness = Harness::start().await;
    let date = |ahead: u64| {
        let now = harness.proxy.clock.now().wall();
        httpdate::fmt_http_date(now + std::time::Duration::from_secs(ahead))
    };
    let in_half_a_minute = date(30);
    let cases = [
        // The date has whole seconds, and the clock fractions.
        (Some(in_half_a_minute.as_str()), ["29", "30"]),
        (Some("30"), ["30", "30"]),
        (Some("2.128"), ["3", "3"]),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), ["0", "0"]),
        (Some("soon"), ["6", "6"]),
        (Some("1000000000000"), ["86400", "86400"]),
        (None, ["6", "6"]),
    ];
    for (retry_after, expected) in cases {
        let reply = retry_after
            .map_or_else(|| error_reply(429), |value| error_reply(429).header("retry-after", value));
        harness.origin.any(reply);
        let response = harness.get().await;
        let wait = response.header("retry-after").unwrap();
        assert!(response.status == 429 && expected.contains(&wait), "{retry_after:?}: {wait}");
        assert_eq!(cache_status(&response), "connector-cache; fwd=uri-miss; fwd-status=429");
        let requests = harness.origin.requests();
        if wait != "0" {
            let held_back = harness.get_again().await;
            assert_eq!(cache_status(&held_back), "connector-cache; detail=throttle-gate");
            assert_eq!(harness.origin.requests(), requests, "no request is sent to Graph");
        }
        // After that time, or after the ten minutes of the longest throttle, the same token gets a response.
        let wait = wait.parse::<u64>().unwrap().min(600);
        harness.proxy.clock.advance(std::time::Duration::from_secs(wait));
        harness.recovers().await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f17_the_source_of_a_429_is_not_passed_on() {
    let mut harness = Harness::start().await;
    let scope = "Tenant_Application/ReadWrite/hunter2-canary/f8cdef31-a31e-4b4a-93e4-5f571e91255a";
    harness
        .origin
        .any(error_reply(429).header("x-ms-throttle-scope", scope).header("x-ms-ags-diagnostic", CANARY));
    let response = harness.get().await;
    assert!(!format!("{:?}", response.headers).contains(CANARY));
    harness.stop().await;
}

#[tokio::test]
async fn f20_a_redirect_is_a_502_and_is_not_followed() {
    let mut harness = Harness::start().await;
    let elsewhere = OriginServer::start().await;
    let own = harness.origin.url();
    for status in [300, 301, 302, 303, 305, 307, 308, 399] {
        for target in [format!("{}/stolen", elsewhere.url()), format!("{own}/stolen"), "//stolen".to_owned()]
        {
            let reply = error_reply(status).header("location", &target);
            let response = harness.fails(reply, 502, UpstreamFailure::Redirect).await;
            assert_eq!(response.header("location"), None);
        }
    }
    assert!(harness.origin.seen().iter().all(|request| !request.target.contains("stolen")));
    assert_eq!(elsewhere.connections(), 0);
    harness.stop().await;
}

#[tokio::test]
async fn an_error_whose_body_cannot_be_scrubbed_keeps_its_status_and_loses_its_body() {
    let mut harness = Harness::start().await;
    for status in [400, 401, 403, 404, 410, 429, 500, 502, 503, 504, 509] {
        let page = format!("<html>{CANARY}</html>");
        let reply = Reply::status(status).header("content-type", "text/html").body(page);
        let challenge = "Bearer error=\"insufficient_claims\", claims=\"e30=\"";
        harness.origin.any(reply.header("www-authenticate", challenge));
        let response = harness.get().await;
        let expected = format!("connector-cache; fwd=uri-miss; fwd-status={status}; detail=unreadable-error");
        assert_eq!((response.status, cache_status(&response)), (status, expected.as_str()));
        assert_eq!(response.header("www-authenticate"), Some(challenge));
        assert!(response.json()["error"]["code"].is_string() && !response.text().contains(CANARY));
        // A 429 without `Retry-After` throttles the token for the default time.
        harness.proxy.clock.advance(std::time::Duration::from_secs(6));
        harness.recovers().await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn an_error_with_an_empty_body_keeps_its_status() {
    let mut harness = Harness::start().await;
    for status in [401, 404, 503] {
        harness.origin.any(Reply::status(status));
        let response = harness.get().await;
        assert_eq!(response.status, status);
        assert!(response.json()["error"]["message"].is_string());
        harness.proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
        harness.recovers().await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f68_no_date_or_age_of_the_origin_extends_the_lifetime_of_a_response() {
    let mut harness = Harness::start().await;
    let now = harness.proxy.clock.now().wall();
    let hour = std::time::Duration::from_secs(3600);
    let ahead = httpdate::fmt_http_date(now + hour);
    let behind = httpdate::fmt_http_date(now - hour);
    let late = httpdate::fmt_http_date(now + 1000 * hour);
    for reply in [
        ok().header("date", &ahead),
        ok().header("date", &behind),
        ok(),
        ok().header("date", "yesterday").header("expires", &late),
        ok().header("date", &ahead).header("cache-control", "max-age=31536000, immutable"),
    ] {
        harness.passes(reply).await;
        let requests = harness.origin.requests();
        let hit = harness.get_again().await;
        assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300");
        // Past the freshness lifetime, and past the 30 seconds of `cache.stale_while_revalidate`.
        harness.proxy.clock.advance(std::time::Duration::from_secs(331));
        harness.origin.any(ok());
        let again = harness.get_again().await;
        assert_eq!(cache_status(&again), "connector-cache; fwd=stale; fwd-status=200; stored");
        assert_eq!(harness.origin.requests(), requests + 1);
    }
    harness.stop().await;
}

#[tokio::test]
async fn f68_a_response_that_is_already_stale_is_not_stored() {
    let mut harness = Harness::start().await;
    for age in ["1000000000", "300", "99999999999999999999999999"] {
        harness.origin.any(ok().header("age", age));
        let response = harness.get().await;
        let expected = "connector-cache; fwd=uri-miss; fwd-status=200; detail=no-lifetime";
        assert_eq!((response.status, cache_status(&response)), (200, expected), "{age}");
        harness.recovers().await;
    }
    assert_eq!(harness.proxy.metrics.not_stored.get(NotStored::NoLifetime), 3);
    harness.stop().await;
}
