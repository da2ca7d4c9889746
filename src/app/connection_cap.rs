//! Limit of connections of callers, if the open-file limit allows fewer than configured.

use crate::app::descriptors::{Demand, Descriptors};
use crate::config::Config;

/// Number of connections of callers that fit into the open-file limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionCap {
    descriptors: Descriptors,
    pub(super) connections: usize,
}

impl ConnectionCap {
    /// Computes the cap for connections that `threads` serve.
    pub(super) fn new(descriptors: Descriptors, config: &Config, threads: usize) -> Self {
        let connections = descriptors.connections(&Demand {
            origin_requests: config.upstream.in_flight,
            admin: config.admin.server().limits.connections,
            threads,
        });
        Self { descriptors, connections }
    }

    /// Logs a warning if the open-file limit is too low for `limits.connections`.
    pub(super) fn warn(&self, config: &Config) {
        let (configured, limits) =
            (&config.server.limits, config.server.limits.cap_connections(self.connections));
        if limits.connections < configured.connections {
            tracing::warn!(
                descriptors = self.descriptors.limit(),
                configured = configured.connections,
                connections = limits.connections,
                connections_per_address = limits.connections_per_address,
                "limits.connections is capped: the open-file limit (ulimit -Hn) leaves no more beside Graph and the \
                 admin port; raise that limit, or lower limits.connections"
            );
        }
    }
}
