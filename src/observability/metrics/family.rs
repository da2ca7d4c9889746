//! Metric families whose labels come from closed sets.
//!
//! The series of a family are looked up once, when the family is built: an update is an index and an atomic addition.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::duration_histogram::{DurationHistogram, RESPONSE_BOUNDS};
use crate::cache::outcome::Outcome;
use crate::support::labels::{Label, labels};

/// A counter for each label of a closed set.
#[derive(Debug)]
pub struct CounterFamily<L> {
    metric: IntCounterVec,
    counters: Box<[IntCounter]>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label> CounterFamily<L> {
    pub(crate) fn new(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<Self> {
        let family = IntCounterVec::new(opts(name, help), &[label])?;
        let counters = L::ALL.iter().map(|label| family.with_label_values(&[label.as_str()])).collect();
        register(registry, family.clone())?;
        Ok(Self { metric: family, counters, label: std::marker::PhantomData })
    }

    /// Returns a family with other labels on the same metric, for two parts that count different reasons in one metric.
    pub fn with_labels_of<M: Label>(&self) -> CounterFamily<M> {
        let counters = M::ALL.iter().map(|label| self.metric.with_label_values(&[label.as_str()])).collect();
        CounterFamily { metric: self.metric.clone(), counters, label: std::marker::PhantomData }
    }

    /// Adds one.
    pub fn inc(&self, label: L) {
        self.add(label, 1);
    }

    /// Adds `n`.
    pub fn add(&self, label: L, n: u64) {
        if let Some(counter) = self.counters.get(label.index()) {
            counter.inc_by(n);
        }
    }

    /// Returns the count.
    pub fn get(&self, label: L) -> u64 {
        self.counters.get(label.index()).map_or(0, IntCounter::get)
    }

    /// Returns all counts, in the order of the labels.
    pub fn counts(&self) -> Vec<u64> {
        self.counters.iter().map(IntCounter::get).collect()
    }
}

/// A gauge for each label of a closed set.
#[derive(Debug)]
pub struct GaugeFamily<L> {
    gauges: Box<[IntGauge]>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label> GaugeFamily<L> {
    pub(crate) fn new(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<Self> {
        let family = gauge_vec(registry, name, help, &[label])?;
        let gauges = L::ALL.iter().map(|label| family.with_label_values(&[label.as_str()])).collect();
        Ok(Self { gauges, label: std::marker::PhantomData })
    }

    /// Sets the value.
    pub fn set(&self, label: L, value: usize) {
        if let Some(gauge) = self.gauges.get(label.index()) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

labels! {
    /// Request method, as a label.
    pub enum MethodLabel {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// Any other.
        Other = "other",
    }
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            _ => Self::Other,
        }
    }
}

/// The family `requests_total{method,status,cache}`.
#[derive(Debug)]
pub struct RequestCounters {
    family: IntCounterVec,
    grid: Box<[OnceLock<IntCounter>]>,
}

impl RequestCounters {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let family = IntCounterVec::new(
            opts("requests_total", "Requests, by method, status and use of the cache."),
            &["method", "status", "cache"],
        )?;
        register(registry, family.clone())?;
        let cells = MethodLabel::ALL.len() * (STATUSES.len() + 1) * Outcome::ALL.len();
        let requests = Self { family, grid: (0..cells).map(|_| OnceLock::new()).collect() };
        for &outcome in Outcome::ALL {
            requests.counter_at(MethodLabel::Get, StatusCode::OK, outcome);
        }
        for status in
            [400, 401, 404, 405, 500, 502, 503, 504].iter().filter_map(|s| StatusCode::from_u16(*s).ok())
        {
            requests.counter_at(MethodLabel::Get, status, Outcome::None);
        }
        Ok(requests)
    }

    /// Adds one response.
    pub fn inc(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) {
        if let Some(counter) = self.counter_at(method, status, outcome) {
            counter.inc();
        }
    }

    /// Returns the count.
    pub fn get(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) -> u64 {
        self.counter_at(method, status, outcome).map_or(0, IntCounter::get)
    }

    fn counter_at(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) -> Option<&IntCounter> {
        let (row, label) = status_label(status);
        let cell = (method.index() * (STATUSES.len() + 1) + row) * Outcome::ALL.len() + outcome.index();
        let counter = || self.family.with_label_values(&[method.as_str(), label, outcome.as_str()]);
        self.grid.get(cell).map(|slot| slot.get_or_init(counter))
    }
}

/// The family `origin_requests_total{status}`.
#[derive(Debug)]
pub struct StatusCounters {
    counters: Box<[IntCounter]>,
}

impl StatusCounters {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let family = IntCounterVec::new(opts("origin_requests_total", "Responses of Graph."), &["status"])?;
        let labels = STATUSES.iter().map(|(_, label)| *label).chain([OTHER]);
        let counters = labels.map(|label| family.with_label_values(&[label])).collect();
        register(registry, family)?;
        Ok(Self { counters })
    }

    /// Adds one response.
    pub fn inc(&self, status: StatusCode) {
        if let Some(counter) = self.counters.get(status_label(status).0) {
            counter.inc();
        }
    }

    /// Returns status label and count of each status.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let labels = STATUSES.iter().map(|(_, label)| *label).chain([OTHER]);
        labels.zip(self.counters.iter().map(IntCounter::get))
    }

    /// Returns the number of all responses.
    pub fn total(&self) -> u64 {
        self.counters.iter().map(IntCounter::get).sum()
    }
}

/// The family `request_duration_seconds{cache}`.
#[derive(Debug)]
pub struct RequestDurations(Box<[DurationHistogram]>);

impl RequestDurations {
    pub(super) const NAME: &str = "request_duration_seconds";

    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Time from the head of a request to its response.";
        let one = |outcome: &Outcome| {
            let label = Some(("cache", outcome.as_str()));
            DurationHistogram::register(registry, (Self::NAME, help), label, RESPONSE_BOUNDS)
        };
        Outcome::ALL.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the number of requests.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome.index()).map_or(0, DurationHistogram::count)
    }

    /// Records the duration of one request. `trace_id`: the trace of the request, if it is sampled.
    pub fn observe(&self, outcome: Outcome, duration: Duration, trace_id: Option<u128>) {
        if let Some(histogram) = self.0.get(outcome.index()) {
            histogram.observe(duration, trace_id);
        }
    }

    /// Returns the histogram of each outcome.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Outcome, &DurationHistogram)> {
        Outcome::ALL.iter().copied().zip(&self.0)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

