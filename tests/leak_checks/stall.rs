//! F66: a log that is not read.

use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::common::client::Client;
use crate::common::origin::{OriginServer, closed_port};
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

#[tokio::test]
async fn f66_requests_go_on_while_the_log_is_not_read_and_lost_lines_are_counted() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__LOG__ACCESS", "all")];
    let serve = Serve::start_unread(&env).await;
    let authorization = format!("Bearer {}", token::mint("a"));
    let mut client = Client::connect(serve.data).await;
    // A pipe holds 64 KiB and the writer some 8,000 lines.
    for _ in 0..11_000 {
        let answer = client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
        assert_eq!(answer.status, 200);
    }
    let dropped = serve.series("connector_cache_log_lines_dropped_total").await;
    assert!(dropped > 500.0, "{dropped}");
    assert_eq!(serve.look("/livez").await.status, 200);
    let (status, out, _) = serve.stop().await;
    assert!(status.success(), "it stops, though its log is stuck: {status}");
    assert!(out.len() > 100, "what fitted is there: {} lines", out.len());
    let last = out.len() - 1;
    for line in &out[..last] {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

#[tokio::test]
async fn a_log_whose_reader_is_gone_stops_no_request() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__LOG__ACCESS", "all")];
    let mut serve = Serve::start_unread(&env).await;
    serve.close_log();
    for subject in ["a", "b", "c"] {
        assert_eq!(serve.get(&path("B2X_1_x"), &token::mint(subject)).await.status, 200);
    }
    let (status, _, err) = serve.stop().await;
    assert!(status.success());
    assert_eq!(err, Vec::<String>::new());
}

#[tokio::test]
async fn f66_a_log_on_a_full_disk_stops_no_request() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let (data, admin) = (closed_port(), closed_port());
    // Every write to it fails for want of room.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_connector-cache"))
        .arg("serve")
        .env_clear()
        .env("CONNECTOR_CACHE__GRAPH__BASE_URL", origin.url())
        .env("CONNECTOR_CACHE__LISTEN__ADDRESS", data.to_string())
        .env("CONNECTOR_CACHE__ADMIN__ADDRESS", admin.to_string())
        .env("CONNECTOR_CACHE__LOG__ACCESS", "all")
        .env("CONNECTOR_CACHE__DRAIN__DELAY", "0s")
        .stdout(full)
        .spawn()
        .unwrap();
    within("the port to be open", async {
        while TcpStream::connect(data).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let authorization = format!("Bearer {}", token::mint("a"));
    let mut client = Client::connect(data).await;
    for _ in 0..500 {
        let answer = client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
        assert_eq!(answer.status, 200);
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert!(within("the process to stop", status).await.unwrap().success());
}
