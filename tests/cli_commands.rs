//! Commands about a running proxy, played with the real binary: `healthcheck`, `status` and `purge`.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use common::origin::OriginServer;
use common::proxy::path;
use common::reply::Reply;
use common::serve::Serve;
use common::within;
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_connector-cache");

/// Exit code, standard output and standard error of a command.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A proxy before the stand-in for Graph.
struct Stage {
    graph: FakeGraph,
    proxy: Serve,
}

impl Stage {
    async fn start(env: &[(&str, &str)]) -> Self {
        let graph = FakeGraph::start(Options::default()).unwrap();
        let url = graph.url();
        let proxy = Serve::start(&[&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &*url)], env].concat()).await;
        Self { graph, proxy }
    }

    /// Runs a command with the address of this proxy.
    async fn run(&self, arguments: &[&str]) -> Ended {
        let admin = format!("http://{}", self.proxy.admin);
        run(&[arguments, &["--admin", &admin]].concat(), &[]).await
    }

    /// Fills the cache with one entry.
    async fn fill(&self) {
        let response = self.proxy.get(&path(SIGN_UP), &self.graph.token().mint()).await;
        assert_eq!(response.status, 200);
    }
}

async fn run(arguments: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the command", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// An address that nothing listens on.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn healthcheck_says_whether_the_proxy_is_ready_or_alive() {
    let stage = Stage::start(&[]).await;
    for (arguments, answer) in [(&["healthcheck"][..], "ready\n"), (&["healthcheck", "--live"], "alive\n")] {
        let ended = stage.run(arguments).await;
        assert_eq!((ended.code, &*ended.out, &*ended.err), (Some(0), answer, ""));
    }
    // In a container the environment has the address, which may be that of all interfaces.
    let address = format!("0.0.0.0:{}", stage.proxy.admin.port());
    let ended = run(&["healthcheck"], &[("CONNECTOR_CACHE__ADMIN__ADDRESS", &address)]).await;
    assert_eq!((ended.code, &*ended.out), (Some(0), "ready\n"), "{}", ended.err);
}

#[tokio::test]
async fn each_command_says_that_nothing_listens_at_the_address() {
    for command in ["healthcheck", "status", "purge"] {
        let ended = run(&[command, "--admin", NOWHERE], &[]).await;
        assert_eq!((ended.code, &*ended.out), (Some(1), ""), "{command}");
        let expected = format!("connector-cache: {NOWHERE}: the admin port cannot be reached: ");
        assert!(ended.err.starts_with(&expected) && ended.err.contains("admin.address"), "{}", ended.err);
    }
}

#[tokio::test]
async fn an_address_that_is_no_admin_port_is_wrong_usage_and_is_not_shown() {
    for url in ["https://127.0.0.1:9090", "127.0.0.1:9090", "http://u:hunter2@127.0.0.1", "http://a/cache"] {
        let ended = run(&["healthcheck", "--admin", url], &[]).await;
        assert_eq!((ended.code, &*ended.out), (Some(64), ""), "{url}");
        assert!(
            ended.err.contains("expected http://HOST:PORT") && !ended.err.contains("hunter2"),
            "{}",
            ended.err
        );
    }
}

#[tokio::test]
async fn status_shows_a_healthy_proxy_and_ends_with_0() {
    let stage = Stage::start(&[]).await;
    stage.fill().await;
    let ended = stage.run(&["status"]).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{}", ended.out);
    for part in [
        "[ok] connector-cache ",
        ": ready, up ",
        "[ok] nothing needs attention\n",
        "entries 1, tokens with proofs 1",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "no colours off a terminal: {}", ended.out);
    let json: Value = serde_json::from_str(&stage.run(&["status", "--output", "json"]).await.out).unwrap();
    assert_eq!(
        (&json["ok"], &json["readiness"], &json["cache"]["entries"]),
        (&true.into(), &"ready".into(), &1.into())
    );
}

#[tokio::test]
async fn status_names_what_needs_attention_with_its_section_of_the_runbook() {
    let stage = Stage::start(&[]).await;
    // Opaque tokens use no cache: the share of such requests is a sentence of the console.
    for _ in 0..12 {
        stage.proxy.get(&path(SIGN_UP), &stage.graph.token().mint_opaque()).await;
    }
    let ended = within("the sentence", async {
        loop {
            let ended = stage.run(&["status"]).await;
            if ended.code != Some(0) {
                break ended;
            }
        }
    })
    .await;
    assert_eq!(ended.code, Some(1));
    let runbook = include_str!("../docs/runbook.md");
    let section = ended.out.lines().find_map(|line| line.trim().split_once(": docs/runbook.md#")).unwrap();
    assert!(runbook.contains(&format!("\n## {}\n", section.0)), "{section:?}");
    assert!(ended.out.contains("[warning] ") || ended.out.contains("[error] "), "{}", ended.out);
    assert!(ended.out.contains("token-opaque "), "{}", ended.out);
}

