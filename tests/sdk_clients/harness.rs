//! Test harness: the stand-in for Graph, a proxy on a plain and on a TLS port, and one client process that sends commands.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use connector_cache::fake_graph::{FakeGraph, NowFn, Options};
use connector_cache::server::TlsFiles;
use http::StatusCode;
use serde_json::{Value, json};

use crate::common::proxy::Proxy;
use crate::common::tls::Authority;

/// All parts that a client uses.
pub(crate) struct World {
    pub(crate) graph: Arc<FakeGraph>,
    pub(crate) plain: Proxy,
    pub(crate) tls: Proxy,
    /// Directory with the files of the certificate.
    files: tempfile::TempDir,
}

impl World {
    /// Starts the stand-in and two proxies before it.
    pub(crate) async fn start() -> Self {
        // The clocks of the proxies stand still, and a token must not be issued in their future.
        let start = SystemTime::now();
        let now: NowFn = Arc::new(move || start);
        let graph = FakeGraph::start(Options { now, ..Options::default() }).unwrap();
        let files = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.write_pem(files.path());
        let (certificate, key) = authority.right().write_pem(files.path());
        let plain = Proxy::before(&graph.url()).await;
        let listen = TlsFiles { certificate, key, client_ca: None };
        let tls = Proxy::with(&graph.url(), |config| config.server.tls = Some(listen)).await;
        Self { graph: Arc::new(graph), plain, tls, files }
    }

    /// Returns the path of the private root that signed the certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.files.path().join("root.pem")
    }

    /// Prepares a program that trusts the private root and uses no proxy of this machine.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("SSL_CERT_FILE", self.root()).env("NODE_EXTRA_CA_CERTS", self.root());
        command.env("PLAIN_URL", format!("http://{}", self.plain.data));
        command.env("TLS_URL", format!("https://localhost:{}", self.tls.data.port()));
        command.env("CLIENTS", installed());
        command
    }

    /// Runs a client, and carries out its commands until it ends. Fails the test with the client's output if it fails.
    pub(crate) async fn play(&self, mut command: Command) {
        let clocks = [self.plain.clock.clone(), self.tls.clock.clone()];
        let ticking = tokio::spawn(async move {
            // A client waits in real time, so the proxies' clocks must follow it.
            let mut then = std::time::Instant::now();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let now = std::time::Instant::now();
                for clock in &clocks {
                    clock.advance(now - then);
                }
                then = now;
            }
        });
        let output_file = self.files.path().join("output.txt");
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&output_file).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}; {}", advice()));
        let graph = Arc::clone(&self.graph);
        let running = tokio::task::spawn_blocking(move || serve(child, &graph));
        let ended = tokio::time::timeout(LIMIT, running).await;
        ticking.abort();
        let fine = matches!(ended, Ok(Ok(true)));
        let output_file = std::fs::read_to_string(output_file).unwrap_or_default();
        assert!(fine, "{command:?} failed or took longer than {LIMIT:?}:\n{output_file}");
    }

    pub(crate) async fn stop(self) {
        self.plain.stop().await;
        self.tls.stop().await;
    }
}

/// Returns the directory in which `prepare` installs the clients.
pub(crate) fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

/// Returns the path of a script beside this file.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk_clients").join(name)
}

/// Fails the test with advice if a client is not installed.
pub(crate) fn require(file: &Path) {
    assert!(file.exists(), "{} does not exist; {}", file.display(), advice());
}

fn advice() -> &'static str {
    "tests/sdk_clients/prepare installs the clients"
}

/// Carries out commands until the client closes its output. Returns whether the client succeeded.
fn serve(mut child: Child, graph: &FakeGraph) -> bool {
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return false };
    carry_out_all(input, output, graph);
    child.wait().is_ok_and(|status| status.success())
}

fn carry_out_all(mut input: ChildStdin, output: ChildStdout, graph: &FakeGraph) {
    for line in BufReader::new(output).lines() {
        let order: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let response = carry_out(&order, graph);
        // A client that crashed sends no further command; its exit code has the failure.
        if writeln!(input, "{response}").is_err() {
            return;
        }
    }
}

fn carry_out(order: &Value, graph: &FakeGraph) -> Value {
    let text = |name: &str| order[name].as_str().unwrap_or_else(|| panic!("no {name} in {order}"));
    let number = |name: &str| order[name].as_u64().unwrap_or_else(|| panic!("no {name} in {order}"));
    match text("do") {
        "token" => json!({ "token": graph.token().user(text("user")).mint() }),
        "revoke" => {
            graph.revoke(text("token"));
            json!({})
        }
        "calls" => json!({ "calls": graph.calls() }),
        "show" => {
            eprintln!("{}: {}", text("client"), text("text"));
            json!({})
        }
        "secrets" => json!({ "secrets": graph.planted_secrets() }),
        "fail" => {
            let status = StatusCode::from_u16(u16::try_from(number("status")).unwrap()).unwrap();
            graph.set_fault_retry_after(Duration::from_secs(number("wait")));
            graph.fail_next(u32::try_from(number("count")).unwrap(), status);
            json!({})
        }
        other => panic!("unknown command: {other}"),
    }
}

/// Time for all scenarios of one client on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
