//! Reuse of a connection: whether a failed request may be sent again on another connection.
//!
//! A server may close an idle connection of the pool at the moment at which a request is sent on it. Then the connection ends
//! without a response byte, and the request may be repeated (RFC 9110, section 9.2.2). On a connection that has never
//! carried a response this conclusion is not possible: the server may have processed the request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::{Extensions, Request};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::time::Instant;

use super::dns::AddressHistory;

/// History of one connection. Clones share it: the pool attaches a clone to each response of the connection.
#[derive(Clone, Debug)]
pub(super) struct ReuseState(Arc<History>);

#[derive(Debug)]
struct History {
    /// Address of the peer, and the memory that a response confirms it in.
    peer: Option<IpAddr>,
    addresses: Arc<AddressHistory>,
    /// The connection has carried a response, or was idle before its first request: it may be stale now.
    may_be_stale: AtomicBool,
    /// Application data arrived after the last write. TLS records without application data do not count.
    received_since_write: AtomicBool,
}

impl ReuseState {
    /// Creates the history of a new connection.
    pub(super) fn new(peer: Option<IpAddr>, addresses: Arc<AddressHistory>) -> Self {
        let (may_be_stale, received_since_write) = Default::default();
        Self(Arc::new(History { peer, addresses, may_be_stale, received_since_write }))
    }

    /// Marks a connection that was idle: it may be stale at its next request.
    pub(super) fn record_idle(&self) {
        self.0.may_be_stale.store(true, Relaxed);
    }

    /// Registers received application data.
    pub(super) fn record_read(&self) {
        self.0.received_since_write.store(true, Relaxed);
    }

    /// Registers sent application data.
    pub(super) fn record_write(&self) {
        self.0.received_since_write.store(false, Relaxed);
    }

    /// Registers a response, which also confirms the address of the peer.
    fn record_response(&self) {
        self.0.may_be_stale.store(true, Relaxed);
        if let Some(peer) = self.0.peer {
            self.0.addresses.record_response(peer);
        }
    }

    /// Returns whether the connection may have been stale and brought nothing since the last write.
    fn was_stale(&self) -> bool {
        self.0.may_be_stale.load(Relaxed) && !self.0.received_since_write.load(Relaxed)
    }
}

/// Observes the connection that one request uses.
///
/// If the guard is dropped without a response at or after the deadline, the connection leaves the pool: a connection that
/// died silently would delay each further request by as much, until HTTP/2 pings or TCP end it. Then the guard also reports
/// whether the connection died while it was idle in the pool.
pub(super) struct ReuseGuard<'a> {
    connection: CaptureConnection,
    deadline: Instant,
    pool_is_stale: &'a AtomicBool,
    has_response: bool,
}

impl<'a> ReuseGuard<'a> {
    /// Attaches a guard to a request before it is sent. Its response is due at `deadline`.
    pub(super) fn new<B>(request: &mut Request<B>, deadline: Instant, pool_is_stale: &'a AtomicBool) -> Self {
        Self { connection: capture_connection(request), deadline, pool_is_stale, has_response: false }
    }

    /// Returns whether the failed request used a connection that had become stale.
    pub(super) fn was_stale(&self) -> bool {
        self.reuse_state().is_some_and(|state| state.was_stale())
    }

    /// Registers a response with its extensions, to which the pool attaches the state of the connection.
    pub(super) fn record_response(&mut self, extensions: &Extensions) {
        self.has_response = true;
        if let Some(state) = extensions.get::<ReuseState>() {
            state.record_response();
        }
    }

    /// Removes the connection from the pool once it is idle.
    pub(super) fn close_when_idle(&self) {
        if let Some(connected) = self.connection.connection_metadata().as_ref() {
            connected.poison();
        }
    }

    fn reuse_state(&self) -> Option<ReuseState> {
        let metadata = self.connection.connection_metadata();
        let mut extensions = Extensions::new();
        metadata.as_ref()?.get_extras(&mut extensions);
        extensions.remove()
    }
}

impl Drop for ReuseGuard<'_> {
    fn drop(&mut self) {
        if !self.has_response && Instant::now() >= self.deadline {
            self.close_when_idle();
            self.pool_is_stale.store(self.was_stale(), Relaxed);
        }
    }
}
