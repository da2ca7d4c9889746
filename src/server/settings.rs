//! What a listener grants, and may be told anew while it serves.

use std::sync::{Arc, PoisonError, RwLock};

use hyper::server::conn::http1;

use super::{Config, Drain, ServerLimits, protocols};

/// The terms of a listener. Clones are the same terms.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    present: Arc<RwLock<Arc<Present>>>,
    /// Connections that there may be, whatever is configured.
    max_connections: usize,
}

/// What holds now. A connection keeps what held when it was accepted.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) limits: ServerLimits,
    pub(super) drain: Drain,
    pub(super) http1: http1::Builder,
}

impl ServerSettings {
    pub(super) fn new(config: &Config) -> Self {
        Self::at_most(config, usize::MAX)
    }

    /// Terms under which there are never more than `max_connections`.
    pub(super) fn at_most(config: &Config, max_connections: usize) -> Self {
        let present = Arc::new(RwLock::new(Arc::new(Present::of(config, max_connections))));
        Self { present, max_connections }
    }

    /// Sets limits and drain for connections that come from now on. Address, certificates and threads stay.
    pub fn set(&self, config: &Config) {
        let present = Arc::new(Present::of(config, self.max_connections));
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = present;
    }

    pub(super) fn present(&self) -> Arc<Present> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Present {
    fn of(config: &Config, max_connections: usize) -> Self {
        let http1 = protocols::http1(&config.limits);
        Self { limits: config.limits.at_most(max_connections), drain: config.drain.clone(), http1 }
    }
}