pub(super) fn register(registry: &Registry, collector: impl Collector + 'static) -> prometheus::Result<()> {
    registry.register(Box::new(collector))
}

pub(super) fn register_counter(
    registry: &Registry,
    name: &str,
    help: &str,
) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::with_opts(opts(name, help))?;
    register(registry, counter.clone()).map(|()| counter)
}

pub(super) fn register_gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::with_opts(opts(name, help))?;
    register(registry, gauge.clone()).map(|()| gauge)
}

pub(super) fn register_float_gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Gauge> {
    let gauge = Gauge::with_opts(opts(name, help))?;
    register(registry, gauge.clone()).map(|()| gauge)
}

pub(super) fn counter_vec(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(opts(name, help), labels)?;
    register(registry, counters.clone()).map(|()| counters)
}

pub(super) fn gauge_vec(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(opts(name, help), labels)?;
    register(registry, gauges.clone()).map(|()| gauges)
}

fn status_label(status: StatusCode) -> (usize, &'static str) {
    let row = STATUSES.iter().position(|(code, _)| *code == status.as_u16());
    row.and_then(|row| STATUSES.get(row).map(|(_, label)| (row, *label))).unwrap_or((STATUSES.len(), OTHER))
}

/// Prefix of all names.
pub(super) const NAMESPACE: &str = "connector_cache";
/// Label value of a status that is not in [`STATUSES`].
const OTHER: &str = "other";
/// Statuses of the proxy and those that Graph documents. 200 is first, because it is looked up most.
const STATUSES: [(u16, &str); 22] = [
    (200, "200"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (410, "410"),
    (413, "413"),
    (414, "414"),
    (417, "417"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (508, "508"),
    (509, "509"),
];
