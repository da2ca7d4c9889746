//! Freshness: whether a stored response may be used for a token now, by RFC 9111 and RFC 5861.
//!
//! All functions are pure; the caller passes `now`. `tests/oracle.rs` compares them with another implementation, and states
//! where and why the two differ.

mod lifetime;
mod packed;

use std::time::Duration;

pub use self::packed::PackedLifetime;
use crate::http::cache_control::CacheControl;
use crate::http::cache_status::Forward;
use crate::support::clock::Now;
use crate::support::labels::labels;

/// Rules of freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub freshness: FreshnessSource,
    /// `cache.client_directives`
    pub client_directives: ClientDirectives,
}

labels! {
    /// Source of the freshness lifetime of a response.
    pub enum FreshnessSource {
        /// The operator: `cache.ttl` replaces Graph's directives.
        Operator = "operator",
        /// Graph, as RFC 9111 specifies, with `cache.ttl` as the upper limit.
        Origin = "origin",
    }
}

labels! {
    /// Treatment of a caller's `Cache-Control`.
    pub enum ClientDirectives {
        /// Ignored: the .NET SDK sends `no-store, no-cache` with every request.
        Ignore = "ignore",
        /// Honoured, as RFC 9111, section 5.2.1 specifies.
        Honor = "honor",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(5),
            proof_ttl: Duration::from_mins(5),
            stale_while_revalidate: Duration::from_secs(30),
            stale_if_error: Duration::from_mins(10),
            freshness: FreshnessSource::Operator,
            client_directives: ClientDirectives::Ignore,
        }
    }
}

impl Config {
    /// Returns the longest time for which a stored entry or proof is usable.
    pub fn longest_use(&self) -> Duration {
        self.ttl.max(self.proof_ttl) + self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// Time for which a response may be used, as determined on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Freshness lifetime, from the time of the request. Zero: the response must be validated before each use.
    pub fresh_for: Duration,
    /// Initial age of the response, from its `Age`.
    pub initial_age: Duration,
    /// True if a stale response must be validated before use (`must-revalidate`).
    pub must_revalidate: bool,
    /// Age from which the response may not be used during a refresh, regardless of the configured grace.
    pub grace_ends: Duration,
    /// Age from which the response may not be used after a failed request to Graph, regardless of the configured window.
    pub error_grace_ends: Duration,
}

/// Assessment of an entry and a proof for one token at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Current age of the response (RFC 9111, section 4.2.3).
    pub age: Duration,
    /// Time for which this token may still use the response; zero if it has passed.
    pub remaining: Duration,
    /// Time since the freshness lifetime of the response, or the lifetime of the proof, has passed.
    pub overdue: Duration,
    /// Resulting decision.
    pub decision: Decision,
}

/// Source of a failed request to Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// Graph, or the path to it, in the scope of the token: the request failed, or earlier ones did and a breaker is
    /// open.
    Upstream,
    /// The proxy refused to send the request.
    Local,
}

/// Permitted use of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Respond with the entry.
    Fresh,
    /// Respond with the stale entry: the caller accepts it (`max-stale`).
    StaleAccepted,
    /// Respond with the stale entry, and refresh it in the background (RFC 5861, section 3).
    StaleUsable,
    /// Send a request to Graph. The entry may be used if the request fails: see [`is_usable_on_error`].
    Forward(Forward),
}

impl Assessment {
    /// Returns the assessment of a superseded entry: Graph has since sent other bytes to another token, so this token must
    /// send one request to Graph. The entry may be used if that request fails, as a stale one.
    #[must_use]
    pub fn superseded(self) -> Self {
        let decision = match self.decision {
            Decision::Fresh | Decision::StaleAccepted | Decision::StaleUsable => {
                Decision::Forward(Forward::Stale)
            }
            forward @ Decision::Forward(_) => forward,
        };
        Self { remaining: Duration::ZERO, decision, ..self }
    }
}

/// Assesses an entry and a proof of time `granted_at`, for a token that is usable for a further `token_left`.
///
/// `client` contains the caller's directives if they are honoured. An expiring token receives nothing from memory, neither
/// fresh nor stale.
pub fn assess(
    config: &Config,
    (lifetime, requested_at): (&Lifetime, Now),
    granted_at: Now,
    token_left: Duration,
    client: CacheControl,
    now: Now,
) -> Assessment {
    let age = lifetime.age(requested_at, now);
    let proof_age = now.since(granted_at);
    // A lowered `cache.ttl` applies to stored responses too; a raised one only to later responses.
    let fresh_for = lifetime.fresh_for.min(config.ttl);
    let proof_left = config.proof_ttl.saturating_sub(proof_age);
    let remaining = fresh_for.saturating_sub(age).min(proof_left).min(token_left);
    let stale_for = age.saturating_sub(fresh_for);
    let overdue = stale_for.max(proof_age.saturating_sub(config.proof_ttl));
    let needs_request = client.no_cache
        || client.max_age.is_some_and(|limit| age > Duration::from_secs(limit) || limit == 0)
        || client.min_fresh.is_some_and(|wanted| remaining < Duration::from_secs(wanted));
    // A caller may accept a stale response (section 5.2.1.2), but cannot extend a proof.
    let accepted =
        client.max_stale.is_some_and(|most| stale_for <= Duration::from_secs(most)) && !proof_left.is_zero();
    // `max-age` without `max-stale` declines stale responses (section 5.2.1.1).
    let declined = client.max_age.is_some() && client.max_stale.is_none();
    let grace = config.stale_while_revalidate;
    let decision = if token_left.is_zero() {
        Decision::Forward(Forward::Bypass)
    } else if needs_request {
        Decision::Forward(Forward::Request)
    } else if !remaining.is_zero() {
        Decision::Fresh
    } else if lifetime.must_revalidate {
        Decision::Forward(Forward::Stale)
    } else if accepted {
        Decision::StaleAccepted
    } else if overdue < grace && age < lifetime.grace_ends && !declined {
        Decision::StaleUsable
    } else {
        Decision::Forward(Forward::Stale)
    };
    Assessment { age, remaining, overdue, decision }
}

/// Returns whether a stale entry may be used after a failed request to Graph (RFC 5861, section 4): within
/// `cache.stale_if_error` after the lifetimes of entry and proof, and within Graph's own window; never after the token's expiry, never against
/// `must-revalidate`.
///
/// `proof_age` is the age of the proof. A local refusal is no information about Graph, and another caller can cause it: it
/// does not extend a proof.
pub fn is_usable_on_error(
    config: &Config,
    lifetime: &Lifetime,
    assessment: &Assessment,
    source: ErrorSource,
    (proof_age, token_left): (Duration, Duration),
) -> bool {
    let fresh = !assessment.remaining.is_zero();
    let proof_is_live = proof_age < config.proof_ttl;
    !token_left.is_zero()
        && (proof_is_live || source == ErrorSource::Upstream)
        && (fresh
            || (assessment.overdue < config.stale_if_error
                && assessment.age < lifetime.error_grace_ends
                && !lifetime.must_revalidate))
}

#[cfg(test)]
mod error_tests;
#[cfg(test)]
mod lifetime_tests;
#[cfg(test)]
mod tests;
