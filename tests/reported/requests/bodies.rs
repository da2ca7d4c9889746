//! Requests whose head announces a body that turns out to be empty.

use std::time::Duration;

use bytes::Bytes;
use connector_cache::http::rejection::Rejection;
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;

use super::{HIT, PATH, STORED, Setup, bearer, cache_status};
use crate::common::client::Client;
use crate::common::proxy::Proxy;
use crate::common::within;

/// A head of HTTP/1.1 with these further lines.
fn head(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: cache\r\nauthorization: {}\r\n{fields}\r\n", bearer("a"))
}

/// Steps of an HTTP/2 request after its HEADERS frame.
enum Step {
    Data(&'static str),
    End,
    EndWithData(&'static str),
    Trailers,
}

/// Sends a request frame by frame. Returns its status.
async fn h2(setup: &Setup, method: Method, fields: &[(&str, &str)], steps: &[Step]) -> u16 {
    let tcp = TcpStream::connect(setup.proxy.data).await.unwrap();
    let (send, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let mut request = Request::builder().method(method).uri(format!("http://cache{PATH}"));
    for (name, value) in [&[("authorization", bearer("a").as_str())], fields].concat() {
        request = request.header(name, value);
    }
    let (response, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
    // The head reaches the server alone.
    tokio::task::yield_now().await;
    for step in steps {
        match step {
            Step::Data(text) => body.send_data(Bytes::from(*text), false).unwrap(),
            Step::End => body.send_data(Bytes::new(), true).unwrap(),
            Step::EndWithData(text) => body.send_data(Bytes::from(*text), true).unwrap(),
            Step::Trailers => body.send_trailers(HeaderMap::new()).unwrap(),
        }
        tokio::task::yield_now().await;
    }
    within("a response", response).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a4_an_http2_request_that_an_empty_data_frame_ends_is_answered() {
    let setup = Setup::start().await;
    let zero = [("content-length", "0")];
    for (method, fields, steps) in [
        (Method::GET, &[][..], &[Step::End][..]),
        (Method::HEAD, &[], &[Step::End]),
        (Method::GET, &zero, &[Step::End]),
        (Method::GET, &[], &[Step::Data(""), Step::Data(""), Step::End]),
        (Method::GET, &[], &[Step::Data(""), Step::Trailers]),
        (Method::GET, &[], &[Step::Trailers]),
    ] {
        assert_eq!(h2(&setup, method, fields, steps).await, 200);
    }
    assert_eq!(setup.origin.requests(), 1);
    setup.stop().await;
}

#[tokio::test]
async fn a4_an_http2_request_with_content_is_refused() {
    let setup = Setup::start().await;
    let five = [("content-length", "5")];
    for (fields, steps) in [
        (&[][..], &[Step::EndWithData("x")][..]),
        (&[], &[Step::Data("x"), Step::End]),
        (&[], &[Step::Data(""), Step::EndWithData("x")]),
        (&five, &[Step::EndWithData("12345")]),
    ] {
        assert_eq!(h2(&setup, Method::GET, fields, steps).await, 400);
    }
    assert_eq!(setup.proxy.metrics.rejected.get(Rejection::Body), 4);
    assert_eq!(setup.origin.requests(), 0);
    setup.stop().await;
}

#[tokio::test]
async fn a4_an_http1_request_with_an_empty_chunked_body_is_answered_and_the_connection_goes_on() {
    let setup = Setup::start().await;
    let chunked = head("GET", PATH, "transfer-encoding: chunked\r\n");
    let bodies =
        ["0\r\n\r\n", "000\r\n\r\n", "0;name=value\r\n\r\n", "0\r\nx-checksum: 1\r\nx-other: 2\r\n\r\n"];
    let mut client = Client::connect(setup.proxy.data).await;
    client.send(format!("{chunked}{}", bodies[0])).await.unwrap();
    let first = client.response().await.unwrap();
    assert_eq!((first.status, cache_status(&first)), (200, STORED));
    for body in bodies {
        // All at once, with a request behind it, and in two parts.
        client.send(format!("{chunked}{body}{}", head("GET", PATH, ""))).await.unwrap();
        for _ in 0..2 {
            let response = client.response().await.unwrap();
            assert_eq!((response.status, cache_status(&response)), (200, HIT), "{body:?}");
            assert_eq!(response.header("connection"), None);
        }
        client.send(&chunked).await.unwrap();
        tokio::task::yield_now().await;
        client.send(format!("{body}{}", head("GET", PATH, "content-length: 0\r\n"))).await.unwrap();
        for _ in 0..2 {
            assert_eq!(client.response().await.unwrap().status, 200, "{body:?}");
        }
    }
    client.send(format!("{}0\r\n\r\n", head("HEAD", PATH, "Transfer-Encoding: Chunked\r\n"))).await.unwrap();
    assert_eq!(client.response_to_head().await.unwrap().status, 200);
    client.send(head("GET", PATH, "content-length: 0\r\n")).await.unwrap();
    assert_eq!(cache_status(&client.response().await.unwrap()), HIT);
    assert_eq!(setup.origin.requests(), 1);
    setup.stop().await;
}

#[tokio::test]
async fn a4_content_is_refused_and_never_taken_as_a_request() {
    let setup = Setup::start().await;
    let hidden = head("GET", PATH, "");
    let (length, next) = (hidden.len(), head("GET", PATH, ""));
    let chunked = "transfer-encoding: chunked\r\n";
    for (fields, body) in [
        (chunked.to_owned(), format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n")),
        (chunked.to_owned(), format!("1\r\n\n\r\n0\r\n\r\n{hidden}")),
        (chunked.to_owned(), hidden.clone()),
        (format!("content-length: {length}\r\n"), hidden.clone()),
        // RFC 9112, section 6.1: both fields are an attempt of request smuggling.
        (format!("content-length: 5\r\n{chunked}"), "0\r\n\r\n".to_owned()),
        (format!("{chunked}content-length: 5\r\n"), "0\r\n\r\n".to_owned()),
        (format!("{chunked}Content-Length: 0\r\n"), "0\r\n\r\n".to_owned()),
        (format!("Content-Length: 0\r\nx: y\r\n{chunked}"), "0\r\n\r\n".to_owned()),
        ("transfer-encoding: gzip, chunked\r\n".to_owned(), "0\r\n\r\n".to_owned()),
        (format!("{chunked}{chunked}"), "0\r\n\r\n".to_owned()),
    ] {
        let text = format!("{}{body}{next}", head("GET", PATH, &fields));
        // At once, and byte by byte.
        for pieces in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
            let mut client = Client::connect(setup.proxy.data).await;
            for piece in pieces {
                // The server may have closed the connection.
                let _ = client.send(piece).await;
            }
            let response = client.response().await.unwrap();
            assert_eq!(response.status, 400, "{fields:?} {body:?}: {}", response.text());
            client.ended().await;
        }
    }
    assert_eq!(setup.origin.requests(), 0);
    setup.stop().await;
}

#[tokio::test]
async fn a4_the_wait_for_the_end_of_a_body_is_bounded() {
    let setup = Setup::start().await;
    let proxy = Proxy::with(&setup.origin.url(), |config| {
        config.server.limits.header_timeout = Duration::from_millis(200);
    })
    .await;
    let mut client = Client::connect(proxy.data).await;
    client.send(head("GET", PATH, "transfer-encoding: chunked\r\n")).await.unwrap();
    let response = client.response().await.unwrap();
    assert_eq!((response.status, cache_status(&response)), (400, "connector-cache; detail=body"));
    client.ended().await;

    let tcp = TcpStream::connect(proxy.data).await.unwrap();
    let (send, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let request = Request::get(format!("http://cache{PATH}")).header("authorization", bearer("a"));
    let (response, _body) = send.send_request(request.body(()).unwrap(), false).unwrap();
    assert_eq!(within("a response", response).await.unwrap().status(), 400);
    proxy.stop().await;
    setup.stop().await;
}
