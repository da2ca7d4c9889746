//! Line 33: answers that differ by fields of the request that are not in the key (RFC 9111, section 4.1).

use std::time::Duration;

use crate::bench::{Bench, STORED, bearer_of, name, named, said};
use crate::common::gate::Gate;
use crate::common::origin::Request;
use crate::common::reply::Reply;
use crate::common::within;

/// The origin counts its answers, and says that they depend on the language.
fn by_language(bench: &Bench, vary: &'static str) {
    let mut count = 0;
    bench.origin.answer("", move |_: &Request| {
        count += 1;
        named(&count.to_string()).header("vary", vary).header("cache-control", "max-age=600")
    });
}

async fn given(bench: &Bench, language: &str) -> String {
    name(&bench.get(&[("accept-language", language)]).await)
}

#[tokio::test]
async fn l33_each_value_of_a_vary_field_has_its_own_response() {
    for bench in [Bench::start().await, Bench::of_the_origin().await] {
        by_language(&bench, "Accept-Language, Accept-Encoding");
        assert_eq!(said(&bench.get(&[]).await), STORED);
        assert_eq!(given(&bench, "de").await, "2");
        assert_eq!(given(&bench, "en").await, "3");
        assert_eq!(given(&bench, "de").await, "2");
        assert_eq!(given(&bench, " en").await, "3");
        assert_eq!(name(&bench.get(&[("accept-encoding", "br")]).await), "1", "absent is absent");
        assert_eq!(given(&bench, "").await, "4", "and present is not");
        assert_eq!(bench.origin.requests(), 4);
        bench.stop().await;
    }
}

#[tokio::test]
async fn l33_no_more_than_eight_variants_of_a_key_are_kept() {
    let bench = Bench::start().await;
    by_language(&bench, "accept-language");
    for number in 0..9 {
        bench.proxy.clock.advance(Duration::from_secs(1));
        given(&bench, &number.to_string()).await;
    }
    for number in 1..9 {
        given(&bench, &number.to_string()).await;
    }
    assert_eq!(bench.origin.requests(), 9, "the last eight are there");
    given(&bench, "0").await;
    assert_eq!(bench.origin.requests(), 10, "the first is not");
    bench.stop().await;
}

#[tokio::test]
async fn l33_a_response_with_other_vary_fields_replaces_the_previous_one() {
    let bench = Bench::start().await;
    let of = |name, vary| named(name).header("vary", vary);
    bench.answers([of("1", "accept-language"), of("2", "x-other"), of("3", "x-other")]);
    assert_eq!(given(&bench, "de").await, "1");
    bench.proxy.clock.advance(Duration::from_secs(1));
    assert_eq!(given(&bench, "en").await, "2");
    assert_eq!(given(&bench, "de").await, "2", "it is not chosen by language any more");
    bench.stop().await;
}

#[tokio::test]
async fn l33_vary_authorization_keeps_the_tokens_of_one_user_apart() {
    let bench = Bench::of_the_origin().await;
    by_language(&bench, "Authorization");
    let (one, other) = (bearer_of("ada", "one"), bearer_of("ada", "other"));
    for (token, expected) in [(&one, "1"), (&other, "2"), (&one, "1"), (&other, "2")] {
        assert_eq!(name(&bench.get_with(&[("authorization", token)]).await), expected);
    }
    bench.stop().await;
}

#[tokio::test]
async fn l33_l36_a_follower_with_other_vary_fields_sends_its_own_request() {
    let (bench, gate) = (Bench::start().await, Gate::new());
    let of = |name| named(name).header("vary", "accept-language");
    bench.answers([of("German").held_until(&gate), of("English")]);
    let second = async {
        bench.origin.wait_for_requests(1).await;
        let english = async { name(&bench.get(&[("accept-language", "en")]).await) };
        let german = async {
            let answer = bench.get(&[("accept-language", "de")]).await;
            (name(&answer), said(&answer))
        };
        let open = async {
            while bench.proxy.metrics.in_flight() < 3 {
                tokio::task::yield_now().await;
            }
            gate.open();
        };
        let (english, german, ()) = tokio::join!(english, german, open);
        assert_eq!(english, "English");
        assert_eq!(german, ("German".to_owned(), "fwd=uri-miss; fwd-status=200; collapsed".to_owned()));
    };
    let (first, ()) = tokio::join!(given(&bench, "de"), within("the others", second));
    assert_eq!(first, "German");
    assert_eq!(bench.origin.requests(), 2);
    bench.stop().await;
}

#[tokio::test]
async fn l33_a_variant_is_revalidated_with_its_own_validator() {
    let bench = Bench::start().await;
    bench.origin.answer("", |request| match request.header("if-none-match") {
        Some(tag) => Reply::status(304).header("etag", tag),
        None => named("whole").header("vary", "accept-language").header("etag", "\"one\""),
    });
    given(&bench, "de").await;
    bench.proxy.clock.advance(Duration::from_secs(331));
    assert_eq!(said(&bench.get(&[("accept-language", "en")]).await), STORED, "nothing to ask about");
    assert_eq!(said(&bench.get(&[("accept-language", "de")]).await), "fwd=stale; fwd-status=304; stored");
    for language in ["de", "en"] {
        assert!(said(&bench.get(&[("accept-language", language)]).await).starts_with("hit"));
    }
    bench.stop().await;
}

#[tokio::test]
async fn l42_a_variant_purged_while_its_request_waits_for_another_does_not_come_back() {
    let (bench, gate) = (Bench::start().await, Gate::new());
    let of = |tag: &str| named(tag).header("vary", "accept-language").header("etag", tag);
    let unchanged = |tag| Reply::status(304).header("etag", tag);
    let (german, english) = ("\"de\"", "\"en\"");
    let then = [unchanged(german).held_until(&gate), unchanged(english), of("\"new\"")];
    bench.answers([vec![of(german), of(english)], then.into()].concat());
    given(&bench, "de").await;
    given(&bench, "en").await;
    bench.proxy.clock.advance(Duration::from_secs(331));
    let waits = async {
        bench.origin.wait_for_requests(3).await;
        let answer = async { bench.get(&[("accept-language", "en")]).await };
        let purge = async {
            while bench.proxy.metrics.in_flight() < 2 {
                tokio::task::yield_now().await;
            }
            bench.purge().await;
            gate.open();
        };
        tokio::join!(answer, purge).0
    };
    // The second waits for the first, cannot use its answer, and asks about what has been purged by then.
    let (_, waited) = tokio::join!(given(&bench, "de"), within("the second", waits));
    assert_eq!(
        (&*name(&waited), &*said(&waited)),
        (english, "fwd=stale; fwd-status=304; detail=invalidated")
    );
    let next = bench.get(&[("accept-language", "en")]).await;
    assert_eq!((&*name(&next), &*said(&next)), ("\"new\"", STORED));
    bench.stop().await;
}
