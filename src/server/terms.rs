//! What a listener grants, and may be told anew while it serves.

use std::sync::{Arc, PoisonError, RwLock};

use hyper::server::conn::http1;

use super::{Config, Drain, Limits, protocols};

/// The terms of a listener. Clones are the same terms.
#[derive(Clone, Debug)]
pub struct Terms(Arc<RwLock<Arc<Present>>>);

/// What holds now. A connection keeps what held when it was accepted.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    pub(super) http1: http1::Builder,
}

impl Terms {
    pub(super) fn new(config: &Config) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Present::of(config)))))
    }

    /// Sets limits and drain for connections that come from now on. Address, certificates and threads stay.
    pub fn set(&self, config: &Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Present::of(config));
    }

    pub(super) fn present(&self) -> Arc<Present> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Present {
    fn of(config: &Config) -> Self {
        let http1 = protocols::http1(&config.limits);
        Self { limits: config.limits.clone(), drain: config.drain.clone(), http1 }
    }
}
