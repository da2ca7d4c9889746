//! May this answer be used for this caller now? Judgements of RFC 9111 and RFC 5861, pure, `now` passed in.

use std::time::Duration;

use crate::words::words;

/// What judgements need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cache.ttl`
    pub ttl: Duration,
    /// `cache.proof_ttl`: at most an hour.
    pub proof_ttl: Duration,
    /// `cache.stale_while_revalidate`; zero turns it off.
    pub stale_while_revalidate: Duration,
    /// `cache.stale_if_error`; zero turns it off.
    pub stale_if_error: Duration,
    /// `cache.freshness`
    pub freshness: Freshness,
    /// `cache.client_directives`
    pub client_directives: ClientDirectives,
}

words! {
    /// Whose word decides how long an answer is fresh.
    pub enum Freshness {
        /// The operator's: `cache.ttl` replaces what Graph says.
        Operator = "operator",
        /// Graph's, as RFC 9111 has it, with `cache.ttl` as the cap.
        Origin = "origin",
    }
}

words! {
    /// What becomes of a caller's `Cache-Control`.
    pub enum ClientDirectives {
        /// Ignored: the .NET SDK sends `no-store, no-cache` with every request.
        Ignore = "ignore",
        /// Obeyed, as RFC 9111, section 5.2.1 has it.
        Honor = "honor",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            proof_ttl: Duration::from_secs(300),
            stale_while_revalidate: Duration::from_secs(30),
            stale_if_error: Duration::from_secs(600),
            freshness: Freshness::Operator,
            client_directives: ClientDirectives::Ignore,
        }
    }
}
