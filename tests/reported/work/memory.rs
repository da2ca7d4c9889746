//! Memory after a purge.

use futures_util::future::join_all;

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

fn resident_kib(serve: &Serve) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serve.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends requests for so many flows on eight connections, which are spread over all threads.
async fn read_flows(serve: &Serve, count: usize) {
    let connections = 8;
    join_all((0..connections).map(|connection| async move {
        let mut client = Client::connect(serve.data).await;
        for key in (connection..count).step_by(connections) {
            let authorization = format!("Bearer {}", token::mint(&format!("subject-{}", key / 10)));
            let path = path(&format!("B2X_1_{key}"));
            assert_eq!(client.get(&path, &[("authorization", &authorization)]).await.status, 200);
        }
    }))
    .await;
}

#[tokio::test]
async fn e11_the_documented_setting_gives_the_memory_of_purged_entries_back() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json(format!(r#"{{"displayName":"{}"}}"#, "x".repeat(30 << 10))));
    let url = origin.url();
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
        ("CONNECTOR_CACHE__SERVER__THREADS", "2"),
        ("MIMALLOC_PURGE_DELAY", "0"),
    ];
    let serve = Serve::start(&env).await;
    read_flows(&serve, 1).await;
    let before = resident_kib(&serve);
    read_flows(&serve, 800).await;
    let full = resident_kib(&serve);
    let mut admin = Client::connect(serve.admin).await;
    admin.send(format!("DELETE /cache HTTP/1.1\r\nhost: {}\r\n\r\n", serve.admin)).await.unwrap();
    assert_eq!(admin.response().await.unwrap().status, 200);
    // A thread gives its memory back while it serves further requests.
    within("the memory to be given back", async {
        while resident_kib(&serve) > before + (full - before) / 2 {
            origin.any(Reply::json("{}"));
            read_flows(&serve, 64).await;
        }
    })
    .await;
    println!("{before} KiB before, {full} KiB full, {} KiB after", resident_kib(&serve));
    assert!(serve.stop().await.0.success());
}
