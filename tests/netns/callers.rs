//! Callers that disappear from the network.

use std::time::Duration;

use crate::common::within;
use crate::far::{CALLERS, Far, here, run};

#[tokio::test]
async fn f48_callers_whose_wire_is_cut_leave_nothing_open() {
    let far = Far::start().await;
    let settings = [
        ("CONNECTOR_CACHE__LISTEN__ADDRESS", "10.99.0.1:0"),
        ("CONNECTOR_CACHE__LIMITS__IDLE_TIMEOUT", "1s"),
    ];
    let serve = far.proxy(&settings).await;
    let files = || std::fs::read_dir(format!("/proc/{}/fd", serve.id())).unwrap().count();
    assert_eq!(far.ask(&serve, 0, "").await.status, 200);
    let before = files();
    let directory = tempfile::tempdir().unwrap();
    let (ready, proxy) = (directory.path().join("ready"), serve.data.to_string());
    let mut callers = run(
        "callers_of_the_far_end",
        &[("NET_PROXY", &proxy), ("NET_TOKEN", &far.tokens[0]), ("NET_READY", ready.to_str().unwrap())],
    );
    within("callers at the far end", async {
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(files() >= before + CALLERS - 4, "{} of {before}: they are connected", files());
    // From here on neither their bytes nor their end arrive.
    here("iptables -w -A INPUT -s 10.99.0.2 -j DROP");
    callers.kill().unwrap();
    callers.wait().unwrap();
    within("their connections to be closed", async {
        while files() > before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
