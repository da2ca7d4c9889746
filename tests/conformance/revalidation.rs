//! Lines 29, 37, 42 and 44: validation of stored responses by the origin (RFC 9111, section 4.3).

use std::time::Duration;

use crate::common::gate::Gate;
use crate::common::origin::Request;
use crate::common::reply::Reply;
use crate::common::within;
use crate::harness::{Harness, SECRET, STORED, bearer_of, cache_status_of, connector_name, ok, ok_named};

const HELD: &str = "fwd=stale; fwd-status=304; stored";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

fn tagged(name: &str, tag: &str) -> Reply {
    ok_named(name).header("etag", tag)
}

fn unchanged(tag: &str) -> Reply {
    Reply::status(304).header("etag", tag)
}

/// Stores the response `first` and lets it become stale, past its grace. `then`: later replies of the origin.
async fn stale(harness: &Harness, first: Reply, then: impl Into<Vec<Reply>>) {
    harness.set_replies([vec![first], then.into()].concat());
    assert_eq!(harness.cache_status(&[]).await, STORED);
    harness.proxy.clock.advance(Duration::from_secs(331));
}

fn last_request(harness: &Harness) -> Request {
    harness.origin.seen().pop().unwrap()
}

#[tokio::test]
async fn l37_a_revalidation_has_the_validators_of_the_origin_and_never_the_callers() {
    let harness = Harness::start().await;
    let first = tagged("First", "\"one\"").header("last-modified", EARLIER).header("date", DATE);
    stale(&harness, first, [unchanged("\"one\"")]).await;
    let theirs = [
        ("if-none-match", "\"theirs\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:00 GMT"),
        ("if-match", "\"theirs\""),
        ("if-unmodified-since", EARLIER),
    ];
    let response = harness.get(&theirs).await;
    assert_eq!(
        (response.status, &*connector_name(&response), &*cache_status_of(&response)),
        (200, "First", HELD)
    );
    let request = last_request(&harness);
    assert_eq!(request.header("if-none-match"), Some("\"one\""));
    assert_eq!(request.header("if-modified-since"), Some(EARLIER));
    assert_eq!((request.header("if-match"), request.header("if-unmodified-since")), (None, None));
    harness.stop().await;
}

#[tokio::test]
async fn l37_an_entry_without_a_validator_is_fetched_in_full() {
    let harness = Harness::start().await;
    stale(&harness, ok(), [ok()]).await;
    assert_eq!(harness.cache_status(&[]).await, "fwd=stale; fwd-status=200; stored");
    let request = last_request(&harness);
    assert_eq!((request.header("if-none-match"), request.header("if-modified-since")), (None, None));
    harness.stop().await;
}

