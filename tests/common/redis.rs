//! Real servers of Redis and Valkey: start, faults by signals, raw commands, restart on the same port.
//!
//! `make setup` installs both programs. `SHARED_STORE=valkey` runs the tests with Valkey, which has no TLS.

pub mod cluster;
pub mod resp;
pub mod sentinel;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use self::resp::{Connection, Value};
use super::within;

/// A running server without persistence, on a free port of 127.0.0.1. Its drop kills it.
pub struct Store {
    program: PathBuf,
    directory: TempDir,
    arguments: Vec<String>,
    port: u16,
    tls_port: Option<u16>,
    password: Option<String>,
    child: Option<Child>,
}

impl Store {
    /// Starts Redis, or Valkey if `SHARED_STORE` is `valkey`.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with further arguments.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::launch(program(), arguments, false).await
    }

    /// Starts Redis with a TLS port beside the plain one. Paths of certificate, key and CA; a client certificate of the CA
    /// is required if `wants_client` is set.
    pub async fn start_tls((certificate, key): (&Path, &Path), ca: &Path, wants_client: bool) -> Self {
        let [certificate, key, ca] = [certificate, key, ca].map(|path| path.to_str().unwrap());
        let clients = if wants_client { "yes" } else { "no" };
        let arguments = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", ca];
        let arguments = [&arguments[..], &["--tls-auth-clients", clients]].concat();
        Self::launch("redis-server", &arguments, true).await
    }

    /// Starts a Sentinel with this configuration file, which it rewrites.
    async fn start_sentinel(file: PathBuf, directory: TempDir, port: u16) -> Self {
        let arguments = vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
        let program = find(program());
        let mut store =
            Self { program, directory, arguments, port, tls_port: None, password: None, child: None };
        assert!(store.run().await, "the Sentinel does not start: {}", store.log());
        store
    }

    async fn launch(program: &str, arguments: &[&str], has_tls: bool) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        // The port can be taken between the choice and the start.
        for _ in 0..ATTEMPTS {
            let mut store = Self {
                program: find(program),
                directory: tempfile::tempdir().unwrap(),
                arguments: arguments.clone(),
                port: free_port(),
                tls_port: has_tls.then(free_port),
                password: None,
                child: None,
            };
            if store.run().await {
                return store;
            }
        }
        panic!("{program} did not start in {ATTEMPTS} attempts");
    }

    /// Starts the process. Returns whether it answers; false if it has ended.
    async fn run(&mut self) -> bool {
        let mut command = self.process();
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        within("the store to answer", async {
            loop {
                if let Ok(mut connection) = Connection::open(self.address()).await
                    && let Ok(Value::Text(_) | Value::Error(_)) = connection.command(&["PING"]).await
                {
                    // Another process could have the port.
                    return self.has_ended().is_none();
                }
                if self.has_ended().is_some() {
                    return false;
                }
                tokio::time::sleep(POLL).await;
            }
        })
        .await
    }

    fn process(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Libraries of the program that `make setup` unpacked.
        command.env("LD_LIBRARY_PATH", root().join("target/tools/usr/lib/redis"));
        command.current_dir(self.directory.path());
        let port = self.port.to_string();
        if let [file, mode] = &self.arguments[..]
            && mode == "--sentinel"
        {
            command.args([file, mode, "--port", &port, "--bind", "127.0.0.1"]);
            return command;
        }
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]);
        if let Some(port) = self.tls_port {
            command.args(["--tls-port", &port.to_string()]);
        }
        // A replica receives the data at once instead of after 5 s.
        command.args(["--repl-diskless-sync-delay", "0"]);
        command.args(&self.arguments);
        command
    }

    fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().unwrap().try_wait().unwrap()
    }

    /// Address of the port without TLS.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// URL of the port without TLS.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// URL of the TLS port, by name.
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls_port.unwrap())
    }

    /// Output of the server so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Opens a connection for raw commands, as the administrator.
    pub async fn connect(&self) -> Connection {
        let mut connection = within("the store to accept", Connection::open(self.address())).await.unwrap();
        if let Some(password) = &self.password {
            connection.ok(&["AUTH", password]).await;
        }
        connection
    }

    /// Sends one command on its own connection. An error response is a value. A server that changes its role ends its
    /// connections; then the command is sent again.
    pub async fn command(&self, words: &[&str]) -> Value {
        within("a response of the store", async {
            loop {
                match self.connect().await.command(words).await {
                    Ok(value) => return value,
                    Err(_) => tokio::time::sleep(POLL).await,
                }
            }
        })
        .await
    }

    /// Sends one command, which must not fail.
    pub async fn ok(&self, words: &[&str]) -> Value {
        let value = self.command(words).await;
        assert!(!matches!(value, Value::Error(_)), "{words:?}: {value:?}");
        value
    }

    /// Changes a setting of the running server.
    pub async fn set(&self, name: &str, value: &str) {
        self.ok(&["CONFIG", "SET", name, value]).await;
    }

    /// Requires this password from now on, and ends the connections of all clients.
    pub async fn require_password(&mut self, password: &str) {
        self.set("requirepass", password).await;
        self.password = Some(password.to_owned());
        self.end_connections().await;
    }

    /// Ends the connections of all clients.
    pub async fn end_connections(&self) {
        self.ok(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    }

    /// Names of all keys that contain `part`.
    pub async fn keys(&self, part: &str) -> Vec<Vec<u8>> {
        let names = self.ok(&["KEYS", "*"]).await.into_list().into_iter().map(Value::into_bytes);
        let has_part = |name: &Vec<u8>| String::from_utf8_lossy(name).contains(part);
        names.filter(has_part).collect()
    }

    /// Returns the name of the stream with the events of the replicas. There must be one.
    pub async fn log_name(&self) -> String {
        for key in self.keys("{log}").await {
            let name = String::from_utf8(key).unwrap();
            if self.command(&["TYPE", &name]).await.into_text() == "stream" {
                return name;
            }
        }
        panic!("the store has no log")
    }

    /// Waits until at least `count` keys contain `part`, and returns their names.
    pub async fn wait_for_keys(&self, part: &str, count: usize) -> Vec<Vec<u8>> {
        let found = async {
            loop {
                let keys = self.keys(part).await;
                if keys.len() >= count {
                    return keys;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        within(&format!("{count} keys with {part:?}"), found).await
    }

    /// A field of `INFO`, or an empty text.
    pub async fn info(&self, section: &str, field: &str) -> String {
        let text = String::from_utf8(self.ok(&["INFO", section]).await.into_bytes()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().to_owned()
    }

    /// Number of calls of a command since the start.
    pub async fn calls_of(&self, command: &str) -> u64 {
        let stats = self.info("commandstats", &format!("cmdstat_{command}")).await;
        let calls = stats.split(',').find_map(|part| part.strip_prefix("calls="));
        calls.map_or(0, |calls| calls.parse().unwrap())
    }

    /// Stops the process without ending it (SIGSTOP): connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Continues a frozen process (SIGCONT).
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Ends the process at once (SIGKILL). Its data is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends the process if it runs, and starts it on the same port, without data.
    pub async fn restart(&mut self) {
        self.kill();
        assert!(self.run().await, "the store does not start again: {}", self.log());
    }

    /// Adds arguments of the next start.
    pub fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The process may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The program of the tests without TLS.
fn program() -> &'static str {
    let is_valkey = std::env::var("SHARED_STORE").is_ok_and(|name| name == "valkey");
    if is_valkey { "valkey-server" } else { "redis-server" }
}

/// A port without a listener, below the range from which the system takes ports of outgoing connections.
pub fn free_port() -> u16 {
    loop {
        let port = 10_000 + u16::try_from(Uuid::new_v4().as_u128() % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The program that `make setup` unpacked, or the one on the `PATH`.
fn find(program: &str) -> PathBuf {
    let unpacked = root().join("target/tools/usr/bin").join(program);
    if unpacked.exists() {
        return unpacked;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{program} is not installed; expected it after `make setup`"))
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Time between two looks at a state that sends no event.
const POLL: Duration = Duration::from_millis(5);
const ATTEMPTS: usize = 5;
