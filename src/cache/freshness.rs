//! May this answer be used for this caller now? Judgements of RFC 9111 and RFC 5861, pure, `now` passed in.
//! `tests/oracle.rs` holds them beside those of another cache, and says where the two differ and why.

mod dials;
mod lifetime;
mod packed;

use std::time::Duration;

pub use self::dials::Dials;
pub use self::packed::PackedLifetime;
use super::outcome::Forward;
use crate::http::cache_control::CacheControl;
use crate::support::clock::Now;
use crate::support::labels::labels;

/// What judgements need to know.
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
    /// Whose word decides how long an answer is fresh.
    pub enum FreshnessSource {
        /// The operator's: `cache.ttl` replaces what Graph says.
        Operator = "operator",
        /// Graph's, as RFC 9111 has it, with `cache.ttl` as the cap.
        GraphClient = "origin",
    }
}

labels! {
    /// What becomes of a caller's `Cache-CacheControl`.
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
    /// The longest that anything stored can be of use.
    pub fn longest_use(&self) -> Duration {
        self.ttl.max(self.proof_ttl) + self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// How long an answer may be used, as it was judged when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From the moment the question left. Zero: only after Graph was asked whether it still holds.
    pub fresh_for: Duration,
    /// How old the answer already was, by its `Age`.
    pub initial_age: Duration,
    /// It may not be used past that without Graph's word.
    pub must_revalidate: bool,
    /// From this age on it may not be used while Graph is asked, whatever the grace.
    pub grace_ends: Duration,
}

/// What the clock says of an entry and a proof, for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// How old the answer is (RFC 9111, section 4.2.3).
    pub age: Duration,
    /// How long it may still be used by this caller; zero when it is past that.
    pub left: Duration,
    /// How far it, or the proof, is past its time.
    pub overdue: Duration,
    /// What follows.
    pub verdict: Decision,
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

/// What may be done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer with it.
    Fresh,
    /// Answer with it, though it is past its time: the caller takes it so (`max-stale`).
    StaleAccepted,
    /// Answer with it, and ask Graph meanwhile (RFC 5861, section 3).
    StaleUsable,
    /// Ask Graph. The entry may serve if that fails: see [`is_usable_on_error`].
    Forward(Forward),
}

impl Assessment {
    /// The judgement where Graph has since given other bytes to another token: nothing is left, and this token asks once,
    /// too. The entry may serve if that fails, as one that is past its time.
    #[must_use]
    pub fn superseded(self) -> Self {
        let verdict = match self.verdict {
            Decision::Fresh | Decision::StaleAccepted | Decision::StaleUsable => {
                Decision::Forward(Forward::Stale)
            }
            forward @ Decision::Forward(_) => forward,
        };
        Self { left: Duration::ZERO, verdict, ..self }
    }
}

/// Judges an entry and a proof, given at `granted`, for a caller whose token is usable for `token_left`.
///
/// `client` holds the caller's directives where they are obeyed. A caller whose token is at its end gets
/// nothing from memory, fresh or stale.
pub fn assess(
    config: &Config,
    (lifetime, asked): (&Lifetime, Now),
    granted: Now,
    token_left: Duration,
    client: CacheControl,
    now: Now,
) -> Assessment {
    let age = lifetime.initial_age.saturating_add(now.since(asked));
    let proof_age = now.since(granted);
    // A shorter `cache.ttl` holds for what is stored already; a longer one for answers to come.
    let fresh_for = lifetime.fresh_for.min(config.ttl);
    let proof_left = config.proof_ttl.saturating_sub(proof_age);
    let left = fresh_for.saturating_sub(age).min(proof_left).min(token_left);
    let past = age.saturating_sub(fresh_for);
    let overdue = past.max(proof_age.saturating_sub(config.proof_ttl));
    let asks_graph = client.no_cache
        || client.max_age.is_some_and(|limit| age > Duration::from_secs(limit) || limit == 0)
        || client.min_fresh.is_some_and(|wanted| left < Duration::from_secs(wanted));
    // A caller may take what is old (section 5.2.1.2); whether it may see it at all is not its to say.
    let accepted =
        client.max_stale.is_some_and(|most| past <= Duration::from_secs(most)) && !proof_left.is_zero();
    // Who asks for an age and not for more wants nothing past its time (section 5.2.1.1).
    let declined = client.max_age.is_some() && client.max_stale.is_none();
    let grace = config.stale_while_revalidate;
    let verdict = if token_left.is_zero() {
        Decision::Forward(Forward::Bypass)
    } else if asks_graph {
        Decision::Forward(Forward::Request)
    } else if !left.is_zero() {
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
    Assessment { age, left, overdue, verdict }
}

/// Whether a stale entry may serve because a request to Graph failed (RFC 5861, section 4): within
/// `cache.stale_if_error` past its time and the proof's, never past the token's, never against `must-revalidate`.
///
/// `proof_age` is the age of the proof. A local refusal says nothing about Graph, and another caller can cause one: it
/// does not prolong a proof.
pub fn is_usable_on_error(
    config: &Config,
    lifetime: &Lifetime,
    assessment: &Assessment,
    source: ErrorSource,
    (proof_age, token_left): (Duration, Duration),
) -> bool {
    let fresh = !assessment.left.is_zero();
    let proof_is_live = proof_age < config.proof_ttl;
    !token_left.is_zero()
        && (proof_is_live || source == ErrorSource::Upstream)
        && (fresh || (assessment.overdue < config.stale_if_error && !lifetime.must_revalidate))
}

#[cfg(test)]
mod error_tests;
#[cfg(test)]
mod tests;
