//! `Connector-Cache: refresh`: a forced request to Graph, although `Cache-Control` of callers is ignored.

use std::time::Duration;

use crate::common::reply::Reply;
use crate::harness::{Harness, STORED, bearer_of, cache_status_of, connector_name, ok, ok_named};

const REFRESH_FIELD: (&str, &str) = ("connector-cache", "refresh");

#[tokio::test]
async fn a_caller_with_a_proof_gets_graphs_response_and_it_is_stored() {
    for harness in [Harness::start().await, Harness::with_client_directives().await] {
        harness.set_replies([ok_named("old"), ok_named("new")]);
        assert_eq!(
            cache_status_of(&harness.get(&[REFRESH_FIELD]).await),
            STORED,
            "a miss does not depend on the field"
        );
        assert_eq!(harness.cache_status(&[]).await, "hit; ttl=300", "the lookup is in the thread cache now");
        let response = harness.get(&[REFRESH_FIELD]).await;
        assert_eq!(
            (&*connector_name(&response), &*cache_status_of(&response)),
            ("new", "fwd=request; fwd-status=200; stored")
        );
        let hit = harness.get(&[]).await;
        assert_eq!((&*connector_name(&hit), &*cache_status_of(&hit)), ("new", "hit; ttl=300"));
        assert!(
            harness.origin.seen().iter().all(|request| request.header(REFRESH_FIELD.0).is_none()),
            "the field is not forwarded"
        );
        harness.stop().await;
    }
}

#[tokio::test]
async fn a_forced_refresh_is_conditional_if_graph_sent_a_validator() {
    let harness = Harness::start().await;
    harness.set_replies([ok().header("etag", "\"a\""), Reply::status(304).header("etag", "\"a\"")]);
    harness.get(&[]).await;
    assert_eq!(harness.cache_status(&[REFRESH_FIELD]).await, "fwd=request; fwd-status=304; stored");
    harness.stop().await;
}

#[tokio::test]
async fn above_the_limit_a_caller_gets_the_stored_entry_and_the_reason() {
    let harness = Harness::with(|config| config.refresh_limit.per_token = 2).await;
    harness.get(&[]).await;
    for _ in 0..2 {
        assert_eq!(harness.cache_status(&[REFRESH_FIELD]).await, "fwd=request; fwd-status=200; stored");
    }
    assert_eq!(harness.cache_status(&[REFRESH_FIELD]).await, "hit; ttl=300; detail=refresh-limit");
    assert_eq!(harness.origin.requests(), 3);
    harness.proxy.clock.advance(Duration::from_secs(30));
    assert_eq!(
        harness.cache_status(&[REFRESH_FIELD]).await,
        "fwd=request; fwd-status=200; stored",
        "one refresh is available after half a minute"
    );
    harness.stop().await;
}

#[tokio::test]
async fn the_limit_is_each_tokens_own_and_misses_do_not_count() {
    let harness = Harness::with(|config| config.refresh_limit.per_token = 1).await;
    let other = bearer_of("ada", "other");
    for _ in 0..2 {
        harness.purge().await;
        assert_eq!(harness.cache_status(&[REFRESH_FIELD]).await, STORED);
    }
    assert_eq!(cache_status_of(&harness.get_with(&[("authorization", &other), REFRESH_FIELD]).await), STORED);
    assert!(harness.cache_status(&[REFRESH_FIELD]).await.starts_with("fwd=request"));
    assert!(
        cache_status_of(&harness.get_with(&[("authorization", &other), REFRESH_FIELD]).await)
            .starts_with("fwd=request")
    );
    assert!(harness.cache_status(&[REFRESH_FIELD]).await.ends_with("detail=refresh-limit"));
    harness.stop().await;
}

#[tokio::test]
async fn an_unproven_token_refreshes_no_entry() {
    let harness = Harness::start().await;
    harness.set_replies([ok_named("Ada's"), Reply::status(401)]);
    harness.get(&[]).await;
    assert_eq!(harness.get_as("eve", &[REFRESH_FIELD]).await.status, 401);
    let hit = harness.get(&[]).await;
    assert_eq!((&*connector_name(&hit), &*cache_status_of(&hit)), ("Ada's", "hit; ttl=300"));
    harness.stop().await;
}

#[tokio::test]
async fn if_graph_fails_the_caller_gets_the_error_and_the_entry_stays() {
    let harness = Harness::start().await;
    harness.set_replies([ok(), Reply::status(503)]);
    harness.get(&[]).await;
    assert_eq!(harness.get(&[REFRESH_FIELD]).await.status, 503);
    assert_eq!(harness.cache_status(&[]).await, "hit; ttl=300");
    harness.stop().await;
}
