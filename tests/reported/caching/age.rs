//! A11: `max-age` is the age plus the time that is left (RFC 9111, section 4.2).

use super::harness::{Harness, age, as_rfc, cache_status, max_age, ok};
use crate::common::gate::Gate;
use crate::common::reply::Reply;

#[tokio::test]
async fn a11_a_cache_downstream_computes_the_time_that_is_left() {
    let harness = Harness::with(ok("x"), |config| {
        config.freshness.ttl = std::time::Duration::from_secs(10);
        config.freshness.stale_while_revalidate = std::time::Duration::ZERO;
    })
    .await;
    let miss = harness.get(&[]).await;
    assert_eq!((age(&miss), max_age(&miss)), (None, Some(10)));
    for (seconds, left) in [(0, 10), (6, 4), (3, 1)] {
        harness.advance(seconds);
        for _ in 0..3 {
            let hit = harness.get(&[]).await;
            assert_eq!((age(&hit), max_age(&hit)), (Some(10 - left), Some(10)));
            let tag = hit.header("etag").unwrap().to_owned();
            let not_modified = harness.get(&[("if-none-match", &tag)]).await;
            assert_eq!(not_modified.status, 304);
            assert_eq!((age(&not_modified), max_age(&not_modified)), (Some(10 - left), Some(10)));
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn a11_the_age_that_graph_sends_is_counted_and_passed_on() {
    for (change, left) in [((|_| {}) as fn(&mut _), 300), (as_rfc, 100)] {
        let reply = || ok("x").header("age", "7").header("cache-control", "max-age=100");
        let harness = Harness::with(reply(), change).await;
        let miss = harness.get(&[]).await;
        assert_eq!((age(&miss), max_age(&miss)), (Some(7), Some(left)), "{}", cache_status(&miss));
        harness.advance(5);
        let hit = harness.get(&[]).await;
        assert_eq!((age(&hit), max_age(&hit)), (Some(12), Some(left)));
        harness.stop().await;
    }
}

#[tokio::test]
async fn a11_a_stale_response_has_no_time_left_downstream() {
    let harness = Harness::start([ok("x"), Reply::status(503)]).await;
    harness.get(&[]).await;
    for seconds in [310, 90] {
        harness.advance(seconds);
        let stale = harness.get(&[]).await;
        assert!(age(&stale).is_some_and(|age| age >= 310), "{}", cache_status(&stale));
        assert_eq!(age(&stale), max_age(&stale), "{}", cache_status(&stale));
    }
    harness.stop().await;
}

#[tokio::test]
async fn a11_a_shared_response_has_its_age() {
    let harness = Harness::start(ok("x")).await;
    let gate = Gate::new();
    harness.origin.any(ok("x").header("age", "7").held_until(&gate));
    let later = async {
        harness.origin.wait_for_requests(1).await;
        let opening = async {
            harness.wait_for_in_flight(2).await;
            harness.advance(2);
            gate.open();
        };
        tokio::join!(harness.get(&[]), opening).0
    };
    let (first, shared) = tokio::join!(harness.get(&[]), later);
    assert!(cache_status(&shared).contains("collapsed"));
    for response in [first, shared] {
        assert_eq!((age(&response), max_age(&response)), (Some(9), Some(300)));
    }
    harness.stop().await;
}
