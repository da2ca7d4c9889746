//! Lines 47 to 50: answers past their time (RFC 9111, section 4.2.4; RFC 5861).

use std::time::Duration;

use crate::bench::{Bench, ok, said};
use crate::common::reply::Reply;

#[tokio::test]
async fn l47_must_revalidate_forbids_a_stale_response_in_an_outage() {
    for (directive, status) in [("must-revalidate", 502), ("proxy-revalidate", 502), ("no-cache", 200)] {
        let bench = Bench::start().await;
        bench.answers([ok().header("cache-control", directive), Reply::reset()]);
        bench.get(&[]).await;
        bench.proxy.clock.advance(Duration::from_secs(400));
        assert_eq!(bench.get(&[]).await.status, status, "{directive}");
        bench.stop().await;
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
        let bench = Bench::of_the_origin().await;
        bench.answers(ok().header("cache-control", directives));
        bench.get(&[]).await;
        bench.proxy.clock.advance(Duration::from_secs(69));
        assert_eq!(bench.says(&[]).await, then, "{directives}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn l50_a_stale_response_has_no_warning() {
    let bench = Bench::start().await;
    bench.answers([ok().header("warning", "199 - \"x\""), Reply::status(503)]);
    bench.get(&[]).await;
    for (seconds, stale) in [(310, "hit; ttl=-10"), (90, "fwd=stale; fwd-status=503; detail=stale-if-error")]
    {
        bench.proxy.clock.advance(Duration::from_secs(seconds));
        let answer = bench.get(&[]).await;
        assert_eq!((answer.status, &*said(&answer)), (200, stale));
        assert_eq!(answer.header("warning"), None);
    }
    bench.stop().await;
}
