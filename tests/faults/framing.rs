//! Heads and framing: interim responses, statuses without a body, fields that must not pass.

use connector_cache::upstream::UpstreamFailure;

use crate::common::reply::Reply;
use crate::stage::{BODY, CANARY, STORED, Stage, cache_status, sound};

/// A sound response with something before it.
fn after(before: &str) -> Reply {
    let length = BODY.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    Reply::raw(format!("{before}{head}\r\n{BODY}")).keep_alive()
}

#[tokio::test]
async fn f10_a_success_that_is_no_200_and_an_unsolicited_304_are_502() {
    let mut stage = Stage::set().await;
    for status in [201, 202, 203, 204, 205, 206, 207, 226, 304] {
        let reply =
            sound().header("content-range", "bytes 0-1/2").body(if status == 304 { "" } else { BODY });
        let reply = reply.status_of(status);
        stage.fails(reply, 502, UpstreamFailure::Status).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f10_an_unknown_status_is_a_502() {
    let mut stage = Stage::set().await;
    for status in [600, 999] {
        stage.fails(sound().status_of(status), 502, UpstreamFailure::Status).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f10_a_switch_of_protocols_that_was_not_requested_is_a_502() {
    let mut stage = Stage::set().await;
    let switch = "HTTP/1.1 101 Scripted\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stage.fails(after(switch), 502, UpstreamFailure::Status).await;
    assert_eq!(stage.origin.connections(), 2, "the connection is HTTP no more");
    stage.clear().await;
}

#[tokio::test]
async fn f10_ten_interim_responses_are_skipped() {
    let mut stage = Stage::set().await;
    let hint = "HTTP/1.1 103 Scripted\r\nlink: </style.css>\r\n\r\n";
    let response = stage.passes(after(&hint.repeat(10))).await;
    assert_eq!((response.text(), response.header("link")), (BODY, None));
    stage.clear().await;
}

#[tokio::test]
async fn f10_more_than_ten_interim_responses_are_a_502() {
    let mut stage = Stage::set().await;
    for interim in ["HTTP/1.1 100 Scripted\r\n\r\n", "HTTP/1.1 103 Scripted\r\nlink: </style.css>\r\n\r\n"] {
        stage.fails(after(&interim.repeat(11)), 502, UpstreamFailure::Protocol).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f11_a_sign_in_page_is_a_502_and_no_proof() {
    let mut stage = Stage::set().await;
    let page = format!("<html><title>Sign in</title><p>{CANARY}</html>");
    for kind in ["text/html; charset=utf-8", "text/json", "application/xml", "", "json"] {
        let reply = Reply::status(200).header("content-type", kind).body(page.as_bytes());
        stage.fails(reply, 502, UpstreamFailure::ContentType).await;
    }
    stage.fails(Reply::status(200).body(BODY), 502, UpstreamFailure::ContentType).await;
    stage.clear().await;
}

#[tokio::test]
async fn f12_f21_unlisted_fields_are_dropped_from_miss_and_hit() {
    let mut stage = Stage::set().await;
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
    let reply = fields.iter().fold(sound(), |reply, (name, value)| reply.header(name, value));
    let miss = stage.passes(reply).await;
    let hit = stage.ask_again().await;
    assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300");
    for response in [miss, hit] {
        let said = format!("{:?}", response.headers);
        assert!(!said.contains(CANARY), "{said}");
        let ours = ["etag", "cache-status", "age"];
        for (name, _) in fields.iter().filter(|(name, _)| !ours.contains(name)) {
            assert_eq!(response.header(name), None, "{name}");
        }
    }
    stage.clear().await;
}

#[tokio::test]
async fn f12_a_head_that_is_not_http_is_a_502() {
    let mut stage = Stage::set().await;
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
        let faults = stage.faults().iter().sum::<u64>();
        stage.origin.any(Reply::raw(bytes));
        let response = stage.ask().await;
        assert_eq!(response.status, 502, "{fields:?}");
        assert!(!format!("{response:?}").contains(CANARY));
        assert_eq!(stage.faults().iter().sum::<u64>(), faults + 1, "{fields:?}");
        stage.recovers().await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f12_a_response_that_is_not_http_is_a_502() {
    let mut stage = Stage::set().await;
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "HTTP/1.1 2000 OK\r\n\r\n",
    ] {
        stage.fails(Reply::raw(garbage), 502, UpstreamFailure::Protocol).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn f12_a_head_larger_than_its_limit_is_a_502() {
    let mut stage = Stage::set().await;
    stage.fails(sound().header("x-long", &"x".repeat(256 << 10)), 502, UpstreamFailure::Protocol).await;
    let many = (0..200).fold(sound(), |reply, n| reply.header(&format!("x-{n}"), "a"));
    stage.fails(many, 502, UpstreamFailure::Protocol).await;
    stage.clear().await;
}

#[tokio::test]
async fn f12_a_body_that_ends_with_its_connection_is_accepted() {
    let mut stage = Stage::set().await;
    let until_close = format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{BODY}");
    let response = stage.passes(Reply::raw(until_close)).await;
    assert_eq!((response.text(), cache_status(&response)), (BODY, STORED));
    stage.clear().await;
}
