//! Purges on several replicas: confirmation, selection, races with writes.

#![allow(clippy::print_stdout, reason = "the measured times are for the reader of the output")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::client::Response;
use crate::common::link::Link;
use crate::common::origin::OriginServer;
use crate::common::redis::Store;
use crate::common::reply::Reply;
use crate::common::token;
use crate::fleet::{Replica, Setup, X, Y, assert_not_shared, graph, status, until, wait_for_entries};

#[tokio::test]
async fn a_purge_is_confirmed_by_every_replica() {
    let (graph, store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(3).await;
    let token = crate::fleet::token(&graph, "ada");
    for replica in &replicas {
        replica.read(X, &token).await;
        wait_for_entries(&store, 1).await;
    }
    let purged = replicas[1].purge("").await;
    let counts = json!({"replicas": purged["replicas"], "confirmed": purged["confirmed"], "unconfirmed": purged["unconfirmed"]});
    assert_eq!(counts, json!({"replicas": 3, "confirmed": 3, "unconfirmed": []}));
    assert!(purged.get("complete").is_none(), "{purged}");
    assert!(purged["purged"].as_u64().unwrap() >= 1, "{purged}");
    let shared = replicas[1].overview().await["shared"].clone();
    let last = &shared["last_purge"];
    assert_eq!(
        (&last["replicas"], &last["confirmed"], &last["purged"]),
        (&json!(3), &json!(3), &purged["purged"])
    );
    assert!(last["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 1.0), "{shared}");
    assert!(replicas[0].overview().await["shared"]["last_purge"].is_null(), "another replica purged");
    until("a probe of the store", async || {
        replicas[1].overview().await["shared"]["store_seconds"].as_f64().is_some_and(|seconds| seconds < 1.0)
    })
    .await;
    let calls = graph.calls();
    for replica in &replicas {
        let answer = replica.read(X, &token).await;
        assert!(
            !status(&answer).contains("; hit") || crate::fleet::is_shared(&answer),
            "{}",
            status(&answer)
        );
    }
    assert!(graph.calls() > calls);
}

#[tokio::test]
async fn a_purge_of_one_flow_keeps_the_other_everywhere() {
    let (graph, store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let token = crate::fleet::token(&graph, "ada");
    for flow in [X, Y] {
        replicas[0].read(flow, &token).await;
    }
    wait_for_entries(&store, 2).await;
    for flow in [X, Y] {
        replicas[1].read(flow, &token).await;
    }
    assert_eq!(graph.calls(), 2);
    replicas[0].purge(&format!("?flow={X}")).await;
    let kept = replicas[1].read(Y, &token).await;
    assert!(status(&kept).contains("; hit"), "{}", status(&kept));
    assert_not_shared(&replicas[1].read(X, &token).await);
    assert_eq!(graph.calls(), 3);
}

#[tokio::test]
async fn a_purge_by_tenant_or_subject_reaches_every_replica() {
    let (graph, store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let token = crate::fleet::token(&graph, "ada");
    let subject = connector_cache::fake_graph::user_id(connector_cache::fake_graph::CONTOSO, "ada");
    for query in [format!("?tenant={}", connector_cache::fake_graph::CONTOSO), format!("?subject={subject}")]
    {
        replicas[1].read(X, &token).await;
        let calls = graph.calls();
        let purged = replicas[0].purge(&query).await;
        assert_eq!(purged["confirmed"], 2, "{purged}");
        replicas[1].read(X, &token).await;
        assert_eq!(graph.calls(), calls + 1, "{query}");
    }
    // Another subject is kept.
    let calls = graph.calls();
    replicas[0].purge(&format!("?subject={}", uuid::Uuid::new_v4())).await;
    replicas[1].read(X, &token).await;
    assert_eq!(graph.calls(), calls);
}

#[tokio::test]
async fn a_purge_names_the_replica_that_is_cut_off() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let link = Link::to(store.address()).await;
    let near = setup.live().await;
    let far = setup.with("SHARED__URL", &format!("redis://{}", link.address())).live().await;
    near.wait_for_replicas(2).await;
    let token = crate::fleet::token(&graph, "ada");
    far.read(X, &token).await;
    link.go_silent();
    link.drop_bytes();
    let began = Instant::now();
    let purged = near.purge("").await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((&purged["replicas"], &purged["confirmed"]), (&json!(2), &json!(1)), "{purged}");
    let names = purged["unconfirmed"].as_array().unwrap();
    assert!(names.len() == 1 && names[0].as_str().is_some_and(|name| !name.is_empty()), "{purged}");
    // The replica keeps its memory until it reads the log again.
    assert!(status(&far.read(X, &token).await).contains("; hit"));
    link.mend();
    far.wait_for_state("live").await;
    until("the purge to arrive", async || !status(&far.read(X, &token).await).contains("; hit")).await;
}

#[tokio::test]
async fn a_purge_that_the_flushed_log_lost_reaches_the_replica_that_was_away() {
    let away = Away::start().await;
    let Away { graph, store, near, .. } = &away;
    let calls = graph.calls();
    near.purge("").await;
    store.ok(&["FLUSHALL"]).await;
    away.returns_and_has_the_purge(calls).await;
}

#[tokio::test]
async fn a_replica_confirms_purges_again_after_events_were_trimmed_while_it_was_away() {
    let away = Away::start().await;
    let Away { graph, store, near, far, link, token, .. } = &away;
    let calls = graph.calls();
    for _ in 0..3 {
        near.purge("").await;
    }
    store.ok(&["XTRIM", &store.log_name().await, "MAXLEN", "=", "1"]).await;
    link.mend();
    far.wait_for_state("live").await;
    far.read(X, token).await;
    assert!(graph.calls() > calls, "the memory of the replica is not emptied");
    until("a confirmed purge", async || near.purge("").await["confirmed"] == 2).await;
}

/// The far replica has never seen an event of the third one, so its numbers had no gap, and the memory was kept.
#[tokio::test]
async fn a_purge_of_a_replica_that_came_and_went_reaches_the_replica_that_was_away() {
    let away = Away::start().await;
    let Away { graph, store, near, setup, .. } = &away;
    let calls = graph.calls();
    let third = setup.live().await;
    near.wait_for_replicas(2).await;
    assert_eq!(third.purge("").await["confirmed"], 2);
    drop(third);
    store.ok(&["FLUSHALL"]).await;
    away.returns_and_has_the_purge(calls).await;
}

/// The far replica reads the log all the time, and other replicas have acknowledged the purge that it never receives.
#[tokio::test]
async fn a_purge_that_is_deleted_from_the_log_after_one_replica_read_it_reaches_the_others() {
    let away = Away::start().await;
    let Away { graph, store, setup, .. } = &away;
    let calls = graph.calls();
    let third = setup.live().await;
    assert_eq!(third.purge("").await["confirmed"], 2);
    let log = &*store.log_name().await;
    let last = store.ok(&["XREVRANGE", log, "+", "-", "COUNT", "1"]).await.into_list().remove(0).into_list();
    let id = last.into_iter().next().unwrap().into_text();
    store.ok(&["XADD", log, "*", "e", "x"]).await;
    store.ok(&["XDEL", log, &id]).await;
    drop(third);
    away.returns_and_has_the_purge(calls).await;
}

/// Two replicas; the far one has a response in memory, and cannot reach the store.
struct Away {
    graph: connector_cache::fake_graph::FakeGraph,
    store: Store,
    near: Replica,
    far: Replica,
    link: Link,
    token: String,
    setup: Setup,
}

impl Away {
    async fn start() -> Self {
        let (graph, store) = (graph(), Store::start().await);
        let setup = Setup::new(&graph.url(), &store.url());
        let link = Link::to(store.address()).await;
        let near = setup.live().await;
        // The far replica takes the log for older than itself, by more than clocks may differ.
        let began = Instant::now();
        until("an older log", async || began.elapsed() > Duration::from_millis(2500)).await;
        let far = setup.with("SHARED__URL", &format!("redis://{}", link.address())).live().await;
        near.wait_for_replicas(2).await;
        let token = crate::fleet::token(&graph, "ada");
        // From now on the far replica notices missing events of the near one.
        assert_eq!(near.purge("").await["confirmed"], 2);
        far.read(X, &token).await;
        link.refuse();
        link.break_off();
        far.wait_for_one_of(&["connecting", "lagging"]).await;
        Self { graph, store, near, far, link, token, setup }
    }

    /// The far replica reaches the store again. The purge empties its memory, so it calls Graph once more than before, and it
    /// confirms later purges.
    async fn returns_and_has_the_purge(&self, calls: u64) {
        let Self { graph, near, far, link, token, .. } = self;
        link.mend();
        far.wait_for_state("live").await;
        until("the purge to arrive", async || {
            far.read(X, token).await;
            graph.calls() > calls
        })
        .await;
        until("a confirmed purge", async || near.purge("").await["confirmed"] == 2).await;
    }
}

#[tokio::test]
async fn a_purge_without_the_store_is_local_and_not_confirmed_by_others() {
    let (graph, mut store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let token = crate::fleet::token(&graph, "ada");
    replicas[0].read(X, &token).await;
    store.kill();
    let purged = replicas[0].purge("").await;
    assert_eq!((&purged["purged"], &purged["complete"]), (&json!(1), &json!(false)), "{purged}");
    assert!(purged["confirmed"].as_u64().unwrap() <= 1, "{purged}");
    let calls = graph.calls();
    replicas[0].read(X, &token).await;
    assert_eq!(graph.calls(), calls + 1);
}

#[tokio::test]
async fn a_purge_during_an_outage_of_the_store_reaches_the_others_afterwards() {
    let (graph, mut store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let token = crate::fleet::token(&graph, "ada");
    replicas[1].read(X, &token).await;
    store.kill();
    replicas[0].purge("").await;
    store.restart().await;
    until("the purge to arrive", async || !status(&replicas[1].read(X, &token).await).contains("; hit"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replica_gives_an_old_answer_after_a_confirmed_purge() {
    let (races, stage) = race(async |_, _| {}).await;
    let Stage { reads, unconfirmed, calls, .. } = &*stage;
    assert!(unconfirmed.load(SeqCst) * 10 <= races, "{unconfirmed:?} of {races} purges are not confirmed");
    assert!(reads.load(SeqCst) > calls.load(SeqCst), "nothing was cached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replica_gives_an_old_answer_after_a_confirmed_purge_although_the_store_fails() {
    let disturb = async |race: usize, store: &Store| match race % 20 {
        4 | 9 => store.end_connections().await,
        14 => drop(store.ok(&["FLUSHALL"]).await),
        19 => {
            // Longer than the timeout of an operation, shorter than the time that the log may be unread.
            store.freeze();
            tokio::time::sleep(Duration::from_millis(200)).await;
            store.thaw();
        }
        _ => {}
    };
    let (races, stage) = race(disturb).await;
    assert!(stage.unconfirmed.load(SeqCst) < races, "no purge was confirmed");
}

/// Races purges with reads and writes on three replicas. `disturb` runs beside each purge, with its number.
async fn race(disturb: impl AsyncFn(usize, &Store)) -> (u64, Arc<Stage>) {
    let races = std::env::var("PURGE_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let (stage, store, origin) =
        (Arc::new(Stage::default()), Store::start().await, OriginServer::start().await);
    let graph = stage.clone();
    // The version is read when the request arrives; the response is under way for a while.
    origin.handle("", move |_| {
        let version = graph.version.load(SeqCst);
        graph.calls.fetch_add(1, SeqCst);
        Reply::json(json!({"id": "x", "version": version}).to_string())
    });
    let link = Link::to(origin.address()).await;
    link.latency(Duration::from_millis(1));
    let replicas = Setup::new(&format!("http://{}", link.address()), &store.url()).fleet(3).await;
    let callers = start_callers(&stage, &replicas);
    let mut waits = Vec::new();
    for race in 0..races {
        let version = stage.version.fetch_add(1, SeqCst) + 1;
        let purge = async {
            let began = Instant::now();
            let purged = replicas[race % replicas.len()].purge("").await;
            (purged, began.elapsed())
        };
        let ((purged, took), ()) = futures_util::future::join(purge, disturb(race, &store)).await;
        waits.push(took);
        if is_confirmed(&purged) {
            stage.confirmed.store(version, SeqCst);
        } else {
            stage.unconfirmed.fetch_add(1, SeqCst);
        }
        for replica in &replicas {
            stage.read(replica.0.data, race % CALLERS).await;
        }
    }
    stage.is_over.store(true, SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    waits.sort();
    let (median, most) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    let Stage { reads, old, unconfirmed, calls, .. } = &*stage;
    println!(
        "{races} purges, {unconfirmed:?} unconfirmed, {median:?} (median) and {most:?} (p99) to the confirmation; \
         {reads:?} reads, {calls:?} calls, {old:?} old"
    );
    assert_eq!(old.load(SeqCst), 0, "old answers after a confirmed purge, of {reads:?}");
    (races as u64, stage.clone())
}

fn is_confirmed(purged: &Value) -> bool {
    purged["replicas"] == 3 && purged["confirmed"] == 3 && purged["unconfirmed"] == json!([])
}

/// Versions of the resource, and counts of the race.
#[derive(Default)]
struct Stage {
    /// The version that Graph sends.
    version: AtomicU64,
    /// The version of the last confirmed purge: no later request may get an older one.
    confirmed: AtomicU64,
    is_over: AtomicBool,
    reads: AtomicU64,
    old: AtomicU64,
    unconfirmed: AtomicU64,
    calls: AtomicU64,
}

impl Stage {
    /// Reads with one of the tokens, and judges the version.
    async fn read(&self, replica: std::net::SocketAddr, caller: usize) {
        let least = self.confirmed.load(SeqCst);
        let authorization = format!("Bearer {}", token::mint(&format!("subject-{caller}")));
        let path = crate::common::proxy::path(X);
        let answer: Response =
            crate::common::client::get(replica, &path, &[("authorization", &authorization)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let version = answer.json()["version"].as_u64().unwrap();
        self.reads.fetch_add(1, SeqCst);
        if version < least {
            println!("version {version} after the purge of version {least}: {}", status(&answer));
            self.old.fetch_add(1, SeqCst);
        }
    }
}

/// Starts callers that read all the time, each with its own token, from the replicas in turn.
fn start_callers(stage: &Arc<Stage>, replicas: &[Replica]) -> Vec<tokio::task::JoinHandle<()>> {
    let addresses: Vec<_> = replicas.iter().map(|replica| replica.0.data).collect();
    let callers = (0..CALLERS).map(|caller| {
        let (stage, addresses) = (Arc::clone(stage), addresses.clone());
        tokio::spawn(async move {
            for address in addresses.iter().cycle().skip(caller) {
                if stage.is_over.load(SeqCst) {
                    return;
                }
                stage.read(*address, caller).await;
            }
        })
    });
    callers.collect()
}

const CALLERS: usize = 4;
