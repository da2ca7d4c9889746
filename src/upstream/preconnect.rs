//! Preconnect: one connection to Graph that is made before a request needs it.
//!
//! Under load the pool has connections. The first request, and the first request after an idle time, would wait for name
//! resolution, TCP and TLS, which take three to four round trips; they take the preconnected connection instead. One is
//! made at startup and after each idle time, and replaced before Graph's front end would close it, until there was no
//! request for [`MAX_IDLE_TIME`]. Like an idle connection of the pool, a preconnected connection may be stale.
//!
//! Measured over TLS with 20 ms of latency in each direction, which does not delay the TCP handshake, so that a real path
//! gains one more round trip (debug build):
//!
//! | miss | HTTP/1.1 with | without | HTTP/2 with | without |
//! |---|---|---|---|---|
//! | first after the start | 50 ms | 117 ms | 90 ms | 126 ms |
//! | first after 75 s without a request | 59 ms | 104 ms | 76 ms | 133 ms |
//! | on a pooled connection | 52 ms | 56 ms | 52 ms | 65 ms |
//!
//! To repeat the measurement: `PRECONNECT_IDLE=75 cargo test --test faults without_preconnect -- --nocapture`.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::UpstreamConnection;
use super::connector::Connector;

/// Slot for one preconnected connection, and the times that decide whether it is useful.
pub(super) struct Preconnect {
    slot: Mutex<PreconnectSlot>,
    /// Locked while a connection is made.
    connecting: tokio::sync::Mutex<()>,
    /// Locked by the one request that takes the connection, or waits until it is made.
    taking: tokio::sync::Mutex<()>,
}

struct PreconnectSlot {
    connection: Option<(UpstreamConnection, Instant)>,
    /// Time of the last request, or of the start of the process.
    last_request: Instant,
    has_requests: bool,
}

impl Preconnect {
    /// Makes and replaces the connection as long as the future is polled. A connection error is ignored: the next request
    /// meets the same error and reports it.
    pub(super) async fn run(&self, connector: Connector, uri: &Uri) {
        let mut ticks = interval(REPLACE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Locked before the decision: a request that arrives later waits for this connection and makes no other.
            let _connecting = self.connecting.lock().await;
            self.clear();
            if self.is_useful()
                && let Ok(connection) = connector.connect(uri.clone()).await
            {
                self.lock().connection = Some((connection, Instant::now()));
            }
        }
    }

    /// Registers a request: whichever connection it uses, the pool has one afterwards.
    pub(super) fn record_request(&self) {
        let mut slot = self.lock();
        (slot.last_request, slot.has_requests) = (Instant::now(), true);
    }

    /// Drops the connection.
    pub(super) fn clear(&self) {
        self.lock().connection = None;
    }

    /// Takes the connection if it is usable. While it is made, one request may wait for it; further requests get `None`.
    pub(super) async fn take(&self) -> Option<UpstreamConnection> {
        let mut connection = self.take_recent().await?;
        connection.is_usable_after_idle().await.then_some(connection)
    }

    /// Takes the connection if it is recent: the task that replaces it may be late.
    async fn take_recent(&self) -> Option<UpstreamConnection> {
        let _taking = self.taking.try_lock().ok()?;
        let _connected = self.connecting.lock().await;
        let (connection, since) = self.lock().connection.take()?;
        (since.elapsed() <= REPLACE_INTERVAL * 2).then_some(connection)
    }

    /// Returns whether a next request is likely and may find the pool empty.
    fn is_useful(&self) -> bool {
        let slot = self.lock();
        let idle = slot.last_request.elapsed();
        idle < MAX_IDLE_TIME && (!slot.has_requests || idle >= REPLACE_INTERVAL)
    }

    fn lock(&self) -> MutexGuard<'_, PreconnectSlot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Preconnect {
    /// Creates an empty slot.
    fn default() -> Self {
        let slot = PreconnectSlot { connection: None, last_request: Instant::now(), has_requests: false };
        let (connecting, taking) = Default::default();
        Self { slot: Mutex::new(slot), connecting, taking }
    }
}

impl fmt::Debug for Preconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preconnect").field("is_connected", &self.lock().connection.is_some()).finish()
    }
}

/// Lifetime of an unused connection: front ends close one after 30 seconds or more. The same time without a request makes a
/// preconnected connection useful again; it is shorter than the idle timeout of the pool.
const REPLACE_INTERVAL: Duration = Duration::from_secs(25);
/// Time without a request after which no connection is made any more: at most 24 unused connections.
const MAX_IDLE_TIME: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests;
