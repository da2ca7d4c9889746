//! Metrics of events that no header field shows, and the effects of Graph's error responses.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::Bypass;
use connector_cache::cache::outcome::{ProofChange, ProofLookup};
use connector_cache::http::rejection::Rejection;
use connector_cache::scrub::ScrubbedField;
use serde_json::json;

use crate::common::client;
use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::harness::{FLOW, Harness, SECRET, STORED, bearer, cache_status_of, ok};

/// Past `cache.ttl`, `cache.proof_ttl` and `cache.stale_while_revalidate`.
const PAST: Duration = Duration::from_secs(331);

fn error_reply(status: u16) -> Reply {
    Reply::status(status)
        .header("content-type", "application/json")
        .body(r#"{"error":{"code":"x","message":"Graph's own words","password":"planted-password"}}"#)
}

#[tokio::test]
async fn masked_credentials_count_by_field_in_a_200_and_in_an_error_response() {
    let harness = Harness::start().await;
    let counted = |field| harness.proxy.metrics.scrubbed.get(field);
    harness.get(&[]).await;
    assert_eq!((counted(ScrubbedField::Password), counted(ScrubbedField::Username)), (1, 1));
    harness.get(&[]).await;
    assert_eq!(counted(ScrubbedField::Password), 1, "a response from memory was masked before");
    harness.set_replies([error_reply(403)]);
    let refused = harness.get_as("eve", &[]).await;
    assert!(refused.text().contains("Graph's own words") && !refused.text().contains(SECRET));
    assert_eq!((counted(ScrubbedField::Password), counted(ScrubbedField::Username)), (2, 1));
    harness.stop().await;
}

#[tokio::test]
async fn every_hit_counts_a_live_proof_also_from_the_thread_cache() {
    let harness = Harness::start().await;
    for live in 0..4 {
        harness.get(&[]).await;
        let counted = |result| harness.proxy.metrics.proof_lookups(result);
        assert_eq!((counted(ProofLookup::Missing), counted(ProofLookup::Live)), (1, live));
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_request_that_may_not_use_the_cache_is_counted_with_its_reason() {
    let harness = Harness::start().await;
    for requests in 1..3 {
        let response = harness.get_with(&[("authorization", "Bearer EwBIA8l6BAAU")]).await;
        assert_eq!(cache_status_of(&response), "fwd=bypass; fwd-status=200; detail=token-opaque");
        assert_eq!(harness.proxy.metrics.bypass.get(Bypass::Opaque), requests);
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_request_that_a_breaker_refuses_is_counted_with_its_reason() {
    let harness = Harness::start().await;
    harness.get(&[]).await;
    harness.set_replies([error_reply(429).header("retry-after", "60")]);
    harness.proxy.clock.advance(Duration::from_secs(1000));
    assert_eq!(harness.cache_status(&[]).await, "fwd=stale; fwd-status=429");
    assert_eq!(harness.proxy.metrics.rejected.get(Rejection::ThrottleGate), 0);
    assert_eq!(harness.get(&[]).await.status, 429);
    assert_eq!(harness.proxy.metrics.rejected.get(Rejection::ThrottleGate), 1);
    harness.stop().await;
}

#[tokio::test]
async fn an_error_response_that_revokes_a_proof_is_counted_and_no_other_is() {
    for (status, revoked) in [(401, 1), (403, 1), (404, 1), (410, 1), (400, 0), (406, 0), (451, 0)] {
        let harness = Harness::start().await;
        harness.get(&[]).await;
        harness.set_replies([error_reply(status)]);
        harness.proxy.clock.advance(PAST);
        assert_eq!(harness.get(&[]).await.status, status);
        let counted = || harness.proxy.metrics.proof_changes(ProofChange::Revoked);
        assert_eq!(counted(), revoked, "{status}");
        assert_eq!(harness.get(&[]).await.status, status);
        assert_eq!(harness.get_as("eve", &[]).await.status, status);
        assert_eq!(counted(), revoked, "{status}: no proof was left to revoke");
        harness.stop().await;
    }
}

#[tokio::test]
async fn an_entry_revoked_by_a_403_404_or_410_is_not_served_stale_in_an_outage() {
    for (status, then) in [(403, 503), (404, 503), (410, 503), (400, 200), (451, 200)] {
        let harness = Harness::start().await;
        harness.get(&[]).await;
        harness.set_replies([error_reply(status), error_reply(503)]);
        harness.proxy.clock.advance(PAST);
        assert_eq!(harness.get(&[]).await.status, status, "a response of Graph, and no outage");
        assert_eq!(harness.get(&[]).await.status, then, "{status}");
        harness.stop().await;
    }
}

#[tokio::test]
async fn the_body_of_an_error_response_is_passed_on_only_as_json() {
    let theirs = "1d5f0bd2-4bd3-4c1c-8b4f-2f0a8bfb21e0";
    for (content_type, passed) in
        [(Some("application/json; charset=utf-8"), true), (Some("text/plain"), false), (None, false)]
    {
        let harness = Harness::start().await;
        let bare =
            Reply::status(403).header("request-id", theirs).body(r#"{"error":{"message":"own words"}}"#);
        harness.set_replies([match content_type {
            Some(kind) => bare.header("content-type", kind),
            None => bare,
        }]);
        let refused = harness.get(&[]).await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.text().contains("own words"), passed, "{content_type:?}");
        assert_eq!(
            cache_status_of(&refused).contains("detail=unreadable-error"),
            !passed,
            "{content_type:?}"
        );
        assert_eq!(refused.header("origin-request-id"), Some(theirs), "whether the body is passed on or not");
        harness.stop().await;
    }
}

#[tokio::test]
async fn a_request_that_needs_graph_anyway_does_not_count_as_a_forced_refresh() {
    let harness = Harness::with(|config| config.refresh_limit.per_token = 1).await;
    let preference = ("connector-cache", "refresh");
    assert_eq!(harness.cache_status(&[preference]).await, STORED);
    for _ in 0..2 {
        harness.proxy.clock.advance(PAST);
        assert_eq!(harness.cache_status(&[preference]).await, "fwd=stale; fwd-status=200; stored");
    }
    assert_eq!(
        harness.cache_status(&[preference]).await,
        "fwd=request; fwd-status=200; stored",
        "no forced refresh was counted before"
    );
    harness.stop().await;
}

#[tokio::test]
async fn the_bytes_of_the_cache_are_exported_and_evictions_are_counted_by_cause() {
    let harness = Harness::start().await;
    let heavy = || Reply::json(format!("{{\"displayName\":\"{}\"}}", "x".repeat(50_000)));
    harness.set_replies([heavy().header("vary", "accept-language")]);
    harness.get(&[("accept-language", "en")]).await;
    let one = harness.proxy.series("connector_cache_bytes").await;
    assert!((50_000.0..60_000.0).contains(&one), "{one}");
    harness.get(&[("accept-language", "fr")]).await;
    let two = harness.proxy.series("connector_cache_bytes").await;
    assert!((100_000.0..120_000.0).contains(&two), "{two}");
    assert!(harness.proxy.series("connector_cache_entries").await > 0.5);
    harness.purge().await;
    assert!(harness.proxy.series("connector_cache_bytes").await < 10_000.0);
    assert!(harness.proxy.series("connector_cache_purged_entries_total").await > 0.5);
    assert!(harness.proxy.series("connector_cache_evictions_total{cause=\"purge\"}").await > 0.5);
    harness.set_replies([heavy(), error_reply(403)]);
    harness.get(&[]).await;
    harness.proxy.clock.advance(PAST);
    assert_eq!(harness.get(&[]).await.status, 403);
    let invalidated = harness.proxy.series("connector_cache_evictions_total{cause=\"invalidate\"}").await;
    assert!((0.5..1.5).contains(&invalidated), "{invalidated}");
    harness.stop().await;
}

#[tokio::test]
async fn a_response_larger_than_the_cache_is_not_stored() {
    let harness = Harness::with(|config| config.store.max_bytes = 64 << 10).await;
    let of = |bytes: usize| Reply::json(format!("{{\"displayName\":\"{}\"}}", "x".repeat(bytes)));
    harness.set_replies([of(64 << 10)]);
    assert_eq!(harness.cache_status(&[]).await, "fwd=uri-miss; fwd-status=200; detail=too-large");
    assert_eq!(harness.cache_status(&[]).await, "fwd=uri-miss; fwd-status=200; detail=too-large");
    harness.set_replies([of(1 << 10)]);
    assert_eq!(harness.cache_status(&[]).await, STORED);
    harness.stop().await;
}

#[tokio::test]
async fn a_request_that_a_breaker_refuses_does_not_wait_for_a_permit_first() {
    let harness = Harness::with(|config| config.upstream.in_flight = 1).await;
    harness.get(&[]).await;
    let gate = Gate::new();
    harness.set_replies([error_reply(429).header("retry-after", "60"), ok().held_until(&gate)]);
    // Past all lifetimes; otherwise a stale entry would be served while Graph throttles.
    harness.proxy.clock.advance(Duration::from_secs(1000));
    harness.get(&[]).await;
    let (data, other) = (harness.proxy.data, of_another_application());
    let holds =
        tokio::spawn(async move { client::get(data, &path(FLOW), &[("authorization", &other)]).await });
    harness.origin.wait_for_requests(3).await;
    let response = harness.get(&[]).await;
    let stopped = harness.proxy.metrics.rejected.get(Rejection::ThrottleGate);
    gate.open();
    holds.await.unwrap();
    assert_eq!((response.status, stopped), (429, 1));
    assert_eq!(harness.proxy.metrics.rejected.get(Rejection::Overloaded), 0);
    harness.stop().await;
}

#[tokio::test]
async fn the_permits_in_use_and_their_limit_are_exported() {
    let harness = Harness::with(|config| config.upstream.in_flight = 8).await;
    let series = async |name: &str| harness.proxy.series(&format!("connector_cache_origin_{name}")).await;
    assert_is(series("permits{kind=\"all\"}").await, 8.0);
    assert_is(series("permits{kind=\"unproven\"}").await, 6.0);
    harness.get(&[]).await;
    let gate = Gate::new();
    harness.set_replies([ok().held_until(&gate)]);
    let (data, ada, eve) = (harness.proxy.data, bearer("ada"), bearer("eve"));
    let of_ada =
        tokio::spawn(
            async move { client::get(data, &path("B2X_1_other"), &[("authorization", &ada)]).await },
        );
    let of_eve =
        tokio::spawn(async move { client::get(data, &path(FLOW), &[("authorization", &eve)]).await });
    harness.origin.wait_for_requests(3).await;
    assert_is(series("permits_in_use{kind=\"all\"}").await, 2.0);
    assert_is(series("permits_in_use{kind=\"unproven\"}").await, 1.0);
    gate.open();
    assert_eq!((of_ada.await.unwrap().status, of_eve.await.unwrap().status), (200, 200));
    crate::common::within("the permits to be free again", async {
        while series("permits_in_use{kind=\"all\"}").await > 0.0 {}
    })
    .await;
    assert_is(series("permits_in_use{kind=\"unproven\"}").await, 0.0);
    harness.stop().await;
}

fn assert_is(exported: f64, expected: f64) {
    assert!((exported - expected).abs() < 0.5, "{exported} exported, {expected} expected");
}

fn of_another_application() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let claims = json!({ "tid": "t2", "oid": "eve", "appid": "b", "exp": now.as_secs() + 7200 }).to_string();
    format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}
