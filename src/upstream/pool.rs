//! Pool of connections to Graph, one part per runtime: a request on a connection of another runtime would move between
//! threads twice.
//!
//! An attempt acquires a [`StreamSlot`] of its runtime's [`LocalPool`], which limits the streams of HTTP/2 connections. Its
//! [`Lease`] takes an idle connection of the slot's set, or makes one, and returns it at the end. Requests and responses flow
//! through [`HttpConnection`], hyper's own connection, without a task or a copy in between. The pool does not know what is
//! sent, whether an attempt may be repeated, and which timeouts apply.
//!
//! The client of hyper-util (`legacy::Client`) took 14,000 instructions of a miss: a table of hosts, a future for each
//! attempt on the heap, copies of it, and a channel that reports the connection of a request. Its composable parts
//! (`client::pool`) have no limit and no timer for idle connections, no limit of streams, and use a cache or a singleton where
//! ALPN decides only after the connection is made.

mod connections;
mod connector;
mod http_connection;
mod idle;
mod lease;
mod local;

use std::sync::{Arc, PoisonError, RwLock};

use tokio::runtime::{Handle, Id};

pub(super) use self::connector::PoolConnector;
pub(super) use self::http_connection::HttpConnection;
pub(super) use self::lease::Lease;
pub(super) use self::local::{LocalPool, StreamSlot};
use super::stream_limit::LastStreamLimit;

/// Pools of all runtimes.
#[derive(Debug)]
pub(super) struct Pool {
    /// Number of pools that this one has replaced.
    pub(super) generation: u64,
    connector: PoolConnector,
    /// Idle connections of each runtime.
    max_idle: usize,
    /// Stream limit of the last connection, for connections of other runtimes and of the next pool.
    last_limit: Arc<LastStreamLimit>,
    runtimes: RwLock<Vec<(Id, Arc<LocalPool>)>>,
}

impl Pool {
    /// Creates a pool without connections.
    pub(super) fn new(connector: PoolConnector, max_idle: usize, last_limit: LastStreamLimit) -> Self {
        let (generation, runtimes) = Default::default();
        Self { generation, connector, max_idle, last_limit: Arc::new(last_limit), runtimes }
    }

    /// Creates an empty pool that replaces this one.
    pub(super) fn successor(&self) -> Self {
        Self {
            generation: self.generation + 1,
            connector: self.connector.clone(),
            max_idle: self.max_idle,
            last_limit: Arc::clone(&self.last_limit),
            runtimes: RwLock::default(),
        }
    }

    /// Makes later connections of this pool and of its successors accept more header fields than hyper's default number.
    pub(super) fn accept_many_fields(&self) {
        self.connector.accept_many_fields();
    }

    /// Returns the connections of the current runtime.
    pub(super) fn local(&self) -> Arc<LocalPool> {
        let local = Handle::current().id();
        let find = |runtimes: &[(Id, Arc<LocalPool>)]| {
            runtimes.iter().find(|(id, _)| *id == local).map(|(_, pool)| Arc::clone(pool))
        };
        if let Some(known) = find(&self.runtimes.read().unwrap_or_else(PoisonError::into_inner)) {
            return known;
        }
        let mut runtimes = self.runtimes.write().unwrap_or_else(PoisonError::into_inner);
        // One runtime may have several threads.
        if let Some(known) = find(&runtimes) {
            return known;
        }
        let last_limit = Arc::clone(&self.last_limit);
        let new = Arc::new(LocalPool::new(self.connector.clone(), self.max_idle, last_limit));
        runtimes.push((local, Arc::clone(&new)));
        new
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use tokio::runtime::{Builder, Runtime};

    use super::super::config::Config;
    use super::super::connector::Connector;
    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn each_runtime_has_connections_of_its_own_and_uses_them_again() {
        let connector = Connector::new(&Config::default()).unwrap();
        let connector = PoolConnector::new(connector, Uri::default(), None);
        let pool = Pool::new(connector, 1, LastStreamLimit::default());
        let (one, other) = (runtime(), runtime());
        let client_of = |runtime: &Runtime| runtime.block_on(async { pool.local() });
        let first = client_of(&one);
        assert!(Arc::ptr_eq(&client_of(&one), &first));
        assert!(!Arc::ptr_eq(&client_of(&other), &first));
        assert!(Arc::ptr_eq(&client_of(&one), &first), "another runtime changes nothing");
    }
}
