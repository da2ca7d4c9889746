//! Lines 47 to 50: stale responses (RFC 9111, section 4.2.4; RFC 5861).

use std::time::Duration;

use crate::common::reply::Reply;
use crate::harness::{Harness, cache_status_of, ok};

#[tokio::test]
async fn l47_must_revalidate_forbids_a_stale_response_in_an_outage() {
    for (directive, status) in [("must-revalidate", 502), ("proxy-revalidate", 502), ("no-cache", 200)] {
        let harness = Harness::start().await;
        harness.set_replies([ok().header("cache-control", directive), Reply::reset()]);
        harness.get(&[]).await;
        harness.proxy.clock.advance(Duration::from_secs(400));
        assert_eq!(harness.get(&[]).await.status, status, "{directive}");
        harness.stop().await;
    }
}

#[tokio::test]
async fn l48_the_response_decides_whether_it_is_served_stale_during_revalidation() {
    for (directives, then) in [
        ("max-age=60", "fwd=stale; fwd-status=200; stored"),
        ("max-age=60, stale-while-revalidate=9", "fwd=stale; fwd-status=200; stored"),
        ("max-age=60, stale-while-revalidate=10", "hit; ttl=-9"),
        ("max-age=60, stale-while-revalidate=3600", "hit; ttl=-9"),
        ("max-age=60, stale-while-revalidate=3600, must-revalidate", "fwd=stale; fwd-status=200; stored"),
    ] {
        let harness = Harness::with_origin_freshness().await;
        harness.set_replies(ok().header("cache-control", directives));
        harness.get(&[]).await;
        harness.proxy.clock.advance(Duration::from_secs(69));
        assert_eq!(harness.cache_status(&[]).await, then, "{directives}");
        harness.stop().await;
    }
}

#[tokio::test]
async fn l50_a_stale_response_has_no_warning() {
    let harness = Harness::start().await;
    harness.set_replies([ok().header("warning", "199 - \"x\""), Reply::status(503)]);
    harness.get(&[]).await;
    for (seconds, stale) in [(310, "hit; ttl=-10"), (90, "fwd=stale; fwd-status=503; detail=stale-if-error")]
    {
        harness.proxy.clock.advance(Duration::from_secs(seconds));
        let response = harness.get(&[]).await;
        assert_eq!((response.status, &*cache_status_of(&response)), (200, stale));
        assert_eq!(response.header("warning"), None);
    }
    harness.stop().await;
}
