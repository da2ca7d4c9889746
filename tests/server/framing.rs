//! HTTP/1 framing: bytes that are requests, and the responses to them.

use connector_cache::http::rejection::Rejection;
use connector_cache::server::ConnRejection;

use crate::raw::{Raw, get};
use crate::stub::{Running, patient, start, until};

#[tokio::test]
async fn f45_pipelined_requests_are_answered_in_order() {
    let server = start(patient()).await;
    let (read, write) = tokio::net::TcpStream::connect(server.address).await.unwrap().into_split();
    let all: String = (0..1000).map(|n| get(&format!("/{n}"))).collect();
    let sending = tokio::spawn(async move {
        let mut write = write;
        tokio::io::AsyncWriteExt::write_all(&mut write, all.as_bytes()).await.unwrap();
        write
    });
    let mut raw = Raw::over(tokio::io::join(read, tokio::io::sink()));
    for n in 0..1000 {
        assert_eq!(raw.reply(true).await.unwrap().body, format!("/{n}"));
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn f42_a_body_is_refused_and_a_request_in_it_is_never_answered() {
    let smuggled = get("/smuggled");
    let length = smuggled.len();
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\n");
    for tail in [format!("Content-Length: {length}\r\n\r\n{smuggled}"), chunked] {
        let server = start(patient()).await;
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("GET /a HTTP/1.1\r\nHost: cache\r\n{tail}{}", get("/next"))).await;
        let reply = raw.reply(true).await.unwrap();
        assert_eq!((reply.status(), reply.field("connection")), (400, Some("close")));
        assert_eq!(raw.rest_text().await, "");
        assert_eq!(server.stub.paths(), [""; 0]);
        assert_eq!(server.rejected(Rejection::Body), 1);
    }
}

#[tokio::test]
async fn a_body_under_another_method_is_405_and_ends_the_connection() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("POST /a HTTP/1.1\r\nHost: cache\r\nContent-Length: 5\r\n\r\n{\n1\n}").await;
    let reply = raw.reply(true).await.unwrap();
    assert_eq!((reply.status(), reply.field("allow")), (405, Some("GET, HEAD")));
    assert_eq!(raw.rest_text().await, "");
}

/// Sends `request` and a second request. Asserts that neither reaches the handler, and that there is at most one response.
async fn assert_refused(request: &str) -> Running {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(format!("{request}{}", get("/smuggled"))).await;
    let answers = raw.rest_text().await;
    assert_eq!(server.stub.paths(), [""; 0], "{request:?}");
    let statuses = answers.matches("HTTP/1.").count();
    assert!(statuses <= 1 && !answers.contains(" 200 "), "{request:?}: {answers}");
    server
}

#[tokio::test]
async fn f41_f43_an_ambiguous_length_is_refused_and_ends_the_connection() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n",
        "Content-Length: \r\n\r\n",
        "Content-Length: +5\r\n\r\n12345",
        "Content-Length: 5,6\r\n\r\n12345",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        "Content-Length: 18446744073709551616\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    ] {
        assert_refused(&format!("GET /a HTTP/1.1\r\nHost: cache\r\n{fields}")).await;
    }
    assert_refused("GET /a HTTP/1.0\r\nHost: cache\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn line_70_a_head_that_two_parsers_may_read_differently_is_refused() {
    for head in [
        "GET /a HTTP/1.1\r\nHost: cache\r\nX : a\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: cache\r\nX: a\r\n b\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: cache\r\nX: a\rb\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: cache\r\nX: a\0b\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: cache\nX: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: cache\r\nX: a\n\nGET /smuggled HTTP/1.1\r\nHost: cache\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: cache\r\n: a\r\n\r\n",
        "GET  /a HTTP/1.1\r\nHost: cache\r\n\r\n",
    ] {
        let server = assert_refused(head).await;
        until(head, || server.rejected(ConnRejection::Malformed) == 1).await;
    }
}

#[tokio::test]
async fn f47_what_is_not_http_1_1_is_refused() {
    assert_refused("GET /a\r\n").await;
    assert_refused("GET /a HTTP/1.0\r\n\r\n").await;
    assert_refused("GET /a HTTP/3.0\r\nHost: cache\r\n\r\n").await;
    assert_refused("garbage\r\n\r\n").await;
    assert_refused("\x16\x03\x01\x02\0\x01\0\x01\u{7f}\x03\x03\r\n\r\n").await;
}

#[tokio::test]
async fn line_66_a_response_to_http_1_0_has_a_length_and_ends_the_connection() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET /old HTTP/1.0\r\nHost: cache\r\n\r\n").await;
    let reply = raw.reply(true).await.unwrap();
    assert_eq!((reply.status(), &*reply.body, reply.field("transfer-encoding")), (200, "/old", None));
    assert_eq!(raw.rest_text().await, "");
}

#[tokio::test]
async fn line_83_head_is_answered_without_a_body_and_the_connection_goes_on() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("HEAD /four HTTP/1.1\r\nHost: cache\r\n\r\n").await;
    let reply = raw.reply(false).await.unwrap();
    assert_eq!((reply.status(), reply.field("content-length")), (200, Some("5")));
    assert_eq!(raw.get("/next").await.body, "/next");
}

#[tokio::test]
async fn f46_upgrade_is_ignored_and_100_continue_without_a_body_too() {
    let server = start(patient()).await;
    let mut raw = Raw::connect(server.address).await;
    for field in ["Connection: upgrade\r\nUpgrade: h2c", "Expect: 100-continue"] {
        raw.send(format!("GET /a HTTP/1.1\r\nHost: cache\r\n{field}\r\n\r\n")).await;
        assert_eq!(raw.reply(true).await.unwrap().status(), 200, "{field}");
    }
}

#[tokio::test]
async fn f36_a_token_of_16_kb_works_and_one_of_64_kb_is_431() {
    let server = start(patient()).await;
    let with_token = |length| {
        let token = "t".repeat(length);
        format!("GET /token HTTP/1.1\r\nHost: cache\r\nAuthorization: Bearer {token}\r\n\r\n")
    };
    let mut raw = Raw::connect(server.address).await;
    raw.send(with_token(16 << 10)).await;
    assert_eq!(raw.reply(true).await.unwrap().body, ((16 << 10) + 7).to_string());
    raw.send(with_token(64 << 10)).await;
    assert_eq!(raw.reply(false).await.unwrap().status(), 431);
    assert_eq!(raw.rest_text().await, "");
    until("it is counted", || server.rejected(Rejection::HeadersTooLarge) == 1).await;
}

#[tokio::test]
async fn f53_too_many_fields_are_431_and_too_long_a_target_is_414() {
    let server = start(patient()).await;
    let many = "a: 1\r\n".repeat(20_000);
    let target = |length| format!("GET /{} HTTP/1.1\r\nHost: cache\r\n\r\n", "a".repeat(length));
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: cache\r\n{many}\r\n"), 431),
        (target(8 << 10), 414),
        (target(20 << 10), 414),
        (target(100 << 10), 414),
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(request).await;
        assert_eq!(raw.reply(false).await.unwrap().status(), status);
    }
    until("all are counted", || server.rejected(Rejection::TargetTooLong) == 3).await;
}

#[tokio::test]
async fn f60_a_panic_is_a_500_for_one_caller_only() {
    let server = start(patient()).await;
    let mut other = Raw::connect(server.address).await;
    assert_eq!(other.get("/a").await.status(), 200);
    let mut raw = Raw::connect(server.address).await;
    assert_eq!(raw.get("/panic").await.status(), 500);
    assert_eq!((other.get("/b").await.status(), raw.get("/c").await.status()), (200, 200));
}
