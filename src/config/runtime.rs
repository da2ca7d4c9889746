//! The part of the configuration that takes effect without a restart, as one snapshot.

use std::sync::Arc;
use std::time::Duration;

use super::Config;
use crate::cache::freshness;
use crate::proxy::runtime_config::RuntimeConfig;
use crate::server::SettingsSnapshot;
use crate::upstream::Timeouts;

impl Config {
    /// Returns the time after which the store removes an entry or a proof. It is fixed at the start.
    pub fn retention(&self) -> Duration {
        self.store.keep.max(self.freshness.longest_use())
    }

    /// Returns the live settings. `started` is the configuration of the start: `cache.freshness` decided what is stored, and
    /// stays. Never more than `max_connections` connections are accepted, whatever `limits.connections` says.
    pub fn runtime(&self, started: &Self, max_connections: usize) -> RuntimeConfig {
        let limits = &self.server.limits;
        RuntimeConfig {
            freshness: freshness::Config { freshness: started.freshness.freshness, ..self.freshness },
            access_log: self.logging.access,
            client_log: self.logging.client,
            request_timeout: limits.request_timeout,
            message_limits: limits.message_limits(),
            timeouts: Timeouts { first_byte: self.upstream.first_byte_timeout, total: self.upstream.timeout },
            coalesce: self.coalesce.clone(),
            bytes_in_flight: self.bytes_in_flight,
            server: Arc::new(SettingsSnapshot::from_config(&self.server, max_connections)),
        }
    }
}

/// Keys that take effect at a reload, without a restart.
pub const LIVE: &[&str] = &[
    "limits.connections",
    "limits.connections_per_address",
    "limits.header_bytes",
    "limits.headers",
    "limits.target_bytes",
    "limits.h2_streams",
    "limits.tls_timeout",
    "limits.header_timeout",
    "limits.idle_timeout",
    "limits.write_timeout",
    "limits.request_timeout",
    "limits.bytes_in_flight",
    "limits.followers",
    "limits.follower_wait",
    "drain.delay",
    "drain.timeout",
    "graph.first_byte_timeout",
    "graph.timeout",
    "cache.ttl",
    "cache.proof_ttl",
    "cache.stale_while_revalidate",
    "cache.stale_if_error",
    "cache.client_directives",
    "log.filter",
    "log.access",
    "log.client",
];
