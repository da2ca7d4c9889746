//! Lines 29, 37, 42 and 44: the origin is asked whether what is stored still holds (RFC 9111, section 4.3).

use std::time::Duration;

use crate::bench::{Bench, SECRET, STORED, bearer_of, name, named, ok, said};
use crate::common::gate::Gate;
use crate::common::origin::Request;
use crate::common::reply::Reply;
use crate::common::within;

const HELD: &str = "fwd=stale; fwd-status=304; stored";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

fn tagged(name: &str, tag: &str) -> Reply {
    named(name).header("etag", tag)
}

fn unchanged(tag: &str) -> Reply {
    Reply::status(304).header("etag", tag)
}

/// With a stored answer that is past its time, and its grace, and what the origin says then.
async fn stale(bench: &Bench, first: Reply, then: impl Into<Vec<Reply>>) {
    bench.answers([vec![first], then.into()].concat());
    assert_eq!(bench.says(&[]).await, STORED);
    bench.proxy.clock.advance(Duration::from_secs(331));
}

fn asked(bench: &Bench) -> Request {
    bench.origin.seen().pop().unwrap()
}

#[tokio::test]
async fn l37_a_revalidation_has_the_validators_of_the_origin_and_never_the_callers() {
    let bench = Bench::start().await;
    let first = tagged("First", "\"one\"").header("last-modified", EARLIER).header("date", DATE);
    stale(&bench, first, [unchanged("\"one\"")]).await;
    let theirs = [
        ("if-none-match", "\"theirs\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:00 GMT"),
        ("if-match", "\"theirs\""),
        ("if-unmodified-since", EARLIER),
    ];
    let answer = bench.get(&theirs).await;
    assert_eq!((answer.status, &*name(&answer), &*said(&answer)), (200, "First", HELD));
    let question = asked(&bench);
    assert_eq!(question.header("if-none-match"), Some("\"one\""));
    assert_eq!(question.header("if-modified-since"), Some(EARLIER));
    assert_eq!((question.header("if-match"), question.header("if-unmodified-since")), (None, None));
    bench.stop().await;
}

#[tokio::test]
async fn l37_an_entry_without_a_validator_is_fetched_in_full() {
    let bench = Bench::start().await;
    stale(&bench, ok(), [ok()]).await;
    assert_eq!(bench.says(&[]).await, "fwd=stale; fwd-status=200; stored");
    let question = asked(&bench);
    assert_eq!((question.header("if-none-match"), question.header("if-modified-since")), (None, None));
    bench.stop().await;
}

