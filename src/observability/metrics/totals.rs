//! Totals of the counters at one time, for views of their change.

use prometheus::core::Collector as _;

use super::duration_histogram::{DurationHistogram, RESPONSE_BOUNDS, UPSTREAM_BOUNDS};
use super::{Metrics, ReloadSource, StatusCounters};
use crate::cache::outcome::{Outcome, ProofLookup};
use crate::support::labels::Label;

/// Totals since the start of the process. Labelled counts are in the order of [`Label::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests by outcome.
    pub outcomes: Vec<u64>,
    /// Requests by bucket of their duration; see [`bucket_bounds`].
    pub durations: Vec<u64>,
    /// Requests of tokens that may not use the cache, by reason.
    pub bypass: Vec<u64>,
    /// Requests with a cacheable token that memory could not answer, by reason.
    pub forwarded: Vec<u64>,
    /// Rejected requests, by reason.
    pub rejected: Vec<u64>,
    /// Responses of Graph that were not stored, by reason.
    pub not_stored: Vec<u64>,
    /// Bodies that the scrubber could not parse, by reason.
    pub scrub_failures: Vec<u64>,
    /// Masked members, by kind.
    pub scrubbed: Vec<u64>,
    /// Entries that left the cache, by cause.
    pub evictions: Vec<u64>,
    /// Lookups of proofs, by result.
    pub proofs: Vec<u64>,
    /// Responses of Graph, by status of [`StatusCounters::counts`].
    pub graph_statuses: Vec<u64>,
    /// Attempts at Graph by bucket of their duration; see [`upstream_bucket_bounds`].
    pub graph_durations: Vec<u64>,
    /// Attempts at Graph without a usable response, by reason.
    pub graph_errors: Vec<u64>,
}

impl Metrics {
    /// Reads the totals of the families that the process always has.
    pub fn totals(&self) -> Totals {
        let mut durations = Vec::new();
        for (_, histogram) in self.shards.iter().flat_map(|shard| shard.request_duration.iter()) {
            histogram.add_bucket_counts(&mut durations);
        }
        Totals {
            outcomes: Outcome::ALL.iter().map(|outcome| self.requests_by_outcome(*outcome)).collect(),
            durations,
            bypass: self.bypass.counts(),
            forwarded: self.forwarded.counts(),
            rejected: self.rejected.counts(),
            not_stored: self.not_stored.counts(),
            scrub_failures: self.scrub_failures.counts(),
            scrubbed: self.scrubbed.counts(),
            evictions: self.evictions.counts(),
            proofs: ProofLookup::ALL.iter().map(|result| self.proof_lookups(*result)).collect(),
            ..Totals::default()
        }
    }

    /// Returns the sources whose last reload failed.
    pub fn failed_reloads(&self) -> Vec<ReloadSource> {
        self.reloads.failed().collect()
    }

    /// Returns the end of validity of the certificate of `listen.tls`, as Unix time; `None` without TLS.
    pub fn listen_certificate_not_after(&self) -> Option<i64> {
        // Reads the present series only: a lookup by label would create the series.
        let families = self.certificate_not_after.collect();
        let series = families.first()?.get_metric().first()?.get_gauge().get_value();
        format!("{series:.0}").parse().ok()
    }
}

impl Totals {
    /// Adds the totals of requests to Graph.
    #[must_use]
    pub fn with_graph(
        self,
        statuses: &StatusCounters,
        durations: &DurationHistogram,
        errors: Vec<u64>,
    ) -> Self {
        let mut graph_durations = Vec::new();
        durations.add_bucket_counts(&mut graph_durations);
        let graph_statuses = statuses.counts().map(|(_, count)| count).collect();
        Self { graph_statuses, graph_durations, graph_errors: errors, ..self }
    }
}

/// Returns the upper bounds of the buckets of `Totals::durations`, in seconds. The last bucket has none.
pub fn bucket_bounds() -> &'static [f64] {
    RESPONSE_BOUNDS
}

/// Returns the upper bounds of the buckets of `Totals::graph_durations`, in seconds. The last bucket has none.
pub fn upstream_bucket_bounds() -> &'static [f64] {
    UPSTREAM_BOUNDS
}
