//! One question to Graph at a time for a key.

use std::time::Duration;

/// What flights need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.followers`: requests that may wait on one flight; more go alone.
    pub followers: usize,
    /// `limits.follower_wait`: how long one waits before it goes alone.
    pub wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { followers: 10_000, wait: Duration::from_secs(10) }
    }
}
