//! Field values with one meaning in several forms: authorities, the authentication scheme, lists.

use http::Request;
use tokio::net::TcpStream;

use super::{HIT, PATH, STORED, Setup, bearer, cache_status};
use crate::common::client::Client;
use crate::common::{token, within};

/// Sends a GET of HTTP/2 whose `:authority` and `Host` may differ. Returns its status.
async fn h2(setup: &Setup, target: &str, host: &str) -> u16 {
    let tcp = TcpStream::connect(setup.proxy.data).await.unwrap();
    let (send, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let request = Request::get(target).header("authorization", bearer("a")).header("host", host);
    let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
    within("a response", response).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a5_the_default_port_of_the_scheme_is_the_same_authority() {
    let setup = Setup::start().await;
    for (authority, host) in [
        ("http://cache.example", "cache.example:80"),
        ("http://cache.example:80", "cache.example"),
        ("http://cache.example", "Cache.Example:080"),
        ("http://CACHE.example:80", "cache.EXAMPLE:80"),
        ("http://cache.example", "cache.example:"),
        ("http://[::1]", "[::1]:80"),
        ("https://cache.example", "cache.example:443"),
        ("https://cache.example:443", "cache.example"),
    ] {
        assert_eq!(h2(&setup, &format!("{authority}{PATH}"), host).await, 200, "{authority} {host}");
    }
    for (authority, host) in [
        ("http://cache.example", "cache.example:443"),
        ("https://cache.example", "cache.example:80"),
        ("http://cache.example:8080", "cache.example"),
        ("http://cache.example", "other.example:80"),
        ("http://cache.example", "cache.example.:80"),
    ] {
        assert_eq!(h2(&setup, &format!("{authority}{PATH}"), host).await, 400, "{authority} {host}");
    }
    let mut client = Client::connect(setup.proxy.data).await;
    for (authority, host) in [("cache.example:80", "cache.example"), ("CACHE.example", "cache.example:80")] {
        let authorization = bearer("a");
        let head = format!(
            "GET http://{authority}{PATH} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n\r\n"
        );
        client.send(head).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 200, "{authority} {host}");
    }
    setup.stop().await;
}

#[tokio::test]
async fn a6_the_scheme_in_any_case_and_with_any_number_of_blanks_is_the_same_token() {
    let token = token::mint("a");
    let spellings =
        ["Bearer ", "bearer ", "BEARER ", "bEaReR   ", "Bearer  "].map(|it| format!("{it}{token}"));
    for first in &spellings {
        let setup = Setup::start().await;
        let mut client = Client::connect(setup.proxy.data).await;
        let miss = client.get(PATH, &[("authorization", first)]).await;
        assert_eq!((miss.status, cache_status(&miss)), (200, STORED), "{first}");
        for other in &spellings {
            let hit = client.get(PATH, &[("authorization", other)]).await;
            assert_eq!((hit.status, cache_status(&hit)), (200, HIT), "{other}");
        }
        let seen = setup.origin.seen();
        assert_eq!((seen.len(), seen[0].header("authorization")), (1, Some(first.as_str())));
        setup.stop().await;
    }
}

#[tokio::test]
async fn a8_empty_members_of_a_list_are_ignored() {
    let setup = Setup::start().await;
    let tag = setup.get(PATH, "a", &[]).await.header("etag").unwrap().to_owned();
    for list in [
        format!(", {tag}"),
        format!("\"x\",,{tag}"),
        format!(",,\t, \"x\" , ,{tag}, ,"),
        format!("{tag},"),
        ", *".to_owned(),
        "*,".to_owned(),
    ] {
        let response = setup.get(PATH, "a", &[("if-none-match", &list)]).await;
        assert_eq!(response.status, 304, "{list}");
    }
    for list in [",", ", ,", "\"x\",,\"y\"", ""] {
        let response = setup.get(PATH, "a", &[("if-none-match", list)]).await;
        assert_eq!(response.status, 200, "{list}");
    }
    for (name, value) in [
        ("accept", ", ,application/json, ,"),
        ("accept-encoding", ",, gzip,"),
        ("cache-control", ", ,max-age=60,,"),
        ("connection", ",, keep-alive,"),
        ("expect", ", 100-continue,"),
        ("via", ", 1.1 other,,"),
        ("pragma", ",,"),
    ] {
        let response = setup.get(PATH, "a", &[(name, value)]).await;
        assert_eq!((response.status, cache_status(&response)), (200, HIT), "{name}: {value}");
    }
    let refreshed = setup.get(PATH, "a", &[("connector-cache", ", ,refresh,")]).await;
    assert_eq!(cache_status(&refreshed), "connector-cache; fwd=request; fwd-status=200; stored");
    setup.stop().await;
}
