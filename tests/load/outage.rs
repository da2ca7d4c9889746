//! F16: an outage in real time, in which thousands of callers get only 200.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{BARE, FakeGraph, Options};
use futures_util::future::join_all;
use http::StatusCode;

use crate::common::client::Client;
use crate::common::link::Link;
use crate::common::proxy::path;
use crate::common::serve::Serve;
use crate::number;

/// Callers that send requests in turn over a few connections.
struct Callers {
    tokens: Mutex<VecDeque<String>>,
    clients: Vec<Client>,
}

/// Responses to a crowd of callers.
#[derive(Default, Debug)]
struct Responses {
    count: usize,
    slowest: Duration,
    /// Responses of Graph itself.
    fresh: usize,
}

impl Callers {
    async fn connect(serve: &Serve, tokens: Vec<String>) -> Self {
        let clients = join_all((0..CONNECTIONS).map(|_| Client::connect(serve.data))).await;
        Self { tokens: Mutex::new(tokens.into()), clients }
    }

    /// Sends requests until `end`, at most `most`. Every response must be a 200.
    async fn send(&mut self, end: Instant, most: isize) -> Responses {
        let Self { tokens, clients } = self;
        let tokens = &*tokens;
        let left = Arc::new(AtomicIsize::new(most));
        let observed = join_all(clients.iter_mut().map(|client| {
            let left = Arc::clone(&left);
            async move {
                let mut observed = Responses::default();
                while left.fetch_sub(1, Relaxed) > 0 {
                    let token = tokens.lock().unwrap().pop_front().unwrap();
                    let sent_at = Instant::now();
                    let response =
                        client.get(&path(BARE), &[("authorization", &format!("Bearer {token}"))]).await;
                    let cache_status = response.header("cache-status").unwrap_or_default();
                    assert_eq!(response.status, 200, "{cache_status}");
                    observed.count += 1;
                    observed.slowest = observed.slowest.max(sent_at.elapsed());
                    observed.fresh += usize::from(cache_status.contains("fwd-status=200"));
                    tokens.lock().unwrap().push_back(token);
                    if Instant::now() > end {
                        left.store(0, Relaxed);
                        break;
                    }
                }
                observed
            }
        }))
        .await;
        observed.into_iter().fold(Responses::default(), |all, one| Responses {
            count: all.count + one.count,
            slowest: all.slowest.max(one.slowest),
            fresh: all.fresh + one.fresh,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_thousands_of_callers_get_only_200_in_an_outage_of_graph() {
    let (seconds, callers) = (number("OUTAGE_SECONDS", 6) as u64, number("OUTAGE_CALLERS", 1_000));
    let graph = FakeGraph::start(Options::default()).unwrap();
    let link = Link::to(graph.address()).await;
    let url = format!("http://{}", link.address());
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
        ("CONNECTOR_CACHE__GRAPH__TIMEOUT", "2s"),
        ("CONNECTOR_CACHE__GRAPH__CONNECT_TIMEOUT", "1s"),
        ("CONNECTOR_CACHE__CACHE__TTL", "1s"),
        ("CONNECTOR_CACHE__CACHE__STALE_WHILE_REVALIDATE", "1s"),
        ("CONNECTOR_CACHE__CACHE__STALE_IF_ERROR", "1h"),
        ("CONNECTOR_CACHE__LIMITS__ORIGIN_REQUESTS", &MAX_REQUESTS.to_string()),
        ("CONNECTOR_CACHE__LOG__ACCESS", "off"),
    ];
    let serve = Serve::start(&env).await;
    let tokens = (0..callers).map(|n| graph.token().user(&format!("user-{n}")).mint()).collect();
    let mut crowd = Callers::connect(&serve, tokens).await;
    let never = Instant::now() + Duration::from_hours(1);
    crowd.send(never, isize::try_from(callers).unwrap()).await;
    // Graph answers 503 for a third of the time, does not listen for a third, and is silent for a third.
    let (mut total, mut calls) = (Responses::default(), 0);
    let third = seconds.div_ceil(3);
    for kind in 0..3 {
        match kind {
            0 => graph.fail_all(StatusCode::SERVICE_UNAVAILABLE),
            1 => {
                link.refuse();
                link.break_off();
            }
            _ => {
                graph.heal();
                link.drop_bytes();
            }
        }
        // Requests that do not reach Graph are counted at the link.
        let seen = || if kind == 0 { graph.calls() } else { link.connections() as u64 };
        let before = seen();
        let observed = crowd.send(Instant::now() + Duration::from_secs(third), isize::MAX).await;
        let probes = third + 2;
        // The breaker opens after five failures in a row. Each request in flight at the start of the outage may still get
        // a 200, after which five more are sent. A probe whose connection ends is sent again.
        let before_open = if kind == 0 { 6 * MAX_REQUESTS } else { 2 };
        let now = seen() - before;
        assert!(now <= probes + before_open, "Graph received {now} requests in {third} s of outage {kind}");
        calls += now;
        total.count += observed.count;
        total.slowest = total.slowest.max(observed.slowest);
    }
    println!("{callers} callers, {seconds} s: {total:?}, all of them 200; Graph received {calls} requests");
    link.mend();
    let healed = Instant::now();
    loop {
        let observed = crowd.send(never, 32).await;
        if observed.fresh > 0 {
            break;
        }
        assert!(healed.elapsed() < Duration::from_secs(15), "no response of Graph long after its recovery");
    }
    assert!(serve.stop().await.0.success());
}

const CONNECTIONS: usize = 32;
/// Requests to Graph at one time.
const MAX_REQUESTS: u64 = 8;
