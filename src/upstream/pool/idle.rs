//! Idle connections: the last used one first, each for [`IDLE_TIMEOUT`] at most.

use std::time::Duration;

use tokio::time::Instant;

use super::HttpConnection;
use crate::upstream::request::Protocol;

/// Connections that the next request may use. An HTTP/2 connection stays here while requests use it.
#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    /// Connections with the time of their last use, the last used one at the end: the others become idle for long enough to
    /// be closed.
    connections: Vec<(HttpConnection, Instant)>,
}

impl IdleConnections {
    /// Takes a connection. Removes those that have ended since.
    pub(super) fn take(&mut self, now: Instant) -> Option<HttpConnection> {
        while let Some((connection, since)) = self.connections.pop() {
            if is_usable(&connection, since, now) {
                if let Some(shared) = connection.share() {
                    self.connections.push((shared, now));
                }
                return Some(connection);
            }
        }
        None
    }

    /// Adds a connection, unless there are `max` already, or an HTTP/2 connection.
    pub(super) fn add(&mut self, connection: HttpConnection, now: Instant, max: usize) {
        let has_http2 = self
            .connections
            .last()
            .is_some_and(|(last, _)| last.protocol() == Protocol::Http2 && last.is_ready());
        if self.connections.len() < max && !has_http2 {
            self.connections.push((connection, now));
        }
    }

    /// Closes the connections that cannot be used any more. Returns the time at which the next one becomes too old.
    pub(super) fn close_unusable(&mut self, now: Instant) -> Option<Instant> {
        self.connections.retain(|(connection, since)| is_usable(connection, *since, now));
        self.connections.iter().map(|(_, since)| *since + IDLE_TIMEOUT).min()
    }

    /// Returns the number of connections.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }
}

fn is_usable(connection: &HttpConnection, since: Instant, now: Instant) -> bool {
    connection.is_ready() && now < since + IDLE_TIMEOUT
}

/// Shorter than the 60 seconds after which most front ends close an idle connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
