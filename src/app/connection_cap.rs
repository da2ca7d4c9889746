//! Limit of connections of callers, if the open-file limit allows fewer than configured.

use crate::app::descriptors::{Demand, Descriptors};
use crate::config::Config;

/// Number of connections of callers that fit into the open-file limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionCap {
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
        Self { connections }
    }
}
