//! Metrics that every request updates, in one shard per thread.
//!
//! Threads that update one counter move its cache line between their cores, which takes longer than the addition. A scrape
//! adds the shards.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, Metric, MetricFamily};
use prometheus::{IntGauge, Registry};

use super::duration_histogram::HistogramDetail;
use super::family::{CounterFamily, RequestCounters, RequestDurations, register_gauge};
use crate::cache::outcome::{Outcome, ProofChange, ProofLookup};
use crate::support::labels::Label;

/// The shard of one thread.
#[derive(Debug)]
pub struct PerThread {
    registry: Registry,
    /// Requests, by method, status and outcome.
    pub requests: RequestCounters,
    /// Time from the head of a request to its response, seconds, by outcome.
    pub request_duration: RequestDurations,
    /// Requests that have no response yet.
    pub in_flight: IntGauge,
    /// Lookups of proofs, by result.
    pub proof_lookups: CounterFamily<ProofLookup>,
    /// Responses of Graph that recorded or dropped proofs.
    pub proof_changes: CounterFamily<ProofChange>,
}

/// The shards of all threads.
#[derive(Debug)]
pub(super) struct PerThreadShards {
    shards: Box<[OnceLock<PerThread>]>,
    /// True after the first scrape that requested native histograms.
    native: AtomicBool,
}

impl PerThread {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        Ok(Self {
            requests: RequestCounters::new(r)?,
            request_duration: RequestDurations::new(r)?,
            in_flight: register_gauge(r, "requests_in_flight", "Requests that have no response yet.")?,
            proof_lookups: CounterFamily::new(
                r,
                "proof_lookups_total",
                "Lookups of proofs by requests with a cacheable token.",
                "result",
            )?,
            proof_changes: CounterFamily::new(
                r,
                "proof_changes_total",
                "Responses of Graph that recorded a proof (granted) or dropped proofs (revoked).",
                "change",
            )?,
            registry,
        })
    }

    fn enable_native(&self) {
        self.request_duration.iter().for_each(|(_, histogram)| histogram.enable_native());
    }
}

impl PerThreadShards {
    /// Creates the first shard, so that all series exist, and room for the others.
    pub(super) fn new() -> prometheus::Result<Self> {
        let first = OnceLock::from(PerThread::new()?);
        let shards = std::iter::once(first).chain((1..MAX_SHARDS).map(|_| OnceLock::new())).collect();
        Ok(Self { shards, native: AtomicBool::new(false) })
    }

    /// Returns the shard of this thread.
    pub(super) fn local(&self) -> &PerThread {
        #[expect(clippy::expect_used, reason = "`new` has built the first shard in the same way")]
        let make = || {
            let shard = PerThread::new().expect("no two families share a name");
            if self.native.load(SeqCst) {
                shard.enable_native();
            }
            shard
        };
        self.shards[SHARD.with(|shard| *shard) % MAX_SHARDS].get_or_init(make)
    }

    /// Counts native buckets from now on, in all shards.
    pub(super) fn enable_native(&self) {
        if !self.native.swap(true, SeqCst) {
            self.iter().for_each(PerThread::enable_native);
        }
    }

    /// Returns native buckets and exemplars of each outcome, added over all shards.
    pub(super) fn details(&self) -> impl Iterator<Item = (Outcome, HistogramDetail)> {
        let mut sums = BTreeMap::<usize, (Outcome, HistogramDetail)>::new();
        for (outcome, histogram) in self.iter().flat_map(|shard| shard.request_duration.iter()) {
            let sum = sums.entry(outcome.index()).or_insert_with(|| (outcome, HistogramDetail::default()));
            sum.1.add(histogram.detail());
        }
        sums.into_values()
    }

    /// Returns the shards in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PerThread> {
        self.shards.iter().filter_map(OnceLock::get)
    }

    /// Returns the families with the sums over all shards.
    pub(super) fn gather(&self) -> impl Iterator<Item = MetricFamily> {
        let mut sums = BTreeMap::<String, MetricFamily>::new();
        for mut family in self.iter().flat_map(|shard| shard.registry.gather()) {
            match sums.entry(family.name().to_owned()) {
                Entry::Vacant(entry) => drop(entry.insert(family)),
                Entry::Occupied(mut sum) => {
                    family.take_metric().into_iter().for_each(|one| add(sum.get_mut(), one));
                }
            }
        }
        sums.into_values()
    }
}

