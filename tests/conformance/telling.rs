//! Lines 79 to 85: what is told of an answer and of a failure (RFC 9211, and Graph's shape of an error).

use crate::bench::{Bench, SECRET, ok, said};
use crate::common::client::Response;
use crate::common::origin::closed_port;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;

#[tokio::test]
async fn l80_an_error_of_the_proxy_has_graphs_format_and_no_text_of_the_origin() {
    let bench = Bench::start().await;
    let id = "b6a0c1de-0c1f-4f0e-9d6a-0123456789ab";
    for reply in [
        Reply::json(format!("{{\"password\": \"{SECRET}\" \"a\": 1}}")),
        Reply::status(200).header("content-type", "text/html").body(SECRET),
        Reply::status(500).header("content-type", "text/html").body(SECRET),
        Reply::status(302).header("location", SECRET),
        Reply::reset(),
    ] {
        bench.answers(reply);
        let answer = bench.get(&[("client-request-id", id)]).await;
        assert!(answer.status >= 500, "{answer:?}");
        let error = &answer.json()["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{answer:?}");
        assert_eq!(error["innerError"]["client-request-id"], id);
        assert_eq!(error["innerError"]["request-id"].as_str(), answer.header("request-id"));
        assert_tells_nothing(&answer, &bench.origin.address().to_string());
    }
    bench.stop().await;
}

#[tokio::test]
async fn l80_an_origin_that_cannot_be_reached_is_not_named() {
    let nobody = closed_port();
    let proxy = Proxy::before(&format!("http://{nobody}")).await;
    let answer = proxy.read(&crate::bench::token("ada")).await;
    assert_eq!(answer.status, 502);
    assert_tells_nothing(&answer, &nobody.to_string());
    proxy.stop().await;
}

fn assert_tells_nothing(answer: &Response, address: &str) {
    let all = format!("{:?} {}", answer.headers, answer.text());
    for word in [SECRET, address, "127.0.0.1", "hyper", "src/", &crate::bench::token("ada")] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[tokio::test]
async fn l81_retry_after_is_passed_on_as_whole_seconds() {
    let bench = Bench::start().await;
    for (form, least, most) in [("30", 30, 30), ("2.128", 3, 3), ("a date", 59, 60)] {
        for status in [429, 503] {
            let minute = std::time::Duration::from_secs(60);
            let date = httpdate::fmt_http_date(bench.proxy.clock.now().wall() + minute);
            let sent = if form == "a date" { &date } else { form };
            bench.answers(Reply::status(status).header("retry-after", sent));
            let answer = bench.get(&[]).await;
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(answer.status, status);
            assert!((least..=most).contains(&seconds), "{form}: {seconds}");
            // Until then the gate is closed.
            bench.proxy.clock.advance(minute);
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn l82_a_response_is_private_with_max_age_and_vary() {
    let bench = Bench::start().await;
    for _ in 0..2 {
        let answer = bench.get(&[]).await;
        assert_eq!(answer.header("cache-control"), Some("private, max-age=300"));
        let vary: Vec<_> = answer.header("vary").unwrap_or_default().split(", ").collect();
        assert!(vary.contains(&"Authorization") && vary.contains(&"Accept"), "{vary:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l82_an_error_has_no_store() {
    let bench = Bench::start().await;
    for (what, answer) in errors(&bench).await {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}: {answer:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l84_every_response_is_json_with_nosniff() {
    let bench = Bench::start().await;
    let mut all = errors(&bench).await;
    bench.answers(ok().header("content-type", "application/json;odata.metadata=minimal"));
    all.extend([("a miss", bench.get(&[]).await), ("a hit", bench.get(&[]).await)]);
    for (what, answer) in all {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
        let media_type = answer.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("application/json"), "{what}: {media_type}");
    }
    bench.stop().await;
}

/// Refusals of ours, refusals of the origin's, and failures.
async fn errors(bench: &Bench) -> Vec<(&'static str, Response)> {
    let mut all = vec![
        ("no token", bench.exchange(&["GET $path HTTP/1.1", "host: $host"]).await),
        ("no such path", bench.exchange(&["GET / HTTP/1.1", "host: $host"]).await),
        ("no such query", bench.exchange(&["GET $path&x=y HTTP/1.1", "host: $host"]).await),
        ("no such method", bench.exchange(&["PUT $path HTTP/1.1", "host: $host"]).await),
        ("not acceptable", bench.get(&[("accept", "text/html")]).await),
        ("two hosts", bench.exchange(&["GET $path HTTP/1.1", "host: a", "host: a"]).await),
    ];
    let refusal = Reply::status(403).header("content-type", "application/json").body("{\"error\":{}}");
    for (what, reply) in [
        ("refused by the origin", refusal.header("cache-control", "public, max-age=60")),
        ("refused by the origin in HTML", Reply::status(404).header("content-type", "text/html").body("<p>")),
        ("no JSON", Reply::json("<p>")),
    ] {
        bench.answers(reply);
        all.push((what, bench.get(&[]).await));
    }
    all
}

#[tokio::test]
async fn l85_a_hit_has_its_own_request_id_and_that_of_the_origin() {
    let bench = Bench::start().await;
    let theirs = "11111111-2222-4333-8444-555555555555";
    bench.answers(ok().header("request-id", theirs).header("client-request-id", theirs));
    let (miss, hit) = (bench.get(&[]).await, bench.get(&[]).await);
    assert!(said(&hit).starts_with("hit"));
    for answer in [&miss, &hit] {
        assert_eq!(answer.header("origin-request-id"), Some(theirs));
        assert_ne!(answer.header("request-id"), Some(theirs));
        assert_ne!(answer.header("client-request-id"), Some(theirs));
    }
    assert_ne!(miss.header("request-id"), hit.header("request-id"));
    bench.stop().await;
}
