//! Soak test: mixed callers for a configurable time, while faults of Graph and of the network come and go.
//!
//! ```text
//! callers (tokens) ─▶ the real process ─▶ a link ─▶ the stand-in for Graph
//!    each checks its own responses          └── faults breaks and repairs both in turn
//! results: outcomes, latency, wrong responses        resource_usage: memory and descriptors
//! ```
//!
//! At the end the test prints a report. It fails on a panic, on a wrong response, and if memory or descriptors rise
//! without a limit. `SOAK_SECONDS` is its duration.

mod caller;
mod faults;
mod resource_usage;
mod results;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{FakeGraph, Options};

use crate::common::client;
use crate::common::link::Link;
use crate::common::serve::Serve;
use crate::{number, process};
use resource_usage::ResourceUsage;
use results::Results;
use tokens::Tokens;

/// State that all tasks of the test share.
pub(super) struct Soak {
    graph: FakeGraph,
    link: Link,
    serve: Serve,
    tokens: Tokens,
    results: Results,
    is_over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_leaks_nothing_and_no_caller_gets_the_response_of_another() {
    let seconds = number("SOAK_SECONDS", 5) as u64;
    process::raise_open_file_limit(4_096);
    let soak = Arc::new(soak().await);
    let mut usage = ResourceUsage::new(soak.serve.id());
    let callers = caller::start(&soak);
    let faults = tokio::spawn(faults::inject_in_turn(Arc::clone(&soak)));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        usage.read();
    }
    soak.is_over.store(true, Relaxed);
    faults.await.unwrap();
    for task in callers {
        task.await.unwrap();
    }
    let soak = Arc::into_inner(soak).unwrap();
    let Soak { graph, link, serve, tokens, results, .. } = soak;
    link.mend();
    graph.heal();
    recovers(&serve, &tokens).await;
    let panics = serve.series(r#"connector_cache_rejected_total{reason="panic"}"#).await;
    let calls = graph.calls();
    drop(link);
    usage.settle().await;
    println!("\n{}\n{}", results.report(began.elapsed(), calls), usage.report());
    let (status, _, err) = serve.stop().await;
    assert!(status.success(), "the process ended with {status}");
    assert_eq!(err, Vec::<String>::new(), "standard error");
    assert!(panics < 0.5, "{panics} panics");
    results.check();
    usage.check();
}

/// Starts the parts with short lifetimes, so that all of them pass within seconds, and with a cache too small for all entries.
async fn soak() -> Soak {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let tokens = Tokens::create(&graph);
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
    Soak { graph, link, serve, tokens, results: Results::default(), is_over: AtomicBool::new(false) }
}

/// Asserts that ten seconds after the last fault each valid token gets a 200.
async fn recovers(serve: &Serve, tokens: &Tokens) {
    let healed = Instant::now();
    for good in tokens.good() {
        loop {
            let bearer = format!("Bearer {}", good.token);
            let response = client::get(serve.data, &tokens::path_of(0), &[("authorization", &bearer)]).await;
            if response.status == 200 {
                break;
            }
            let cache_status = response.header("cache-status").unwrap_or_default();
            assert!(
                healed.elapsed() < Duration::from_secs(10),
                "ten seconds after the faults: {cache_status}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
