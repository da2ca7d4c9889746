//! F55: no descriptors left.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::kit::origin::Origin;
use crate::kit::proxy::path;
use crate::kit::reply::Reply;
use crate::kit::serve::Serve;
use crate::kit::{token, within};
use crate::process::Process;

#[tokio::test]
async fn f55_without_a_descriptor_left_it_waits_and_goes_on() {
    let origin = Origin::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let few = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    let serve = Serve::start_under(&few, &[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("a")).await.status, 200);
    let process = Process(serve.id());
    // The kernel connects more than the process can accept.
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(serve.data).unwrap()).collect();
    within("every descriptor to be taken", async {
        while process.open_files().is_some_and(|open| open < 64) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let (began, before) = (Instant::now(), process.ticks());
    // Time is what is measured here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (spent, wall) = (process.ticks() - before, began.elapsed());
    assert!(spent < 30, "{spent} hundredths of a second of processor in {wall:?}: a busy loop");
    drop(crowd);
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("a")).await.status, 200, "it goes on");
    assert_eq!(serve.get(&path("B2X_1_y"), &token::mint("a")).await.status, 200, "and reaches Graph");
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    assert!(out.iter().any(|line| line.contains("cannot accept connections")), "it says so: {out:?}");
}
