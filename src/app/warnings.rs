//! Warnings about a valid configuration: settings that contradict each other, or the machine.
//!
//! `check` prints them, and `serve` logs them at the start.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;

use super::connection_cap::ConnectionCap;
use super::descriptors::Descriptors;
use super::memory;
use crate::config::Config;
use crate::observability::logging::ClientLog;
use crate::server::{CertificateRole, InvalidCertificate};
use crate::support::clock::Now;
use crate::support::pem;
use crate::support::watched_files::DisplayPath;

/// A warning, or an error that does not prevent a start ([`Warning::is_error`]). Its text says what was found, what is
/// expected, and which key to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// `cache.ttl` is longer than `cache.proof_ttl`.
    TtlAboveProofTtl(Duration, Duration),
    /// The open-file limit has no room for `limits.connections`.
    Descriptors {
        /// `limits.connections`.
        configured: usize,
        /// Connections that fit.
        fitting: usize,
        /// Open-file limit.
        limit: usize,
    },
    /// A file does not exist on this machine.
    MissingFile(&'static str, PathBuf),
    /// All users of the machine can read a file with a secret.
    ReadableByOthers(&'static str, PathBuf),
    /// Tokens pass the network unencrypted.
    PlainHttp(SocketAddr),
    /// The memory limit of the cgroup is below the memory that the limits allow.
    Memory {
        /// Memory limit in bytes.
        limit: u64,
        /// Memory of the process with all limits reached, in bytes.
        needed: u64,
    },
    /// A certificate is outside of its validity period.
    Certificate(InvalidCertificate),
    /// `log.client` is `"certificate"`, and no caller presents a certificate.
    NoClientCertificates,
}

impl Warning {
    /// Returns whether the proxy cannot work with the setting, although it starts.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Certificate(certificate) if certificate.is_error())
    }

    /// Returns the kind of the warning as a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TtlAboveProofTtl(..) => "ttl-above-proof-ttl",
            Self::Descriptors { .. } => "open-file-limit",
            Self::MissingFile(..) => "missing-file",
            Self::ReadableByOthers(..) => "readable-by-others",
            Self::PlainHttp(_) => "plain-http",
            Self::Memory { .. } => "memory-limit",
            Self::Certificate(_) => "certificate-validity",
            Self::NoClientCertificates => "no-client-certificates",
        }
    }

    /// Logs the warning.
    pub(super) fn log(&self) {
        if self.is_error() {
            tracing::error!("{self}");
        } else {
            tracing::warn!("{self}");
        }
    }
}

/// Facts about the machine that a configuration is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// Open-file limit of the process. `None`: unknown.
    pub descriptors: Option<Descriptors>,
    /// Threads that serve connections.
    pub threads: usize,
    /// Memory limit of the cgroup in bytes. `None`: unlimited or unknown.
    pub memory_limit: Option<u64>,
}

impl Machine {
    /// Reads the facts of this process. `threads`: threads that will serve connections.
    pub(super) fn current(threads: usize) -> Self {
        Self { descriptors: Descriptors::current().ok(), threads, memory_limit: memory::cgroup_limit() }
    }
}

/// Returns all warnings about `config` on `machine` at the time `now`.
pub(super) fn warnings(config: &Config, machine: &Machine, now: Now) -> Vec<Warning> {
    let mut found = Vec::new();
    let (ttl, proof_ttl) = (config.freshness.ttl, config.freshness.proof_ttl);
    if ttl > proof_ttl {
        found.push(Warning::TtlAboveProofTtl(ttl, proof_ttl));
    }
    if let Some(descriptors) = machine.descriptors {
        let fitting = ConnectionCap::new(descriptors, config, machine.threads).connections;
        let configured = config.server.limits.connections;
        if configured > fitting {
            found.push(Warning::Descriptors { configured, fitting, limit: descriptors.limit() });
        }
    }
    found.extend(readable_by_others(config));
    found.extend(certificates(config, now.unix_seconds()));
    let has_client_ca = config.server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if config.logging.client == ClientLog::Certificate && !has_client_ca {
        found.push(Warning::NoClientCertificates);
    }
    if config.server.tls.is_none() && !config.server.address.ip().is_loopback() {
        found.push(Warning::PlainHttp(config.server.address));
    }
    let needed = memory::worst_case(config);
    if let Some(limit) = machine.memory_limit.filter(|limit| *limit < needed) {
        found.push(Warning::Memory { limit, needed });
    }
    found
}

/// Checks the files with secrets.
fn readable_by_others(config: &Config) -> impl Iterator<Item = Warning> {
    let key = config.server.tls.as_ref().map(|tls| ("listen.tls.key", tls.key.clone()));
    let token = config.admin.token_file.clone().map(|path| ("admin.token_file", path));
    let shared = [
        ("shared.secret_file", &config.shared.secret_file),
        ("shared.password_file", &config.shared.password_file),
        ("shared.key", &config.shared.key),
    ];
    let shared = shared.into_iter().filter_map(|(key, path)| Some((key, path.clone()?)));
    key.into_iter()
        .chain(token)
        .chain(shared)
        .filter(|(_, path)| is_readable_by_others(path))
        .map(|(key, path)| Warning::ReadableByOthers(key, path))
}

