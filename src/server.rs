//! The server: listeners, TLS, HTTP/1.1 and HTTP/2 connections, drain.
//!
//! Both ports use it. The server accepts a connection, checks limits and timeouts, passes each request to a
//! [`Service`] and writes the response. It knows no route, no token and no cache.

mod cert_validity;
mod connection;
mod evictor;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod invalid_certificate;
mod listener;
mod metrics;
mod peer;
mod per_address;
mod rejection;
mod settings;
mod streamed_body;
pub mod tls;
mod workers;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use http::request::Parts;
use hyper::body::Incoming;

use crate::http::error::Response;
use crate::http::validate::MessageLimits;

pub(crate) use invalid_certificate::CertificateRole;
pub use invalid_certificate::InvalidCertificate;
pub use listener::{Server, bind};
pub use peer::Peer;
pub use rejection::ConnRejection;
pub use settings::{ServerSettings, SettingsSnapshot};
pub use streamed_body::StreamedBody;
pub use workers::{RUNTIME_SHUTDOWN_TIMEOUT, WorkerThreads, Workers};

/// Responds to the requests of a listener.
///
/// Each request is one call of [`Service::try_respond`], and one of [`Service::respond`] if that returns `Continue`.
/// Neither fails: every request ends in a response.
pub trait Service: Send + Sync + 'static {
    /// State of a request between its two parts.
    type Pending: Send + 'static;

    /// Responds to one request of `peer` if that needs no waiting (`Break`), or returns what [`Service::respond`] needs.
    /// `has_content`: content follows the head. A body that ended without content does not count.
    fn try_respond(
        &self,
        head: &Parts,
        has_content: bool,
        peer: &Peer,
    ) -> ControlFlow<Response, Self::Pending>;

    /// Responds to one request after [`Service::try_respond`]. Dropped when the caller hangs up. `content` is the body of
    /// a request with content: the connection may end as soon as it is dropped.
    fn respond(
        &self,
        pending: Self::Pending,
        head: Parts,
        content: Option<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response> + Send;
}

/// Configuration of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `listen.address`
    pub address: SocketAddr,
    /// `listen.tls.*`; plain text without it.
    pub tls: Option<TlsFiles>,
    /// `server.threads`; `None`: as many as the process may use processors.
    pub threads: Option<usize>,
    /// `limits.*` of connections and messages.
    pub limits: ServerLimits,
    /// `drain.*`
    pub drain: Drain,
    /// At a limit of connections a new connection replaces an open one instead of being refused. Set for the admin
    /// port.
    pub evicts_connections: bool,
}

/// PEM files. The server reads them again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `listen.tls.certificate`: the chain, leaf first.
    pub certificate: PathBuf,
    /// `listen.tls.key`
    pub key: PathBuf,
    /// `listen.tls.client_ca`: certificate authorities. If set, callers must present a certificate that one of them signed.
    pub client_ca: Option<PathBuf>,
}

/// Limits of connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// `limits.connections`: connections open at one time.
    pub connections: usize,
    /// `limits.connections_per_address`: connections open at one time from one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// `limits.header_bytes`: bytes of the header section of one request. A larger one results in 431.
    pub header_bytes: usize,
    /// `limits.headers`: fields in one request. More result in 431.
    pub headers: usize,
    /// `limits.target_bytes`: bytes of the target of one request. A longer one results in 414.
    pub target_bytes: usize,
    /// `limits.h2_streams`: streams open at one time on one HTTP/2 connection.
    pub h2_streams: u32,
    /// `limits.tls_timeout`: time for the TLS handshake.
    pub tls_timeout: Duration,
    /// `limits.header_timeout`: time from the start of the connection, or from the first byte of a later request, to the
    /// end of the header section; and from there to the end of a body without content.
    pub header_timeout: Duration,
    /// `limits.idle_timeout`: time between two requests of one connection.
    pub idle_timeout: Duration,
    /// `limits.write_timeout`: time without progress while a response is written; over HTTP/2 for each stream.
    pub write_timeout: Duration,
    /// `limits.request_timeout`: time from the head of a request to its response. A slower one results in 504.
    pub request_timeout: Duration,
}

/// Steps of a graceful shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// `drain.delay`: the process is not ready any more but still accepts connections, so that load balancers notice.
    pub delay: Duration,
    /// `drain.timeout`: time after the delay for open requests to end.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            threads: None,
            limits: ServerLimits::default(),
            drain: Drain::default(),
            evicts_connections: false,
        }
    }
}

impl ServerLimits {
    /// Returns the limits of one message.
    pub fn message_limits(&self) -> MessageLimits {
        MessageLimits { target_bytes: self.target_bytes, headers: self.headers }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            // All pods of a node, or all callers of a gateway, may share one address. Half of the connections stay for
            // other addresses.
            connections_per_address: 5_000,
            header_bytes: 32 << 10,
            headers: 100,
            target_bytes: 8 << 10,
            h2_streams: 100,
            tls_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl ServerLimits {
    /// Returns these limits with at most `connections` connections. The share of one address shrinks in proportion.
    #[must_use]
    pub fn cap_connections(&self, connections: usize) -> Self {
        let mut limits = self.clone();
        if connections < self.connections {
            let share = self.connections_per_address.saturating_mul(connections) / self.connections;
            limits.connections_per_address = share.clamp(1, self.connections_per_address);
            limits.connections = connections;
        }
        limits
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), timeout: Duration::from_secs(20) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_of_connections_keeps_the_share_of_an_address() {
        let limits = |connections, connections_per_address| {
            let limits =
                ServerLimits { connections: 10_000, connections_per_address, ..ServerLimits::default() };
            let capped = limits.cap_connections(connections);
            (capped.connections, capped.connections_per_address)
        };
        assert_eq!(limits(500, 5_000), (500, 250));
        assert_eq!(limits(500, 20_000), (500, 1_000), "an address without a limit of its own still has none");
        assert_eq!(limits(1, 5), (1, 1));
        assert_eq!(limits(10_000, 5_000), (10_000, 5_000));
    }
}
