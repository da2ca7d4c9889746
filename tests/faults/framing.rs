//! Heads and framing: interim responses, statuses without a body, fields that must not pass.

use connector_cache::upstream::UpstreamFailure;

use crate::common::reply::Reply;
use crate::harness::{BODY, CANARY, Harness, STORED, cache_status, ok};

/// Returns a valid response with `before` in front of it.
fn after(before: &str) -> Reply {
    let length = BODY.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    Reply::raw(format!("{before}{head}\r\n{BODY}")).keep_alive()
}

#[tokio::test]
async fn f10_a_success_that_is_no_200_and_an_unsolicited_304_are_502() {
    let mut harness = Harness::start().await;
    for status in [201, 202, 203, 205, 206, 207, 226, 304] {
        let reply = ok().header("content-range", "bytes 0-1/2").body(if status == 304 { "" } else { BODY });
        let reply = reply.status_of(status);
        harness.fails(reply, 502, UpstreamFailure::Status).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f10_an_unknown_status_is_a_502() {
    let mut harness = Harness::start().await;
    for status in [600, 999] {
        harness.fails(ok().status_of(status), 502, UpstreamFailure::Status).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f10_a_switch_of_protocols_that_was_not_requested_is_a_502() {
    let mut harness = Harness::start().await;
    let switch = "HTTP/1.1 101 Scripted\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    harness.fails(after(switch), 502, UpstreamFailure::Status).await;
    assert_eq!(harness.origin.connections(), 2, "the connection is not HTTP any more");
    harness.stop().await;
}

#[tokio::test]
async fn f10_ten_interim_responses_are_skipped() {
    let mut harness = Harness::start().await;
    let hint = "HTTP/1.1 103 Scripted\r\nlink: </style.css>\r\n\r\n";
    let response = harness.passes(after(&hint.repeat(10))).await;
    assert_eq!((response.text(), response.header("link")), (BODY, None));
    harness.stop().await;
}

#[tokio::test]
async fn f10_more_than_ten_interim_responses_are_a_502() {
    let mut harness = Harness::start().await;
    for interim in ["HTTP/1.1 100 Scripted\r\n\r\n", "HTTP/1.1 103 Scripted\r\nlink: </style.css>\r\n\r\n"] {
        harness.fails(after(&interim.repeat(11)), 502, UpstreamFailure::Protocol).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f11_a_sign_in_page_is_a_502_and_no_proof() {
    let mut harness = Harness::start().await;
    let page = format!("<html><title>Sign in</title><p>{CANARY}</html>");
    for kind in ["text/html; charset=utf-8", "text/json", "application/xml", "", "json"] {
        let reply = Reply::status(200).header("content-type", kind).body(page.as_bytes());
        harness.fails(reply, 502, UpstreamFailure::ContentType).await;
    }
    harness.fails(Reply::status(200).body(BODY), 502, UpstreamFailure::ContentType).await;
    harness.stop().await;
}

#[tokio::test]
async fn f12_f21_unlisted_fields_are_dropped_from_miss_and_hit() {
    let mut harness = Harness::start().await;
    let fields = [
        ("set-cookie", "a=hunter2-canary"),
        ("set-cookie2", "a=hunter2-canary"),
        ("clear-site-data", "\"*\""),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("location", "https://hunter2-canary.example"),
        ("content-location", "https://hunter2-canary.example"),
        ("refresh", "0; url=https://hunter2-canary.example"),
        ("link", "<https://hunter2-canary.example>; rel=preload"),
        ("alt-svc", "h3=\"hunter2-canary.example:443\""),
        ("strict-transport-security", "max-age=31536000"),
        ("content-security-policy", "report-uri https://hunter2-canary.example"),
        ("x-ms-ags-diagnostic", "{\"ServerInfo\":\"hunter2-canary\"}"),
        ("x-ms-throttle-scope", "hunter2-canary"),
        ("server", "hunter2-canary"),
        ("via", "1.1 hunter2-canary"),
        ("etag", "\"hunter2-canary\""),
        ("cache-status", "hunter2-canary; hit"),
        ("age", "0"),
        ("warning", "199 - hunter2-canary"),
        ("content-disposition", "attachment"),
        ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("digest", "sha-256=abc"),
        ("www-authenticate", "Basic realm=hunter2-canary"),
        ("proxy-authenticate", "Basic"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2c"),
        ("x-hunter2-canary", "a"),
    ];
    let reply = fields.iter().fold(ok(), |reply, (name, value)| reply.header(name, value));
    let miss = harness.passes(reply).await;
    let hit = harness.get_again().await;
    assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300");
    for response in [miss, hit] {
        let headers = format!("{:?}", response.headers);
        assert!(!headers.contains(CANARY), "{headers}");
        let own = ["etag", "cache-status", "age"];
        for (name, _) in fields.iter().filter(|(name, _)| !own.contains(name)) {
            assert_eq!(response.header(name), None, "{name}");
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn f12_a_head_that_is_not_http_is_a_502() {
    let mut harness = Harness::start().await;
    let length = format!("content-length: {}", BODY.len());
    for fields in [
        "x-folded: a\r\n hunter2-canary\r\n",
        "x-bare: a\rset-cookie: b\r\n",
        "x-nul: a\0b\r\n",
        "x spaced : a\r\n",
        "no colon at all\r\n",
        "content-length: 1\r\n",
        "content-length: +60\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let kind = "content-type: application/json";
        let bytes = format!("HTTP/1.1 200 OK\r\n{kind}\r\n{fields}{length}\r\n\r\n{BODY}");
        let faults = harness.faults().iter().sum::<u64>();
        harness.origin.any(Reply::raw(bytes));
        let response = harness.get().await;
        assert_eq!(response.status, 502, "{fields:?}");
        assert!(!format!("{response:?}").contains(CANARY));
        assert_eq!(harness.faults().iter().sum::<u64>(), faults + 1, "{fields:?}");
        harness.recovers().await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f12_a_response_that_is_not_http_is_a_502() {
    let mut harness = Harness::start().await;
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "HTTP/1.1 2000 OK\r\n\r\n",
    ] {
        harness.fails(Reply::raw(garbage), 502, UpstreamFailure::Protocol).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f12_a_head_larger_than_its_limit_is_a_502() {
    let mut harness = Harness::start().await;
    harness.fails(ok().header("x-long", &"x".repeat(256 << 10)), 502, UpstreamFailure::Protocol).await;
    let many = (0..20_000).fold(ok(), |reply, n| reply.header(&format!("x-{n}"), "a"));
    harness.fails(many, 502, UpstreamFailure::Protocol).await;
    harness.stop().await;
}

#[tokio::test]
async fn f12_a_body_that_ends_with_its_connection_is_accepted() {
    let mut harness = Harness::start().await;
    let until_close = format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{BODY}");
    let response = harness.passes(Reply::raw(until_close)).await;
    assert_eq!((response.text(), cache_status(&response)), (BODY, STORED));
    harness.stop().await;
}