/// Checks the validity period of each certificate in a file. Other problems of a file prevent the start.
fn certificates(config: &Config, now: u64) -> Vec<Warning> {
    use CertificateRole::{Chain, ClientCa, GraphCa, Server};
    let tls = config.server.tls.as_ref();
    let files = [
        ([Server, Chain], tls.map(|tls| &tls.certificate)),
        ([ClientCa; 2], tls.and_then(|tls| tls.client_ca.as_ref())),
        ([GraphCa; 2], config.upstream.ca_file.as_ref()),
    ];
    let read = |path: &Path| pem::certificates(&std::fs::read(path).ok()?).ok();
    let files = files.into_iter().filter_map(|(roles, path)| {
        let path = path?;
        Some(InvalidCertificate::find(roles, path, &read(path)?, now))
    });
    files.flatten().map(Warning::Certificate).collect()
}

fn is_readable_by_others(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0)
}

/// Permission of all users to read.
const OTHERS_READ: u32 = 0o004;

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |duration| humantime::format_duration(duration);
        let size = |bytes| ByteSize(bytes).display().iec();
        match self {
            Self::TtlAboveProofTtl(ttl, proof_ttl) => write!(
                f,
                "cache.ttl ({}) is longer than cache.proof_ttl ({}): a token uses a response no longer than its proof. \
                 Lower cache.ttl or raise cache.proof_ttl",
                time(*ttl),
                time(*proof_ttl)
            ),
            Self::Descriptors { configured, fitting, limit } => write!(
                f,
                "limits.connections is capped at {fitting} and not {configured}: the open-file limit ({limit}, ulimit -Hn) leaves \
                 no more beside Graph and the admin port. Raise that limit, or lower limits.connections"
            ),
            Self::MissingFile(key, path) => {
                write!(
                    f,
                    "{key}: {} does not exist here and is not checked; a start needs it",
                    DisplayPath(path)
                )
            }
            Self::ReadableByOthers(key, path) => write!(
                f,
                "{key} ({}) can be read by all users of this machine. Remove the permission: chmod o-r",
                DisplayPath(path)
            ),
            Self::PlainHttp(address) => write!(
                f,
                "listen.address ({address}) is no loopback address and listen.tls is not set: tokens of callers pass the \
                 network unencrypted. Set listen.tls, or encrypt the connections in front of the proxy"
            ),
            Self::Memory { limit, needed } => write!(
                f,
                "the memory limit of the cgroup ({}) is below the {} that the process needs if all limits are reached. \
                 Raise the memory limit, or lower cache.max_bytes, limits.bytes_in_flight, limits.waiting_bytes or \
                 limits.connections",
                size(*limit),
                size(*needed)
            ),
            Self::Certificate(certificate) => certificate.fmt(f),
            Self::NoClientCertificates => f.write_str(
                "log.client is \"certificate\", but listen.tls.client_ca is not set: callers present no certificate, and no \
                 line of the access log names one. Set listen.tls.client_ca, or log.client = \"address\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::TlsFiles;
    use crate::support::clock::Clock;

    fn warnings(config: &Config, machine: &Machine) -> Vec<Warning> {
        super::warnings(config, machine, Clock::system().now())
    }

    fn machine(memory_limit: Option<u64>) -> Machine {
        Machine { descriptors: None, threads: 2, memory_limit }
    }

    #[test]
    fn the_default_configuration_has_no_warning_on_a_large_machine() {
        let config = Config::default();
        assert_eq!(warnings(&config, &machine(None)), []);
        assert_eq!(warnings(&config, &machine(Some(576 << 20))), []);
    }

    #[test]
    fn each_contradiction_has_its_own_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = dir.path().join(name);
            std::fs::write(&path, "x").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let mut config = Config::default();
        config.freshness.ttl = config.freshness.proof_ttl * 2;
        config.server.address = "[::]:8080".parse().unwrap();
        config.admin.token_file = Some(file("token", 0o644));
        let found = warnings(&config, &machine(Some(100 << 20)));
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 4, "{texts:#?}");
        assert!(texts[0].starts_with("cache.ttl (10m) is longer than cache.proof_ttl (5m)"), "{texts:#?}");
        assert!(texts[1].starts_with("admin.token_file (") && texts[1].contains("chmod o-r"), "{texts:#?}");
        assert!(texts[2].starts_with("listen.address ([::]:8080) is no loopback address"), "{texts:#?}");
        assert!(texts[3].contains("(100.0 MiB) is below the 575.6 MiB"), "{texts:#?}");
        let (certificate, key) = (file("certificate", 0o644), file("key", 0o640));
        config.server.tls = Some(TlsFiles { certificate, key, client_ca: None });
        config.admin.token_file = Some(file("private", 0o600));
        config.freshness.ttl = config.freshness.proof_ttl;
        assert_eq!(warnings(&config, &machine(None)), [], "a certificate is no secret");
        config.logging.client = ClientLog::Certificate;
        assert_eq!(warnings(&config, &machine(None)), [Warning::NoClientCertificates]);
    }
}
