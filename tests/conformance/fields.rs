//! Lines 55 to 65: header fields of requests and responses (RFC 9110, sections 7.6, 10 and 11).

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::reply::Reply;
use crate::harness::{Harness, STORED, cache_status_of, ok, token};

#[tokio::test]
async fn l55_l61_no_field_for_one_connection_reaches_the_origin() {
    let harness = Harness::start().await;
    let fields = [
        ("connection", "x-hop, upgrade, http2-settings"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    let response = harness.get(&fields).await;
    assert_eq!((response.status, &*cache_status_of(&response)), (200, STORED));
    let seen = &harness.origin.seen()[0];
    for (name, _) in fields {
        assert_eq!(seen.header(name), None, "{name}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l56_a_connection_option_that_names_an_end_to_end_field_is_400() {
    let harness = Harness::start().await;
    for option in ["Authorization", "close, HOST", "content-length"] {
        let mut client = Client::connect(harness.proxy.data).await;
        let authorization = format!("Bearer {}", token("ada"));
        let path = crate::common::proxy::path("B2X_1_x");
        let refused = client.get(&path, &[("authorization", &authorization), ("connection", option)]).await;
        assert_eq!((refused.status, refused.header("connection")), (400, Some("close")), "{option}");
        client.ended().await;
    }
    assert_eq!(harness.origin.requests(), 0);
    harness.stop().await;
}

#[tokio::test]
async fn l57_via_has_the_pseudonym_of_the_proxy_and_no_host_name() {
    let harness = Harness::start().await;
    harness.get(&[("via", "1.1 theirs.internal")]).await;
    assert_eq!(harness.origin.seen()[0].header("via"), Some("1.1 connector-cache"));
    harness.stop().await;
}

#[tokio::test]
async fn l59_trace_and_connect_are_405_whatever_max_forwards_says() {
    let harness = Harness::start().await;
    for lines in [
        &["TRACE $path HTTP/1.1", "host: $host", "authorization: Bearer $token"][..],
        &["TRACE $path HTTP/1.1", "host: $host", "max-forwards: 0"],
        &["CONNECT graph.microsoft.com:443 HTTP/1.1", "host: graph.microsoft.com:443"],
        &["OPTIONS * HTTP/1.1", "host: $host", "max-forwards: 0"],
    ] {
        let refused = harness.exchange(lines).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{lines:?}");
        assert!(!refused.text().contains(&token("ada")), "nothing is echoed");
    }
    assert_eq!(harness.get(&[("max-forwards", "0")]).await.status, 200, "the field has no effect on GET");
    harness.stop().await;
}

#[tokio::test]
async fn l60_an_expectation_other_than_100_continue_is_417() {
    let harness = Harness::start().await;
    assert_eq!(harness.get(&[("expect", "100-continue")]).await.status, 200);
    assert_eq!(harness.get(&[("expect", "the-unexpected")]).await.status, 417);
    harness.stop().await;
}

#[tokio::test]
async fn l62_authorization_goes_to_the_origin_unaltered() {
    let harness = Harness::start().await;
    harness.exchange(&["GET $path HTTP/1.1", "host: $host", "authorization: bEARER  $token"]).await;
    let expected = format!("bEARER  {}", token("ada"));
    assert_eq!(harness.origin.seen()[0].header("authorization"), Some(&*expected));
    harness.stop().await;
}

#[tokio::test]
async fn l62_authorization_goes_to_no_other_host_whatever_the_origin_or_the_caller_says() {
    let (harness, other) = (Harness::start().await, OriginServer::start().await);
    for status in [301, 302, 303, 307, 308] {
        harness.set_replies(Reply::status(status).header("location", &other.url()));
        assert_eq!(harness.get(&[]).await.status, 502, "{status}");
    }
    harness.set_replies(ok().header("location", &other.url()).header("content-location", &other.url()));
    let response = harness.get(&[("x-forwarded-host", &other.address().to_string())]).await;
    assert_eq!(response.status, 200);
    assert_eq!((response.header("location"), response.header("content-location")), (None, None));
    assert_eq!(other.connections(), 0);
    harness.stop().await;
}

#[tokio::test]
async fn l63_the_origins_challenges_are_passed_on_unaltered() {
    let harness = Harness::start().await;
    let challenges = [
        "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"eyJhIjoxfQ==\", errorDescription=\"a, b\"",
        "PoP  nonce=\"x\"",
    ];
    let refusal = Reply::status(401).header("content-type", "application/json").body("{\"error\":{}}");
    let refusal = challenges.iter().fold(refusal, |reply, line| reply.header("www-authenticate", line));
    harness.set_replies(refusal);
    let response = harness.get(&[]).await;
    let passed = response.headers.iter().filter(|(name, _)| name == "www-authenticate");
    let passed: Vec<_> = passed.map(|(_, line)| line.as_str()).collect();
    assert_eq!((response.status, &*passed), (401, &challenges[..]));
    harness.stop().await;
}

#[tokio::test]
async fn l64_a_request_without_a_token_is_challenged_without_an_error_code() {
    let harness = Harness::start().await;
    let refused = harness.exchange(&["GET $path HTTP/1.1", "host: $host"]).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(refused.json()["error"]["code"], "InvalidAuthenticationToken");
    harness.stop().await;
}

#[tokio::test]
async fn l65_two_tokens_are_400_and_the_scheme_is_case_insensitive() {
    let harness = Harness::start().await;
    let line = "authorization: Bearer $token";
    for two in [&[line, line][..], &["authorization: Bearer $token, Bearer $token"]] {
        let refused = harness.exchange(&[&["GET $path HTTP/1.1", "host: $host"], two].concat()).await;
        assert_eq!(refused.status, 400, "{two:?}");
    }
    assert_eq!(harness.origin.requests(), 0);
    let lower = ["GET $path HTTP/1.1", "host: $host", "authorization: bearer $token"];
    assert_eq!(harness.exchange(&lower).await.status, 200);
    harness.stop().await;
}
