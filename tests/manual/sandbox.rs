//! Where the commands of a page run: a folder, a proxy before the stand-in for Graph, a store, a token.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use tempfile::TempDir;

use super::common::proxy::path;
use super::common::redis::{Store, free_port, root};
use super::common::serve::Serve;
use super::page::Page;

pub(crate) struct Sandbox {
    folder: TempDir,
    graph: FakeGraph,
    proxy: Serve,
    /// The server at port 6379 of the pages, if the page names it.
    store: Option<Store>,
    /// Port of the stand-in that a page starts.
    stand_in: u16,
}

impl Sandbox {
    pub(crate) async fn start(page: &Page) -> Self {
        let graph = FakeGraph::start(Options::default()).unwrap();
        let proxy = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &graph.url())]).await;
        let folder = tempfile::tempdir().unwrap();
        let needs_store = page.commands.iter().any(|command| command.text.contains(STORE));
        let store = if needs_store { Some(Store::start().await) } else { None };
        let sandbox = Self { folder, graph, proxy, store, stand_in: free_port() };
        // A status of 400 or more is a failure of the command.
        std::fs::write(sandbox.folder.path().join(".curlrc"), "fail-with-body\nshow-error\n").unwrap();
        if let Some(text) = &page.configuration {
            std::fs::write(sandbox.folder.path().join("connector-cache.toml"), sandbox.replace(text))
                .unwrap();
        }
        // The metrics of the pages are not all zero.
        for _ in ["a miss", "a hit"] {
            assert_eq!(sandbox.proxy.get(&path(SIGN_UP), &sandbox.token()).await.status, 200);
        }
        sandbox
    }

    /// A valid token; the commands have it as `TOKEN`.
    fn token(&self) -> String {
        self.graph.token().tenant(CONTOSO).user("ada").mint()
    }

    /// Replaces what differs between a page and the sandbox.
    fn replace(&self, text: &str) -> String {
        let store = self.store.as_ref().map(|store| store.address().to_string());
        let pairs = [
            // The binary was built already.
            ("cargo build --release --locked", "connector-cache --version".to_owned()),
            ("cargo run --release -- ", "connector-cache ".to_owned()),
            ("target/release/connector-cache", "connector-cache".to_owned()),
            ("127.0.0.1:8080", self.proxy.data.to_string()),
            ("127.0.0.1:9090", self.proxy.admin.to_string()),
            ("127.0.0.1:7000", format!("127.0.0.1:{}", self.stand_in)),
            ("127.0.0.1:8100", format!("127.0.0.1:{}", self.stand_in)),
            (STORE, store.unwrap_or_else(|| STORE.to_owned())),
            ("/etc/connector-cache", self.folder.path().to_str().unwrap().to_owned()),
            // Placeholders of a tenant and of a user.
            ("=TID", format!("={CONTOSO}")),
            ("=OID", format!("={CONTOSO}")),
        ];
        pairs.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new))
    }

    /// Runs a command. The error says what is wrong.
    pub(crate) async fn run(&self, command: &str) -> Result<(), String> {
        let command = self.replace(command);
        let kind = Kind::of(&command);
        let mut shell = self.shell(&command, &kind);
        let ended = tokio::task::spawn_blocking(move || run(shell.spawn().unwrap(), &kind));
        ended.await.unwrap()
    }

    fn shell(&self, command: &str, kind: &Kind) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_connector-cache"));
        let inherited = std::env::var("PATH").unwrap();
        let tools = root().join("target/tools/usr/bin");
        let path = format!("{}:{}:{inherited}", program.parent().unwrap().display(), tools.display());
        // A server has ports of its own; other commands look at the running proxy.
        let (data, admin) = match kind {
            Kind::Server(_) => (free_port(), free_port()),
            Kind::Short | Kind::Endless => (self.proxy.data.port(), self.proxy.admin.port()),
        };
        let mut shell = Command::new("bash");
        // A server replaces the shell, so that it receives the signal.
        let exec = if matches!(kind, Kind::Short) { "" } else { "exec env " };
        shell.args(["-euo", "pipefail", "-c", &format!("{exec}{command}")]);
        shell.current_dir(self.folder.path()).env_clear().envs([
            ("PATH", path),
            ("CURL_HOME", self.folder.path().to_str().unwrap().to_owned()),
            ("TOKEN", self.token()),
            ("CONNECTOR_CACHE__GRAPH__BASE_URL", self.graph.url()),
            ("CONNECTOR_CACHE__LISTEN__ADDRESS", format!("127.0.0.1:{data}")),
            ("CONNECTOR_CACHE__ADMIN__ADDRESS", format!("127.0.0.1:{admin}")),
            ("CONNECTOR_CACHE__DRAIN__DELAY", "0s".to_owned()),
        ]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    }
}

/// How a command ends.
enum Kind {
    /// By itself.
    Short,
    /// Never: its first line of output counts.
    Endless,
    /// By Ctrl-C, after the line of output with this text.
    Server(&'static str),
}

impl Kind {
    fn of(command: &str) -> Self {
        // Variables before the command.
        let words = command.split(' ').skip_while(|word| word.starts_with("CONNECTOR_CACHE__"));
        let command = &*words.collect::<Vec<_>>().join(" ");
        if command.starts_with("connector-cache serve") {
            Self::Server("serving")
        } else if command.starts_with("connector-cache demo") {
            Self::Server("Ctrl-C ends ")
        } else if command.starts_with("curl -sN") || command.contains(" --watch") {
            Self::Endless
        } else {
            Self::Short
        }
    }
}

fn run(mut child: Child, kind: &Kind) -> Result<(), String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = child.stderr.take().unwrap();
    let id = child.id();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let output = std::thread::spawn({
        let until = match kind {
            Kind::Short => None,
            Kind::Endless => Some(("-KILL", "")),
            Kind::Server(ready) => Some(("-INT", *ready)),
        };
        move || {
            let (mut text, mut is_ready) = (String::new(), false);
            for line in stdout.lines() {
                let line = line.unwrap();
                if let Some((signal, ready)) = until
                    && !is_ready
                    && line.contains(ready)
                {
                    is_ready = true;
                    Command::new("kill").args([signal, &id.to_string()]).status().unwrap();
                }
                text = text + &line + "\n";
            }
            (text, is_ready)
        }
    });
    let status = wait(&mut child);
    let (text, is_ready) = output.join().unwrap();
    let errors = errors.join().unwrap().unwrap_or_default();
    let works = match (kind, status) {
        (_, None) => false,
        (Kind::Short, Some(status)) => status.success(),
        (Kind::Endless, Some(_)) => is_ready,
        (Kind::Server(_), Some(status)) => is_ready && status.success(),
    };
    let status = status.map_or_else(|| "no end".to_owned(), |status| status.to_string());
    if works { Ok(()) } else { Err(format!("{status}\n{text}{errors}")) }
}

/// Waits for the end. Kills the process after the time limit, and returns nothing then.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let id = child.id().to_string();
    let watchdog = std::thread::spawn(move || {
        let is_over = end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
        if is_over {
            Command::new("kill").args(["-KILL", &id]).status().unwrap();
        }
        is_over
    });
    let status = child.wait().unwrap();
    drop(ended);
    (!watchdog.join().unwrap()).then_some(status)
}

/// Address of the store in the pages.
const STORE: &str = "127.0.0.1:6379";
const LIMIT: Duration = Duration::from_secs(60);
