//! Connections to Graph that may be used again.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::Connector;

/// What asks over them.
pub(super) type HttpClient = Client<Connector, Empty<Bytes>>;

/// Those of one pool, and how many pools there were before.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) number: u64,
    pub(super) client: HttpClient,
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
