//! The second network namespace: its firewall and its processes.
//!
//! A process there is this test binary, started with a "test" that does the work of the process.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use connector_cache::fake_graph::{FakeGraph, Options};

use crate::common::client::{Client, Response};
use crate::common::proxy::path;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::within;

/// Graph at the far end, and nothing wrong with the wire. Dropped, both are so again.
pub(crate) struct Far {
    directory: tempfile::TempDir,
    graph: Child,
    /// Of as many users.
    pub(crate) tokens: Vec<String>,
}

impl Far {
    /// Mends the wire and starts Graph.
    pub(crate) async fn start() -> Self {
        mend();
        let directory = tempfile::tempdir().unwrap();
        let graph = run("graph_of_the_far_end", &[("NET_DIRECTORY", directory.path().to_str().unwrap())]);
        let list = directory.path().join("tokens");
        within("Graph at the far end", async {
            while !list.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let tokens = std::fs::read_to_string(list).unwrap().lines().map(str::to_owned).collect();
        Self { directory, graph, tokens }
    }

    /// The proxy at the near end, with these settings beside.
    pub(crate) async fn proxy(&self, settings: &[(&str, &str)]) -> Serve {
        let roots = self.directory.path().join("root.pem");
        let url = format!("https://{GRAPH}");
        let mut env = vec![
            ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
            ("CONNECTOR_CACHE__GRAPH__CA_FILE", roots.to_str().unwrap()),
            ("CONNECTOR_CACHE__GRAPH__CONNECT_TIMEOUT", "1s"),
            ("CONNECTOR_CACHE__GRAPH__TIMEOUT", "2s"),
        ];
        env.extend(settings);
        Serve::start(&env).await
    }

    /// Reads a flow with the token of this number. Each number of a flow is a key of its own.
    pub(crate) async fn ask(&self, serve: &Serve, token: usize, select: &str) -> Response {
        let authorization = format!("Bearer {}", self.tokens[token]);
        let path = path(FLOW).split('?').next().unwrap().to_owned() + select;
        Client::connect(serve.data).await.get(&path, &[("authorization", &authorization)]).await
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.graph.kill();
        let _ = self.graph.wait();
        mend();
    }
}

/// A process at the far end that does what this "test" says.
pub(crate) fn run(test: &str, env: &[(&str, &str)]) -> Child {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace("NET_FAR")]).arg(std::env::current_exe().unwrap());
    command.args([&format!("far::{test}"), "--exact", "--nocapture"]).envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Runs a command of the system at the far end.
pub(crate) fn there(command: &str) {
    system(&["netns", "exec", &namespace("NET_FAR")], command);
}

/// What a command of the system says at the far end.
pub(crate) fn ask_there(command: &str) -> String {
    let words = ["netns", "exec", &namespace("NET_FAR")];
    let output = Command::new("ip").args(words).args(command.split(' ')).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command of the system at this end.
pub(crate) fn here(command: &str) {
    system(&["netns", "exec", &namespace("NET_NEAR")], command);
}

fn system(prefix: &[&str], command: &str) {
    let status = Command::new("ip").args(prefix).args(command.split(' ')).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// The wire as it was made.
fn mend() {
    for end in [here, there] {
        end("iptables -w -F");
        end("ip link set wire up");
    }
    // There is nothing to delete where nothing was added.
    let _ = Command::new("ip")
        .args(["netns", "exec", &namespace("NET_FAR"), "tc", "qdisc", "del", "dev", "wire", "root"])
        .stderr(Stdio::null())
        .status();
}

fn namespace(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this by `make test-net`"))
}

/// The work of Graph's process.
#[tokio::test]
async fn graph_of_the_far_end() {
    let Ok(directory) = std::env::var("NET_DIRECTORY") else { return };
    let directory = PathBuf::from(directory);
    let authority = Authority::new();
    authority.write_pem(&directory);
    let tls = Some(authority.certify(&["10.99.0.2"]).server_config());
    let listener = Some(TcpListener::bind(GRAPH).unwrap());
    let graph =
        FakeGraph::start(Options { listener, tls: tls.map(|tls| Arc::clone(&tls)), ..Options::default() });
    let graph = graph.unwrap();
    let tokens: Vec<_> = (0..USERS).map(|user| graph.token().user(&format!("net-{user}")).mint()).collect();
    std::fs::write(directory.join("writing"), tokens.join("\n")).unwrap();
    std::fs::rename(directory.join("writing"), directory.join("tokens")).unwrap();
    until_input_ends().await;
}

/// The work of callers at the far end: each has an answer, and holds its connection.
#[tokio::test]
async fn callers_of_the_far_end() {
    let Ok(proxy) = std::env::var("NET_PROXY") else { return };
    let (proxy, token): (SocketAddr, _) = (proxy.parse().unwrap(), std::env::var("NET_TOKEN").unwrap());
    let mut clients = Vec::new();
    for _ in 0..CALLERS {
        let mut client = Client::connect(proxy).await;
        let answer = client.get(&path(FLOW), &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(answer.status, 200);
        clients.push(client);
    }
    std::fs::write(std::env::var("NET_READY").unwrap(), "").unwrap();
    until_input_ends().await;
}

/// Ends with the process that started it, which holds the other end of standard input.
async fn until_input_ends() {
    let reading = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    reading.await.unwrap().unwrap();
}

pub(crate) const FLOW: &str = connector_cache::fake_graph::SIGN_UP;
pub(crate) const CALLERS: usize = 20;
const GRAPH: &str = "10.99.0.2:8443";
const USERS: usize = 40;
