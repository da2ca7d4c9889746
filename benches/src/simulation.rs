//! A fleet of replicas before Graph, simulated: calls to Graph as a function of replicas, tokens, flows and settings.
//!
//! Decisions come from the types of the proxy: [`Store`](connector_cache::cache::store::Store), freshness, leases, and names,
//! seals and judgement of the shared tier over a map in memory. Time is passed in, and the stream of requests is drawn from a
//! seed. Connections and limits of the proxy (permits, breakers, limits for unproven tokens) are not part of it, and Graph
//! responds 200 with the same bytes to every token of a principal, after [`Scenario::graph_latency`].
//!
//! `tests.rs` compares the outcome with arithmetic on small scenes, and with the proxy itself.

use std::time::Duration;

use connector_cache::cache::freshness;

pub mod authorization_keyed;
pub mod callers;
pub mod fleet;
pub mod stream;

/// How requests reach replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Each request goes to a random replica.
    Spread,
    /// Each address goes to one replica.
    Affinity,
}

/// Cache of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// This proxy without a shared tier.
    Local,
    /// This proxy with the shared tier.
    Shared,
    /// Cache whose key is method, URL and `Authorization`, as in nginx.
    AuthorizationKeyed,
}

/// Inputs of a simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Replicas of the fleet.
    pub replicas: usize,
    /// Callers. Each has one token at a time.
    pub callers: usize,
    /// Principals that the callers belong to: as many as callers for users, a few for applications.
    pub principals: usize,
    /// Addresses from which each caller sends requests.
    pub addresses: usize,
    /// Flows that callers request.
    pub flows: usize,
    /// Requests of a caller in a minute, on average.
    pub rate: f64,
    /// How requests reach replicas.
    pub routing: Routing,
    /// Cache of each replica.
    pub cache: Cache,
    /// `cache.ttl` and the other rules.
    pub rules: freshness::Config,
    /// `cache.max_bytes`
    pub max_bytes: u64,
    /// Time from a call to Graph to its response.
    pub graph_latency: Duration,
    /// Time after which each caller takes a new token.
    pub token_renewal: Duration,
    /// Callers take their first new token at different times.
    pub renewals_are_spread: bool,
    /// Time at which all replicas are replaced: a rollout. The shared tier stays.
    pub rollout_at: Option<Duration>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            replicas: 1,
            callers: 1,
            principals: 1,
            addresses: 1,
            flows: 1,
            rate: 6.0,
            routing: Routing::Spread,
            cache: Cache::Local,
            rules: freshness::Config::default(),
            max_bytes: 64 << 20,
            graph_latency: Duration::from_millis(150),
            token_renewal: Duration::from_secs(3600),
            renewals_are_spread: true,
            rollout_at: None,
        }
    }
}

/// Request of a caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Time since the start, milliseconds.
    pub at_ms: u64,
    /// Number of the caller.
    pub caller: usize,
    /// Number of the flow.
    pub flow: usize,
    /// Replica that receives the request.
    pub replica: usize,
}

/// Result of a simulation, by hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests of callers.
    pub requests: [u64; HOURS],
    /// Calls to Graph.
    pub calls: [u64; HOURS],
    /// Requests and refreshes that were answered by the shared tier.
    pub shared_hits: [u64; HOURS],
    /// Calls to Graph in the five minutes after a rollout.
    pub after_rollout: u64,
}

/// Runs a scenario on a stream of requests.
pub fn run(scenario: &Scenario, requests: impl Iterator<Item = Request>) -> Counts {
    match scenario.cache {
        Cache::AuthorizationKeyed => authorization_keyed::run(scenario, requests),
        Cache::Local | Cache::Shared => {
            let mut fleet = fleet::Fleet::new(scenario);
            requests.for_each(|request| fleet.handle(request));
            fleet.finish()
        }
    }
}

fn hour(at_ms: u64) -> usize {
    usize::try_from(at_ms / 3_600_000).unwrap_or(HOURS).min(HOURS - 1)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Hours of a simulation. The first begins with empty caches.
pub const HOURS: usize = 2;

#[cfg(test)]
mod tests;
