//! Live settings of freshness.

use std::time::Duration;

use super::{ClientDirectives, Config, FreshnessSource};
use crate::support::dial::Dial;

/// Freshness settings of this process. Each assessment reads the current values.
#[derive(Debug)]
pub struct Dials {
    ttl: Dial<Duration>,
    /// `cache.proof_ttl`
    pub proof_ttl: Dial<Duration>,
    stale_while_revalidate: Dial<Duration>,
    stale_if_error: Dial<Duration>,
    /// `cache.client_directives`
    pub client_directives: Dial<ClientDirectives>,
    freshness: FreshnessSource,
}

impl Dials {
    /// Creates the settings from the configuration at start.
    pub fn new(config: &Config) -> Self {
        Self {
            ttl: Dial::new(config.ttl),
            proof_ttl: Dial::new(config.proof_ttl),
            stale_while_revalidate: Dial::new(config.stale_while_revalidate),
            stale_if_error: Dial::new(config.stale_if_error),
            client_directives: Dial::new(config.client_directives),
            freshness: config.freshness,
        }
    }

    /// Returns the current settings.
    pub fn now(&self) -> Config {
        Config {
            ttl: self.ttl.get(),
            proof_ttl: self.proof_ttl.get(),
            stale_while_revalidate: self.stale_while_revalidate.get(),
            stale_if_error: self.stale_if_error.get(),
            client_directives: self.client_directives.get(),
            freshness: self.freshness,
        }
    }

    /// Applies `config`, except `cache.freshness`: the lifetimes of stored entries depend on it.
    pub fn set(&self, config: &Config) {
        self.ttl.set(config.ttl);
        self.proof_ttl.set(config.proof_ttl);
        self.stale_while_revalidate.set(config.stale_while_revalidate);
        self.stale_if_error.set(config.stale_if_error);
        self.client_directives.set(config.client_directives);
    }
}
