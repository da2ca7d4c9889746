//! The real binary as a process: environment, log, exit.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::client::{self, Response};
use super::redis::free_port;
use super::within;

/// A running `connector-cache serve`. Its drop kills it.
pub struct Serve {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    out: Lines,
    err: Lines,
    readers: Vec<JoinHandle<()>>,
    /// Standard output that the test does not read, of a stalled process.
    unread: Option<BufReader<ChildStdout>>,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Serve {
    /// Starts it with nothing in its environment but `env` and free ports, and waits until it serves.
    pub async fn start(env: &[(&str, &str)]) -> Self {
        Self::run(Command::new(BINARY), env, true).await
    }

    /// The same, with a configuration file. The environment lies above it.
    pub async fn start_with(file: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        let file = file.to_str().unwrap();
        command.args(["serve", "--config", file]);
        Self::spawn(command, env, true).await
    }

    /// The same, under another command that takes the binary's path and arguments.
    pub async fn start_under(wrapper: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(BINARY);
        Self::run(command, env, true).await
    }

    /// The same, and its standard output is not read after the line `serving`.
    pub async fn start_unread(env: &[(&str, &str)]) -> Self {
        Self::run(Command::new(BINARY), env, false).await
    }

    async fn run(mut command: Command, env: &[(&str, &str)], read_on: bool) -> Self {
        command.arg("serve");
        Self::spawn(command, env, read_on).await
    }

    async fn spawn(mut command: Command, env: &[(&str, &str)], read_on: bool) -> Self {
        // Not a port that the system gives to an outgoing connection of another test in the meantime.
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        command
            .env_clear()
            .env("CONNECTOR_CACHE__LISTEN__ADDRESS", "127.0.0.1:0")
            .env("CONNECTOR_CACHE__ADMIN__ADDRESS", admin.to_string())
            .env("CONNECTOR_CACHE__DRAIN__DELAY", "0s")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (Lines::default(), Lines::default());
        let mut readers = vec![collect(child.stderr.take().unwrap(), &err)];
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let first = tokio::task::spawn_blocking(move || {
            // The idle connection to Graph may fail and log a warning before the proxy serves.
            let mut read = Vec::new();
            loop {
                let mut line = String::new();
                let is_last = stdout.read_line(&mut line).unwrap() == 0 || address(&line).is_some();
                read.push(line.trim_end().to_owned());
                if is_last {
                    return (read, stdout);
                }
            }
        });
        let (read, stdout) = within("the line of the start", first).await.unwrap();
        let Some(data) = read.last().and_then(|line| address(line)) else {
            panic!("{read:?} {:?}", lines(&err))
        };
        lock(&out).extend(read);
        let unread = if read_on {
            readers.push(collect(stdout, &out));
            None
        } else {
            Some(stdout)
        };
        Self { data, admin, child, out, err, readers, unread }
    }

    /// Closes the reading end of its standard output.
    pub fn close_log(&mut self) {
        self.unread.take();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a GET with a token to the data port.
    pub async fn get(&self, path: &str, token: &str) -> Response {
        client::get(self.data, path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// Sends a GET to the admin port.
    pub async fn look(&self, path: &str) -> Response {
        client::get(self.admin, path, &[]).await
    }

    /// One series of a scrape, by its whole name with labels.
    pub async fn series(&self, name: &str) -> f64 {
        let scrape = self.look("/metrics").await;
        let line = scrape.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {name}")).parse().unwrap()
    }

    /// Peak of its memory in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.kib("VmHWM:")
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.kib("VmRSS:")
    }

    fn kib(&self, name: &str) -> u64 {
        self.status(name).trim_end_matches(" kB").parse().unwrap()
    }

    /// Value of a line of `/proc/PID/status`, by its name with the colon.
    pub fn status(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    }

    /// Its standard output so far.
    pub fn log_lines(&self) -> Vec<String> {
        lines(&self.out)
    }

    /// Sends SIGHUP: it reads its files again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }

    /// Stops it by SIGTERM. Returns its exit status, the lines of standard output, and the lines of standard error.
    pub async fn stop(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        self.signal("-TERM");
        let end = within("the process to stop", async {
            loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => break status,
                    None => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                }
            }
        });
        let status = end.await;
        if let Some(mut unread) = self.unread.take() {
            // The rest of the unread output. The process has ended, so the output ends.
            let mut rest = String::new();
            unread.read_to_string(&mut rest).unwrap();
            lock(&self.out).extend(rest.lines().map(str::to_owned));
        }
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, lines(&self.out), lines(&self.err))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data port's address, in either form of the line that says `serving`.
fn address(line: &str) -> Option<SocketAddr> {
    let text = match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => line["data"].as_str()?.to_owned(),
        Err(_) => line.split("data=").nth(1)?.split_whitespace().next()?.to_owned(),
    };
    text.parse().ok()
}

fn collect(from: impl Read + Send + 'static, into: &Lines) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            lock(&into).push(line.unwrap());
        }
    })
}

fn lines(of: &Lines) -> Vec<String> {
    lock(of).clone()
}

fn lock(of: &Lines) -> std::sync::MutexGuard<'_, Vec<String>> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

const BINARY: &str = env!("CARGO_BIN_EXE_connector-cache");
