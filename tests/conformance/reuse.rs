//! Lines 28 to 36: which stored answer may be used for which request (RFC 9111, sections 4 and 5.2.1).

use std::time::Duration;

use connector_cache::cache::freshness::ClientDirectives;

use crate::bench::{Bench, STORED, bearer, name, named, ok, said};
use crate::common::client::Client;
use crate::common::gate::Gate;
use crate::common::within;

const HEAD: [&str; 3] = ["HEAD $path HTTP/1.1", "host: $host", "authorization: Bearer $token"];

#[tokio::test]
async fn l28_head_is_answered_from_the_response_that_get_stored() {
    let bench = Bench::start().await;
    bench.get(&[]).await;
    let mut client = Client::connect(bench.proxy.data).await;
    client.send(bench.fill(&(HEAD.join("\r\n") + "\r\n\r\n"))).await.unwrap();
    assert_eq!(said(&client.response_to_head().await.unwrap()), "hit; ttl=300");
    bench.stop().await;
}

#[tokio::test]
async fn l28_a_head_is_forwarded_as_get_so_that_the_stored_response_is_complete() {
    let bench = Bench::start().await;
    let mut client = Client::connect(bench.proxy.data).await;
    client.send(bench.fill(&(HEAD.join("\r\n") + "\r\n\r\n"))).await.unwrap();
    assert_eq!(said(&client.response_to_head().await.unwrap()), STORED);
    assert_eq!(bench.origin.seen()[0].method, "GET");
    let hit = bench.get(&[]).await;
    assert_eq!((&*said(&hit), &*name(&hit)), ("hit; ttl=300", "First"));
    bench.stop().await;
}

#[tokio::test]
async fn l29_no_cache_forbids_reuse_where_the_origin_decides() {
    let bench = Bench::of_the_origin().await;
    bench.answers(ok().header("cache-control", "no-cache, max-age=60"));
    for asked in 1..=2 {
        assert!(!bench.says(&[]).await.contains("hit"));
        assert_eq!(bench.origin.requests(), asked);
    }
    bench.stop().await;
}

#[tokio::test]
async fn l29_no_cache_is_reused_where_the_operator_decides() {
    let bench = Bench::start().await;
    bench.answers(ok().header("cache-control", "no-cache"));
    bench.get(&[]).await;
    assert_eq!(bench.says(&[]).await, "hit; ttl=300");
    bench.stop().await;
}

#[tokio::test]
async fn l30_no_cache_and_max_age_0_go_to_the_origin_where_they_are_obeyed() {
    let bench = Bench::of_the_client().await;
    bench.get(&[]).await;
    for directive in ["no-cache", "max-age=0", "min-fresh=301"] {
        let said = bench.says(&[("cache-control", directive)]).await;
        assert_eq!(said, "fwd=request; fwd-status=200; stored", "{directive}");
    }
    bench.proxy.clock.advance(Duration::from_secs(9));
    assert_eq!(bench.says(&[("cache-control", "max-age=10, min-fresh=200")]).await, "hit; ttl=291");
    bench.stop().await;
}

#[tokio::test]
async fn l30_max_stale_accepts_a_stale_response_without_a_request_to_the_origin() {
    let bench = Bench::with(|config| {
        config.freshness.client_directives = ClientDirectives::Honor;
        config.freshness.proof_ttl = Duration::from_secs(3600);
        config.freshness.stale_while_revalidate = Duration::ZERO;
    })
    .await;
    bench.get(&[]).await;
    bench.proxy.clock.advance(Duration::from_secs(400));
    for wish in ["max-stale", "max-stale=100", "max-stale=100, max-age=400", "only-if-cached, max-stale"] {
        assert_eq!(bench.says(&[("cache-control", wish)]).await, "hit; ttl=-100", "{wish}");
    }
    assert_eq!(bench.origin.requests(), 1);
    bench.proxy.clock.advance(Duration::from_secs(3200));
    assert_eq!(
        bench.says(&[("cache-control", "max-stale")]).await,
        "fwd=stale; fwd-status=200; stored",
        "the proof has ended"
    );
    bench.proxy.clock.advance(Duration::from_secs(310));
    assert_eq!(bench.says(&[("cache-control", "max-stale=9")]).await, "fwd=stale; fwd-status=200; stored");
    bench.stop().await;
}

