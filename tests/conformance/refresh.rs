//! `Connector-Cache: refresh`: the way to Graph for a caller whose `Cache-CacheControl` is not obeyed.

use std::time::Duration;

use crate::bench::{Bench, STORED, bearer_of, name, named, ok, said};
use crate::common::reply::Reply;

const REFRESH_FIELD: (&str, &str) = ("connector-cache", "refresh");

#[tokio::test]
async fn a_caller_with_a_proof_gets_graphs_response_and_it_is_stored() {
    for bench in [Bench::start().await, Bench::of_the_client().await] {
        bench.answers([named("old"), named("new")]);
        assert_eq!(said(&bench.get(&[REFRESH_FIELD]).await), STORED, "a miss is a miss");
        assert_eq!(bench.says(&[]).await, "hit; ttl=300", "and where it was found is remembered");
        let answer = bench.get(&[REFRESH_FIELD]).await;
        assert_eq!((&*name(&answer), &*said(&answer)), ("new", "fwd=request; fwd-status=200; stored"));
        let hit = bench.get(&[]).await;
        assert_eq!((&*name(&hit), &*said(&hit)), ("new", "hit; ttl=300"));
        assert!(
            bench.origin.seen().iter().all(|request| request.header(REFRESH_FIELD.0).is_none()),
            "it goes no further"
        );
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_forced_refresh_is_conditional_if_graph_sent_a_validator() {
    let bench = Bench::start().await;
    bench.answers([ok().header("etag", "\"a\""), Reply::status(304).header("etag", "\"a\"")]);
    bench.get(&[]).await;
    assert_eq!(bench.says(&[REFRESH_FIELD]).await, "fwd=request; fwd-status=304; stored");
    bench.stop().await;
}

#[tokio::test]
async fn above_the_limit_a_caller_gets_the_stored_entry_and_the_reason() {
    let bench = Bench::with(|config| config.refresh_limit.per_token = 2).await;
    bench.get(&[]).await;
    for _ in 0..2 {
        assert_eq!(bench.says(&[REFRESH_FIELD]).await, "fwd=request; fwd-status=200; stored");
    }
    assert_eq!(bench.says(&[REFRESH_FIELD]).await, "hit; ttl=300; detail=refresh-limit");
    assert_eq!(bench.origin.requests(), 3);
    bench.proxy.clock.advance(Duration::from_secs(30));
    assert_eq!(
        bench.says(&[REFRESH_FIELD]).await,
        "fwd=request; fwd-status=200; stored",
        "half a minute pays for one"
    );
    bench.stop().await;
}

#[tokio::test]
async fn the_limit_is_each_tokens_own_and_misses_do_not_count() {
    let bench = Bench::with(|config| config.refresh_limit.per_token = 1).await;
    let other = bearer_of("ada", "other");
    for _ in 0..2 {
        bench.purge().await;
        assert_eq!(bench.says(&[REFRESH_FIELD]).await, STORED);
    }
    assert_eq!(said(&bench.get_with(&[("authorization", &other), REFRESH_FIELD]).await), STORED);
    assert!(bench.says(&[REFRESH_FIELD]).await.starts_with("fwd=request"));
    assert!(
        said(&bench.get_with(&[("authorization", &other), REFRESH_FIELD]).await).starts_with("fwd=request")
    );
    assert!(bench.says(&[REFRESH_FIELD]).await.ends_with("detail=refresh-limit"));
    bench.stop().await;
}

#[tokio::test]
async fn an_unproven_token_refreshes_no_entry() {
    let bench = Bench::start().await;
    bench.answers([named("Ada's"), Reply::status(401)]);
    bench.get(&[]).await;
    assert_eq!(bench.get_as("eve", &[REFRESH_FIELD]).await.status, 401);
    let hit = bench.get(&[]).await;
    assert_eq!((&*name(&hit), &*said(&hit)), ("Ada's", "hit; ttl=300"));
    bench.stop().await;
}

#[tokio::test]
async fn if_graph_fails_the_caller_gets_the_error_and_the_entry_stays() {
    let bench = Bench::start().await;
    bench.answers([ok(), Reply::status(503)]);
    bench.get(&[]).await;
    assert_eq!(bench.get(&[REFRESH_FIELD]).await.status, 503);
    assert_eq!(bench.says(&[]).await, "hit; ttl=300");
    bench.stop().await;
}
