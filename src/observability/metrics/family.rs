//! Families whose labels are words of closed vocabularies.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::cache::outcome::Outcome;
use crate::support::labels::{Label, labels};

/// A counter for each word of a vocabulary.
#[derive(Debug)]
pub struct CounterFamily<W> {
    metric: IntCounterVec,
    counters: Box<[IntCounter]>,
    labels: std::marker::PhantomData<fn(W)>,
}

impl<W: Label> CounterFamily<W> {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<Self> {
        let family = IntCounterVec::new(opts(name, help), &[label])?;
        let counters = W::ALL.iter().map(|word| family.with_label_values(&[word.as_str()])).collect();
        register(registry, family.clone())?;
        Ok(Self { metric: family, counters, labels: std::marker::PhantomData })
    }

    /// A family with other labels on the same metric: two parts that know different reasons count in one metric.
    pub fn with_labels_of<M: Label>(&self) -> CounterFamily<M> {
        let counters = M::ALL.iter().map(|label| self.metric.with_label_values(&[label.as_str()])).collect();
        CounterFamily { metric: self.metric.clone(), counters, labels: std::marker::PhantomData }
    }

    /// Counts one.
    pub fn inc(&self, word: W) {
        self.add(word, 1);
    }

    /// Counts `n`.
    pub fn add(&self, word: W, n: u64) {
        if let Some(counter) = self.counters.get(word.index()) {
            counter.inc_by(n);
        }
    }

    /// The count so far.
    pub fn get(&self, word: W) -> u64 {
        self.counters.get(word.index()).map_or(0, IntCounter::get)
    }
}

/// A gauge for each word of a vocabulary.
#[derive(Debug)]
pub struct GaugeFamily<W> {
    gauges: Box<[IntGauge]>,
    labels: std::marker::PhantomData<fn(W)>,
}

impl<W: Label> GaugeFamily<W> {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<Self> {
        let family = gauges(registry, name, help, &[label])?;
        let gauges = W::ALL.iter().map(|word| family.with_label_values(&[word.as_str()])).collect();
        Ok(Self { gauges, labels: std::marker::PhantomData })
    }

    /// How many there are now.
    pub fn set(&self, word: W, level: usize) {
        if let Some(gauge) = self.gauges.get(word.index()) {
            gauge.set(i64::try_from(level).unwrap_or(i64::MAX));
        }
    }
}

labels! {
    /// The methods that are told apart.
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

/// `requests_total{method,status,cache}`.
#[derive(Debug)]
pub struct Requests {
    family: IntCounterVec,
    grid: Box<[OnceLock<IntCounter>]>,
}

impl Requests {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let family =
            IntCounterVec::new(opts("requests_total", "Requests answered."), &["method", "status", "cache"])?;
        register(registry, family.clone())?;
        let cells = MethodLabel::ALL.len() * (STATUSES.len() + 1) * Outcome::ALL.len();
        let requests = Self { family, grid: (0..cells).map(|_| OnceLock::new()).collect() };
        for &outcome in Outcome::ALL {
            requests.cell(MethodLabel::Get, StatusCode::OK, outcome);
        }
        for status in
            [400, 401, 404, 405, 500, 502, 503, 504].iter().filter_map(|s| StatusCode::from_u16(*s).ok())
        {
            requests.cell(MethodLabel::Get, status, Outcome::None);
        }
        Ok(requests)
    }

    /// Counts one answer.
    pub fn inc(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) {
        if let Some(counter) = self.cell(method, status, outcome) {
            counter.inc();
        }
    }

    /// The count so far.
    pub fn get(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) -> u64 {
        self.cell(method, status, outcome).map_or(0, IntCounter::get)
    }

    fn cell(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) -> Option<&IntCounter> {
        let (row, label) = status_label(status);
        let cell = (method.index() * (STATUSES.len() + 1) + row) * Outcome::ALL.len() + outcome.index();
        let counter = || self.family.with_label_values(&[method.as_str(), label, outcome.as_str()]);
        self.grid.get(cell).map(|slot| slot.get_or_init(counter))
    }
}

/// `origin_requests_total{status}`.
#[derive(Debug)]
pub struct Statuses {
    counters: Box<[IntCounter]>,
}

impl Statuses {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let family = IntCounterVec::new(opts("origin_requests_total", "Answers of Graph."), &["status"])?;
        let labels = STATUSES.iter().map(|(_, label)| *label).chain([OTHER]);
        let counters = labels.map(|label| family.with_label_values(&[label])).collect();
        register(registry, family)?;
        Ok(Self { counters })
    }

    /// Counts one answer.
    pub fn inc(&self, status: StatusCode) {
        if let Some(counter) = self.counters.get(status_label(status).0) {
            counter.inc();
        }
    }

    /// All answers so far.
    pub fn total(&self) -> u64 {
        self.counters.iter().map(IntCounter::get).sum()
    }
}

/// `request_duration_seconds{cache}`.
#[derive(Debug)]
pub struct Durations(Box<[Histogram]>);

impl Durations {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let name = "request_duration_seconds";
        let help = "Time from a request's head to its answer.";
        let one = |outcome: &Outcome| histogram(registry, name, help, Some(("cache", outcome.as_str())));
        Outcome::ALL.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Requests recorded so far.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome.index()).map_or(0, Histogram::get_sample_count)
    }

    /// Records one request.
    pub fn observe(&self, outcome: Outcome, duration: Duration) {
        if let Some(histogram) = self.0.get(outcome.index()) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

pub(super) fn register(registry: &Registry, collector: impl Collector + 'static) -> prometheus::Result<()> {
    registry.register(Box::new(collector))
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::with_opts(opts(name, help))?;
    register(registry, counter.clone()).map(|()| counter)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::with_opts(opts(name, help))?;
    register(registry, gauge.clone()).map(|()| gauge)
}

pub(super) fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(opts(name, help), labels)?;
    register(registry, gauges.clone()).map(|()| gauges)
}

pub(super) fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    label: Option<(&str, &str)>,
) -> prometheus::Result<Histogram> {
    let mut opts = HistogramOpts::new(name, help).namespace(NAMESPACE).buckets(BUCKETS.to_vec());
    if let Some((name, value)) = label {
        opts = opts.const_label(name, value);
    }
    let histogram = Histogram::with_opts(opts)?;
    register(registry, histogram.clone()).map(|()| histogram)
}

fn status_label(status: StatusCode) -> (usize, &'static str) {
    let row = STATUSES.iter().position(|(code, _)| *code == status.as_u16());
    row.and_then(|row| STATUSES.get(row).map(|(_, label)| (row, *label))).unwrap_or((STATUSES.len(), OTHER))
}

const NAMESPACE: &str = "connector_cache";
const OTHER: &str = "other";
/// Seconds: a hit takes tens of microseconds, Graph 100 ms and more, and ten seconds is the deadline.
const BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Statuses that we answer with or that Graph documents. 200 first: it is looked up most.
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
