//! F16: an outage in real time, and thousands of callers who do not notice.

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

/// Callers who ask in turn, over some connections.
struct Crowd {
    tokens: Mutex<VecDeque<String>>,
    clients: Vec<Client>,
}

/// Responses to a crowd of callers.
#[derive(Default, Debug)]
struct Told {
    answers: usize,
    slowest: Duration,
    /// Brought by Graph itself.
    fresh: usize,
}

impl Crowd {
    async fn of(serve: &Serve, tokens: Vec<String>) -> Self {
        let clients = join_all((0..CONNECTIONS).map(|_| Client::connect(serve.data))).await;
        Self { tokens: Mutex::new(tokens.into()), clients }
    }

    /// Asks until the end, at least once for each caller. Every response must be a 200.
    async fn ask(&mut self, end: Instant, most: isize) -> Told {
        let Self { tokens, clients } = self;
        let tokens = &*tokens;
        let left = Arc::new(AtomicIsize::new(most));
        let observed = join_all(clients.iter_mut().map(|client| {
            let left = Arc::clone(&left);
            async move {
                let mut observed = Told::default();
                while left.fetch_sub(1, Relaxed) > 0 {
                    let token = tokens.lock().unwrap().pop_front().unwrap();
                    let asked = Instant::now();
                    let response =
                        client.get(&path(BARE), &[("authorization", &format!("Bearer {token}"))]).await;
                    let said = response.header("cache-status").unwrap_or_default();
                    assert_eq!(response.status, 200, "{said}");
                    observed.answers += 1;
                    observed.slowest = observed.slowest.max(asked.elapsed());
                    observed.fresh += usize::from(said.contains("fwd-status=200"));
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
        observed.into_iter().fold(Told::default(), |all, one| Told {
            answers: all.answers + one.answers,
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
        ("CONNECTOR_CACHE__LIMITS__ORIGIN_REQUESTS", &PLACES.to_string()),
        ("CONNECTOR_CACHE__LOG__ACCESS", "off"),
    ];
    let serve = Serve::start(&env).await;
    let tokens = (0..callers).map(|n| graph.token().user(&format!("user-{n}")).mint()).collect();
    let mut crowd = Crowd::of(&serve, tokens).await;
    let never = Instant::now() + Duration::from_hours(1);
    crowd.ask(never, isize::try_from(callers).unwrap()).await;
    // Graph answers 503 for a third of the time, does not listen for a third, and is silent for a third.
    let (mut total, mut asked) = (Told::default(), 0);
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
        // What does not get through to Graph is seen on the way.
        let seen = || if kind == 0 { graph.calls() } else { link.connections() as u64 };
        let before = seen();
        let observed = crowd.ask(Instant::now() + Duration::from_secs(third), isize::MAX).await;
        let probes = third + 2;
        // An outage is known after five failures in a row: each of those under way at its beginning
        // may bring a last good response, and let five more go. A probe that dies with its connection is sent again.
        let unaware = if kind == 0 { 6 * PLACES } else { 2 };
        let now = seen() - before;
        assert!(now <= probes + unaware, "Graph was asked {now} times in {third} s of outage {kind}");
        asked += now;
        total.answers += observed.answers;
        total.slowest = total.slowest.max(observed.slowest);
    }
    println!("{callers} callers, {seconds} s: {total:?}, all of them 200; Graph was asked {asked} times");
    link.mend();
    let healed = Instant::now();
    loop {
        let observed = crowd.ask(never, 32).await;
        if observed.fresh > 0 {
            break;
        }
        assert!(healed.elapsed() < Duration::from_secs(15), "no response of Graph long after its recovery");
    }
    assert!(serve.stop().await.0.success());
}

const CONNECTIONS: usize = 32;
/// Questions under way at one time.
const PLACES: u64 = 8;
