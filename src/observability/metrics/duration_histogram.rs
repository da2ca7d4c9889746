//! Histogram of durations: classic buckets always, native buckets once a scrape has requested them, and exemplars of traced
//! requests.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::core::Metric as _;
use prometheus::proto::Bucket;
use prometheus::{Histogram, HistogramOpts, Registry};

use super::family::{NAMESPACE, register};
use super::native_histogram::{NativeBuckets, NativeHistogram};

/// Histogram of durations, in seconds.
#[derive(Debug)]
pub struct DurationHistogram {
    classic: Histogram,
    /// Upper bounds of the classic buckets.
    bounds: &'static [f64],
    native: OnceLock<NativeHistogram>,
    /// The last traced observation of each classic bucket. The last one is the bucket `+Inf`. Empty without tracing.
    exemplars: Mutex<Vec<Option<Exemplar>>>,
}

/// An observation with the trace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    /// Id of the trace.
    pub(super) trace_id: u128,
    /// Duration in seconds.
    pub(super) seconds: f64,
    /// Time of the observation.
    pub(super) at: SystemTime,
}

/// The parts of a histogram that the classic text format cannot express.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HistogramDetail {
    /// Native buckets, if a scrape has requested them.
    pub(super) native: Option<NativeBuckets>,
    /// Exemplars by classic bucket.
    pub(super) exemplars: Vec<Option<Exemplar>>,
}

impl DurationHistogram {
    /// Builds and registers the histogram. `label`: one constant label.
    pub(super) fn register(
        registry: &Registry,
        (name, help): (&str, &str),
        label: Option<(&str, &str)>,
        bounds: &'static [f64],
    ) -> prometheus::Result<Self> {
        let mut opts = HistogramOpts::new(name, help).namespace(NAMESPACE).buckets(bounds.to_vec());
        if let Some((name, value)) = label {
            opts = opts.const_label(name, value);
        }
        let classic = Histogram::with_opts(opts)?;
        register(registry, classic.clone())?;
        Ok(Self { classic, bounds, native: OnceLock::new(), exemplars: Mutex::default() })
    }

    /// Records a duration. `trace_id`: the trace of the request, if it is sampled.
    pub fn observe(&self, duration: Duration, trace_id: Option<u128>) {
        let seconds = duration.as_secs_f64();
        self.classic.observe(seconds);
        if let Some(native) = self.native.get() {
            native.observe(seconds);
        }
        if let Some(trace_id) = trace_id {
            self.keep(Exemplar { trace_id, seconds, at: SystemTime::now() });
        }
    }

    /// Returns the number of observations.
    pub fn count(&self) -> u64 {
        self.classic.get_sample_count()
    }

    /// Adds the number of observations of each classic bucket to `sums`; the last one is the bucket `+Inf`.
    pub(super) fn add_bucket_counts(&self, sums: &mut Vec<u64>) {
        sums.resize(self.bounds.len() + 1, 0);
        let metric = self.classic.metric();
        let cumulative = metric.get_histogram().get_bucket().iter().map(Bucket::cumulative_count);
        let cumulative =
            cumulative.take(self.bounds.len()).chain([metric.get_histogram().get_sample_count()]);
        let mut before = 0;
        for (sum, count) in sums.iter_mut().zip(cumulative) {
            *sum += count.saturating_sub(before);
            before = count;
        }
    }

    /// Counts native buckets from now on. Earlier observations count in the middle of their classic bucket, so that the
    /// buckets add up to the number of observations, as Prometheus requires.
    pub(super) fn enable_native(&self) {
        self.native.get_or_init(|| {
            let native = NativeHistogram::new();
            let metric = self.classic.metric();
            let (mut lower, mut before) = (0.0, 0);
            for bucket in metric.get_histogram().get_bucket() {
                let (upper, cumulative) = (bucket.upper_bound(), bucket.cumulative_count());
                native.add(f64::midpoint(lower, upper), cumulative.saturating_sub(before));
                (lower, before) = (upper, cumulative);
            }
            native.add(lower * 2.0, metric.get_histogram().get_sample_count().saturating_sub(before));
            native
        });
    }

    /// Returns native buckets and exemplars.
    pub(super) fn detail(&self) -> HistogramDetail {
        HistogramDetail {
            native: self.native.get().map(NativeHistogram::buckets),
            exemplars: self.exemplars.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn keep(&self, exemplar: Exemplar) {
        let bucket =
            self.bounds.iter().position(|bound| exemplar.seconds <= *bound).unwrap_or(self.bounds.len());
        let mut exemplars = self.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
        exemplars.resize(self.bounds.len() + 1, None);
        if let Some(kept) = exemplars.get_mut(bucket) {
            *kept = Some(exemplar);
        }
    }
}

impl HistogramDetail {
    /// Adds the detail of the same series of another thread.
    pub(super) fn add(&mut self, other: Self) {
        match (&mut self.native, other.native) {
            (Some(sum), Some(more)) => sum.add(&more),
            (none @ None, more) => *none = more,
            (Some(_), None) => {}
        }
        self.exemplars.resize(self.exemplars.len().max(other.exemplars.len()), None);
        for (kept, more) in self.exemplars.iter_mut().zip(other.exemplars) {
            if kept.map(|kept| kept.at) < more.map(|more| more.at) {
                *kept = more;
            }
        }
    }
}

/// Bounds for responses of the proxy: a hit takes tens of microseconds, a miss as long as Graph, up to `graph.timeout`.
pub(super) const RESPONSE_BOUNDS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];
/// Bounds for operations on the shared tier's store: a tenth of a millisecond, up to `shared.timeout`.
pub(super) const STORE_BOUNDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Bounds for requests to Graph: 100 ms and more, up to `graph.timeout`.
pub(super) const UPSTREAM_BOUNDS: &[f64] =
    &[0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_exemplar_of_a_bucket_is_kept_across_threads() {
        let registry = Registry::new();
        let new = |name| DurationHistogram::register(&registry, (name, "h"), None, UPSTREAM_BOUNDS).unwrap();
        let (one, other) = (new("one"), new("other"));
        one.observe(Duration::from_millis(60), Some(1));
        one.observe(Duration::from_millis(60), None);
        one.observe(Duration::from_secs(60), Some(2));
        other.observe(Duration::from_millis(70), Some(3));
        let mut detail = one.detail();
        detail.add(other.detail());
        let kept: Vec<_> = detail.exemplars.iter().map(|kept| kept.map(|kept| kept.trace_id)).collect();
        assert_eq!((kept[1], kept[UPSTREAM_BOUNDS.len()]), (Some(3), Some(2)), "0.05 to 0.075, and +Inf");
        assert_eq!(kept.iter().flatten().count(), 2);
    }

    #[test]
    fn native_buckets_begin_with_the_earlier_observations() {
        let histogram =
            DurationHistogram::register(&Registry::new(), ("h", "h"), None, RESPONSE_BOUNDS).unwrap();
        for millis in [0, 1, 1, 20_000] {
            histogram.observe(Duration::from_millis(millis), None);
        }
        assert_eq!(histogram.detail().native, None);
        histogram.enable_native();
        histogram.observe(Duration::from_millis(1), None);
        let native = histogram.detail().native.unwrap();
        assert_eq!((native.count(), histogram.count()), (5, 5));
        // 0 to 25 us, 0.5 to 1 ms, above 10 s; and exactly 1 ms.
        let indexes: Vec<_> = native.non_empty().collect();
        assert_eq!(indexes, [(-130, 1), (-83, 2), (-79, 1), (35, 1)]);
    }
}
