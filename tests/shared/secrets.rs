//! The secret of the tier: rotation, a wrong one, and what separates installations.

use connector_cache::fake_graph::{CONTOSO, Flow, Step, connector};

use crate::common::redis::Store;
use crate::fleet::{
    OTHER_SECRET, SECRET, Setup, X, assert_not_shared, assert_shared, graph, status, token, until,
    wait_for_entries,
};

#[tokio::test]
async fn a_replica_with_another_secret_shares_nothing() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let other = setup.secret("other", OTHER_SECRET).start().await;
    assert_not_shared(&other.read(X, &token).await);
    assert_eq!(graph.calls(), 2);
    // Neither can it make the others drop anything.
    other.purge("").await;
    assert!(status(&first.read(X, &token).await).contains("; hit"));
}

#[tokio::test]
async fn a_replica_with_another_secret_shows_it() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    let other = setup.secret("other", OTHER_SECRET).start().await;
    first.read(X, &token).await;
    first.purge("").await;
    until("a count of events that do not open", async || {
        other.sum("shared_requests_total", &[("result", "invalid")]).await >= 1.0
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_rotated_without_a_lost_answer() {
    let (graph, store) = (graph(), Store::start().await);
    let old = Setup::new(&graph.url(), &store.url());
    let both = old.secret("both", &format!("{OTHER_SECRET}\n{SECRET}\n"));
    let new = old.secret("new", &format!("{OTHER_SECRET}\n"));
    let (ada, bob) = (token(&graph, "ada"), token(&graph, "bob"));
    let first = old.live().await;
    first.read(X, &ada).await;
    wait_for_entries(&store, 1).await;
    // The first step of the rotation: the new secret writes, both open.
    let second = both.live().await;
    assert_shared(&second.read(X, &ada).await);
    second.read(X, &bob).await;
    wait_for_entries(&store, 2).await;
    // The second step: the old secret is gone.
    let third = new.live().await;
    assert_shared(&third.read(X, &bob).await);
    assert_eq!(graph.calls(), 2);
}

#[tokio::test]
async fn a_purge_reaches_replicas_on_either_side_of_a_rotation() {
    let (graph, store) = (graph(), Store::start().await);
    let one = Setup::new(&graph.url(), &store.url());
    // Step one of a rotation adds the new secret behind the old one, so that every replica can open it.
    let (before, after) = (
        one.secret("before", &format!("{SECRET}\n{OTHER_SECRET}\n")),
        one.secret("after", &format!("{OTHER_SECRET}\n{SECRET}\n")),
    );
    let (first, second, token) = (before.live().await, after.live().await, token(&graph, "ada"));
    for replica in [&first, &second] {
        replica.wait_for_replicas(2).await;
        replica.read(X, &token).await;
    }
    assert_eq!(first.purge("").await["confirmed"], 2);
    second.read(X, &token).await;
    assert_eq!(second.purge("").await["confirmed"], 2);
    assert!(!status(&first.read(X, &token).await).contains("; hit"));
}

#[tokio::test]
async fn purges_and_withdrawals_are_understood_in_each_step_of_a_rotation() {
    let (graph, store) = (graph(), Store::start().await);
    let old = Setup::new(&graph.url(), &store.url());
    let steps = [
        old.clone(),
        old.secret("learned", &format!("{SECRET}\n{OTHER_SECRET}\n")),
        old.secret("swapped", &format!("{OTHER_SECRET}\n{SECRET}\n")),
        old.secret("new", &format!("{OTHER_SECRET}\n")),
    ];
    for (step, pair) in steps.windows(2).enumerate() {
        let (one, other) = (pair[0].live().await, pair[1].live().await);
        for (sender, receiver) in [(&one, &other), (&other, &one)] {
            let token = token(&graph, &format!("user-{}", uuid::Uuid::new_v4()));
            sender.wait_for_replicas(2).await;
            sender.read(X, &token).await;
            receiver.read(X, &token).await;
            let purged = sender.purge("").await;
            assert_eq!(purged["confirmed"], purged["replicas"], "step {step}: {purged}");
            let calls = graph.calls();
            assert_not_shared(&receiver.read(X, &token).await);
            assert_eq!(graph.calls(), calls + 1, "step {step}: the purge was not understood");
            // A revoked token: the 401 withdraws everything, wherever it is.
            sender.read(X, &token).await;
            graph.revoke(&token);
            assert_eq!(sender.refresh(X, &token).await.status, 401);
            until("the withdrawal to arrive", async || receiver.read(X, &token).await.status == 401).await;
        }
        drop((one, other));
        store.ok(&["FLUSHALL"]).await;
    }
}

#[tokio::test]
async fn replicas_with_other_scrub_rules_share_nothing() {
    let (graph, store) = (graph(), Store::start().await);
    let with_password = connector::basic("name", "https://connector.example", "user", "password");
    graph.put_flow(CONTOSO, Flow::new(X).connector(Step::PostAttributeCollection, with_password));
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    for (number, (key, value)) in [
        ("SCRUB__MASK", "hidden"),
        ("SCRUB__USERNAMES", "keep"),
        ("SCRUB__UNKNOWN", "keep"),
        ("SCRUB__EXTRA_FIELDS", "targetUrl"),
    ]
    .into_iter()
    .enumerate()
    {
        let other = setup.with(key, value).live().await;
        assert_not_shared(&other.read(X, &token).await);
        assert_eq!(graph.calls(), 2 + number as u64, "{key}");
    }
    assert_shared(&setup.live().await.read(X, &token).await);
}

#[tokio::test]
async fn replicas_before_another_graph_share_nothing() {
    let (graph, store) = (graph(), Store::start().await);
    let other_graph = crate::common::link::Link::to(graph.address()).await;
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let other = setup.with("GRAPH__BASE_URL", &format!("http://{}", other_graph.address())).live().await;
    assert_not_shared(&other.read(X, &token).await);
}
