//! Lines 66 to 75: the bytes of a message (RFC 9112).

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::reply::Reply;
use crate::harness::{Harness, connector_name};

/// Sends each head and a second request after it. Expects 400, and the end of the connection.
async fn assert_400_and_closed(heads: &[&str]) {
    let harness = Harness::start().await;
    for head in heads {
        let mut client = Client::connect(harness.proxy.data).await;
        let text = format!("{head}GET $path HTTP/1.1\r\nhost: $host\r\nauthorization: Bearer $token\r\n\r\n");
        client.send(harness.fill(&text)).await.unwrap();
        let response = client.response().await.unwrap_or_else(|error| panic!("{head:?}: {error}"));
        assert_eq!(response.status, 400, "{head:?}");
        assert!(client.response().await.is_err(), "{head:?}: the next request was answered as well");
        client.ended().await;
    }
    assert_eq!(harness.origin.requests(), 0);
    harness.stop().await;
}

#[tokio::test]
async fn l67_no_host_two_hosts_and_an_invalid_one_are_400() {
    assert_400_and_closed(&[
        "GET $path HTTP/1.1\r\nauthorization: Bearer $token\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\nhost: $host\r\nauthorization: Bearer $token\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: a b\r\nauthorization: Bearer $token\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost:\r\nauthorization: Bearer $token\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: user@a\r\nauthorization: Bearer $token\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn l68_the_authority_of_an_absolute_target_does_not_select_the_origin() {
    let (harness, other) = (Harness::start().await, OriginServer::start().await);
    let target = format!("GET {}$path HTTP/1.1", other.url());
    let host = format!("host: {}", other.address());
    let response = harness.exchange(&[&target, &host, "authorization: Bearer $token"]).await;
    assert_eq!((response.status, &*connector_name(&response)), (200, "First"));
    assert_eq!(harness.origin.seen()[0].header("host"), Some(&*harness.origin.address().to_string()));
    assert_eq!(other.connections(), 0);
    harness.stop().await;
}

#[tokio::test]
async fn l70_a_head_that_two_parsers_may_read_differently_is_400() {
    assert_400_and_closed(&[
        "GET $path HTTP/1.1\r\nhost: $host\r\nx : a\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\nx: a\r\n b\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\nx: a\rb\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\nx: a\0b\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn l71_l72_l75_a_body_or_an_ambiguous_length_is_400() {
    assert_400_and_closed(&[
        "GET $path HTTP/1.1\r\nhost: $host\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\ntransfer-encoding: gzip\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\ncontent-length:\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\ncontent-length: +5\r\n\r\n12345",
        "GET $path HTTP/1.0\r\nhost: $host\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET $path HTTP/1.1\r\nhost: $host\r\nauthorization: Bearer $token\r\ncontent-length: 5\r\n\r\n12345",
    ])
    .await;
}

#[tokio::test]
async fn l73_an_endless_chunk_size_or_extension_is_400() {
    let huge = "f".repeat(17);
    let extension = "a".repeat(64 << 10);
    assert_400_and_closed(&[
        &format!("GET $path HTTP/1.1\r\nhost: $host\r\ntransfer-encoding: chunked\r\n\r\n{huge}\r\n"),
        &format!("GET $path HTTP/1.1\r\nhost: $host\r\ntransfer-encoding: chunked\r\n\r\n1;{extension}\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn l74_a_response_with_ambiguous_framing_is_502() {
    let harness = Harness::start().await;
    for fields in [
        "content-length: 7\r\ncontent-length: 8",
        "content-length: 7, 8",
        "content-length: +7",
        "content-length: -7",
        "content-length:",
        "x: a\r\n b\r\ncontent-length: 7",
        "x : a\r\ncontent-length: 7",
        "x: a\0b\r\ncontent-length: 7",
    ] {
        let reply =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n\r\n{{\"a\":1}}");
        harness.set_replies(Reply::raw(reply));
        let response = harness.get(&[]).await;
        assert_eq!(response.status, 502, "{fields:?}: {response:?}");
    }
    harness.stop().await;
}