#[tokio::test]
async fn l37_a_304_is_a_proof_and_makes_the_entry_fresh_for_its_token() {
    let harness = Harness::start().await;
    stale(&harness, tagged("First", "\"one\""), [unchanged("\"one\"")]).await;
    assert_eq!(harness.cache_status(&[]).await, HELD);
    let hit = harness.get(&[]).await;
    assert_eq!((&*cache_status_of(&hit), hit.header("age")), ("hit; ttl=300", Some("0")));
    assert_eq!(harness.origin.requests(), 2);
    let metrics = harness.proxy.scrape().await;
    assert!(metrics.contains(r#"requests_total{cache="revalidated",method="GET",status="200"} 1"#));
    harness.stop().await;
}

#[tokio::test]
async fn l37_an_entry_that_is_served_stale_is_revalidated_meanwhile() {
    let harness = Harness::start().await;
    harness.set_replies([tagged("First", "\"one\""), unchanged("\"one\"")]);
    harness.get(&[]).await;
    harness.proxy.clock.advance(Duration::from_secs(310));
    assert_eq!(harness.cache_status(&[]).await, "hit; ttl=-10");
    harness.origin.wait_for_requests(2).await;
    assert_eq!(last_request(&harness).header("if-none-match"), Some("\"one\""));
    within("the stored entry to be fresh", async {
        while harness.cache_status(&[]).await != "hit; ttl=300" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(harness.origin.requests(), 2);
    harness.stop().await;
}

#[tokio::test]
async fn l37_a_token_never_sends_the_validator_of_another_token() {
    let harness = Harness::start().await;
    harness.set_replies([tagged("Ada's", "\"ada\""), tagged("Ada's", "\"again\""), ok_named("whole")]);
    // Two tokens of one principal that receive the same bytes share one entry, and each has a proof.
    harness.get_as("ada", &[]).await;
    let second = bearer_of("ada", "second");
    assert_eq!(cache_status_of(&harness.get_with(&[("authorization", &second)]).await), STORED);
    assert_eq!(
        cache_status_of(&harness.get_as("ada", &[]).await),
        "hit; ttl=300",
        "the entry is now the second token's"
    );
    harness.proxy.clock.advance(Duration::from_secs(331));
    assert_eq!(connector_name(&harness.get_as("ada", &[]).await), "whole");
    assert_eq!(last_request(&harness).header("if-none-match"), None);
    harness.stop().await;
}

#[tokio::test]
async fn l37_an_unproven_token_sends_no_condition() {
    let harness = Harness::start().await;
    stale(&harness, tagged("First", "\"one\""), [ok_named("Grace's")]).await;
    assert_eq!(cache_status_of(&harness.get_as("grace", &[]).await), STORED);
    assert_eq!(last_request(&harness).header("if-none-match"), None);
    harness.stop().await;
}

#[tokio::test]
async fn l37_once_an_hour_the_full_response_is_fetched() {
    let harness = Harness::start().await;
    harness.origin.handle("", |request| match request.header("if-none-match") {
        Some(tag) => unchanged(tag),
        None => tagged("whole", "\"one\""),
    });
    let mut wholes = Vec::new();
    let token = bearer_of("ada", "long");
    for minute in (0..=130).step_by(10) {
        let response = harness.get_with(&[("authorization", &token)]).await;
        if cache_status_of(&response).contains("fwd-status=200") {
            wholes.push(minute);
        }
        harness.proxy.clock.advance(Duration::from_secs(600));
    }
    assert_eq!(wholes, [0, 60, 120]);
    harness.stop().await;
}

#[tokio::test]
async fn l29_no_cache_is_revalidated_before_every_use() {
    let harness = Harness::with_origin_freshness().await;
    let first = tagged("First", "\"one\"").header("cache-control", "no-cache");
    harness.set_replies([
        first,
        unchanged("\"one\""),
        unchanged("\"one\""),
        Reply::status(503),
        Reply::status(403),
    ]);
    assert_eq!(harness.cache_status(&[]).await, STORED);
    for _ in 0..2 {
        let response = harness.get(&[]).await;
        assert_eq!((&*cache_status_of(&response), &*connector_name(&response)), (HELD, "First"));
    }
    assert_eq!(harness.get(&[]).await.status, 503, "not even in an outage");
    assert_eq!(harness.get(&[]).await.status, 403);
    harness.stop().await;
}

#[tokio::test]
async fn l42_a_304_for_another_entry_freshens_nothing_and_the_full_response_is_fetched() {
    for other in [unchanged("\"two\""), Reply::status(304).header("last-modified", EARLIER)] {
        let harness = Harness::start().await;
        stale(&harness, tagged("First", "\"one\""), [other, tagged("Second", "\"two\"")]).await;
        let response = harness.get(&[]).await;
        assert_eq!(
            (&*cache_status_of(&response), &*connector_name(&response)),
            ("fwd=stale; fwd-status=200; stored", "Second")
        );
        assert_eq!(last_request(&harness).header("if-none-match"), None);
        assert_eq!(connector_name(&harness.get(&[]).await), "Second");
        assert!(harness.proxy.scrape().await.contains(r#"origin_retries_total{reason="other-answer"} 1"#));
        harness.stop().await;
    }
}

#[tokio::test]
async fn l42_a_304_without_validators_confirms_the_requested_entry() {
    let dated = ok_named("First").header("last-modified", EARLIER).header("date", DATE);
    for first in [tagged("First", "\"one\""), tagged("First", "W/\"one\""), dated] {
        let harness = Harness::start().await;
        stale(&harness, first, [Reply::status(304), Reply::status(304)]).await;
        for requests in 2..=3 {
            let response = harness.get(&[]).await;
            assert_eq!((&*cache_status_of(&response), &*connector_name(&response)), (HELD, "First"));
            assert_eq!(harness.origin.requests(), requests, "the entry can be validated again");
            harness.proxy.clock.advance(Duration::from_secs(331));
        }
        harness.stop().await;
    }
}

#[tokio::test]
async fn l42_a_304_replaces_the_fields_that_it_has_and_no_others() {
    let harness = Harness::with_origin_freshness().await;
    let first =
        tagged("First", "\"one\"").header("cache-control", "max-age=60").header("odata-version", "4.0");
    let first = first.header("sunset", DATE);
    let then = unchanged("\"one\"").header("cache-control", "max-age=90").header("odata-version", "4.01");
    let then = then.header("date", DATE).header("content-type", "text/html").header("set-cookie", "a=b");
    stale(&harness, first, [then]).await;
    for expected in [HELD, "hit; ttl=90"] {
        let response = harness.get(&[]).await;
        assert_eq!(
            (response.status, &*cache_status_of(&response), &*connector_name(&response)),
            (200, expected, "First")
        );
        let fields =
            ["odata-version", "sunset", "date", "content-type", "set-cookie"].map(|n| response.header(n));
        assert_eq!(
            fields,
            [Some("4.01"), Some(DATE), Some(DATE), Some("application/json;charset=utf-8"), None]
        );
        assert_eq!(response.header("content-length"), Some(&*response.body.len().to_string()));
    }
    harness.proxy.clock.advance(Duration::from_secs(200));
    assert_eq!(harness.cache_status(&[]).await, HELD, "and the entry can be validated again");
    harness.stop().await;
}

#[tokio::test]
async fn l42_an_entry_purged_during_its_revalidation_does_not_come_back() {
    let (harness, gate) = (Harness::start().await, Gate::new());
    let then = [unchanged("\"one\"").held_until(&gate), tagged("Second", "\"two\"")];
    stale(&harness, tagged("First", "\"one\""), then).await;
    let meanwhile = async {
        harness.origin.wait_for_requests(2).await;
        harness.purge().await;
        gate.open();
    };
    let (response, ()) = tokio::join!(harness.get(&[]), within("the request", meanwhile));
    assert_eq!(
        (response.status, &*connector_name(&response)),
        (200, "First"),
        "Graph sent the 304 to this caller"
    );
    assert_eq!(cache_status_of(&response), "fwd=stale; fwd-status=304; detail=invalidated");
    let next = harness.get(&[]).await;
    assert_eq!((&*cache_status_of(&next), &*connector_name(&next)), (STORED, "Second"));
    assert_eq!(last_request(&harness).header("if-none-match"), None);
    harness.stop().await;
}

#[tokio::test]
async fn l44_the_full_response_after_a_failed_validation_is_scrubbed() {
    for harness in [Harness::start().await, Harness::with_origin_freshness().await] {
        let age = ("cache-control", "max-age=60");
        let reply = |name, tag| tagged(name, tag).header(age.0, age.1);
        stale(&harness, reply("First", "\"one\""), [reply("Second", "\"two\"")]).await;
        let response = harness.get(&[]).await;
        assert_eq!(
            (&*cache_status_of(&response), &*connector_name(&response)),
            ("fwd=stale; fwd-status=200; stored", "Second")
        );
        assert_eq!(last_request(&harness).header("if-none-match"), Some("\"one\""));
        assert!(!response.text().contains(SECRET) && response.text().contains("******"));
        let hit = harness.get(&[]).await;
        assert_eq!((&*connector_name(&hit), hit.text().contains(SECRET)), ("Second", false));
        harness.stop().await;
    }
}

#[tokio::test]
async fn l44_a_failed_validation_that_cannot_be_scrubbed_does_not_pass() {
    let harness = Harness::with_origin_freshness().await;
    let first = tagged("First", "\"one\"").header("cache-control", "no-cache");
    stale(&harness, first, [Reply::json("not JSON"), unchanged("\"one\"")]).await;
    assert_eq!(harness.get(&[]).await.status, 502);
    assert_eq!(harness.cache_status(&[]).await, HELD, "the stored entry stays, and can be validated");
    harness.stop().await;
}

#[tokio::test]
async fn l39_if_modified_since_is_compared_with_last_modified_if_known() {
    let harness = Harness::start().await;
    harness.set_replies(ok().header("last-modified", EARLIER).header("date", DATE));
    harness.get(&[]).await;
    for (since, status) in [("Sun, 06 Nov 1994 08:49:35 GMT", 200), (EARLIER, 304), (DATE, 304)] {
        assert_eq!(harness.get(&[("if-modified-since", since)]).await.status, status, "{since}");
    }
    harness.stop().await;
}
