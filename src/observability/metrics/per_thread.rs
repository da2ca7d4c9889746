//! What every request counts, by each thread for itself.
//!
//! Threads that counted in one place would hand it to and fro at each request, which takes longer than to count. A
//! scrape adds up what they counted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, Metric, MetricFamily};
use prometheus::{IntGauge, Registry};

use super::family::{CounterFamily, Durations, Requests, gauge};
use crate::cache::outcome::{ProofChange, ProofLookup};

/// What one thread counts.
#[derive(Debug)]
pub struct PerThread {
    registry: Registry,
    /// Requests answered, by method, status and outcome.
    pub requests: Requests,
    /// Time from the request's head to the answer, seconds, by outcome.
    pub request_duration: Durations,
    /// Requests that are being answered now.
    pub in_flight: IntGauge,
    /// Look-ups of proofs, by result.
    pub proof_lookups: CounterFamily<ProofLookup>,
    /// Responses of Graph that recorded or dropped proofs.
    pub proof_changes: CounterFamily<ProofChange>,
}

/// What all threads count.
#[derive(Debug)]
pub(super) struct PerThreadShards(Box<[OnceLock<PerThread>]>);

impl PerThread {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        Ok(Self {
            requests: Requests::new(r)?,
            request_duration: Durations::new(r)?,
            in_flight: gauge(r, "requests_in_flight", "Requests that are being answered now.")?,
            proof_lookups: CounterFamily::new(
                r,
                "proof_lookups_total",
                "Look-ups of proofs by requests with a cacheable token.",
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
}

impl PerThreadShards {
    /// Nothing is counted yet, and all that can be foreseen is there.
    pub(super) fn new() -> prometheus::Result<Self> {
        let first = OnceLock::from(PerThread::new()?);
        Ok(Self(std::iter::once(first).chain((1..PLACES).map(|_| OnceLock::new())).collect()))
    }

    /// This thread's.
    pub(super) fn local(&self) -> &PerThread {
        #[expect(clippy::expect_used, reason = "the first was made like that, and `new` said so")]
        let make = || PerThread::new().expect("no two families share a name");
        self.0[PLACE.with(|place| *place) % PLACES].get_or_init(make)
    }

    /// Each thread's.
    pub(super) fn all(&self) -> impl Iterator<Item = &PerThread> {
        self.0.iter().filter_map(OnceLock::get)
    }

    /// What they come to together.
    pub(super) fn gather(&self) -> impl Iterator<Item = MetricFamily> {
        let mut sums = BTreeMap::<String, MetricFamily>::new();
        for mut family in self.all().flat_map(|own| own.registry.gather()) {
            match sums.entry(family.name().to_owned()) {
                Entry::Vacant(place) => drop(place.insert(family)),
                Entry::Occupied(mut sum) => {
                    family.take_metric().into_iter().for_each(|one| add(sum.get_mut(), one));
                }
            }
        }
        sums.into_values()
    }
}

/// Adds a series to its like, or as a new one.
fn add(family: &mut MetricFamily, one: Metric) {
    let Some(sum) = family.mut_metric().iter_mut().find(|known| known.get_label() == one.get_label()) else {
        family.mut_metric().push(one);
        return;
    };
    // Of each kind but one these are zero.
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
    /// Threads are numbered as they come to count.
    static PLACE: usize = NEXT.fetch_add(1, Relaxed);
}

static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Where there are more threads, some share.
const PLACES: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::super::{MethodLabel, Metrics};
    use crate::cache::outcome::{Outcome, ProofLookup};

    #[test]
    fn what_threads_count_is_told_together() {
        let metrics = Metrics::new().unwrap();
        let count = |outcome, millis| {
            let own = metrics.local();
            own.in_flight.inc();
            own.requests.inc(MethodLabel::Get, StatusCode::OK, outcome);
            own.request_duration.observe(outcome, Duration::from_millis(millis));
            own.proof_lookups.inc(ProofLookup::Live);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| count(Outcome::Hit, 1));
            scope.spawn(|| count(Outcome::Hit, 3));
        });
        count(Outcome::Miss, 200);
        // A series that one thread alone has.
        metrics.local().requests.inc(MethodLabel::Head, StatusCode::OK, Outcome::Hit);
        metrics.local().in_flight.dec();
        let text = metrics.render().unwrap();
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
        assert_eq!((metrics.answered(Outcome::Hit), metrics.answered(Outcome::Miss)), (2, 1));
        assert_eq!(metrics.proof_lookups(ProofLookup::Live), 3);
    }
}
