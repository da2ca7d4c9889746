//! Lease of a connection for one attempt.

use tokio::time::Instant;

use super::{HttpConnection, PoolConnector, StreamSlot};
use crate::upstream::error::SendError;

/// Connection of one attempt, which exists once [`Lease::connect`] has ended. A connection of the pool is returned at the end.
#[derive(Debug)]
pub(in crate::upstream) struct Lease<'a> {
    source: Source<'a>,
    connection: Option<HttpConnection>,
    has_head: bool,
}

#[derive(Debug)]
enum Source<'a> {
    Pooled(StreamSlot),
    Unpooled(&'a PoolConnector),
}

impl<'a> Lease<'a> {
    /// Creates a lease of a connection of the pool, with one of its streams.
    pub(in crate::upstream) fn pooled(slot: StreamSlot) -> Self {
        Self { source: Source::Pooled(slot), connection: None, has_head: false }
    }

    /// Creates a lease of a new connection, which is closed at the end.
    pub(in crate::upstream) fn unpooled(connector: &'a PoolConnector) -> Self {
        Self { source: Source::Unpooled(connector), connection: None, has_head: false }
    }

    /// Takes an idle connection, or makes one.
    pub(in crate::upstream) async fn connect(
        &mut self,
        now: Instant,
    ) -> Result<&mut HttpConnection, SendError> {
        let connection = match &self.source {
            Source::Pooled(slot) => match slot.connections().take(now) {
                Some(idle) => idle,
                // Boxed, because a new connection is rare and its future large.
                None => Box::pin(slot.connections().clone().connect()).await?,
            },
            Source::Unpooled(connector) => Box::pin(connector.connect_once()).await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Registers the head of the response. Before it, the end of the lease closes an HTTP/1.1 connection.
    pub(in crate::upstream) fn record_head(&mut self) {
        self.has_head = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let (Source::Pooled(slot), Some(connection)) = (&self.source, self.connection.take()) {
            slot.connections().put_back(connection, self.has_head);
        }
    }
}
