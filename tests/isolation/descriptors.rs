//! Attacks on file descriptors.

use connector_cache::server::ConnRejection;
use connector_cache::support::labels::Label;

use crate::common::client::{Client, tcp_from};
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

/// Starts the binary under a soft and a hard limit of open files.
async fn under(soft: &str, hard: &str, url: &str) -> Serve {
    let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
    let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url), ("CONNECTOR_CACHE__LIMITS__IDLE_TIMEOUT", "10m")];
    Serve::start_under(&["sh", "-c", &limits, "sh"], &env).await
}

/// The limit that the process has: soft and hard.
fn open_files(serve: &Serve) -> Vec<String> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serve.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().skip(3).take(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_limit_at_start() {
    let origin = OriginServer::start().await;
    let serve = under("256", "4096", &origin.url()).await;
    assert_eq!(open_files(&serve), ["4096", "4096"]);
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn idle_connections_past_the_open_file_limit_leave_graph_and_the_admin_port_their_descriptors() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let serve = under("1024", "1024", &origin.url()).await;
    let authorization = format!("Bearer {}", token::mint("a"));
    let idle = within("1,100 connections", async {
        let mut idle = Vec::new();
        for _ in 0..1_100 {
            idle.push(tcp_from([127, 0, 0, 2], serve.data).await);
        }
        idle
    })
    .await;
    let reason = ConnRejection::AddressConnections.as_str();
    let rejected = format!("connector_cache_rejected_total{{reason=\"{reason}\"}}");
    within("those past the share to be refused", async { while serve.series(&rejected).await < 800.0 {} })
        .await;
    assert_eq!(serve.look("/livez").await.status, 200);
    let mut caller = Client::over(tcp_from([127, 0, 0, 3], serve.data).await, serve.data);
    for flow in 0..3 {
        let response =
            caller.get(&path(&format!("B2X_1_{flow}")), &[("authorization", &authorization)]).await;
        assert_eq!(response.status, 200, "a miss reaches Graph: {}", response.text());
    }
    drop(idle);
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let warnings: Vec<_> = out.iter().filter(|line| line.contains("limits.connections is capped")).collect();
    assert_eq!(warnings.len(), 1, "{out:?}");
    assert!(warnings[0].contains("1024") && warnings[0].contains("10000"), "{warnings:?}");
    assert!(!out.iter().any(|line| line.contains("cannot accept connections")), "{out:?}");
}
