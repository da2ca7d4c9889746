//! Reads of the store: what is found, at which cost, and for which life.

#![allow(clippy::print_stdout, reason = "the counted calls are for the reader of the output")]

use std::time::Duration;

use connector_cache::fake_graph::{CONTOSO, Flow, Step, connector};

use crate::common::redis::Store;
use crate::fleet::{
    Setup, X, Y, assert_not_shared, assert_shared, graph, is_shared, status, token, until, wait_for_entries,
};

#[tokio::test]
async fn an_answer_of_one_replica_is_a_hit_of_the_other() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    let answer = first.read(X, &token).await;
    assert_not_shared(&answer);
    wait_for_entries(&store, 1).await;
    let hit = second.read(X, &token).await;
    assert_shared(&hit);
    assert_eq!((hit.body, graph.calls()), (answer.body, 1));
    for field in ["etag", "content-type", "vary"] {
        assert_eq!(
            hit.headers.iter().find(|(name, _)| name == field),
            answer.headers.iter().find(|(name, _)| name == field)
        );
    }
    // The second time it is local.
    let local = second.read(X, &token).await;
    assert!(status(&local).contains("; hit") && !is_shared(&local), "{}", status(&local));
    assert_eq!(graph.calls(), 1);
}

#[tokio::test]
async fn another_token_of_the_same_user_is_no_hit() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second) = (setup.live().await, setup.live().await);
    let mint = |seconds| graph.token().user("ada").expires_in(Duration::from_secs(seconds)).mint();
    let (one, other) = (mint(3_000), mint(3_600));
    first.read(X, &one).await;
    wait_for_entries(&store, 1).await;
    assert_not_shared(&second.read(X, &other).await);
    assert_eq!(graph.calls(), 2);
}

#[tokio::test]
async fn a_local_hit_sends_nothing_to_the_store() {
    let (graph, store) = (graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).live().await;
    let token = token(&graph, "ada");
    replica.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let before = [store.calls_of("mget").await, store.calls_of("get").await, store.calls_of("set").await];
    for _ in 0..100 {
        assert!(status(&replica.read(X, &token).await).contains("; hit"));
    }
    let after = [store.calls_of("mget").await, store.calls_of("get").await, store.calls_of("set").await];
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_local_miss_that_is_found_takes_one_round_trip() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let before = store.calls_of("mget").await;
    assert_shared(&second.read(X, &token).await);
    assert_eq!(store.calls_of("mget").await, before + 1);
    assert_eq!(store.calls_of("get").await, 0);
}

#[tokio::test]
async fn every_key_has_a_life_and_none_outlives_its_token() {
    let (graph, store) = (graph(), Store::start().await);
    let replica = Setup::new(&graph.url(), &store.url()).with("CACHE__PROOF_TTL", "1h").live().await;
    let token = graph.token().user("ada").expires_in(Duration::from_secs(120)).mint();
    replica.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    replica.purge("?flow=other").await;
    let mut connection = store.connect().await;
    let keys = store.keys("").await;
    assert!(keys.len() >= 3, "an entry, a proof and the log: {keys:?}");
    for key in keys {
        let text = String::from_utf8_lossy(&key).into_owned();
        let milliseconds = connection.ok(&[b"PTTL".as_slice(), &key]).await.integer();
        // -2: it has ended in the meantime.
        assert_ne!(milliseconds, -1, "{text} has no TTL");
        let most = if text.contains(":p:") { 90_000 } else { 3_600_000 * 24 };
        assert!(milliseconds <= most, "{text}: {milliseconds} ms");
        assert!(!text.contains(":e:") || milliseconds <= 3_600_000, "{text}: {milliseconds} ms");
    }
}

#[tokio::test]
async fn the_keys_begin_with_the_prefix() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (other, own) = (setup.with("SHARED__PREFIX", "other").live().await, setup.live().await);
    let token = token(&graph, "ada");
    other.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let entries = store.keys(":e:").await;
    assert!(entries.iter().all(|key| key.starts_with(b"other:")), "{entries:?}");
    assert_not_shared(&own.read(X, &token).await);
}

