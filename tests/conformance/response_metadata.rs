//! Lines 79 to 85: header fields and error bodies of responses (RFC 9211, and Graph's format of an error).

use crate::common::client::Response;
use crate::common::origin::closed_port;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::harness::{Harness, SECRET, cache_status_of, ok};

#[tokio::test]
async fn l80_an_error_of_the_proxy_has_graphs_format_and_no_text_of_the_origin() {
    let harness = Harness::start().await;
    let id = "b6a0c1de-0c1f-4f0e-9d6a-0123456789ab";
    for reply in [
        Reply::json(format!("{{\"password\": \"{SECRET}\" \"a\": 1}}")),
        Reply::status(200).header("content-type", "text/html").body(SECRET),
        Reply::status(500).header("content-type", "text/html").body(SECRET),
        Reply::status(302).header("location", SECRET),
        Reply::reset(),
    ] {
        harness.set_replies(reply);
        let response = harness.get(&[("client-request-id", id)]).await;
        assert!(response.status >= 500, "{response:?}");
        let error = &response.json()["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{response:?}");
        assert_eq!(error["innerError"]["client-request-id"], id);
        assert_eq!(error["innerError"]["request-id"].as_str(), response.header("request-id"));
        assert_reveals_nothing(&response, &harness.origin.address().to_string());
    }
    harness.stop().await;
}

#[tokio::test]
async fn l80_an_origin_that_cannot_be_reached_is_not_named() {
    let closed = closed_port();
    let proxy = Proxy::before(&format!("http://{closed}")).await;
    let response = proxy.read(&crate::harness::token("ada")).await;
    assert_eq!(response.status, 502);
    assert_reveals_nothing(&response, &closed.to_string());
    proxy.stop().await;
}

fn assert_reveals_nothing(response: &Response, address: &str) {
    let all = format!("{:?} {}", response.headers, response.text());
    for word in [SECRET, address, "127.0.0.1", "hyper", "src/", &crate::harness::token("ada")] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[tokio::test]
async fn l81_retry_after_is_passed_on_as_whole_seconds() {
    let harness = Harness::start().await;
    for (form, least, most) in [("30", 30, 30), ("2.128", 3, 3), ("a date", 59, 60)] {
        for status in [429, 503] {
            let minute = std::time::Duration::from_secs(60);
            let date = httpdate::fmt_http_date(harness.proxy.clock.now().wall() + minute);
            let sent = if form == "a date" { &date } else { form };
            harness.set_replies(Reply::status(status).header("retry-after", sent));
            let response = harness.get(&[]).await;
            let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(response.status, status);
            assert!((least..=most).contains(&seconds), "{form}: {seconds}");
            // Before that the throttle is open and rejects requests.
            harness.proxy.clock.advance(minute);
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn l82_a_response_is_private_with_max_age_and_vary() {
    let harness = Harness::start().await;
    for _ in 0..2 {
        let response = harness.get(&[]).await;
        assert_eq!(response.header("cache-control"), Some("private, max-age=300"));
        let vary: Vec<_> = response.header("vary").unwrap_or_default().split(", ").collect();
        assert!(vary.contains(&"Authorization") && vary.contains(&"Accept"), "{vary:?}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l82_an_error_has_no_store() {
    let harness = Harness::start().await;
    for (what, response) in errors(&harness).await {
        assert_eq!(response.header("cache-control"), Some("no-store"), "{what}: {response:?}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l84_every_response_is_json_with_nosniff() {
    let harness = Harness::start().await;
    let mut all = errors(&harness).await;
    harness.set_replies(ok().header("content-type", "application/json;odata.metadata=minimal"));
    all.extend([("a miss", harness.get(&[]).await), ("a hit", harness.get(&[]).await)]);
    for (what, response) in all {
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{what}");
        let media_type = response.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("application/json"), "{what}: {media_type}");
    }
    harness.stop().await;
}

/// Returns rejections of the proxy, error responses of the origin, and failures.
async fn errors(harness: &Harness) -> Vec<(&'static str, Response)> {
    let mut all = vec![
        ("no token", harness.exchange(&["GET $path HTTP/1.1", "host: $host"]).await),
        ("no such path", harness.exchange(&["GET / HTTP/1.1", "host: $host"]).await),
        ("no such query", harness.exchange(&["GET $path&x=y HTTP/1.1", "host: $host"]).await),
        ("no such method", harness.exchange(&["PUT $path HTTP/1.1", "host: $host"]).await),
        ("not acceptable", harness.get(&[("accept", "text/html")]).await),
        ("two hosts", harness.exchange(&["GET $path HTTP/1.1", "host: a", "host: a"]).await),
    ];
    let refusal = Reply::status(403).header("content-type", "application/json").body("{\"error\":{}}");
    for (what, reply) in [
        ("refused by the origin", refusal.header("cache-control", "public, max-age=60")),
        ("refused by the origin in HTML", Reply::status(404).header("content-type", "text/html").body("<p>")),
        ("no JSON", Reply::json("<p>")),
    ] {
        harness.set_replies(reply);
        all.push((what, harness.get(&[]).await));
    }
    all
}

#[tokio::test]
async fn l85_a_hit_has_its_own_request_id_and_that_of_the_origin() {
    let harness = Harness::start().await;
    let theirs = "11111111-2222-4333-8444-555555555555";
    harness.set_replies(ok().header("request-id", theirs).header("client-request-id", theirs));
    let (miss, hit) = (harness.get(&[]).await, harness.get(&[]).await);
    assert!(cache_status_of(&hit).starts_with("hit"));
    for response in [&miss, &hit] {
        assert_eq!(response.header("origin-request-id"), Some(theirs));
        assert_ne!(response.header("request-id"), Some(theirs));
        assert_ne!(response.header("client-request-id"), Some(theirs));
    }
    assert_ne!(miss.header("request-id"), hit.header("request-id"));
    harness.stop().await;
}
