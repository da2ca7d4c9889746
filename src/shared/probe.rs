//! Check of the store for `check --connect`: connects, and tries each command that the tier uses.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Cmd, cmd, from_redis_value};

use super::config::{Config, Endpoint, Topology};
use super::setup_error::SetupError;
use super::store::{Connection, DialError, Dialer, Fault, probe_connection};

/// Findings about the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// URL without credentials.
    pub url: String,
    /// Name and version of the server.
    pub server: String,
    /// Kind of installation in the configuration.
    pub mode: &'static str,
    /// Kind of installation that the server reports, if it differs.
    pub other_mode: Option<String>,
    /// The connection uses TLS.
    pub tls: bool,
    /// Commands that the user may not run.
    pub missing: Vec<&'static str>,
    /// Difference between the clocks.
    pub clock_difference: Duration,
}

/// Reason for which the store cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A file cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No connection.
    #[error("shared.url: {url}: {problem}: {reason}")]
    Connect {
        /// Kind of the problem as a word.
        word: &'static str,
        /// URL without credentials.
        url: String,
        /// Kind of the problem, with the keys to look at.
        problem: &'static str,
        /// Cause.
        reason: String,
    },
}

/// Connects to the store and tries the commands. Returns `None` if `shared.url` is not set.
pub async fn probe(config: &Config) -> Result<Option<ProbeReport>, ProbeError> {
    let Some(endpoint) = &config.endpoint else { return Ok(None) };
    let dialer = Dialer::new(config).map_err(SetupError::from)?;
    let connection = probe_connection(endpoint, &dialer).await.map_err(|error| failure(endpoint, error))?;
    let info = connection.send(cmd("INFO").arg("server"), REPLY_TIMEOUT).await;
    let info = info.ok().and_then(|info| from_redis_value::<String>(info).ok()).unwrap_or_default();
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let server = match (field("valkey_version"), field("redis_version")) {
        (Some(version), _) => format!("Valkey {}", version.trim()),
        (None, Some(version)) => format!("Redis {}", version.trim()),
        (None, None) => "unknown (the user may not run INFO)".to_owned(),
    };
    let is_cluster = field("redis_mode").map(str::trim) == Some("cluster");
    let other_mode = (is_cluster != (endpoint.topology == Topology::Cluster) && !info.is_empty())
        .then(|| field("redis_mode").unwrap_or_default().trim().to_owned());
    let sent = SystemTime::now();
    let time = connection.send(&cmd("TIME"), REPLY_TIMEOUT).await.ok();
    let time = time.and_then(|time| from_redis_value::<(u64, u32)>(time).ok());
    let clock_difference = time.map_or(Duration::ZERO, |(seconds, _)| {
        let now = sent.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Duration::from_secs(now.abs_diff(seconds))
    });
    let missing = missing_rights(&connection, config, endpoint).await;
    let (url, mode) = (endpoint.to_string(), endpoint.mode());
    Ok(Some(ProbeReport { url, server, mode, other_mode, tls: endpoint.tls, missing, clock_difference }))
}

/// Tries each command on keys of its own. A reply that names another node shows that the user may run the command.
async fn missing_rights(connection: &Connection, config: &Config, endpoint: &Endpoint) -> Vec<&'static str> {
    let key = |suffix: &str| format!("{}:{{log}}:probe:{suffix}", config.prefix);
    let (text, stream, hash) = (key("s"), key("x"), key("h"));
    let command = |name: &str, args: &[&str]| {
        let mut command = cmd(name);
        for arg in args {
            command.arg(arg);
        }
        command
    };
    let mut commands: Vec<(&'static str, Cmd)> = vec![
        ("PING", command("PING", &[])),
        ("TIME", command("TIME", &[])),
        ("SET", command("SET", &[&text, "1", "PX", "1000"])),
        ("MGET", command("MGET", &[&text])),
        ("XADD", command("XADD", &[&stream, "MAXLEN", "~", "10", "*", "e", "1"])),
        ("XREAD", command("XREAD", &["COUNT", "1", "STREAMS", &stream, "0-0"])),
        ("XRANGE", command("XRANGE", &[&stream, "-", "+", "COUNT", "1"])),
        ("XREVRANGE", command("XREVRANGE", &[&stream, "+", "-", "COUNT", "1"])),
        ("HSET", command("HSET", &[&hash, "f", "1"])),
        ("HGETALL", command("HGETALL", &[&hash])),
        ("HDEL", command("HDEL", &[&hash, "f"])),
        ("EXPIRE", command("EXPIRE", &[&stream, "1"])),
        ("DEL", command("DEL", &[&text])),
    ];
    match endpoint.topology {
        Topology::Single(_) => {}
        Topology::Cluster => commands.push(("CLUSTER SLOTS", command("CLUSTER", &["SLOTS"]))),
        Topology::Sentinel(_) => commands.push(("ROLE", command("ROLE", &[]))),
    }
    let mut missing = Vec::new();
    for (name, command) in commands {
        if connection.send(&command, REPLY_TIMEOUT).await == Err(Fault::Auth) {
            missing.push(name);
        }
    }
    missing
}

fn failure(endpoint: &Endpoint, DialError { fault, reason }: DialError) -> ProbeError {
    let (word, problem) = match fault {
        Fault::Auth => (
            "auth",
            "the store refuses the user or the password; expected those of shared.username and shared.password_file",
        ),
        Fault::Tls => (
            "tls",
            "TLS fails; expected a certificate that shared.ca_file or the platform's roots sign, for the host of the URL",
        ),
        Fault::ReadOnly => ("read-only", "the server is a replica; expected the master"),
        _ => ("connect", "no connection; expected a server of Redis or Valkey at the address"),
    };
    ProbeError::Connect { word, url: endpoint.to_string(), problem, reason }
}

impl ProbeError {
    /// Returns the kind of the problem as a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Connect { word, .. } => word,
        }
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, server, mode, other_mode, tls, missing, clock_difference } = self;
        write!(
            f,
            "shared.url: {url}: connected to {server}, mode {mode}, TLS {}",
            if *tls { "on" } else { "off" }
        )?;
        write!(f, ", clock difference {} s", clock_difference.as_secs())?;
        if let Some(other) = other_mode {
            write!(f, "; the server reports mode {other}")?;
        }
        if missing.is_empty() {
            f.write_str(", all rights present")
        } else {
            write!(f, "; missing rights: {}", missing.join(", "))
        }
    }
}

impl ProbeReport {
    /// Returns the result as a word.
    pub fn reason(&self) -> &'static str {
        if !self.missing.is_empty() {
            "missing-rights"
        } else if self.other_mode.is_some() {
            "other-mode"
        } else if self.is_usable() {
            "connected"
        } else {
            "clock"
        }
    }

    /// Returns whether the tier can work with the store.
    pub fn is_usable(&self) -> bool {
        self.missing.is_empty()
            && self.other_mode.is_none()
            && self.clock_difference <= Duration::from_secs(2)
    }
}

const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