#[tokio::test]
async fn a_value_above_the_limit_stays_local() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url()).with("SHARED__MAX_VALUE", "1KiB");
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    let mut large = connector::basic("name", "https://connector.example", "user", "password");
    // Numbers pass the scrubber and do not compress well.
    let numbers: Vec<u64> =
        (1..2_000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11).collect();
    large["numbers"] = numbers.into();
    graph.put_flow(CONTOSO, Flow::new(Y).connector(Step::PostAttributeCollection, large));
    first.read(Y, &token).await;
    first.read(X, &token).await;
    // Writes keep their order, so the large one would be there.
    wait_for_entries(&store, 1).await;
    assert_shared(&second.read(X, &token).await);
    assert_not_shared(&second.read(Y, &token).await);
    assert_eq!(graph.calls_for_flow(Y), 2);
}

#[tokio::test]
async fn a_conditional_request_and_gzip_are_answered_from_the_store() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, third) = (setup.live().await, setup.live().await, setup.live().await);
    let token = token(&graph, "ada");
    let answer = first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let authorization = format!("Bearer {token}");
    let path = crate::common::proxy::path(X);
    let get = async |replica: &crate::fleet::Replica, name: &str, value: &str| {
        let fields = [("authorization", authorization.as_str()), (name, value)];
        crate::common::client::get(replica.0.data, &path, &fields).await
    };
    let unchanged = get(&second, "if-none-match", answer.header("etag").unwrap()).await;
    assert_eq!(unchanged.status, 304, "{}", status(&unchanged));
    let packed = get(&third, "accept-encoding", "gzip").await;
    assert_shared(&packed);
    let mut text = Vec::new();
    if packed.header("content-encoding") == Some("gzip") {
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut text).unwrap();
    } else {
        text = packed.body;
    }
    assert_eq!((text, graph.calls()), (answer.body, 1));
}

#[tokio::test]
async fn ten_replicas_call_graph_hardly_more_often_than_one() {
    let (one, ten) = (calls_of_replicas(1).await, calls_of_replicas(10).await);
    println!("{one} calls of one replica, {ten} calls of ten");
    assert!(ten * 10 <= one * 11, "{ten} calls of ten replicas, {one} of one");
}

/// Number of calls to Graph that this number of replicas makes for a fixed stream of requests.
async fn calls_of_replicas(count: usize) -> u64 {
    let (graph, store) = (graph(), Store::start().await);
    graph.set_throttle(None);
    // A busy machine may take longer than 50 ms; then a replica goes alone.
    let replicas = Setup::new(&graph.url(), &store.url()).with("SHARED__TIMEOUT", "5s").fleet(count).await;
    let tokens: Vec<_> = (0..TOKENS).map(|number| token(&graph, &format!("user-{number}"))).collect();
    let callers = (0..4_usize).map(|caller| {
        let (replicas, tokens) = (&replicas, &tokens);
        async move {
            for step in 0..STEPS {
                // The same sequence for any number of replicas.
                let number = (step * 4 + caller).wrapping_mul(0x9e37_79b9) >> 7;
                let flow = [X, Y][number / TOKENS % 2];
                let answer = replicas[number / 64 % count].read(flow, &tokens[number % TOKENS]).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
    });
    futures_util::future::join_all(callers).await;
    graph.calls()
}

#[tokio::test]
async fn without_a_store_each_replica_calls_graph() {
    let graph = graph();
    let setup =
        Setup::new(&graph.url(), "redis://unused").without("SHARED__URL").without("SHARED__SECRET_FILE");
    let (first, second, token) = (setup.start().await, setup.start().await, token(&graph, "ada"));
    assert_not_shared(&first.read(X, &token).await);
    assert_not_shared(&second.read(X, &token).await);
    assert_eq!((graph.calls(), first.state().await.as_str()), (2, "off"));
}

#[tokio::test]
async fn a_refreshed_answer_replaces_the_one_in_the_store() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    let old = first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let changed = connector::basic("name", "https://changed.example", "user", "password");
    graph.put_flow(CONTOSO, Flow::new(X).connector(Step::PostAttributeCollection, changed));
    let new = first.refresh(X, &token).await;
    assert_ne!(new.body, old.body, "{}", status(&new));
    // A replica that starts later finds the new one, or asks Graph while it is being written. Never the old one.
    let second = setup.live().await;
    assert_eq!(second.read(X, &token).await.body, new.body);
    until("the new answer in the store", async || {
        let third = setup.live().await;
        let answer = third.read(X, &token).await;
        assert_eq!(answer.body, new.body);
        is_shared(&answer)
    })
    .await;
}

const TOKENS: usize = 20;
const STEPS: usize = 150;
