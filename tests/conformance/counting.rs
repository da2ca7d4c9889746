//! What is counted where no header tells of it, and what becomes of Graph's "no" beside its status.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::Bypass;
use connector_cache::cache::outcome::{ProofChange, ProofLookup};
use connector_cache::http::rejection::Rejection;
use connector_cache::scrub::ScrubbedField;
use serde_json::json;

use crate::bench::{Bench, FLOW, SECRET, STORED, bearer, ok, said};
use crate::common::client;
use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::reply::Reply;

/// Past `cache.ttl`, `cache.proof_ttl` and what may be given while Graph is asked.
const PAST: Duration = Duration::from_secs(331);

fn no(status: u16) -> Reply {
    Reply::status(status)
        .header("content-type", "application/json")
        .body(r#"{"error":{"code":"x","message":"Graph's own words","password":"planted-password"}}"#)
}

#[tokio::test]
async fn masked_credentials_count_by_field_in_a_200_and_in_an_error_response() {
    let bench = Bench::start().await;
    let counted = |field| bench.proxy.metrics.scrubbed.get(field);
    bench.get(&[]).await;
    assert_eq!((counted(ScrubbedField::Password), counted(ScrubbedField::Username)), (1, 1));
    bench.get(&[]).await;
    assert_eq!(counted(ScrubbedField::Password), 1, "what is given from memory was masked before");
    bench.answers([no(403)]);
    let refused = bench.get_as("eve", &[]).await;
    assert!(refused.text().contains("Graph's own words") && !refused.text().contains(SECRET));
    assert_eq!((counted(ScrubbedField::Password), counted(ScrubbedField::Username)), (2, 1));
    bench.stop().await;
}

#[tokio::test]
async fn every_hit_counts_a_live_proof_though_it_is_remembered_where_it_was_found() {
    let bench = Bench::start().await;
    for live in 0..4 {
        bench.get(&[]).await;
        let counted = |result| bench.proxy.metrics.proof_lookups(result);
        assert_eq!((counted(ProofLookup::Missing), counted(ProofLookup::Live)), (1, live));
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_request_that_may_not_use_the_cache_is_counted_with_its_reason() {
    let bench = Bench::start().await;
    for asked in 1..3 {
        let answer = bench.get_with(&[("authorization", "Bearer EwBIA8l6BAAU")]).await;
        assert_eq!(said(&answer), "fwd=bypass; fwd-status=200; detail=token-opaque");
        assert_eq!(bench.proxy.metrics.bypass.get(Bypass::Opaque), asked);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_request_that_a_breaker_refuses_is_counted_with_its_reason() {
    let bench = Bench::start().await;
    bench.get(&[]).await;
    bench.answers([no(429).header("retry-after", "60")]);
    bench.proxy.clock.advance(Duration::from_secs(1000));
    assert_eq!(bench.says(&[]).await, "fwd=stale; fwd-status=429");
    assert_eq!(bench.proxy.metrics.rejected.get(Rejection::ThrottleGate), 0);
    assert_eq!(bench.get(&[]).await.status, 429);
    assert_eq!(bench.proxy.metrics.rejected.get(Rejection::ThrottleGate), 1);
    bench.stop().await;
}

#[tokio::test]
async fn a_no_that_takes_a_yes_back_is_counted_as_that_and_no_other_is() {
    for (status, revoked) in [(401, 1), (403, 1), (404, 1), (410, 1), (400, 0), (406, 0), (451, 0)] {
        let bench = Bench::start().await;
        bench.get(&[]).await;
        bench.answers([no(status)]);
        bench.proxy.clock.advance(PAST);
        assert_eq!(bench.get(&[]).await.status, status);
        let counted = || bench.proxy.metrics.proof_changes(ProofChange::Revoked);
        assert_eq!(counted(), revoked, "{status}");
        assert_eq!(bench.get(&[]).await.status, status);
        assert_eq!(bench.get_as("eve", &[]).await.status, status);
        assert_eq!(counted(), revoked, "{status}: there was nothing more to take back");
        bench.stop().await;
    }
}

#[tokio::test]
async fn what_a_403_a_404_or_a_410_took_back_bridges_no_outage() {
    for (status, then) in [(403, 503), (404, 503), (410, 503), (400, 200), (451, 200)] {
        let bench = Bench::start().await;
        bench.get(&[]).await;
        bench.answers([no(status), no(503)]);
        bench.proxy.clock.advance(PAST);
        assert_eq!(bench.get(&[]).await.status, status, "an answer, and no outage");
        assert_eq!(bench.get(&[]).await.status, then, "{status}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn the_body_of_an_error_response_is_passed_on_only_as_json() {
    let theirs = "1d5f0bd2-4bd3-4c1c-8b4f-2f0a8bfb21e0";
    for (content_type, passed) in
        [(Some("application/json; charset=utf-8"), true), (Some("text/plain"), false), (None, false)]
    {
        let bench = Bench::start().await;
        let bare =
            Reply::status(403).header("request-id", theirs).body(r#"{"error":{"message":"own words"}}"#);
        bench.answers([match content_type {
            Some(kind) => bare.header("content-type", kind),
            None => bare,
        }]);
        let refused = bench.get(&[]).await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.text().contains("own words"), passed, "{content_type:?}");
        assert_eq!(said(&refused).contains("detail=unreadable-error"), !passed, "{content_type:?}");
        assert_eq!(refused.header("origin-request-id"), Some(theirs), "either way");
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_request_that_goes_to_graph_anyway_is_no_forced_refresh() {
    let bench = Bench::with(|config| config.refresh_limit.per_token = 1).await;
    let wish = ("connector-cache", "refresh");
    assert_eq!(bench.says(&[wish]).await, STORED);
    for _ in 0..2 {
        bench.proxy.clock.advance(PAST);
        assert_eq!(bench.says(&[wish]).await, "fwd=stale; fwd-status=200; stored");
    }
    assert_eq!(bench.says(&[wish]).await, "fwd=request; fwd-status=200; stored", "none was spent before");
    bench.stop().await;
}

#[tokio::test]
async fn what_is_kept_is_weighed_and_what_leaves_is_counted_by_its_cause() {
    let bench = Bench::start().await;
    let heavy = || Reply::json(format!("{{\"displayName\":\"{}\"}}", "x".repeat(50_000)));
    bench.answers([heavy().header("vary", "accept-language")]);
    bench.get(&[("accept-language", "en")]).await;
    let one = bench.proxy.series("connector_cache_bytes").await;
    assert!((50_000.0..60_000.0).contains(&one), "{one}");
    bench.get(&[("accept-language", "fr")]).await;
    let two = bench.proxy.series("connector_cache_bytes").await;
    assert!((100_000.0..120_000.0).contains(&two), "{two}");
    assert!(bench.proxy.series("connector_cache_entries").await > 0.5);
    bench.purge().await;
    assert!(bench.proxy.series("connector_cache_bytes").await < 10_000.0);
    assert!(bench.proxy.series("connector_cache_purged_entries_total").await > 0.5);
    assert!(bench.proxy.series("connector_cache_evictions_total{cause=\"purge\"}").await > 0.5);
    bench.answers([heavy(), no(403)]);
    bench.get(&[]).await;
    bench.proxy.clock.advance(PAST);
    assert_eq!(bench.get(&[]).await.status, 403);
    let withdrawn = bench.proxy.series("connector_cache_evictions_total{cause=\"invalidate\"}").await;
    assert!((0.5..1.5).contains(&withdrawn), "{withdrawn}");
    bench.stop().await;
}

#[tokio::test]
async fn an_answer_larger_than_the_whole_cache_may_be_is_not_stored() {
    let bench = Bench::with(|config| config.store.max_bytes = 64 << 10).await;
    let of = |bytes: usize| Reply::json(format!("{{\"displayName\":\"{}\"}}", "x".repeat(bytes)));
    bench.answers([of(64 << 10)]);
    assert_eq!(bench.says(&[]).await, "fwd=uri-miss; fwd-status=200; detail=too-large");
    assert_eq!(bench.says(&[]).await, "fwd=uri-miss; fwd-status=200; detail=too-large");
    bench.answers([of(1 << 10)]);
    assert_eq!(bench.says(&[]).await, STORED);
    bench.stop().await;
}

#[tokio::test]
async fn a_request_that_a_breaker_refuses_does_not_wait_for_a_permit_first() {
    let bench = Bench::with(|config| config.upstream.in_flight = 1).await;
    bench.get(&[]).await;
    let gate = Gate::new();
    bench.answers([no(429).header("retry-after", "60"), ok().held_until(&gate)]);
    // What is past its time would stand in for a throttled Graph.
    bench.proxy.clock.advance(Duration::from_secs(1000));
    bench.get(&[]).await;
    let (data, other) = (bench.proxy.data, of_another_application());
    let holds =
        tokio::spawn(async move { client::get(data, &path(FLOW), &[("authorization", &other)]).await });
    bench.origin.wait_for_requests(3).await;
    let answer = bench.get(&[]).await;
    let stopped = bench.proxy.metrics.rejected.get(Rejection::ThrottleGate);
    gate.open();
    holds.await.unwrap();
    assert_eq!((answer.status, stopped), (429, 1));
    assert_eq!(bench.proxy.metrics.rejected.get(Rejection::Overloaded), 0);
    bench.stop().await;
}

#[tokio::test]
async fn the_permits_in_use_are_exported_beside_their_number() {
    let bench = Bench::with(|config| config.upstream.in_flight = 8).await;
    let series = async |name: &str| bench.proxy.series(&format!("connector_cache_origin_{name}")).await;
    assert_is(series("permits{kind=\"all\"}").await, 8.0);
    assert_is(series("permits{kind=\"unproven\"}").await, 6.0);
    bench.get(&[]).await;
    let gate = Gate::new();
    bench.answers([ok().held_until(&gate)]);
    let (data, ada, eve) = (bench.proxy.data, bearer("ada"), bearer("eve"));
    let of_ada =
        tokio::spawn(
            async move { client::get(data, &path("B2X_1_other"), &[("authorization", &ada)]).await },
        );
    let of_eve =
        tokio::spawn(async move { client::get(data, &path(FLOW), &[("authorization", &eve)]).await });
    bench.origin.wait_for_requests(3).await;
    assert_is(series("permits_in_use{kind=\"all\"}").await, 2.0);
    assert_is(series("permits_in_use{kind=\"unproven\"}").await, 1.0);
    gate.open();
    assert_eq!((of_ada.await.unwrap().status, of_eve.await.unwrap().status), (200, 200));
    crate::common::within("the places to be free again", async {
        while series("permits_in_use{kind=\"all\"}").await > 0.0 {}
    })
    .await;
    assert_is(series("permits_in_use{kind=\"unproven\"}").await, 0.0);
    bench.stop().await;
}

fn assert_is(told: f64, there_are: f64) {
    assert!((told - there_are).abs() < 0.5, "{told} are told, {there_are} there are");
}

fn of_another_application() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let claims = json!({ "tid": "t2", "oid": "eve", "appid": "b", "exp": now.as_secs() + 7200 }).to_string();
    format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}
