//! Lines 28 to 36: the requests for which a stored response may be used (RFC 9111, sections 4 and 5.2.1).

use std::time::Duration;

use connector_cache::cache::freshness::ClientDirectives;

use crate::common::client::Client;
use crate::common::gate::Gate;
use crate::common::within;
use crate::harness::{Harness, STORED, bearer, cache_status_of, connector_name, ok, ok_named};

const HEAD: [&str; 3] = ["HEAD $path HTTP/1.1", "host: $host", "authorization: Bearer $token"];

#[tokio::test]
async fn l28_head_is_answered_from_the_response_that_get_stored() {
    let harness = Harness::start().await;
    harness.get(&[]).await;
    let mut client = Client::connect(harness.proxy.data).await;
    client.send(harness.fill(&(HEAD.join("\r\n") + "\r\n\r\n"))).await.unwrap();
    assert_eq!(cache_status_of(&client.response_to_head().await.unwrap()), "hit; ttl=300");
    harness.stop().await;
}

#[tokio::test]
async fn l28_a_head_is_forwarded_as_get_so_that_the_stored_response_is_complete() {
    let harness = Harness::start().await;
    let mut client = Client::connect(harness.proxy.data).await;
    client.send(harness.fill(&(HEAD.join("\r\n") + "\r\n\r\n"))).await.unwrap();
    assert_eq!(cache_status_of(&client.response_to_head().await.unwrap()), STORED);
    assert_eq!(harness.origin.seen()[0].method, "GET");
    let hit = harness.get(&[]).await;
    assert_eq!((&*cache_status_of(&hit), &*connector_name(&hit)), ("hit; ttl=300", "First"));
    harness.stop().await;
}

#[tokio::test]
async fn l29_no_cache_forbids_reuse_where_the_origin_decides() {
    let harness = Harness::with_origin_freshness().await;
    harness.set_replies(ok().header("cache-control", "no-cache, max-age=60"));
    for requests in 1..=2 {
        assert!(!harness.cache_status(&[]).await.contains("hit"));
        assert_eq!(harness.origin.requests(), requests);
    }
    harness.stop().await;
}

#[tokio::test]
async fn l29_no_cache_is_reused_where_the_operator_decides() {
    let harness = Harness::start().await;
    harness.set_replies(ok().header("cache-control", "no-cache"));
    harness.get(&[]).await;
    assert_eq!(harness.cache_status(&[]).await, "hit; ttl=300");
    harness.stop().await;
}

#[tokio::test]
async fn l30_no_cache_and_max_age_0_go_to_the_origin_where_they_are_obeyed() {
    let harness = Harness::with_client_directives().await;
    harness.get(&[]).await;
    for directive in ["no-cache", "max-age=0", "min-fresh=301"] {
        let said = harness.cache_status(&[("cache-control", directive)]).await;
        assert_eq!(said, "fwd=request; fwd-status=200; stored", "{directive}");
    }
    harness.proxy.clock.advance(Duration::from_secs(9));
    assert_eq!(harness.cache_status(&[("cache-control", "max-age=10, min-fresh=200")]).await, "hit; ttl=291");
    harness.stop().await;
}

#[tokio::test]
async fn l30_max_stale_accepts_a_stale_response_without_a_request_to_the_origin() {
    let harness = Harness::with(|config| {
        config.freshness.client_directives = ClientDirectives::Honor;
        config.freshness.proof_ttl = Duration::from_secs(3600);
        config.freshness.stale_while_revalidate = Duration::ZERO;
    })
    .await;
    harness.get(&[]).await;
    harness.proxy.clock.advance(Duration::from_secs(400));
    for directive in ["max-stale", "max-stale=100", "max-stale=100, max-age=400", "only-if-cached, max-stale"]
    {
        assert_eq!(
            harness.cache_status(&[("cache-control", directive)]).await,
            "hit; ttl=-100",
            "{directive}"
        );
    }
    assert_eq!(harness.origin.requests(), 1);
    harness.proxy.clock.advance(Duration::from_secs(3200));
    assert_eq!(
        harness.cache_status(&[("cache-control", "max-stale")]).await,
        "fwd=stale; fwd-status=200; stored",
        "the proof has expired"
    );
    harness.proxy.clock.advance(Duration::from_secs(310));
    assert_eq!(
        harness.cache_status(&[("cache-control", "max-stale=9")]).await,
        "fwd=stale; fwd-status=200; stored"
    );
    harness.stop().await;
}

