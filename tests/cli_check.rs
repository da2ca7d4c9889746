//! `check --connect` and `check --output json`, played with the real binary.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

mod common;

use std::process::{Command, Stdio};

use common::origin::OriginServer;
use common::reply::Reply;
use common::tls::Authority;
use common::within;
use connector_cache::fake_graph::{FakeGraph, Options};
use serde_json::Value;

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn check(arguments: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connector-cache"));
    command.arg("check").args(arguments).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the command", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The findings of a group, as pairs of result and reason.
fn findings(json: &Value, group: &str) -> Vec<(String, String)> {
    let all = json["findings"].as_array().unwrap().iter().filter(|finding| finding["group"] == group);
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|finding| (word(&finding["result"]), word(&finding["reason"]))).collect()
}

fn pair(result: &str, reason: &str) -> (String, String) {
    (result.to_owned(), reason.to_owned())
}

const BASE_URL: &str = "CONNECTOR_CACHE__GRAPH__BASE_URL";

#[tokio::test]
async fn quiet_prints_the_verdict_and_what_is_wrong() {
    let ended = check(&["--quiet"], &[]).await;
    assert_eq!((ended.code, &*ended.out, &*ended.err), (Some(0), "# valid: 0 warnings\n", ""));
    let ended = check(&["--quiet"], &[("CONNECTOR_CACHE__CACHE__TTL", "7m")]).await;
    assert_eq!((ended.code, &*ended.out), (Some(0), "# valid: 1 warning\n"));
    assert!(ended.err.contains("cache.ttl (7m) is longer than cache.proof_ttl (5m)"), "{}", ended.err);
}

#[tokio::test]
async fn connect_says_that_graph_responds_and_the_output_stays_a_configuration() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let ended = check(&["--connect"], &[(BASE_URL, &graph.url())]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for part in [
        "# Servers\n",
        "# [ok] connected: graph.base_url: ",
        "status 401",
        "# [ok] off: shared.url is not set",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("printed.toml");
    std::fs::write(&file, &ended.out).unwrap();
    assert_eq!(check(&["--config", file.to_str().unwrap()], &[]).await.code, Some(0));
}

#[tokio::test]
async fn connect_names_the_reason_for_which_graph_cannot_be_used() {
    let page = OriginServer::start().await;
    page.any(Reply::json(r#"{"login":"here"}"#));
    for (url, proxy, reason) in [
        ("http://127.0.0.1:1", "", "connect"),
        ("https://no-such-host.invalid", "", "dns"),
        ("https://graph.example", "http://127.0.0.1:1", "connect"),
        (&*page.url(), "", "unexpected-status"),
    ] {
        let env = [(BASE_URL, url), ("HTTPS_PROXY", proxy)];
        let ended = check(&["--connect"], &env).await;
        assert_eq!(ended.code, Some(1), "{url}: {}", ended.err);
        assert!(ended.out.contains(&format!("# [error] {reason}: graph.base_url: ")), "{url}: {}", ended.out);
        let ended = check(&["--connect", "--output", "json"], &env).await;
        let json: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!((ended.code, &json["ok"]), (Some(1), &false.into()));
        assert_eq!(findings(&json, "servers"), [pair("error", reason), pair("ok", "off")]);
    }
    assert!(page.seen().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn connect_names_a_store_that_does_not_respond() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let env = [
        (BASE_URL, &*graph.url()),
        ("CONNECTOR_CACHE__SHARED__URL", "redis://127.0.0.1:1"),
        ("CONNECTOR_CACHE__SHARED__SECRET_FILE", secret.to_str().unwrap()),
    ];
    let ended = check(&["--connect", "--output", "json"], &env).await;
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, Some(1), "{json}");
    assert_eq!(findings(&json, "servers"), [pair("ok", "connected"), pair("error", "connect")]);
}

#[tokio::test]
async fn the_json_has_the_files_the_warnings_and_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode).unwrap();
    let env = [
        ("CONNECTOR_CACHE__CACHE__TTL", "10m"),
        ("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", token.to_str().unwrap()),
        ("CONNECTOR_CACHE__GRAPH__CA_FILE", "/nowhere/ca.pem"),
    ];
    let ended = check(&["--output", "json"], &env).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert!(findings(&json, "settings").contains(&pair("warning", "ttl-above-proof-ttl")), "{json}");
    assert_eq!(findings(&json, "files"), [pair("warning", "missing-file"), pair("ok", "readable")]);
    let ttl =
        json["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "cache.ttl").unwrap();
    assert_eq!(
        (&ttl["value"], &ttl["source"]),
        (&"\"10m\"".into(), &"env CONNECTOR_CACHE__CACHE__TTL".into())
    );
    assert_eq!(check(&["--output", "json", "--strict"], &env).await.code, Some(64));
    std::fs::write(&token, "").unwrap();
    let ended = check(&["--output", "json"], &env).await;
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, findings(&json, "start")), (Some(1), vec![pair("error", "start-fails")]));
}

#[tokio::test]
async fn connect_names_the_fault_of_graphs_certificate() {
    let (authority, other, dir) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let ca_file = authority.write_pem(dir.path());
    let ca_file = ca_file.to_str().unwrap();
    for (certified, result, reason) in [
        (authority.right(), "ok", "connected"),
        (authority.wrong_host(), "error", "tls-name"),
        (authority.expired(), "error", "tls-expired"),
        (other.right(), "error", "tls-untrusted"),
    ] {
        let graph = OriginServer::start_tls(certified.server_config()).await;
        graph.any(Reply::status(401));
        let env = [(BASE_URL, &*graph.url_by_name()), ("CONNECTOR_CACHE__GRAPH__CA_FILE", ca_file)];
        let ended = check(&["--connect", "--output", "json"], &env).await;
        let json: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(findings(&json, "servers")[0], pair(result, reason), "{json}");
        assert_eq!(ended.code, Some(i32::from(result != "ok")));
    }
}
