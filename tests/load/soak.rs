//! Mixed callers for as long as one likes, while Graph and the road to it go wrong and right again.
//!
//! ```text
//! callers (cast) ─▶ the real process ─▶ a link ─▶ the stand-in for Graph
//!    each judges its own answers            └── weather turns both bad and good again
//! tally: what was answered, how late, and what may not have been        gauge: memory and descriptors
//! ```
//!
//! At the end it reports, and fails where there was a panic, a response that should not have been, or memory or
//! descriptors that only rise. `SOAK_SECONDS` is how long it lasts.

mod caller;
mod cast;
mod gauge;
mod tally;
mod weather;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{FakeGraph, Options};

use crate::common::client;
use crate::common::link::Link;
use crate::common::serve::Serve;
use crate::{number, process};
use cast::Cast;
use gauge::Gauge;
use tally::Tally;

/// What everybody in it sees.
pub(super) struct World {
    graph: FakeGraph,
    link: Link,
    serve: Serve,
    cast: Cast,
    tally: Tally,
    over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_leaks_nothing_and_no_caller_gets_the_response_of_another() {
    let seconds = number("SOAK_SECONDS", 5) as u64;
    process::may_open(4_096);
    let world = Arc::new(world().await);
    let mut gauge = Gauge::of(world.serve.id());
    let callers = caller::start(&world);
    let weather = tokio::spawn(weather::turn(Arc::clone(&world)));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        gauge.read();
    }
    world.over.store(true, Relaxed);
    weather.await.unwrap();
    for task in callers {
        task.await.unwrap();
    }
    let world = Arc::into_inner(world).unwrap();
    let World { graph, link, serve, cast, tally, .. } = world;
    link.mend();
    graph.heal();
    recovers(&serve, &cast).await;
    let panics = serve.series(r#"connector_cache_rejected_total{reason="panic"}"#).await;
    let calls = graph.calls();
    drop(link);
    gauge.settle().await;
    println!("\n{}\n{}", tally.report(began.elapsed(), calls), gauge.report());
    let (status, _, err) = serve.stop().await;
    assert!(status.success(), "it ended with {status}");
    assert_eq!(err, Vec::<String>::new(), "standard error");
    assert!(panics < 0.5, "{panics} panics");
    tally.verdict();
    gauge.verdict();
}

/// Short times, so that everything that ends does so within seconds, and a cache too small for all.
async fn world() -> World {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let cast = Cast::of(&graph);
    let link = Link::to(graph.address()).await;
    let url = format!("http://{}", link.address());
    let serve = Serve::start(&[
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", &url),
        ("CONNECTOR_CACHE__GRAPH__TIMEOUT", "1s"),
        ("CONNECTOR_CACHE__GRAPH__CONNECT_TIMEOUT", "1s"),
        ("CONNECTOR_CACHE__LIMITS__FOLLOWER_WAIT", "2s"),
        ("CONNECTOR_CACHE__LIMITS__IDLE_TIMEOUT", "2s"),
        ("CONNECTOR_CACHE__CACHE__TTL", "2s"),
        ("CONNECTOR_CACHE__CACHE__PROOF_TTL", "3s"),
        ("CONNECTOR_CACHE__CACHE__STALE_WHILE_REVALIDATE", "1s"),
        ("CONNECTOR_CACHE__CACHE__STALE_IF_ERROR", "5s"),
        ("CONNECTOR_CACHE__CACHE__MAX_BYTES", "1MiB"),
        ("CONNECTOR_CACHE__LOG__ACCESS", "off"),
    ])
    .await;
    World { graph, link, serve, cast, tally: Tally::default(), over: AtomicBool::new(false) }
}

/// After the last storm everybody who may is answered within ten seconds.
async fn recovers(serve: &Serve, cast: &Cast) {
    let healed = Instant::now();
    for good in cast.good() {
        loop {
            let bearer = format!("Bearer {}", good.token);
            let response = client::get(serve.data, &cast::path_of(0), &[("authorization", &bearer)]).await;
            if response.status == 200 {
                break;
            }
            let said = response.header("cache-status").unwrap_or_default();
            assert!(healed.elapsed() < Duration::from_secs(10), "ten seconds after the storm: {said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