#[tokio::test]
async fn l37_a_304_is_a_proof_and_makes_the_entry_fresh_for_its_token() {
    let bench = Bench::start().await;
    stale(&bench, tagged("First", "\"one\""), [unchanged("\"one\"")]).await;
    assert_eq!(bench.says(&[]).await, HELD);
    let hit = bench.get(&[]).await;
    assert_eq!((&*said(&hit), hit.header("age")), ("hit; ttl=300", Some("0")));
    assert_eq!(bench.origin.requests(), 2);
    let metrics = bench.proxy.scrape().await;
    assert!(metrics.contains(r#"requests_total{cache="revalidated",method="GET",status="200"} 1"#));
    bench.stop().await;
}

#[tokio::test]
async fn l37_an_entry_that_is_served_stale_is_revalidated_meanwhile() {
    let bench = Bench::start().await;
    bench.answers([tagged("First", "\"one\""), unchanged("\"one\"")]);
    bench.get(&[]).await;
    bench.proxy.clock.advance(Duration::from_secs(310));
    assert_eq!(bench.says(&[]).await, "hit; ttl=-10");
    bench.origin.wait_for_requests(2).await;
    assert_eq!(asked(&bench).header("if-none-match"), Some("\"one\""));
    within("what is stored to be fresh", async {
        while bench.says(&[]).await != "hit; ttl=300" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(bench.origin.requests(), 2);
    bench.stop().await;
}

#[tokio::test]
async fn l37_a_token_never_sends_the_validator_of_another_token() {
    let bench = Bench::start().await;
    bench.answers([tagged("Ada's", "\"ada\""), tagged("Ada's", "\"again\""), named("whole")]);
    // Two tokens of one principal that are given the same bytes: one entry between them, and a proof each.
    bench.get_as("ada", &[]).await;
    let second = bearer_of("ada", "second");
    assert_eq!(said(&bench.get_with(&[("authorization", &second)]).await), STORED);
    assert_eq!(said(&bench.get_as("ada", &[]).await), "hit; ttl=300", "the entry is now the second token's");
    bench.proxy.clock.advance(Duration::from_secs(331));
    assert_eq!(name(&bench.get_as("ada", &[]).await), "whole");
    assert_eq!(asked(&bench).header("if-none-match"), None);
    bench.stop().await;
}

#[tokio::test]
async fn l37_an_unproven_token_sends_no_condition() {
    let bench = Bench::start().await;
    stale(&bench, tagged("First", "\"one\""), [named("Grace's")]).await;
    assert_eq!(said(&bench.get_as("grace", &[]).await), STORED);
    assert_eq!(asked(&bench).header("if-none-match"), None);
    bench.stop().await;
}

#[tokio::test]
async fn l37_once_an_hour_the_full_response_is_fetched() {
    let bench = Bench::start().await;
    bench.origin.answer("", |request| match request.header("if-none-match") {
        Some(tag) => unchanged(tag),
        None => tagged("whole", "\"one\""),
    });
    let mut wholes = Vec::new();
    let token = bearer_of("ada", "long");
    for minute in (0..=130).step_by(10) {
        let answer = bench.get_with(&[("authorization", &token)]).await;
        if said(&answer).contains("fwd-status=200") {
            wholes.push(minute);
        }
        bench.proxy.clock.advance(Duration::from_secs(600));
    }
    assert_eq!(wholes, [0, 60, 120]);
    bench.stop().await;
}

#[tokio::test]
async fn l29_no_cache_is_revalidated_before_every_use() {
    let bench = Bench::of_the_origin().await;
    let first = tagged("First", "\"one\"").header("cache-control", "no-cache");
    bench.answers([
        first,
        unchanged("\"one\""),
        unchanged("\"one\""),
        Reply::status(503),
        Reply::status(403),
    ]);
    assert_eq!(bench.says(&[]).await, STORED);
    for _ in 0..2 {
        let answer = bench.get(&[]).await;
        assert_eq!((&*said(&answer), &*name(&answer)), (HELD, "First"));
    }
    assert_eq!(bench.get(&[]).await.status, 503, "not even in an outage");
    assert_eq!(bench.get(&[]).await.status, 403);
    bench.stop().await;
}

#[tokio::test]
async fn l42_a_304_for_another_entry_freshens_nothing_and_the_full_response_is_fetched() {
    for other in [unchanged("\"two\""), Reply::status(304).header("last-modified", EARLIER)] {
        let bench = Bench::start().await;
        stale(&bench, tagged("First", "\"one\""), [other, tagged("Second", "\"two\"")]).await;
        let answer = bench.get(&[]).await;
        assert_eq!((&*said(&answer), &*name(&answer)), ("fwd=stale; fwd-status=200; stored", "Second"));
        assert_eq!(asked(&bench).header("if-none-match"), None);
        assert_eq!(name(&bench.get(&[]).await), "Second");
        assert!(bench.proxy.scrape().await.contains(r#"origin_retries_total{reason="other-answer"} 1"#));
        bench.stop().await;
    }
}

#[tokio::test]
async fn l42_a_304_without_validators_confirms_the_requested_entry() {
    let dated = named("First").header("last-modified", EARLIER).header("date", DATE);
    for first in [tagged("First", "\"one\""), tagged("First", "W/\"one\""), dated] {
        let bench = Bench::start().await;
        stale(&bench, first, [Reply::status(304), Reply::status(304)]).await;
        for asked in 2..=3 {
            let answer = bench.get(&[]).await;
            assert_eq!((&*said(&answer), &*name(&answer)), (HELD, "First"));
            assert_eq!(bench.origin.requests(), asked, "it can be asked about again");
            bench.proxy.clock.advance(Duration::from_secs(331));
        }
        bench.stop().await;
    }
}

#[tokio::test]
async fn l42_a_304_replaces_the_fields_that_it_has_and_no_others() {
    let bench = Bench::of_the_origin().await;
    let first =
        tagged("First", "\"one\"").header("cache-control", "max-age=60").header("odata-version", "4.0");
    let first = first.header("sunset", DATE);
    let then = unchanged("\"one\"").header("cache-control", "max-age=90").header("odata-version", "4.01");
    let then = then.header("date", DATE).header("content-type", "text/html").header("set-cookie", "a=b");
    stale(&bench, first, [then]).await;
    for said_then in [HELD, "hit; ttl=90"] {
        let answer = bench.get(&[]).await;
        assert_eq!((answer.status, &*said(&answer), &*name(&answer)), (200, said_then, "First"));
        let told =
            ["odata-version", "sunset", "date", "content-type", "set-cookie"].map(|n| answer.header(n));
        assert_eq!(
            told,
            [Some("4.01"), Some(DATE), Some(DATE), Some("application/json;charset=utf-8"), None]
        );
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
    }
    bench.proxy.clock.advance(Duration::from_secs(200));
    assert_eq!(bench.says(&[]).await, HELD, "and it can be asked about again");
    bench.stop().await;
}

#[tokio::test]
async fn l42_an_entry_purged_during_its_revalidation_does_not_come_back() {
    let (bench, gate) = (Bench::start().await, Gate::new());
    let then = [unchanged("\"one\"").held_until(&gate), tagged("Second", "\"two\"")];
    stale(&bench, tagged("First", "\"one\""), then).await;
    let meanwhile = async {
        bench.origin.wait_for_requests(2).await;
        bench.purge().await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(bench.get(&[]), within("the request", meanwhile));
    assert_eq!((answer.status, &*name(&answer)), (200, "First"), "Graph said so to this caller");
    assert_eq!(said(&answer), "fwd=stale; fwd-status=304; detail=invalidated");
    let next = bench.get(&[]).await;
    assert_eq!((&*said(&next), &*name(&next)), (STORED, "Second"));
    assert_eq!(asked(&bench).header("if-none-match"), None);
    bench.stop().await;
}

#[tokio::test]
async fn l44_the_full_response_after_a_failed_validation_is_scrubbed() {
    for bench in [Bench::start().await, Bench::of_the_origin().await] {
        let age = ("cache-control", "max-age=60");
        let reply = |name, tag| tagged(name, tag).header(age.0, age.1);
        stale(&bench, reply("First", "\"one\""), [reply("Second", "\"two\"")]).await;
        let answer = bench.get(&[]).await;
        assert_eq!((&*said(&answer), &*name(&answer)), ("fwd=stale; fwd-status=200; stored", "Second"));
        assert_eq!(asked(&bench).header("if-none-match"), Some("\"one\""));
        assert!(!answer.text().contains(SECRET) && answer.text().contains("******"));
        let hit = bench.get(&[]).await;
        assert_eq!((&*name(&hit), hit.text().contains(SECRET)), ("Second", false));
        bench.stop().await;
    }
}

#[tokio::test]
async fn l44_a_failed_validation_that_cannot_be_scrubbed_does_not_pass() {
    let bench = Bench::of_the_origin().await;
    let first = tagged("First", "\"one\"").header("cache-control", "no-cache");
    stale(&bench, first, [Reply::json("not JSON"), unchanged("\"one\"")]).await;
    assert_eq!(bench.get(&[]).await.status, 502);
    assert_eq!(bench.says(&[]).await, HELD, "what is stored is still there to be asked about");
    bench.stop().await;
}

#[tokio::test]
async fn l39_if_modified_since_is_compared_with_last_modified_if_known() {
    let bench = Bench::start().await;
    bench.answers(ok().header("last-modified", EARLIER).header("date", DATE));
    bench.get(&[]).await;
    for (since, status) in [("Sun, 06 Nov 1994 08:49:35 GMT", 200), (EARLIER, 304), (DATE, 304)] {
        assert_eq!(bench.get(&[("if-modified-since", since)]).await.status, status, "{since}");
    }
    bench.stop().await;
}
