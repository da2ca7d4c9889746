//! The command `demo` as a process: one proxy, and replicas with and without a real store.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use common::client::{self, Response};
use common::redis::{Store, free_port};
use common::serve::Serve;
use common::within;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const BINARY: &str = env!("CARGO_BIN_EXE_connector-cache");

/// A running demo. Its drop kills it.
struct Demo {
    child: Child,
    introduction: Vec<String>,
    out: UnboundedReceiver<String>,
    err: UnboundedReceiver<String>,
    /// Addresses of the data port and the admin port of each replica.
    replicas: Vec<(SocketAddr, SocketAddr)>,
}

impl Demo {
    /// Starts it with nothing in its environment but free ports, and reads the introduction.
    async fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command
            .arg("demo")
            .args(arguments)
            .env_clear()
            .env("CONNECTOR_CACHE__LISTEN__ADDRESS", format!("127.0.0.1:{}", free_port()))
            .env("CONNECTOR_CACHE__ADMIN__ADDRESS", format!("127.0.0.1:{}", free_port()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let mut introduction = Vec::new();
        loop {
            let line = within("the introduction", out.recv()).await.unwrap();
            introduction.push(line);
            if introduction.last().is_some_and(|line| line.contains("Ctrl-C ends ")) {
                break;
            }
        }
        assert_eq!(within("the end of the introduction", out.recv()).await.unwrap(), "");
        let replicas = introduction.iter().filter(|line| line.starts_with("replica "));
        let address = |word: &str| word.strip_prefix("http://").and_then(|address| address.parse().ok());
        let replicas = replicas.map(|line| {
            let mut addresses = line.split_whitespace().filter_map(address);
            (addresses.next().unwrap(), addresses.next().unwrap())
        });
        let replicas = replicas.collect();
        Self { child, introduction, out, err, replicas }
    }

    /// The part of the introduction's line that begins with `start` and ends with a single quote.
    fn quoted(&self, start: &str) -> String {
        let line = self.introduction.iter().find(|line| line.starts_with(start)).unwrap();
        line[start.len()..].trim_matches('\'').to_owned()
    }

    /// Sends the printed request with the printed token to the replica at `index`.
    async fn get(&self, index: usize) -> Response {
        let authorization = format!("Bearer {}", self.quoted("TOKEN="));
        let (data, _) = self.replicas[index];
        let url = self.quoted("curl -si -H \"Authorization: Bearer $TOKEN\" ");
        let path = url.split_once("/beta").map(|(_, path)| format!("/beta{path}")).unwrap();
        client::get(data, &path, &[("authorization", &authorization)]).await
    }

    /// Purges at the replica at `index`.
    async fn purge(&self, index: usize) -> serde_json::Value {
        client::purge(self.replicas[index].1, "").await.json()
    }

    /// One series of a replica.
    async fn series(&self, index: usize, name: &str) -> f64 {
        let scrape = client::get(self.replicas[index].1, "/metrics", &[]).await;
        let line = scrape.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {name}")).parse().unwrap()
    }

    /// Waits until each replica uses the store and knows the others.
    async fn shares(&self) {
        within("the replicas to share", async {
            for (_, admin) in &self.replicas {
                loop {
                    let shared = client::get(*admin, "/cache", &[]).await.json()["shared"].clone();
                    if shared["state"] == "live" && shared["replicas"] == self.replicas.len() {
                        break;
                    }
                    tokio::time::sleep(POLL).await;
                }
            }
        })
        .await;
    }

    /// Waits until the replica at `index` has written its response to the store.
    async fn has_written(&self, index: usize) {
        within("the write", async {
            let name = "connector_cache_shared_requests_total{op=\"write\",result=\"ok\"}";
            while self.series(index, name).await < 1.0 {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    async fn line(&mut self) -> String {
        within("a line of a request", self.out.recv()).await.unwrap()
    }

    async fn message(&mut self) -> String {
        within("a message", self.err.recv()).await.unwrap()
    }

    /// Stops it by SIGINT, as Ctrl-C does. Returns its exit status, and the rest of standard error.
    async fn stop(mut self) -> (ExitStatus, Vec<String>) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut rest = Vec::new();
        // Both channels close when the process ends.
        within("the end", async {
            while self.out.recv().await.is_some() {}
            while let Some(line) = self.err.recv().await {
                rest.push(line);
            }
        })
        .await;
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap()
}

#[tokio::test]
async fn three_replicas_without_a_store_call_graph_for_one_token_three_times() {
    let mut demo = Demo::start(&["--replicas", "3"]).await;
    assert_eq!(demo.replicas.len(), 3);
    for (index, all) in (0..3).zip(1..) {
        let response = demo.get(index).await;
        assert!(cache_status(&response).contains("fwd=uri-miss"), "{}", cache_status(&response));
        let line = demo.line().await;
        assert!(line.starts_with(&format!("replica {}   200  miss ", index + 1)), "{line}");
        let counts = format!("requests to Graph: 1 sent, 0 saved; all replicas: {all} sent, 0 saved");
        assert!(line.ends_with(&counts), "{line}");
    }
    assert!(cache_status(&demo.get(1).await).contains("hit"));
    let line = demo.line().await;
    assert!(line.ends_with("1 sent, 1 saved; all replicas: 3 sent, 1 saved"), "{line}");

    assert_eq!(demo.purge(0).await["purged"], 1);
    assert!(cache_status(&demo.get(1).await).contains("hit"), "a purge does not reach the others");
    let (status, err) = demo.stop().await;
    assert_eq!((status.code(), err), (Some(0), Vec::new()));
}

#[tokio::test]
async fn three_replicas_with_a_store_call_graph_for_one_token_once_and_purge_together() {
    let store = Store::start().await;
    let mut demo = Demo::start(&["--replicas", "3", "--shared", &store.url()]).await;
    // Another run on the same store.
    let other = Demo::start(&["--replicas", "2", "--shared", &store.url()]).await;
    demo.shares().await;
    other.shares().await;
    assert!(cache_status(&demo.get(0).await).contains("fwd=uri-miss"));
    demo.has_written(0).await;
    for index in [1, 2] {
        let response = demo.get(index).await;
        let status = cache_status(&response);
        assert!(status.contains("hit;") && status.contains("detail=shared"), "{status}");
    }
    let lines = [demo.line().await, demo.line().await, demo.line().await];
    assert!(lines[0].contains(" miss ") && lines[0].ends_with("1 sent, 0 saved"), "{lines:?}");
    assert!(lines[1].contains("replica 2   200  hit, shared "), "{lines:?}");
    assert!(lines[2].ends_with("0 sent, 1 saved; all replicas: 1 sent, 2 saved"), "{lines:?}");

    let purge = demo.purge(0).await;
    let expected = serde_json::json!({"purged": 1, "replicas": 3, "confirmed": 3});
    for field in ["purged", "replicas", "confirmed"] {
        assert_eq!(purge[field], expected[field], "{purge}");
    }
    assert!(cache_status(&demo.get(2).await).contains("fwd=uri-miss"), "the purge reached replica 3");
    for demo in [demo, other] {
        let (status, err) = demo.stop().await;
        assert_eq!((status.code(), err), (Some(0), Vec::new()));
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_one_warning_and_the_demo_serves() {
    let mut store = Store::start().await;
    store.kill();
    let url = store.url();
    let mut demo = Demo::start(&["--replicas", "2", "--shared", &url]).await;
    let first = demo.message().await;
    let warning = format!("connector-cache: warning: shared.url: {url}: no connection");
    assert!(first.starts_with(&warning), "{first}");
    assert!(demo.message().await.contains("redis-server --port"));
    for index in [0, 1] {
        assert!(cache_status(&demo.get(index).await).contains("fwd=uri-miss"));
        let line = demo.line().await;
        let start = format!("replica {}   200  miss ", index + 1);
        assert!(line.starts_with(&start), "not a line of the log: {line}");
    }
    store.restart().await;
    assert_eq!(
        demo.message().await,
        format!("connector-cache: {url} can be used: the replicas share from now on")
    );
    assert_eq!(demo.purge(1).await["confirmed"], 2);
    store.kill();
    let lost = demo.message().await;
    assert!(lost.starts_with(&format!("connector-cache: warning: {url} cannot be used now")), "{lost}");
    assert!(demo.message().await.contains("redis-server --port"));
    assert!(cache_status(&demo.get(0).await).contains("fwd=uri-miss"), "callers notice nothing");
    let (status, rest) = demo.stop().await;
    assert_eq!((status.code(), rest), (Some(0), Vec::new()));
}

#[tokio::test]
async fn a_store_that_wants_a_password_is_a_warning_with_the_keys_to_set() {
    let store = Store::start_with(&["--requirepass", "pass-word"]).await;
    let mut demo = Demo::start(&["--shared", &store.url()]).await;
    assert_eq!(demo.replicas.len(), 1);
    assert!(demo.message().await.contains("shared.password_file"));
    assert!(demo.message().await.contains("CONNECTOR_CACHE__SHARED__PASSWORD_FILE"));
    assert!(cache_status(&demo.get(0).await).contains("fwd=uri-miss"));
    let (status, rest) = demo.stop().await;
    assert_eq!((status.code(), rest), (Some(0), Vec::new()));
}

#[tokio::test]
async fn one_replica_prints_the_introduction_of_one_proxy() {
    let demo = Demo::start(&[]).await;
    for start in ["cache     http://127.0.0.1:", "admin     http://127.0.0.1:", "stand-in  http://127.0.0.1:"]
    {
        assert!(demo.introduction.iter().any(|line| line.starts_with(start)), "{:?}", demo.introduction);
    }
    let starting_with =
        |start: &str| demo.introduction.iter().filter(move |line| line.starts_with(start)).count();
    assert_eq!(starting_with("curl -si -H 'Authorization: Bearer ey"), 3);
    let admin = demo.introduction.iter().find_map(|line| line.strip_prefix("admin     ")).unwrap();
    let admin = admin.split(' ').next().unwrap();
    let console = format!("console: open {admin} in a browser. ");
    assert_eq!(starting_with(&console), 1, "{:?}", demo.introduction);
    // The commands as printed.
    for (command, answer) in [("status --admin", "nothing"), ("purge --admin", "Nothing was removed: ")] {
        let line = format!("{BINARY} {command} {admin}");
        let line = demo.introduction.iter().find(|known| known.starts_with(&line)).unwrap();
        let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output().unwrap();
        let out = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(out.contains(answer), "{line}: {out}");
    }
    assert!(demo.replicas.is_empty());
    let (status, err) = demo.stop().await;
    assert_eq!((status.code(), err), (Some(0), Vec::new()));
}

#[tokio::test]
async fn the_stand_in_alone_serves_a_proxy_in_a_process_of_its_own() {
    let graph = format!("127.0.0.1:{}", free_port());
    let demo = Demo::start(&["--stand-in", &graph]).await;
    let url = format!("http://{graph}");
    assert!(demo.introduction.contains(&format!("stand-in  {url}, responds in 120 ms")));
    let command = format!("CONNECTOR_CACHE__GRAPH__BASE_URL={url} {BINARY} serve");
    assert!(demo.introduction.contains(&command), "{:?}", demo.introduction);

    let proxy = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    let printed = demo.introduction.iter().find(|line| line.starts_with("curl -si -H 'Auth")).unwrap();
    let [_, header, _, target, _] = printed.split('\'').collect::<Vec<_>>()[..] else { panic!("{printed}") };
    let token = header.rsplit(' ').next().unwrap();
    let path = target.split_once("/beta").map(|(_, path)| format!("/beta{path}")).unwrap();
    assert!(cache_status(&proxy.get(&path, token).await).contains("fwd=uri-miss"));
    assert!(cache_status(&proxy.get(&path, token).await).contains("hit"));
    let (status, err) = demo.stop().await;
    assert_eq!((status.code(), err), (Some(0), Vec::new()));
}

#[test]
fn a_port_in_use_ends_the_stand_in_with_1_and_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(BINARY);
    let output = command.args(["demo", "--stand-in", &address]).env_clear().output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.starts_with(&format!("connector-cache: --stand-in = {address}: ")), "{err}");
    assert!(err.ends_with(". Stop the other process, or set another --stand-in\n"), "{err}");
}

#[test]
fn bad_arguments_end_with_64_and_say_what_is_accepted() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        let output = command.arg("demo").args(arguments).env_clear().output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for number in ["0", "11", "x", "", "-1", "1.5", "99999999999999999999999"] {
        let (code, err) = run(&[&format!("--replicas={number}")]);
        assert_eq!(code, Some(64), "{number}: {err}");
        assert!(err.contains("--replicas <NUMBER>") && err.contains("from 1 to 10"), "{number}: {err}");
    }
    for address in ["", "x", "127.0.0.1", "10.0.0.1:8100", "0.0.0.0:8100", "127.0.0.1:99999"] {
        let (code, err) = run(&[&format!("--stand-in={address}")]);
        assert_eq!(code, Some(64), "{address}: {err}");
        assert!(err.contains("expected a loopback address with a port"), "{address}: {err}");
    }
    let (code, err) = run(&["--stand-in", "127.0.0.1:0", "--replicas", "3"]);
    assert_eq!(code, Some(64), "{err}");
    for url in [
        "",
        "x",
        "http://127.0.0.1:6379",
        "redis://",
        "redis://127.0.0.1:0",
        "redis://user:pass-word@127.0.0.1",
    ] {
        let (code, err) = run(&["--replicas", "3", "--shared", url]);
        assert_eq!(code, Some(64), "{url}: {err}");
        assert!(
            err.starts_with("connector-cache: the configuration is refused:\n--shared = "),
            "{url}: {err}"
        );
        assert!(err.contains("expected redis://HOST:PORT") && !err.contains("pass-word"), "{url}: {err}");
    }
}

/// Time between two looks at a state that sends no event.
const POLL: Duration = Duration::from_millis(5);
