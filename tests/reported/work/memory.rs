//! Memory after a purge, and huge pages.

use futures_util::future::join_all;

use crate::common::client::{self, Client};
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

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
    let before = serve.resident_kib();
    read_flows(&serve, 800).await;
    let full = serve.resident_kib();
    assert_eq!(client::purge(serve.admin, "").await.status, 200);
    // A thread gives its memory back while it serves further requests.
    within("the memory to be given back", async {
        while serve.resident_kib() > before + (full - before) / 2 {
            origin.any(Reply::json("{}"));
            read_flows(&serve, 64).await;
        }
    })
    .await;
    println!("{before} KiB before, {full} KiB full, {} KiB after", serve.resident_kib());
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn a_growing_cache_has_huge_pages_and_an_empty_one_has_none() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return println!("skipped: the kernel has no huge pages");
    }
    let origin = OriginServer::start().await;
    origin.any(Reply::json(format!(r#"{{"displayName":"{}"}}"#, "x".repeat(30 << 10))));
    let url = origin.url();
    let env =
        [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__CACHE__MAX_BYTES", "256MiB")];
    let serve = Serve::start(&env).await;
    assert_eq!(serve.status("THP_enabled:"), "0", "at the start");
    let becomes = async |expected: &str| {
        while serve.status("THP_enabled:") != expected {
            serve.look("/metrics").await;
        }
    };
    read_flows(&serve, 800).await;
    within("huge pages to be allowed for 24 MiB", becomes("1")).await;
    assert_eq!(client::purge(serve.admin, "").await.status, 200);
    within("huge pages to be forbidden for none", becomes("0")).await;
    assert!(serve.stop().await.0.success());
}