#[tokio::test]
async fn l30_directives_are_ignored_by_default() {
    let harness = Harness::start().await;
    harness.get(&[]).await;
    for directive in ["no-cache", "no-store", "max-age=0", "min-fresh=301", "only-if-cached"] {
        assert_eq!(
            harness.cache_status(&[("cache-control", directive)]).await,
            "hit; ttl=300",
            "{directive}"
        );
    }
    harness.stop().await;
}

#[tokio::test]
async fn l31_pragma_counts_only_without_cache_control() {
    let harness = Harness::with_client_directives().await;
    harness.get(&[]).await;
    assert!(harness.cache_status(&[("pragma", "no-cache")]).await.starts_with("fwd=request"));
    assert!(harness.cache_status(&[("pragma", "x, No-Cache")]).await.starts_with("fwd=request"));
    assert_eq!(harness.cache_status(&[("pragma", "x")]).await, "hit; ttl=300", "the directive is unknown");
    assert_eq!(
        harness.cache_status(&[("pragma", "no-cache"), ("cache-control", "max-age=60")]).await,
        "hit; ttl=300"
    );
    harness.stop().await;
}

#[tokio::test]
async fn l32_only_if_cached_is_answered_from_memory_or_with_504() {
    let harness = Harness::with_client_directives().await;
    let directive = [("cache-control", "only-if-cached")];
    assert_eq!(harness.get(&directive).await.status, 504);
    assert_eq!(harness.origin.requests(), 0);
    harness.get(&[]).await;
    assert_eq!(harness.cache_status(&directive).await, "hit; ttl=300");
    harness.stop().await;
}

#[tokio::test]
async fn l33_each_level_of_metadata_has_its_own_response() {
    let harness = Harness::start().await;
    harness.set_replies(
        [ok_named("minimal"), ok_named("none")].map(|reply| reply.header("vary", "Accept, Accept-Encoding")),
    );
    let none = [("accept", "application/json;odata.metadata=none")];
    assert_eq!(connector_name(&harness.get(&[]).await), "minimal");
    assert_eq!(connector_name(&harness.get(&none).await), "none");
    assert_eq!(
        connector_name(&harness.get(&[("accept", "*/*"), ("accept-encoding", "br")]).await),
        "minimal"
    );
    assert_eq!(connector_name(&harness.get(&none).await), "none");
    harness.stop().await;
}

#[tokio::test]
async fn l34_the_newest_response_is_used() {
    let harness = Harness::with_client_directives().await;
    harness.set_replies([ok_named("old"), ok_named("new")]);
    harness.get(&[]).await;
    harness.get(&[("cache-control", "no-cache")]).await;
    let hit = harness.get(&[]).await;
    assert_eq!((&*cache_status_of(&hit), &*connector_name(&hit)), ("hit; ttl=300", "new"));
    harness.stop().await;
}

#[tokio::test]
async fn l34_the_newest_response_replaces_one_in_the_thread_cache() {
    let harness = Harness::with_client_directives().await;
    harness.set_replies([ok_named("old"), ok_named("new")]);
    harness.get(&[]).await;
    assert_eq!(connector_name(&harness.get(&[]).await), "old", "the lookup is in the thread cache now");
    harness.get(&[("cache-control", "no-cache")]).await;
    assert_eq!(connector_name(&harness.get(&[]).await), "new");
    harness.stop().await;
}

#[tokio::test]
async fn l36_concurrent_requests_with_different_tokens_get_their_own_responses() {
    let (harness, gate) = (Harness::start().await, Gate::new());
    harness.origin.handle("", {
        let gate = gate.clone();
        move |request| {
            let ada = request.header("authorization") == Some(bearer("ada").as_str());
            ok_named(if ada { "Ada's" } else { "Grace's" }).held_until(&gate)
        }
    });
    let both = async {
        harness.origin.wait_for_requests(2).await;
        gate.open();
    };
    let (ada, grace, ()) =
        tokio::join!(harness.get_as("ada", &[]), harness.get_as("grace", &[]), within("both requests", both));
    assert_eq!((&*connector_name(&ada), &*connector_name(&grace)), ("Ada's", "Grace's"));
    harness.stop().await;
}
