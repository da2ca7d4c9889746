//! F61: instances are replaced one after the other, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::common::balancer::Balancer;
use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f61_two_instances_are_rolled_under_a_thousand_requests_a_second_and_none_fails() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let (url, balancer) = (origin.url(), Balancer::start().await);
    let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__DRAIN__DELAY", "1s")];
    // New instances get no connections before they are added.
    let [first, second, third, fourth] = [
        Serve::start(&env).await,
        Serve::start(&env).await,
        Serve::start(&env).await,
        Serve::start(&env).await,
    ];
    balancer.add(&first).await;
    balancer.add(&second).await;
    let load = Load::start(&balancer);
    load.wait_for_responses(1000).await;
    let mut running = Vec::new();
    for (old, new) in [(first, third), (second, fourth)] {
        let joining = balancer.add(&new);
        let (ended, ()) = futures_util::future::join(old.stop(), joining).await;
        let (status, out, _) = ended;
        assert!(status.success(), "{status}");
        assert!(out.last().unwrap().contains("\"connections_cut\":0"), "{out:?}");
        load.wait_for_responses(1000).await;
        running.push(new);
    }
    let Outcome { answered, failed, seconds } = load.end().await;
    eprintln!("{answered} responses in {seconds:.1} s");
    assert_eq!(failed, Vec::<String>::new(), "of {answered}");
    assert_eq!(running.len(), 2);
}

/// Callers that send requests one after the other and repeat none.
struct Load {
    answered: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<String>>>,
    began: Instant,
}

struct Outcome {
    answered: usize,
    failed: Vec<String>,
    seconds: f64,
}

impl Load {
    fn start(balancer: &Balancer) -> Self {
        let (answered, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let callers = (0..CALLERS).map(|number| {
            tokio::spawn(call(number, balancer.address, Arc::clone(&answered), Arc::clone(&is_over)))
        });
        let callers = callers.collect();
        Self { answered, is_over, callers, began: Instant::now() }
    }

    /// Returns when this number of further requests has got a 200.
    async fn wait_for_responses(&self, more: usize) {
        let enough = self.answered.load(SeqCst) + more;
        within("responses", async {
            while self.answered.load(SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    async fn end(self) -> Outcome {
        self.is_over.store(true, SeqCst);
        let mut failed = Vec::new();
        for caller in self.callers {
            failed.extend(caller.await.unwrap());
        }
        let seconds = self.began.elapsed().as_secs_f64();
        Outcome { answered: self.answered.load(SeqCst), failed, seconds }
    }
}

/// Runs one caller. Returns its failed requests.
async fn call(
    number: u32,
    balancer: std::net::SocketAddr,
    answered: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> Vec<String> {
    let authorization = format!("Bearer {}", token::mint(&format!("subject-{}", number % 8)));
    let (mut failed, mut reusable) = (Vec::new(), None);
    let turn = Duration::from_secs(1) / RATE;
    // Each caller has its own offset.
    let mut ticks = interval_at(tokio::time::Instant::now() + turn * number, turn * CALLERS);
    // A caller that had to wait catches up; on a slow machine the rate is lower.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !is_over.load(SeqCst) {
        ticks.tick().await;
        let mut client = match reusable.take() {
            Some(client) => client,
            None => Client::connect(balancer).await,
        };
        let sent = client.send_get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
        match (sent, client.response().await) {
            (Ok(()), Ok(response)) if response.status == 200 => {
                answered.fetch_add(1, SeqCst);
                reusable = (response.header("connection") != Some("close")).then_some(client);
            }
            (sent, response) => {
                failed.push(format!("{sent:?} {:?}", response.map(|response| response.status)));
            }
        }
    }
    failed
}

const CALLERS: u32 = 32;
/// Requests a second of all callers together.
const RATE: u32 = 1_000;
