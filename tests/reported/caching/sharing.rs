//! A9 and A10: which requests may share one fetch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use connector_cache::config::Config;
use futures_util::future::join_all;

use super::harness::{Harness, NO_CACHE, REFRESH, as_rfc, cache_status, name, ok};
use crate::common::client::Response;
use crate::common::gate::Gate;
use crate::common::reply::Reply;

const CALLERS: usize = 20;

/// Sends equal requests at one time. The first reply of the origin waits for all of them.
async fn concurrently(harness: &Harness, reply: impl Fn(usize) -> Reply + Send + 'static) -> Vec<Response> {
    let (gate, count) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    harness.origin.handle("", {
        let gate = gate.clone();
        move |_| reply(count.fetch_add(1, SeqCst)).held_until(&gate)
    });
    let opening = async {
        harness.wait_for_in_flight(i64::try_from(CALLERS).unwrap()).await;
        gate.open();
    };
    let (responses, ()) = tokio::join!(join_all((0..CALLERS).map(|_| harness.get(&[]))), opening);
    responses
}

#[tokio::test]
async fn a9_concurrent_requests_do_not_share_a_response_that_may_not_be_stored() {
    type Case = (fn(&mut Config), &'static str, &'static str);
    let cases: [Case; 7] = [
        (|_| {}, "cache-control", "no-store"),
        (|_| {}, "vary", "*"),
        (as_rfc, "cache-control", "no-store"),
        (as_rfc, "cache-control", "max-age=0"),
        (as_rfc, "cache-control", "no-cache"),
        (as_rfc, "vary", "accept-language, *"),
        (as_rfc, "expires", "0"),
    ];
    for (change, field, value) in cases {
        for validator in ["", "\"a\""] {
            let harness = Harness::with(ok("x"), change).await;
            let responses = concurrently(&harness, move |number| {
                let reply = ok(&number.to_string()).header(field, value);
                if validator.is_empty() { reply } else { reply.header("etag", validator) }
            })
            .await;
            let mut names: Vec<_> = responses.iter().map(name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), CALLERS, "{field}: {value}");
            assert_eq!(harness.origin.requests(), CALLERS, "{field}: {value}");
            assert!(responses.iter().all(|response| !cache_status(response).contains("collapsed")));
            harness.stop().await;
        }
    }
}

