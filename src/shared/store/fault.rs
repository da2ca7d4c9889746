//! Failures of the store, as far as the tier distinguishes them.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Failure of a connection or of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shared) enum Fault {
    /// No connection, an open circuit breaker, or no node for the slot: the store was not used.
    Unavailable,
    /// No reply in time.
    Timeout,
    /// The connection failed.
    Connection,
    /// The name of the host, TCP, or the greeting failed.
    Connect,
    /// TLS failed.
    Tls,
    /// The store refuses the user, the password or a command.
    Auth,
    /// The server cannot serve now, or the key is on another node: LOADING, CLUSTERDOWN, MOVED and the like.
    Busy,
    /// The server is a replica, as after a failover.
    ReadOnly,
    /// Any other error reply, such as OOM.
    Refused,
}

impl Fault {
    /// Classifies an error of the client.
    pub(in crate::shared) fn from_error(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Auth,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => Self::Busy,
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => Self::Auth,
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused,
            _ if error.is_timeout() => Self::Timeout,
            ErrorKind::UnexpectedReturnType => Self::Refused,
            _ => Self::Connection,
        }
    }

    /// Returns whether the failure counts against the circuit breaker of the node.
    pub(super) fn trips_breaker(self) -> bool {
        matches!(self, Self::Timeout | Self::Connection | Self::Connect | Self::Tls | Self::Busy)
    }
}