/// Adds a series to the series of the same labels, or as a new one.
fn add(family: &mut MetricFamily, one: Metric) {
    let Some(sum) = family.mut_metric().iter_mut().find(|known| known.get_label() == one.get_label()) else {
        family.mut_metric().push(one);
        return;
    };
    // A metric has one of the three kinds. The other two are zero.
    let mut counter = Counter::default();
    counter.set_value(sum.get_counter().get_value() + one.get_counter().get_value());
    let mut gauge = Gauge::default();
    gauge.set_value(sum.get_gauge().get_value() + one.get_gauge().get_value());
    let (known, more) = (sum.get_histogram(), one.get_histogram());
    let mut histogram = Histogram::default();
    histogram.set_sample_count(known.get_sample_count() + more.get_sample_count());
    histogram.set_sample_sum(known.get_sample_sum() + more.get_sample_sum());
    let buckets = known.get_bucket().iter().zip(more.get_bucket()).map(|(known, more)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(known.upper_bound());
        bucket.set_cumulative_count(known.cumulative_count() + more.cumulative_count());
        bucket
    });
    histogram.set_bucket(buckets.collect());
    sum.set_counter(counter);
    sum.set_gauge(gauge);
    sum.set_histogram(histogram);
}

thread_local! {
    /// Number of the thread's shard: threads are numbered in the order of their first update.
    static SHARD: usize = NEXT_SHARD.fetch_add(1, Relaxed);
}

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);
/// Shards at most. With more threads, some share one.
const MAX_SHARDS: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::super::{MethodLabel, Metrics};
    use crate::cache::outcome::{Outcome, ProofLookup};

    #[test]
    fn a_scrape_adds_the_shards_of_all_threads() {
        let metrics = Metrics::new().unwrap();
        let count = |outcome, millis| {
            let shard = metrics.local();
            shard.in_flight.inc();
            shard.requests.inc(MethodLabel::Get, StatusCode::OK, outcome);
            shard.request_duration.observe(outcome, Duration::from_millis(millis), None);
            shard.proof_lookups.inc(ProofLookup::Live);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| count(Outcome::Hit, 1));
            scope.spawn(|| count(Outcome::Hit, 3));
        });
        count(Outcome::Miss, 200);
        // A series of one thread.
        metrics.local().requests.inc(MethodLabel::Head, StatusCode::OK, Outcome::Hit);
        metrics.local().in_flight.dec();
        let text = metrics.render_text().unwrap();
        for line in [
            r#"requests_total{cache="hit",method="GET",status="200"} 2"#,
            r#"requests_total{cache="miss",method="GET",status="200"} 1"#,
            r#"requests_total{cache="hit",method="HEAD",status="200"} 1"#,
            r#"request_duration_seconds_bucket{cache="hit",le="0.001"} 1"#,
            r#"request_duration_seconds_bucket{cache="hit",le="0.005"} 2"#,
            r#"request_duration_seconds_bucket{cache="hit",le="+Inf"} 2"#,
            r#"request_duration_seconds_sum{cache="hit"} 0.004"#,
            r#"request_duration_seconds_count{cache="hit"} 2"#,
            r#"proof_lookups_total{result="live"} 3"#,
            "requests_in_flight 2",
        ] {
            assert_eq!(text.matches(&format!("connector_cache_{line}\n")).count(), 1, "{line} in\n{text}");
        }
        assert_eq!(metrics.in_flight(), 2);
        assert_eq!(metrics.requests(MethodLabel::Get, StatusCode::OK, Outcome::Hit), 2);
        assert_eq!(
            (metrics.requests_by_outcome(Outcome::Hit), metrics.requests_by_outcome(Outcome::Miss)),
            (2, 1)
        );
        assert_eq!(metrics.proof_lookups(ProofLookup::Live), 3);
    }
}
