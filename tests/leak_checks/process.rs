//! Information about the running process in `/proc`.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::token;

const NOBODY: u32 = 65534;
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn runs(command: &[&str]) -> bool {
    Command::new(command[0]).args(&command[1..]).output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn it_leaves_no_core_file() {
    let origin = OriginServer::start().await;
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &origin.url())]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serve.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn its_memory_and_environment_are_closed_to_its_own_user() {
    let binary = env!("CARGO_BIN_EXE_connector-cache");
    let version = [&AS_NOBODY[..], &[binary, "--version"]].concat();
    if !runs(&version) {
        eprintln!("skipped: the binary cannot be run as another user here (setpriv, as root)");
        return;
    }
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let serve = Serve::start_under(&AS_NOBODY, &[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    assert_eq!(serve.get(&path("B2X_1_x"), &token::mint("a")).await.status, 200);
    let status = std::fs::read_to_string(format!("/proc/{}/status", serve.id())).unwrap();
    assert!(status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}")), "{status}");
    for file in ["environ", "mem", "maps", "auxv", "fd"] {
        let name = format!("/proc/{}/{file}", serve.id());
        assert_eq!(std::fs::metadata(&name).unwrap().uid(), 0, "{file} belongs to root");
    }
    let user_can = |words: &[&str]| runs(&[&AS_NOBODY[..], words].concat());
    assert!(user_can(&["cat", "/proc/self/environ"]), "its user can read what is its own");
    for file in ["environ", "mem", "maps"] {
        assert!(!user_can(&["head", "-c1", &format!("/proc/{}/{file}", serve.id())]), "{file}");
    }
    assert!(serve.stop().await.0.success());
}
