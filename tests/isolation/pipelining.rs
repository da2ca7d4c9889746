//! Requests that hide behind others of their connection.

use crate::common::client::Client;
use crate::common::gate::Gate;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::token;

fn request(flow: &str, end_of_line: &str) -> String {
    let token = token::mint("a");
    let lines =
        [&format!("GET {} HTTP/1.1", path(flow)), "host: a", &format!("authorization: Bearer {token}"), ""];
    lines.map(|line| format!("{line}{end_of_line}")).concat()
}

#[tokio::test]
async fn a_request_with_bare_line_feeds_behind_a_valid_one_is_not_answered() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let proxy = Proxy::before(&origin.url()).await;
    let mut client = Client::connect(proxy.data).await;
    client.send(request("B2X_1_a", "\r\n") + &request("B2X_1_b", "\n")).await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(client.response().await.unwrap().status, 400);
    client.ended().await;
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_request_with_bare_line_feeds_that_comes_while_a_valid_one_is_answered_is_refused_after_it() {
    let origin = OriginServer::start().await;
    let gate = Gate::new();
    origin.any(Reply::json("{}").held_until(&gate));
    let proxy = Proxy::before(&origin.url()).await;
    let mut client = Client::connect(proxy.data).await;
    client.send(request("B2X_1_a", "\r\n")).await.unwrap();
    origin.wait_for_requests(1).await;
    client.send(request("B2X_1_b", "\n")).await.unwrap();
    // A complete request of another caller takes longer than these bytes, so they have arrived.
    assert_eq!(crate::common::client::get(proxy.data, "/", &[]).await.status, 404);
    gate.open();
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(client.response().await.unwrap().status, 400);
    client.ended().await;
    assert_eq!(origin.requests(), 1);
}
