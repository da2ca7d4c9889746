//! Pool of connections to Graph, one part per runtime: a request on a connection of another runtime would move between
//! threads twice.

mod connector;
mod local;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::{Handle, Id};

pub(super) use self::connector::PoolConnector;
pub(super) use self::local::{LocalPool, StreamSlot};
use super::stream_limit::LastStreamLimit;

/// HTTP client with its idle connections.
pub(super) type HttpClient = Client<PoolConnector, Empty<Bytes>>;

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
    runtimes: RwLock<HashMap<Id, Arc<LocalPool>>>,
}

impl Pool {
    /// Creates a pool without connections.
    pub(super) fn new(connector: PoolConnector, max_idle: usize, last_limit: LastStreamLimit) -> Self {
        Self {
            generation: 0,
            connector,
            max_idle,
            last_limit: Arc::new(last_limit),
            runtimes: RwLock::default(),
        }
    }

    /// Creates an empty pool that replaces this one.
    pub(super) fn successor(&self, connector: PoolConnector) -> Self {
        Self {
            generation: self.generation + 1,
            connector,
            max_idle: self.max_idle,
            last_limit: Arc::clone(&self.last_limit),
            runtimes: RwLock::default(),
        }
    }

    /// Returns the clients of the current runtime.
    pub(super) fn local(&self) -> Arc<LocalPool> {
        let local = Handle::current().id();
        if let Some(known) = self.runtimes.read().unwrap_or_else(PoisonError::into_inner).get(&local) {
            return Arc::clone(known);
        }
        let new =
            || Arc::new(LocalPool::new(self.connector.clone(), self.max_idle, Arc::clone(&self.last_limit)));
        let mut runtimes = self.runtimes.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(runtimes.entry(local).or_insert_with(new))
    }
}

/// Builds a client that keeps at most `max_idle` idle connections.
pub(super) fn build_client(connector: PoolConnector, max_idle: usize) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .http1_max_headers(MAX_HEAD_FIELDS)
        .http2_max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .http2_keep_alive_interval(PING_INTERVAL)
        // The Graph client decides on retries and counts them.
        .retry_canceled_requests(false)
        .build(connector)
}

/// Shorter than the 60 seconds after which most front ends close an idle connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Interval of HTTP/2 pings, so that a connection that died silently is detected before a request uses it.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Size of the head of one response. Graph's heads are below 4 KiB; a claims challenge adds a few KiB.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Fields of the head of one HTTP/1 response; hyper's own limit is 100. hyper prepares this number of places for each head:
/// 1,024 take 10,000 instructions of a miss, 4,096 took 39,000, a seventh of a miss.
const MAX_HEAD_FIELDS: usize = 1024;

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::super::config::Config;
    use super::super::connector::Connector;
    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn each_runtime_has_connections_of_its_own_and_uses_them_again() {
        let connector = PoolConnector::new(Connector::new(&Config::default()).unwrap(), None);
        let pool = Pool::new(connector, 1, LastStreamLimit::default());
        let (one, other) = (runtime(), runtime());
        let client_of = |runtime: &Runtime| runtime.block_on(async { pool.local() });
        let first = client_of(&one);
        assert!(Arc::ptr_eq(&client_of(&one), &first));
        assert!(!Arc::ptr_eq(&client_of(&other), &first));
        assert!(Arc::ptr_eq(&client_of(&one), &first), "another runtime changes nothing");
    }
}
