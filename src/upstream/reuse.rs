//! Reuse of a connection: whether a failed request may be sent again on another connection.
//!
//! A server may close an idle connection of the pool at the moment at which a request is sent on it. Then the connection ends
//! without a response byte, and the request may be repeated (RFC 9110, section 9.2.2). On a connection that has never
//! carried a response this conclusion is not possible: the server may have processed the request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::time::Instant;

use super::dns::AddressHistory;

/// History of one connection. Clones share it: one is below HTTP and registers bytes, the others belong to the pool and to
/// the request on the connection.
#[derive(Clone, Debug)]
pub(super) struct ReuseState(Arc<History>);

#[derive(Debug)]
struct History {
    /// Address of the peer, and the memory that a response confirms it in.
    peer: Option<IpAddr>,
    addresses: Arc<AddressHistory>,
    /// The connection has carried a response, or was idle before its first request: it may be stale now.
    may_be_stale: AtomicBool,
    /// Bytes of application data that arrived after the last write. TLS records without application data do not count.
    received_since_write: AtomicUsize,
    /// Interim responses after the last write.
    interim_responses: AtomicUsize,
    /// No further request may use the connection.
    closes_when_idle: AtomicBool,
}

impl ReuseState {
    /// Creates the history of a new connection.
    pub(super) fn new(peer: Option<IpAddr>, addresses: Arc<AddressHistory>) -> Self {
        let (may_be_stale, received_since_write, interim_responses, closes_when_idle) = Default::default();
        Self(Arc::new(History {
            peer,
            addresses,
            may_be_stale,
            received_since_write,
            interim_responses,
            closes_when_idle,
        }))
    }

    /// Marks a connection that was idle: it may be stale at its next request.
    pub(super) fn record_idle(&self) {
        self.0.may_be_stale.store(true, Relaxed);
    }

    /// Registers received application data.
    pub(super) fn record_read(&self, bytes: usize) {
        // Only the task of the connection writes, so that an atomic addition is not necessary.
        let before = self.0.received_since_write.load(Relaxed);
        self.0.received_since_write.store(before.saturating_add(bytes), Relaxed);
    }

    /// Registers sent application data.
    pub(super) fn record_write(&self) {
        self.0.received_since_write.store(0, Relaxed);
        self.0.interim_responses.store(0, Relaxed);
    }

    /// Registers an interim response.
    pub(super) fn record_interim_response(&self) {
        self.0.interim_responses.fetch_add(1, Relaxed);
    }

    /// Returns whether the present request has more than [`MAX_INTERIM_RESPONSES`].
    pub(super) fn has_too_many_interim_responses(&self) -> bool {
        self.0.interim_responses.load(Relaxed) > MAX_INTERIM_RESPONSES
    }

    /// Registers a response, which also confirms the address of the peer.
    fn record_response(&self) {
        self.0.may_be_stale.store(true, Relaxed);
        if let Some(peer) = self.0.peer {
            self.0.addresses.record_response(peer);
        }
    }

    /// Removes the connection from the pool once it is idle.
    fn close_when_idle(&self) {
        self.0.closes_when_idle.store(true, Relaxed);
    }

    /// Returns whether no further request may use the connection.
    pub(super) fn closes_when_idle(&self) -> bool {
        self.0.closes_when_idle.load(Relaxed)
    }

    /// Returns the number of bytes received since the last write.
    pub(super) fn received_since_write(&self) -> usize {
        self.0.received_since_write.load(Relaxed)
    }

    /// Returns whether the connection may have been stale and brought nothing since the last write.
    fn was_stale(&self) -> bool {
        self.0.may_be_stale.load(Relaxed) && self.received_since_write() == 0
    }
}

/// Observes the connection that one request uses.
///
/// If the guard is dropped without a response at or after the deadline, the connection leaves the pool: a connection that
/// died silently would delay each further request by as much, until HTTP/2 pings or TCP end it. Then the guard also reports
/// whether the connection died while it was idle in the pool.
pub(super) struct ReuseGuard<'a> {
    /// Connection of the request, once there is one.
    connection: Option<ReuseState>,
    deadline: Instant,
    pool_is_stale: &'a AtomicBool,
    has_response: bool,
}

impl<'a> ReuseGuard<'a> {
    /// Creates the guard of a request that has no connection yet. Its response is due at `deadline`.
    pub(super) fn new(deadline: Instant, pool_is_stale: &'a AtomicBool) -> Self {
        Self { connection: None, deadline, pool_is_stale, has_response: false }
    }

    /// Observes a connection from now on.
    pub(super) fn observe(&mut self, connection: &ReuseState) {
        self.connection = Some(connection.clone());
    }

    /// Returns whether the failed request used a connection that had become stale.
    pub(super) fn was_stale(&self) -> bool {
        self.connection.as_ref().is_some_and(ReuseState::was_stale)
    }

    /// Registers a response.
    pub(super) fn record_response(&mut self) {
        self.has_response = true;
        if let Some(connection) = &self.connection {
            connection.record_response();
        }
    }

    /// Removes the connection from the pool once it is idle.
    pub(super) fn close_when_idle(&self) {
        if let Some(connection) = &self.connection {
            connection.close_when_idle();
        }
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

/// Interim responses to one request. Servers send one `100` and one or two `103`.
const MAX_INTERIM_RESPONSES: usize = 10;
