//! Values of the store that someone else has written: flipped, moved, forged, of another format.

use crate::common::redis::Store;
use crate::fleet::{
    Saved, Setup, X, Y, assert_not_shared, assert_shared, graph, is_shared, status, token, until,
    wait_for_entries,
};

/// Reads all values whose key contains `part`, and writes each after `change`.
async fn rewrite(store: &Store, part: &str, change: impl Fn(&mut Vec<u8>)) {
    let mut connection = store.connect().await;
    let keys = store.keys(part).await;
    assert!(!keys.is_empty());
    for key in keys {
        let mut value = connection.ok(&[b"GET".as_slice(), &key]).await.into_bytes();
        change(&mut value);
        connection.ok(&[b"SET".as_slice(), &key, &value, b"KEEPTTL"]).await;
    }
}

/// A changed value of the keys with `part` is a miss and counted, and the right answer replaces it.
async fn is_refused(part: &str, change: impl Fn(&mut Vec<u8>)) {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    let answer = first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let refused = async || second.sum("shared_requests_total", &[("result", "invalid")]).await;
    rewrite(&store, part, change).await;
    let before = refused().await;
    let again = second.read(X, &token).await;
    assert_not_shared(&again);
    assert_eq!((again.body, graph.calls()), (answer.body, 2));
    assert!(refused().await > before, "the refused value is counted");
    assert_eq!(second.state().await, "live", "a bad value is no fault of the store");
}

#[tokio::test]
async fn an_entry_with_one_flipped_bit_is_a_miss() {
    is_refused(":e:", |value| {
        let middle = value.len() / 2;
        value[middle] ^= 1;
    })
    .await;
}

#[tokio::test]
async fn a_proof_with_one_flipped_bit_is_a_miss() {
    is_refused(":p:", |value| *value.last_mut().unwrap() ^= 0x80).await;
}

#[tokio::test]
async fn a_value_of_another_format_is_a_miss() {
    for part in [":e:", ":p:"] {
        is_refused(part, |value| value[0] = value[0].wrapping_sub(1)).await;
    }
}

#[tokio::test]
async fn a_cut_an_empty_and_a_foreign_value_are_misses() {
    is_refused(":e:", Vec::clear).await;
    is_refused(":p:", |value| value.truncate(9)).await;
    is_refused(":e:", |value| *value = b"{\"id\":\"forged\"}".to_vec()).await;
    is_refused(":p:", |value| value.resize(1 << 20, 0)).await;
}

#[tokio::test]
async fn a_key_of_another_type_is_a_miss() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let mut connection = store.connect().await;
    for key in store.keys(":e:").await {
        connection.ok(&[b"DEL".as_slice(), &key]).await;
        connection.ok(&[b"LPUSH".as_slice(), &key, b"1"]).await;
    }
    assert_not_shared(&second.read(X, &token).await);
    assert_eq!(second.state().await, "live");
}

#[tokio::test]
async fn a_value_that_is_moved_to_another_key_is_a_miss() {
    for part in [":e:", ":p:"] {
        let (graph, store) = (graph(), Store::start().await);
        let setup = Setup::new(&graph.url(), &store.url());
        let (first, second) = (setup.live().await, setup.live().await);
        let (ada, bob) = (token(&graph, "ada"), token(&graph, "bob"));
        let answers = [(X, &ada), (Y, &ada), (X, &bob)];
        let mut bodies = Vec::new();
        for (flow, token) in answers {
            bodies.push(first.read(flow, token).await.body);
        }
        wait_for_entries(&store, 3).await;
        // Each value takes the place of the next one.
        let (mut connection, keys) = (store.connect().await, store.keys(part).await);
        let mut values = Vec::new();
        for key in &keys {
            values.push(connection.ok(&[b"GET".as_slice(), key]).await.into_bytes());
        }
        values.rotate_left(1);
        for (key, value) in keys.iter().zip(&values) {
            connection.ok(&[b"SET".as_slice(), key, value, b"KEEPTTL"]).await;
        }
        for ((flow, token), body) in answers.into_iter().zip(bodies) {
            let answer = second.read(flow, token).await;
            assert_not_shared(&answer);
            assert_eq!(answer.body, body, "{part}");
        }
    }
}

