//! Live settings: the part of the configuration that takes effect without a restart.
//!
//! A [`RuntimeConfig`] never changes. A reload builds a new one and replaces the old one as a whole ([`LiveConfig`]), so no
//! request sees values of two configurations. The middleware loads the snapshot once for each request and passes it on:
//! through the lookup by reference, and with a request that goes to Graph by reference count. Parts below this room
//! receive the values that they need as arguments, or read the snapshot through a closure.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::cache::{coalesce, freshness};
use crate::http::validate::MessageLimits;
use crate::observability::logging::{self, AccessLog, ClientLog};
use crate::server::{self, SettingsSnapshot};
use crate::upstream::Timeouts;

/// Shared snapshot of the live settings.
pub type LiveConfig = Arc<ArcSwap<RuntimeConfig>>;

/// Settings that one request uses.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// `cache.*`. `cache.freshness` itself requires a restart.
    pub freshness: freshness::Config,
    /// `log.access`
    pub access_log: AccessLog,
    /// `log.client`
    pub client_log: ClientLog,
    /// `limits.request_timeout`
    pub request_timeout: Duration,
    /// `limits.target_bytes` and `limits.headers`
    pub message_limits: MessageLimits,
    /// `graph.first_byte_timeout` and `graph.timeout`
    pub timeouts: Timeouts,
    /// `limits.followers` and `limits.follower_wait`
    pub coalesce: coalesce::Config,
    /// `limits.bytes_in_flight`
    pub bytes_in_flight: usize,
    /// Limits, timeouts and drain of the data port, for connections that are accepted from now on.
    pub server: Arc<SettingsSnapshot>,
}

impl RuntimeConfig {
    /// Returns the settings that `server` decides, with the defaults for all others. At most `max_connections` connections
    /// are accepted.
    pub fn for_server(server: &server::Config, max_connections: usize) -> Self {
        Self {
            freshness: freshness::Config::default(),
            access_log: logging::Config::default().access,
            client_log: logging::Config::default().client,
            request_timeout: server.limits.request_timeout,
            message_limits: server.limits.message_limits(),
            timeouts: Timeouts::default(),
            coalesce: coalesce::Config::default(),
            bytes_in_flight: usize::MAX,
            server: Arc::new(SettingsSnapshot::from_config(server, max_connections)),
        }
    }

    /// Wraps the snapshot so that it can be replaced.
    pub fn into_live(self) -> LiveConfig {
        Arc::new(ArcSwap::from_pointee(self))
    }
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self::for_server(&server::Config::default(), usize::MAX)
    }
}
