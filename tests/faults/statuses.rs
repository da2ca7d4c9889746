//! Error responses and redirects.

use connector_cache::cache::outcome::{NotStored, Outcome};
use connector_cache::observability::metrics::MethodLabel;
use connector_cache::upstream::UpstreamFailure;
use connector_cache::upstream::unauthorized_tokens::UNAUTHORIZED_RESPONSE_TTL;
use http::StatusCode;

use crate::common::origin::OriginServer;
use crate::common::reply::Reply;
use crate::stage::{CANARY, Stage, cache_status, sound};

const NO: &str = r#"{"error":{"code":"c","message":"m"}}"#;

/// An error response in Graph's format.
fn no(status: u16) -> Reply {
    Reply::json(NO).status_of(status)
}

#[tokio::test]
async fn f16_every_503_is_passed_on_without_a_retry() {
    let mut stage = Stage::set().await;
    stage.origin.any(no(503));
    for asked in 1..=50 {
        let response = stage.ask().await;
        assert_eq!((response.status, response.header("retry-after"), response.text()), (503, Some("6"), NO));
        assert_eq!(stage.origin.requests(), asked, "nothing is asked twice");
    }
    stage.recovers().await;
    let counted =
        stage.proxy.metrics.requests(MethodLabel::Get, StatusCode::SERVICE_UNAVAILABLE, Outcome::Miss);
    assert_eq!((counted, stage.proxy.metrics.not_stored.get(NotStored::Status)), (50, 50));
    stage.clear().await;
}