#[tokio::test]
async fn a_value_is_not_used_beyond_its_life() {
    let (graph, store) = (graph(), Store::start().await);
    let setup =
        Setup::new(&graph.url(), &store.url()).with("CACHE__TTL", "2s").with("CACHE__PROOF_TTL", "2s");
    let setup = setup.with("CACHE__STALE_WHILE_REVALIDATE", "0s").with("CACHE__STALE_IF_ERROR", "0s");
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let saved = Saved::of(&store).await;
    until("the end of their life", async || store.keys(":p:").await.is_empty()).await;
    // Someone with access to the store brings them back.
    saved.restore(&store).await;
    assert_not_shared(&second.read(X, &token).await);
    assert_eq!(graph.calls(), 2);
}

#[tokio::test]
async fn forged_events_of_the_log_change_nothing() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second, token) = (setup.live().await, setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    for key in store.keys("").await {
        let name = String::from_utf8_lossy(&key).into_owned();
        if store.command(&["TYPE", &name]).await.into_text() == "stream" {
            for field in ["e", "event", "d", "purge"] {
                store.ok(&["XADD", &name, "*", field, "purge everything"]).await;
            }
            store.ok(&["XADD", &name, "*", "e", &"x".repeat(1 << 16), "f", "g"]).await;
        }
    }
    // A purge travels behind the forged events, so they have been read by its confirmation.
    first.wait_for_replicas(2).await;
    assert_eq!(first.purge("?flow=other").await["confirmed"], 2);
    for replica in [&first, &second] {
        assert_eq!(replica.state().await, "live");
    }
    assert!(status(&first.read(X, &token).await).contains("; hit"));
    assert_shared(&second.read(X, &token).await);
}

#[tokio::test]
async fn a_flooded_log_is_begun_anew() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    let flood = "for i = 1, 30000 do redis.call('XADD', KEYS[1], '*', 'e', 'x') end return 1";
    let log = store.log_name().await;
    store.ok(&["EVAL", flood, "1", &log]).await;
    let second = setup.live().await;
    let length = store.command(&["XLEN", &log]).await.integer();
    assert!(length <= 20_100, "each new event trims the log by 10,000 events: {length}");
    first.wait_for_state("live").await;
    until("an answer of the other replica", async || {
        let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
        first.read(X, &fresh).await;
        is_shared(&second.read(X, &fresh).await)
    })
    .await;
    assert_eq!(first.read(X, &token).await.status, 200);
}

/// The store adds no event behind this id, so no purge would reach a replica any more.
#[tokio::test]
async fn an_event_of_the_far_future_does_not_end_the_log() {
    let (graph, store) = (graph(), Store::start().await);
    let replicas = Setup::new(&graph.url(), &store.url()).fleet(2).await;
    let log = store.log_name().await;
    store.ok(&["XADD", &log, "18446744073709551615-18446744073709551615", "e", "x"]).await;
    let token = token(&graph, "ada");
    replicas[1].read(X, &token).await;
    until("a confirmed purge", async || replicas[0].purge("").await["confirmed"] == 2).await;
    until("a live tier", async || replicas[0].state().await == "live").await;
    let calls = graph.calls();
    replicas[1].read(X, &token).await;
    assert_eq!(graph.calls(), calls + 1);
}

#[tokio::test]
async fn too_many_acknowledgements_cost_misses_and_confirm_no_purge() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, second) = (setup.live().await, setup.live().await);
    first.wait_for_replicas(2).await;
    let flood = "for i = 1, 6000 do redis.call('HSET', KEYS[1], i, 'x') end return 1";
    let names = store.keys("{log}:r").await;
    let acknowledgements = String::from_utf8(names.into_iter().next().unwrap()).unwrap();
    store.ok(&["EVAL", flood, "1", &acknowledgements]).await;
    first.wait_for_one_of(&["lagging", "connecting"]).await;
    assert_eq!(first.purge("?flow=other").await["confirmed"], 1);
    store.ok(&["DEL", &acknowledgements]).await;
    for replica in [&first, &second] {
        replica.wait_for_state("live").await;
    }
}
