//! F55: no free descriptors; and many connections at the same moment.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};
use crate::process::{Process, raise_open_file_limit};

#[tokio::test]
async fn f55_without_a_free_descriptor_the_server_waits_and_recovers() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("a")).await.status, 200);
    let process = Process(serve.id());
    // Below the limit that the process read at its start, so the admitted connections need more than there are.
    let limit = process.open_files().unwrap() + 40;
    let lowered = Command::new("prlimit")
        .args([format!("--pid={}", serve.id()), format!("--nofile={limit}:{limit}")])
        .status();
    assert!(lowered.unwrap().success());
    // The kernel connects more than the process can accept.
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(serve.data).unwrap()).collect();
    within("every descriptor to be taken", async {
        while process.open_files().is_some_and(|open| open < limit) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let (began, before) = (Instant::now(), process.ticks());
    // The test measures processor time, so this wait must be real time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (spent, wall) = (process.ticks() - before, began.elapsed());
    assert!(spent < 30, "{spent} hundredths of a second of processor in {wall:?}: a busy loop");
    drop(crowd);
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("a")).await.status, 200, "the server recovers");
    assert_eq!(serve.get(&path("B2X_1_y"), &token::mint("a")).await.status, 200, "a miss reaches Graph");
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    assert!(
        out.iter().any(|line| line.contains("cannot accept connections")),
        "the log has the error: {out:?}"
    );
}

#[tokio::test]
async fn connections_made_while_the_process_is_stopped_are_served_when_it_continues() {
    let may_wait = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if may_wait.trim().parse::<usize>().unwrap() < CROWD || !raise_open_file_limit(CROWD as u64 + 200) {
        println!("skipped: the system allows fewer than {CROWD} waiting or open connections");
        return;
    }
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    let authorization = format!("Bearer {}", token::mint("a"));
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &serve.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    let crowd: Vec<_> = (0..CROWD).map(|_| Client::connect(serve.data)).collect();
    let mut crowd = within("all of them to be connected", futures_util::future::join_all(crowd)).await;
    signal("-CONT");
    for client in &mut crowd {
        let response = client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
        assert_eq!(response.status, 200);
    }
    assert!(serve.stop().await.0.success());
}

/// More than 1,024, the length of the accept queue of many servers.
const CROWD: usize = 2_000;