#[tokio::test]
async fn f17_a_429_is_passed_on_with_whole_seconds() {
    let mut stage = Stage::set().await;
    let date = |ahead: u64| {
        let now = stage.proxy.clock.now().wall();
        httpdate::fmt_http_date(now + std::time::Duration::from_secs(ahead))
    };
    let in_half_a_minute = date(30);
    let cases = [
        // The date has whole seconds, the clock has not.
        (Some(in_half_a_minute.as_str()), ["29", "30"]),
        (Some("30"), ["30", "30"]),
        (Some("2.128"), ["3", "3"]),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), ["0", "0"]),
        (Some("soon"), ["6", "6"]),
        (Some("1000000000000"), ["600", "600"]),
        (None, ["6", "6"]),
    ];
    for (said, expected) in cases {
        let reply = said.map_or_else(|| no(429), |said| no(429).header("retry-after", said));
        stage.origin.any(reply);
        let response = stage.ask().await;
        let wait = response.header("retry-after").unwrap();
        assert!(response.status == 429 && expected.contains(&wait), "{said:?}: {wait}");
        assert_eq!(cache_status(&response), "connector-cache; fwd=uri-miss; fwd-status=429");
        let asked = stage.origin.requests();
        if wait != "0" {
            let held_back = stage.ask_again().await;
            assert_eq!(cache_status(&held_back), "connector-cache; detail=throttle-gate");
            assert_eq!(stage.origin.requests(), asked, "Graph is left alone");
        }
        // After that time the same token gets a response.
        stage.proxy.clock.advance(std::time::Duration::from_secs(wait.parse().unwrap()));
        stage.recovers().await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f17_the_source_of_a_429_is_not_passed_on() {
    let mut stage = Stage::set().await;
    let scope = "Tenant_Application/ReadWrite/hunter2-canary/f8cdef31-a31e-4b4a-93e4-5f571e91255a";
    stage.origin.any(no(429).header("x-ms-throttle-scope", scope).header("x-ms-ags-diagnostic", CANARY));
    let response = stage.ask().await;
    assert!(!format!("{:?}", response.headers).contains(CANARY));
    stage.clear().await;
}

#[tokio::test]
async fn f20_a_redirect_is_a_502_and_is_not_followed() {
    let mut stage = Stage::set().await;
    let elsewhere = OriginServer::start().await;
    let own = stage.origin.url();
    for status in [300, 301, 302, 303, 305, 307, 308, 399] {
        for target in [format!("{}/stolen", elsewhere.url()), format!("{own}/stolen"), "//stolen".to_owned()]
        {
            let reply = no(status).header("location", &target);
            let response = stage.fails(reply, 502, UpstreamFailure::Redirect).await;
            assert_eq!(response.header("location"), None);
        }
    }
    assert!(stage.origin.seen().iter().all(|request| !request.target.contains("stolen")));
    assert_eq!(elsewhere.connections(), 0);
    stage.clear().await;
}

#[tokio::test]
async fn an_error_whose_body_cannot_be_scrubbed_keeps_its_status_and_loses_its_body() {
    let mut stage = Stage::set().await;
    for status in [400, 401, 403, 404, 410, 429, 500, 502, 503, 504, 509] {
        let page = format!("<html>{CANARY}</html>");
        let reply = Reply::status(status).header("content-type", "text/html").body(page);
        let challenge = "Bearer error=\"insufficient_claims\", claims=\"e30=\"";
        stage.origin.any(reply.header("www-authenticate", challenge));
        let response = stage.ask().await;
        let said = format!("connector-cache; fwd=uri-miss; fwd-status={status}; detail=unreadable-error");
        assert_eq!((response.status, cache_status(&response)), (status, said.as_str()));
        assert_eq!(response.header("www-authenticate"), Some(challenge));
        assert!(response.json()["error"]["code"].is_string() && !response.text().contains(CANARY));
        // A 429 without `Retry-After` throttles the token for the default time.
        stage.proxy.clock.advance(std::time::Duration::from_secs(6));
        stage.recovers().await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn an_error_with_an_empty_body_keeps_its_status() {
    let mut stage = Stage::set().await;
    for status in [401, 404, 503] {
        stage.origin.any(Reply::status(status));
        let response = stage.ask().await;
        assert_eq!(response.status, status);
        assert!(response.json()["error"]["message"].is_string());
        stage.proxy.clock.advance(UNAUTHORIZED_RESPONSE_TTL);
        stage.recovers().await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f68_no_date_or_age_of_the_origin_extends_the_lifetime_of_a_response() {
    let mut stage = Stage::set().await;
    let now = stage.proxy.clock.now().wall();
    let hour = std::time::Duration::from_secs(3600);
    let ahead = httpdate::fmt_http_date(now + hour);
    let behind = httpdate::fmt_http_date(now - hour);
    let late = httpdate::fmt_http_date(now + 1000 * hour);
    for reply in [
        sound().header("date", &ahead),
        sound().header("date", &behind),
        sound(),
        sound().header("date", "yesterday").header("expires", &late),
        sound().header("date", &ahead).header("cache-control", "max-age=31536000, immutable"),
    ] {
        stage.passes(reply).await;
        let asked = stage.origin.requests();
        let hit = stage.ask_again().await;
        assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300");
        // Past freshness, and past the 30 seconds in which what is stale may be used.
        stage.proxy.clock.advance(std::time::Duration::from_secs(331));
        stage.origin.any(sound());
        let again = stage.ask_again().await;
        assert_eq!(cache_status(&again), "connector-cache; fwd=stale; fwd-status=200; stored");
        assert_eq!(stage.origin.requests(), asked + 1);
    }
    stage.clear().await;
}

#[tokio::test]
async fn f68_a_response_that_is_already_stale_is_not_stored() {
    let mut stage = Stage::set().await;
    for age in ["1000000000", "300", "99999999999999999999999999"] {
        stage.origin.any(sound().header("age", age));
        let response = stage.ask().await;
        let said = "connector-cache; fwd=uri-miss; fwd-status=200; detail=no-lifetime";
        assert_eq!((response.status, cache_status(&response)), (200, said), "{age}");
        stage.recovers().await;
    }
    assert_eq!(stage.proxy.metrics.not_stored.get(NotStored::NoLifetime), 3);
    stage.clear().await;
}