#[tokio::test]
async fn l30_directives_are_ignored_by_default() {
    let bench = Bench::start().await;
    bench.get(&[]).await;
    for directive in ["no-cache", "no-store", "max-age=0", "min-fresh=301", "only-if-cached"] {
        assert_eq!(bench.says(&[("cache-control", directive)]).await, "hit; ttl=300", "{directive}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l31_pragma_counts_only_without_cache_control() {
    let bench = Bench::of_the_client().await;
    bench.get(&[]).await;
    assert!(bench.says(&[("pragma", "no-cache")]).await.starts_with("fwd=request"));
    assert!(bench.says(&[("pragma", "x, No-Cache")]).await.starts_with("fwd=request"));
    assert_eq!(bench.says(&[("pragma", "x")]).await, "hit; ttl=300", "it asks for nothing that is known");
    assert_eq!(bench.says(&[("pragma", "no-cache"), ("cache-control", "max-age=60")]).await, "hit; ttl=300");
    bench.stop().await;
}

#[tokio::test]
async fn l32_only_if_cached_is_answered_from_memory_or_with_504() {
    let bench = Bench::of_the_client().await;
    let wish = [("cache-control", "only-if-cached")];
    assert_eq!(bench.get(&wish).await.status, 504);
    assert_eq!(bench.origin.requests(), 0);
    bench.get(&[]).await;
    assert_eq!(bench.says(&wish).await, "hit; ttl=300");
    bench.stop().await;
}

#[tokio::test]
async fn l33_each_level_of_metadata_has_its_own_response() {
    let bench = Bench::start().await;
    bench.answers(
        [named("minimal"), named("none")].map(|reply| reply.header("vary", "Accept, Accept-Encoding")),
    );
    let none = [("accept", "application/json;odata.metadata=none")];
    assert_eq!(name(&bench.get(&[]).await), "minimal");
    assert_eq!(name(&bench.get(&none).await), "none");
    assert_eq!(name(&bench.get(&[("accept", "*/*"), ("accept-encoding", "br")]).await), "minimal");
    assert_eq!(name(&bench.get(&none).await), "none");
    bench.stop().await;
}

#[tokio::test]
async fn l34_the_newest_response_is_used() {
    let bench = Bench::of_the_client().await;
    bench.answers([named("old"), named("new")]);
    bench.get(&[]).await;
    bench.get(&[("cache-control", "no-cache")]).await;
    let hit = bench.get(&[]).await;
    assert_eq!((&*said(&hit), &*name(&hit)), ("hit; ttl=300", "new"));
    bench.stop().await;
}

#[tokio::test]
async fn l34_the_newest_response_replaces_one_in_the_thread_cache() {
    let bench = Bench::of_the_client().await;
    bench.answers([named("old"), named("new")]);
    bench.get(&[]).await;
    assert_eq!(name(&bench.get(&[]).await), "old", "and where it was found is remembered");
    bench.get(&[("cache-control", "no-cache")]).await;
    assert_eq!(name(&bench.get(&[]).await), "new");
    bench.stop().await;
}

#[tokio::test]
async fn l36_concurrent_requests_with_different_tokens_get_their_own_responses() {
    let (bench, gate) = (Bench::start().await, Gate::new());
    bench.origin.answer("", {
        let gate = gate.clone();
        move |request| {
            let ada = request.header("authorization") == Some(bearer("ada").as_str());
            named(if ada { "Ada's" } else { "Grace's" }).held_until(&gate)
        }
    });
    let both = async {
        bench.origin.wait_for_requests(2).await;
        gate.open();
    };
    let (ada, grace, ()) =
        tokio::join!(bench.get_as("ada", &[]), bench.get_as("grace", &[]), within("both requests", both));
    assert_eq!((&*name(&ada), &*name(&grace)), ("Ada's", "Grace's"));
    bench.stop().await;
}
