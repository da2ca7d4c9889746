//! Connections to Graph that may be used again, by the runtime that they are waited for with: a question over another's
//! would go from thread to thread and back.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::{Handle, Id};

use super::connector::Connector;

/// What asks over them.
pub(super) type HttpClient = Client<Connector, Empty<Bytes>>;

/// Those of one pool, and how many pools there were before.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) number: u64,
    connector: Connector,
    /// So many that rest, at most, with each runtime.
    idle: usize,
    clients: RwLock<HashMap<Id, Arc<HttpClient>>>,
}

impl Pool {
    /// A pool without connections.
    pub(super) fn new(number: u64, connector: Connector, idle: usize) -> Self {
        Self { number, connector, idle, clients: RwLock::default() }
    }

    /// What asks over connections of the runtime that this is called in.
    pub(super) fn client(&self) -> Arc<HttpClient> {
        let local = Handle::current().id();
        if let Some(known) = self.clients.read().unwrap_or_else(PoisonError::into_inner).get(&local) {
            return Arc::clone(known);
        }
        let new = || Arc::new(client(self.connector.clone(), self.idle));
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clients.entry(local).or_insert_with(new))
    }
}

/// Keeps at most so many idle connections.
pub(super) fn client(connector: Connector, idle: usize) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(idle)
        .http1_max_buf_size(HEAD_BYTES)
        .http2_max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .http2_keep_alive_interval(KEEP_ALIVE)
        // A second attempt is ours to judge and to count.
        .retry_canceled_requests(false)
        .build(connector)
}

/// Below the 60 seconds after which front ends in general close an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// HTTP/2 pings, so that a connection that died silently is noticed before a request is spent on it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Of one answer's head. Graph's are below 4 KiB; a claims challenge adds a few.
const HEAD_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::super::Config;
    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn each_runtime_has_connections_of_its_own_and_uses_them_again() {
        let pool = Pool::new(0, Connector::new(&Config::default()).unwrap(), 1);
        let (one, other) = (runtime(), runtime());
        let of = |runtime: &Runtime| runtime.block_on(async { pool.client() });
        let first = of(&one);
        assert!(Arc::ptr_eq(&of(&one), &first));
        assert!(!Arc::ptr_eq(&of(&other), &first));
        assert!(Arc::ptr_eq(&of(&one), &first), "whoever came between");
    }
}
