//! Memory after a purge, and huge pages.

use futures_util::future::join_all;

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

fn resident_kib(serve: &Serve) -> u64 {
    status(serve, "VmRSS:").trim_end_matches(" kB").parse().unwrap()
}

/// Value of a line of `/proc/PID/status`.
fn status(serve: &Serve, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serve.id())).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
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

async fn purge(serve: &Serve) {
    let mut admin = Client::connect(serve.admin).await;
    admin.send(format!("DELETE /cache HTTP/1.1\r\nhost: {}\r\n\r\n", serve.admin)).await.unwrap();
    assert_eq!(admin.response().await.unwrap().status, 200);
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
    purge(&serve).await;
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
    assert_eq!(status(&serve, "THP_enabled:"), "0", "at the start");
    let becomes = async |expected: &str| {
        while status(&serve, "THP_enabled:") != expected {
            serve.look("/metrics").await;
        }
    };
    read_flows(&serve, 800).await;
    within("huge pages to be allowed for 24 MiB", becomes("1")).await;
    purge(&serve).await;
    within("huge pages to be forbidden for none", becomes("0")).await;
    assert!(serve.stop().await.0.success());
}
