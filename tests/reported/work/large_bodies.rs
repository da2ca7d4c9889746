//! Large bodies, which are decoded and scrubbed outside of the threads that serve connections.

use crate::common::client::{Client, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{token, within};

/// Returns a body of this many bytes, with one credential.
fn large(bytes: usize, password: &str) -> String {
    let rest = "x".repeat(bytes - 40);
    format!(r#"{{"displayName":"{rest}","password":"{password}"}}"#)
}

async fn send(proxy: &Proxy, flow: &str, subject: &str) -> Client {
    let mut client = Client::connect(proxy.data).await;
    let authorization = format!("Bearer {}", token::mint(subject));
    client.send_get(&path(flow), &[("authorization", &authorization)]).await.unwrap();
    client
}

async fn get(proxy: &Proxy, flow: &str, subject: &str) -> Response {
    send(proxy, flow, subject).await.response().await.unwrap()
}

async fn wait_for_large_bodies(proxy: &Proxy, count: usize) {
    within("the large bodies to wait", async {
        while proxy.body_workers.waiting() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn e8_other_connections_of_a_thread_are_served_while_large_bodies_wait_for_their_work() {
    let origin = OriginServer::start().await;
    // One thread serves all connections.
    let proxy = Proxy::with(&origin.url(), |config| config.server.threads = Some(1)).await;
    let body = large(1 << 19, "hunter2");
    let target = |flow: &str| path(flow).split('?').next().unwrap().to_owned();
    origin.any(Reply::json("{}"));
    origin.route(&target("B2X_1_plain"), Reply::json(&*body));
    origin.route(&target("B2X_1_gzip"), Reply::json(&*body).gzip());
    origin.route(&target("B2X_1_error"), Reply::json(&*body).status_of(404));

    let workers = proxy.body_workers.clone();
    let mut held = Vec::new();
    for _ in 0..workers.capacity() {
        held.push(workers.acquire([u128::MAX; 3]).await);
    }
    let mut waiting = Vec::new();
    for (count, flow) in ["B2X_1_plain", "B2X_1_gzip", "B2X_1_error"].into_iter().enumerate() {
        waiting.push(send(&proxy, flow, "ada").await);
        wait_for_large_bodies(&proxy, count + 1).await;
    }
    for (subject, cache) in [("bob", "miss"), ("bob", "hit"), ("ada", "miss")] {
        let response = get(&proxy, "B2X_1_small", subject).await;
        assert_eq!((response.status, response.text()), (200, "{}"), "{subject} {cache}");
    }
    assert_eq!((proxy.body_workers.waiting(), origin.requests()), (3, 5));

    drop(held);
    for (client, status) in waiting.iter_mut().zip([200, 200, 404]) {
        let response = client.response().await.unwrap();
        assert_eq!(response.status, status);
        let expected =
            if status == 200 { large(1 << 19, "******") } else { body.replace("hunter2", "******") };
        assert!(response.text().ends_with(r#""password":"******"}"#), "{status}");
        assert!(status != 200 || response.text() == expected);
    }
    // The large bodies are stored, and a hit needs no worker.
    let _held = workers.acquire([u128::MAX; 3]).await;
    let hit = get(&proxy, "B2X_1_gzip", "ada").await;
    assert!(hit.header("cache-status").unwrap().starts_with("connector-cache; hit"), "{hit:?}");
    proxy.stop().await;
    origin.finish().await;
}

#[tokio::test]
async fn e8_a_gzip_bomb_of_few_bytes_is_decoded_elsewhere() {
    let origin = OriginServer::start().await;
    let proxy = Proxy::before(&origin.url()).await;
    let reply = Reply::json(format!("{{{}}}", " ".repeat(10 << 20))).gzip();
    origin.any(reply);
    let workers = proxy.body_workers.clone();
    let mut held = Vec::new();
    for _ in 0..workers.capacity() {
        held.push(workers.acquire([u128::MAX; 3]).await);
    }
    let mut client = send(&proxy, "B2X_1_x", "ada").await;
    wait_for_large_bodies(&proxy, 1).await;
    drop(held);
    let response = client.response().await.unwrap();
    let expected = "connector-cache; fwd=uri-miss; detail=too-large";
    assert_eq!((response.status, response.header("cache-status")), (502, Some(expected)));
    proxy.stop().await;
    origin.finish().await;
}
