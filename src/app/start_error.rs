//! Errors that prevent a start.

use std::io;
use std::net::SocketAddr;

use crate::admin;
use crate::auth::NoRandomness;
use crate::server::tls;
use crate::upstream::SetupError;

/// Reason for which the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be bound.
    #[error("{key} = {address}: the port cannot be bound: {reason}{}", bind_advice(key, reason))]
    Bind {
        /// Configuration key of the address.
        key: &'static str,
        /// Address.
        address: SocketAddr,
        /// Error of the operating system.
        reason: io::Error,
    },
    /// The Graph client cannot be built.
    #[error(transparent)]
    GraphClient(#[from] SetupError),
    /// The certificate of the data port cannot be loaded.
    #[error("listen.tls: {0}")]
    Tls(#[from] tls::Error),
    /// The token of the admin port cannot be loaded.
    #[error("admin.token_file: {0}")]
    Admin(#[from] admin::Error),
    /// The shared tier cannot be set up.
    #[error(transparent)]
    Shared(#[from] crate::shared::SetupError),
    /// The operating system provides no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The root certificates for the collector cannot be loaded.
    #[cfg(feature = "otlp")]
    #[error("telemetry.otlp_endpoint: {0}")]
    Traces(#[from] crate::support::client_tls::RootsError),
    /// Two metrics have the same name.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The open-file limit cannot be read.
    #[error("the limit of open files cannot be read: {0}")]
    Descriptors(nix::Error),
    /// Signal handlers cannot be installed.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
}

/// Returns what to do about a port that cannot be bound, as the end of a message.
pub(super) fn bind_advice(key: &str, reason: &io::Error) -> String {
    match reason.kind() {
        io::ErrorKind::AddrInUse => format!(". Stop the other process, or set another {key}"),
        io::ErrorKind::AddrNotAvailable => format!(". Set {key} to an address of this machine"),
        io::ErrorKind::PermissionDenied => {
            format!(". Set {key} to a port above 1023, or give the process the right")
        }
        _ => String::new(),
    }
}

impl StartError {
    /// Returns the exit code: 64 (`EX_USAGE` of sysexits.h) for an invalid configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Shared(error) if error.is_configuration() => 64,
            _ => 1,
        }
    }
}
