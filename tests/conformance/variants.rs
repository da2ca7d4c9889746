//! Line 33: responses that request fields outside of the key select (RFC 9111, section 4.1).

use std::time::Duration;

use crate::common::gate::Gate;
use crate::common::origin::Request;
use crate::common::reply::Reply;
use crate::common::within;
use crate::harness::{Harness, STORED, bearer_of, cache_status_of, connector_name, ok_named};

/// Lets the origin number its replies, with this `Vary`.
fn by_language(harness: &Harness, vary: &'static str) {
    let mut count = 0;
    harness.origin.handle("", move |_: &Request| {
        count += 1;
        ok_named(&count.to_string()).header("vary", vary).header("cache-control", "max-age=600")
    });
}

async fn name_for(harness: &Harness, language: &str) -> String {
    connector_name(&harness.get(&[("accept-language", language)]).await)
}

#[tokio::test]
async fn l33_each_value_of_a_vary_field_has_its_own_response() {
    for harness in [Harness::start().await, Harness::with_origin_freshness().await] {
        by_language(&harness, "Accept-Language, Accept-Encoding");
        assert_eq!(cache_status_of(&harness.get(&[]).await), STORED);
        assert_eq!(name_for(&harness, "de").await, "2");
        assert_eq!(name_for(&harness, "en").await, "3");
        assert_eq!(name_for(&harness, "de").await, "2");
        assert_eq!(name_for(&harness, " en").await, "3");
        assert_eq!(
            connector_name(&harness.get(&[("accept-encoding", "br")]).await),
            "1",
            "an absent field matches an absent field"
        );
        assert_eq!(name_for(&harness, "").await, "4", "and not an empty one");
        assert_eq!(harness.origin.requests(), 4);
        harness.stop().await;
    }
}

#[tokio::test]
async fn l33_no_more_than_eight_variants_of_a_key_are_kept() {
    let harness = Harness::start().await;
    by_language(&harness, "accept-language");
    for number in 0..9 {
        harness.proxy.clock.advance(Duration::from_secs(1));
        name_for(&harness, &number.to_string()).await;
    }
    for number in 1..9 {
        name_for(&harness, &number.to_string()).await;
    }
    assert_eq!(harness.origin.requests(), 9, "the last eight are stored");
    name_for(&harness, "0").await;
    assert_eq!(harness.origin.requests(), 10, "the first is not");
    harness.stop().await;
}

#[tokio::test]
async fn l33_a_response_with_other_vary_fields_replaces_the_previous_one() {
    let harness = Harness::start().await;
    let of = |name, vary| ok_named(name).header("vary", vary);
    harness.set_replies([of("1", "accept-language"), of("2", "x-other"), of("3", "x-other")]);
    assert_eq!(name_for(&harness, "de").await, "1");
    harness.proxy.clock.advance(Duration::from_secs(1));
    assert_eq!(name_for(&harness, "en").await, "2");
    assert_eq!(name_for(&harness, "de").await, "2", "the language does not select it any more");
    harness.stop().await;
}

#[tokio::test]
async fn l33_vary_authorization_keeps_the_tokens_of_one_user_apart() {
    let harness = Harness::with_origin_freshness().await;
    by_language(&harness, "Authorization");
    let (one, other) = (bearer_of("ada", "one"), bearer_of("ada", "other"));
    for (token, expected) in [(&one, "1"), (&other, "2"), (&one, "1"), (&other, "2")] {
        assert_eq!(connector_name(&harness.get_with(&[("authorization", token)]).await), expected);
    }
    harness.stop().await;
}

#[tokio::test]
async fn l33_l36_a_follower_with_other_vary_fields_sends_its_own_request() {
    let (harness, gate) = (Harness::start().await, Gate::new());
    let of = |name| ok_named(name).header("vary", "accept-language");
    harness.set_replies([of("German").held_until(&gate), of("English")]);
    let second = async {
        harness.origin.wait_for_requests(1).await;
        let english = async { connector_name(&harness.get(&[("accept-language", "en")]).await) };
        let german = async {
            let response = harness.get(&[("accept-language", "de")]).await;
            (connector_name(&response), cache_status_of(&response))
        };
        let open = async {
            while harness.proxy.metrics.in_flight() < 3 {
                tokio::task::yield_now().await;
            }
            gate.open();
        };
        let (english, german, ()) = tokio::join!(english, german, open);
        assert_eq!(english, "English");
        assert_eq!(german, ("German".to_owned(), "fwd=uri-miss; fwd-status=200; collapsed".to_owned()));
    };
    let (first, ()) = tokio::join!(name_for(&harness, "de"), within("the others", second));
    assert_eq!(first, "German");
    assert_eq!(harness.origin.requests(), 2);
    harness.stop().await;
}

#[tokio::test]
async fn l33_a_variant_is_revalidated_with_its_own_validator() {
    let harness = Harness::start().await;
    harness.origin.handle("", |request| match request.header("if-none-match") {
        Some(tag) => Reply::status(304).header("etag", tag),
        None => ok_named("whole").header("vary", "accept-language").header("etag", "\"one\""),
    });
    name_for(&harness, "de").await;
    harness.proxy.clock.advance(Duration::from_secs(331));
    assert_eq!(
        cache_status_of(&harness.get(&[("accept-language", "en")]).await),
        STORED,
        "no entry to validate"
    );
    assert_eq!(
        cache_status_of(&harness.get(&[("accept-language", "de")]).await),
        "fwd=stale; fwd-status=304; stored"
    );
    for language in ["de", "en"] {
        assert!(cache_status_of(&harness.get(&[("accept-language", language)]).await).starts_with("hit"));
    }
    harness.stop().await;
}

#[tokio::test]
async fn l42_a_variant_purged_while_its_request_waits_for_another_does_not_come_back() {
    let (harness, gate) = (Harness::start().await, Gate::new());
    let of = |tag: &str| ok_named(tag).header("vary", "accept-language").header("etag", tag);
    let unchanged = |tag| Reply::status(304).header("etag", tag);
    let (german, english) = ("\"de\"", "\"en\"");
    let then = [unchanged(german).held_until(&gate), unchanged(english), of("\"new\"")];
    harness.set_replies([vec![of(german), of(english)], then.into()].concat());
    name_for(&harness, "de").await;
    name_for(&harness, "en").await;
    harness.proxy.clock.advance(Duration::from_secs(331));
    let waits = async {
        harness.origin.wait_for_requests(3).await;
        let response = async { harness.get(&[("accept-language", "en")]).await };
        let purge = async {
            while harness.proxy.metrics.in_flight() < 2 {
                tokio::task::yield_now().await;
            }
            harness.purge().await;
            gate.open();
        };
        tokio::join!(response, purge).0
    };
    // The second request waits for the first, cannot use its response, and validates an entry that is purged by then.
    let (_, waited) = tokio::join!(name_for(&harness, "de"), within("the second", waits));
    assert_eq!(
        (&*connector_name(&waited), &*cache_status_of(&waited)),
        (english, "fwd=stale; fwd-status=304; detail=invalidated")
    );
    let next = harness.get(&[("accept-language", "en")]).await;
    assert_eq!((&*connector_name(&next), &*cache_status_of(&next)), ("\"new\"", STORED));
    harness.stop().await;
}