#[tokio::test]
async fn status_watch_prints_a_line_a_second_off_a_terminal_until_it_is_interrupted() {
    let stage = Stage::start(&[]).await;
    let admin = format!("http://{}", stage.proxy.admin);
    let mut child = Command::new(BINARY)
        .args(["status", "--watch", "--admin", &admin])
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let lines = tokio::task::spawn_blocking(move || {
        // The rest stays readable: a closed pipe would end the command.
        let mut lines = out.lines();
        let first: Vec<_> = lines.by_ref().take(2).map(Result::unwrap).collect();
        (first, lines)
    });
    let (first, _rest) = within("two lines", lines).await.unwrap();
    assert!(first.iter().all(|line| line.starts_with("ready requests=")), "{first:?}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = within("the end", tokio::task::spawn_blocking(move || child.wait().unwrap())).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn purge_looks_first_and_needs_yes_off_a_terminal() {
    let stage = Stage::start(&[]).await;
    stage.fill().await;
    for (arguments, count) in [
        (&["purge"][..], "(all are selected): 1."),
        (&["purge", "--flow", SIGN_UP], "that match the selection: 1."),
    ] {
        let ended = stage.run(arguments).await;
        assert_eq!((ended.code, &*ended.out), (Some(64), ""), "{}", ended.err);
        assert!(ended.err.contains(count) && ended.err.contains("--yes"), "{}", ended.err);
    }
    let none = stage.run(&["purge", "--flow", "other"]).await;
    assert_eq!((none.code, &*none.out), (Some(64), ""), "{}", none.err);
    let other = stage.run(&["purge", "--flow", "other", "--yes"]).await;
    let said = "[ok] no response matches; nothing to purge\n";
    assert_eq!((other.code, &*other.out), (Some(0), said), "{}", other.err);
    let ended = stage.run(&["purge", "--tenant", CONTOSO, "--flow", SIGN_UP, "--yes"]).await;
    assert_eq!((ended.code, &*ended.out), (Some(0), "[ok] 1 entry removed\n"), "{}", ended.err);
    let ended = stage.run(&["purge", "--yes", "--output", "json"]).await;
    assert_eq!((ended.code, &*ended.out), (Some(0), "{\"matching\":0,\"purged\":0}\n"), "{}", ended.err);
}

#[tokio::test]
async fn purge_asks_nothing_on_a_terminal_if_nothing_matches() {
    let stage = Stage::start(&[]).await;
    let line = format!("{BINARY} purge --flow other --admin http://{}", stage.proxy.admin);
    // `script` (util-linux) runs the command on a terminal of its own.
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    let output = within("the command", tokio::task::spawn_blocking(move || command.output().unwrap())).await;
    let output = output.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains(" matches; nothing to purge. "), "{out}");
}

#[tokio::test]
async fn a_selector_that_no_entry_can_have_is_wrong_usage() {
    let stage = Stage::start(&[]).await;
    let ended = stage.run(&["purge", "--tenant", "contoso.com", "--yes"]).await;
    assert_eq!((ended.code, &*ended.out), (Some(64), ""));
    assert!(ended.err.contains("a GUID like"), "{}", ended.err);
}

#[tokio::test]
async fn the_commands_send_the_token_of_a_file_and_say_that_it_is_missing_or_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "s3cret\n"), file("wrong", "hunter2\n"));
    let stage = Stage::start(&[("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", &right)]).await;
    assert_eq!(stage.run(&["healthcheck"]).await.code, Some(0), "probes need no token");
    for command in [&["status"][..], &["purge", "--yes"]] {
        let missing = stage.run(command).await;
        assert_eq!(missing.code, Some(1));
        assert!(missing.err.contains("--token-file"), "{}", missing.err);
        let refused = stage.run(&[command, &["--token-file", &wrong]].concat()).await;
        assert_eq!(refused.code, Some(1));
        assert!(
            refused.err.contains("refuses the token") && !refused.err.contains("hunter2"),
            "{}",
            refused.err
        );
        let done = stage.run(&[command, &["--token-file", &right]].concat()).await;
        assert_eq!(done.code, Some(0), "{}", done.err);
    }
    let absent = stage.run(&["status", "--token-file", "/nowhere/token"]).await;
    assert_eq!(absent.code, Some(64), "{}", absent.err);
    let absent = stage.run(&["status", "--token-file", "admin.token"]).await;
    assert!(absent.err.contains("The name is hidden in case it is a token itself"), "{}", absent.err);
    // The configuration of the proxy names address and file.
    let address = stage.proxy.admin.to_string();
    let env =
        [("CONNECTOR_CACHE__ADMIN__ADDRESS", &*address), ("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", &*right)];
    assert_eq!(run(&["status"], &env).await.code, Some(0));
}

#[tokio::test]
async fn purge_names_the_replicas_that_did_not_confirm_and_ends_with_1() {
    for (result, code, expected) in [
        (
            r#"{"purged":2,"replicas":3,"confirmed":3,"unconfirmed":[]}"#,
            0,
            "[ok] 2 entries removed\n[ok] 3 of 3 replicas have confirmed\n",
        ),
        (
            r#"{"purged":2,"replicas":3,"confirmed":2,"unconfirmed":["pod-b"]}"#,
            1,
            "[ok] 2 entries removed\n[error] 2 of 3 replicas have confirmed\n[error] not-confirmed: pod-b. ",
        ),
    ] {
        // An admin port with replicas: first the count, then the purge.
        let admin = OriginServer::start().await;
        admin.any([Reply::json(r#"{"matching":2}"#), Reply::json(result)]);
        let ended = run(&["purge", "--flow", "a", "--yes", "--admin", &admin.url()], &[]).await;
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(ended.out.starts_with(expected), "{}", ended.out);
        let methods: Vec<_> = admin.seen().into_iter().map(|request| request.method).collect();
        assert_eq!(methods, ["GET", "DELETE"]);
    }
}