#[tokio::test]
async fn a9_requests_that_do_not_share_are_limited_by_the_permits() {
    let harness = Harness::with(ok("x"), |config| config.upstream.in_flight = 4).await;
    let gate = Gate::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (origin_gate, in_flight, peak) = (gate.clone(), Arc::clone(&now), Arc::clone(&most));
    harness.origin.handle("", move |_| {
        peak.fetch_max(in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        let done = Arc::clone(&in_flight);
        let gate = origin_gate.clone();
        let opened = Gate::new();
        let held = opened.clone();
        tokio::spawn(async move {
            gate.opened().await;
            // Other requests that hold permits arrive meanwhile.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            done.fetch_sub(1, SeqCst);
            held.open();
        });
        ok("x").header("cache-control", "no-store").held_until(&opened)
    });
    let opening = async {
        harness.wait_for_in_flight(i64::try_from(CALLERS).unwrap()).await;
        gate.open();
    };
    let (responses, ()) = tokio::join!(join_all((0..CALLERS).map(|_| harness.get(&[]))), opening);
    assert!(responses.iter().all(|response| response.status == 200));
    assert_eq!(harness.origin.requests(), CALLERS);
    assert!(most.load(SeqCst) <= 4, "{}", most.load(SeqCst));
    harness.stop().await;
}

#[tokio::test]
async fn a9_what_may_be_stored_and_errors_are_shared() {
    let fresh = ok("x").header("cache-control", "max-age=9");
    for reply in [fresh, Reply::status(403), Reply::status(500), Reply::reset()] {
        let harness = Harness::as_rfc(ok("x")).await;
        let responses = concurrently(&harness, move |_| reply.clone()).await;
        let status = responses[0].status;
        assert!(responses.iter().all(|response| response.status == status));
        // A request that got no response is sent once more.
        assert!(harness.origin.requests() <= 2, "{status}: {}", harness.origin.requests());
        harness.stop().await;
    }
}

#[tokio::test]
async fn a10_a_forced_refresh_never_joins_a_fetch_that_began_before() {
    type Case = (fn(&mut Config), (&'static str, &'static str));
    let cases: [Case; 4] =
        [(|_| {}, REFRESH), (as_rfc, REFRESH), (as_rfc, NO_CACHE), (as_rfc, ("cache-control", "max-age=0"))];
    for (change, field) in cases {
        for is_stored in [false, true] {
            let harness = Harness::with(ok("first").header("cache-control", "max-age=60"), change).await;
            if is_stored {
                harness.get(&[]).await;
                harness.advance(400);
            }
            let before = harness.origin.requests();
            let gate = Gate::new();
            let reply = |name| ok(name).header("cache-control", "max-age=60");
            harness.origin.any([reply("old").held_until(&gate), reply("new")]);
            let first = harness.get(&[]);
            let second = async {
                harness.origin.wait_for_requests(before + 1).await;
                harness.advance(1);
                let refreshed = harness.get(&[field]).await;
                gate.open();
                refreshed
            };
            let (old, refreshed) = tokio::join!(first, second);
            assert_eq!((&*name(&old), &*name(&refreshed)), ("old", "new"), "{field:?}");
            assert_eq!(name(&harness.get(&[]).await), "new", "the older response does not replace it");
            harness.stop().await;
        }
    }
}

#[tokio::test]
async fn a10_a_request_after_the_forced_one_joins_the_later_fetch() {
    let harness = Harness::start(ok("first")).await;
    harness.get(&[]).await;
    harness.advance(400);
    let (old, new) = (Gate::new(), Gate::new());
    harness.origin.any([ok("old").held_until(&old), ok("new").held_until(&new)]);
    let second = async {
        harness.origin.wait_for_requests(2).await;
        let refresh = async {
            let refreshed = harness.get(&[REFRESH]).await;
            old.open();
            refreshed
        };
        let third = async {
            harness.origin.wait_for_requests(3).await;
            let opening = async {
                harness.wait_for_in_flight(3).await;
                new.open();
            };
            tokio::join!(harness.get(&[]), opening).0
        };
        tokio::join!(refresh, third)
    };
    let (first, (refreshed, third)) = tokio::join!(harness.get(&[]), second);
    assert_eq!([&first, &refreshed, &third].map(name), ["old", "new", "new"]);
    assert_eq!(harness.origin.requests(), 3);
    assert!(cache_status(&third).contains("collapsed"), "{}", cache_status(&third));
    harness.stop().await;
}

#[tokio::test]
async fn a10_refreshes_beyond_the_limit_join_the_fetch_in_flight() {
    let harness = Harness::with(ok("first"), |config| config.refresh_limit.per_token = 2).await;
    harness.get(&[]).await;
    harness.advance(400);
    let gate = Gate::new();
    harness.origin.any(ok("x").held_until(&gate));
    let later = async {
        harness.origin.wait_for_requests(2).await;
        let refreshes = join_all((0..10).map(|_| harness.get(&[REFRESH])));
        let opening = async {
            harness.wait_for_in_flight(11).await;
            gate.open();
        };
        tokio::join!(refreshes, opening).0
    };
    let (_, refreshed) = tokio::join!(harness.get(&[]), later);
    assert_eq!(harness.origin.requests(), 4, "the first fetch, the stale one, and two refreshes");
    let limited = refreshed.iter().filter(|response| cache_status(response).contains("refresh-limit"));
    assert_eq!(limited.count(), 8);
    harness.stop().await;
}
