//! A replica whose clock is off.

use connector_cache::config::Config;

use crate::common::proxy::Proxy;
use crate::common::redis::Store;
use crate::fleet::{Setup, X, assert_not_shared, graph, status, token, until, wait_for_entries};

#[tokio::test]
async fn a_replica_whose_clock_is_off_leaves_the_tier() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let (first, token) = (setup.live().await, token(&graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    // The clock of a proxy in the process of the test stands still, 30 s ahead.
    let env = setup.env().clone().into_iter();
    let ahead = Proxy::with(&graph.url(), |config| {
        *config = Config::load(None, env).unwrap();
        config.server.drain.delay = std::time::Duration::ZERO;
    })
    .await;
    until("the state clock", async || {
        ahead.scrape().await.contains("connector_cache_shared_state{state=\"clock\"} 1")
    })
    .await;
    let answer = ahead.read(&token).await;
    assert_not_shared(&answer);
    // It writes nothing that the others would use either.
    let other = crate::fleet::token(&graph, "bob");
    ahead.read(&other).await;
    assert!(status(&ahead.read(&other).await).contains("; hit"));
    assert_not_shared(&first.read(X, &other).await);
    ahead.stop().await;
}
