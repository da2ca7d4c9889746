//! What an operator can see: one struct of typed families.
//!
//! Labels come from closed vocabularies ([`crate::words`]), so the number of series is bounded whatever is
//! asked. Every series that can be foreseen is there from the start, at zero.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::cache::status::{
    Bypass, Eviction, NotStored, Outcome, ProofResult, Retry, ScrubFailure, ScrubbedField,
};
use crate::error::{OriginFault, Rejection};
use crate::words::{Word, words};

/// All families. One instance a process, handed to who counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered, by method, status and outcome.
    pub requests: Requests,
    /// Time from the request's head to the answer, seconds, by outcome.
    pub request_duration: Durations,
    /// Requests that are being answered now.
    pub in_flight: IntGauge,
    /// Requests that may not use the cache, by reason.
    pub bypass: Family<Bypass>,
    /// Answers from Graph that were not stored, by reason.
    pub not_stored: Family<NotStored>,
    /// Requests refused by us, by reason.
    pub rejected: Family<Rejection>,
    /// Proofs looked for, recorded and dropped.
    pub proofs: Family<ProofResult>,
    /// Requests that were answered by a flight that was under way already.
    pub collapsed: IntCounter,
    /// Answers in memory.
    pub entries: IntGauge,
    /// Their weight and that of the proofs, bytes.
    pub bytes: IntGauge,
    /// `cache.max_bytes`.
    pub capacity: IntGauge,
    /// What left the cache, by cause.
    pub evictions: Family<Eviction>,
    /// Members that the scrubber masked, by kind.
    pub scrubbed: Family<ScrubbedField>,
    /// Bodies that could not be scrubbed, by reason.
    pub scrub_failures: Family<ScrubFailure>,
    /// Graph's answers, by status.
    pub origin_requests: Statuses,
    /// Time of one attempt at Graph, seconds.
    pub origin_duration: Histogram,
    /// Attempts at Graph without a usable answer, by reason.
    pub origin_errors: Family<OriginFault>,
    /// Second attempts, by reason.
    pub origin_retries: Family<Retry>,
    /// Throttle gates that are closed now.
    pub throttle_gates: IntGauge,
    /// Entries that operators purged.
    pub purged: IntCounter,
    /// Reloads of certificates and configuration, by result.
    pub reloads: Family<Reload>,
    /// When the certificate in use ends, seconds since the Unix epoch, by use.
    pub certificate_not_after: IntGaugeVec,
    /// 1 while the process drains.
    pub draining: IntGauge,
    /// Log lines that were dropped because the log's reader was too slow.
    pub log_lines_dropped: IntGauge,
}

words! {
    /// How a reload ended.
    pub enum Reload {
        /// The new one is in use.
        Success = "success",
        /// The new one was refused; the old one stays in use.
        Failure = "failure",
    }
}

impl Metrics {
    /// Builds and registers every family. Fails only when two share a name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let version = gauges(r, "build_info", "The version that runs; always 1.", &["version", "revision"])?;
        version.with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION]).set(1);
        register(r, prometheus::process_collector::ProcessCollector::for_self())?;
        Ok(Self {
            requests: Requests::new(r)?,
            request_duration: Durations::new(r)?,
            in_flight: gauge(r, "requests_in_flight", "Requests that are being answered now.")?,
            bypass: Family::new(r, "bypass_total", "Requests that may not use the cache.", "reason")?,
            not_stored: Family::new(
                r,
                "not_stored_total",
                "Answers of Graph that were not stored.",
                "reason",
            )?,
            rejected: Family::new(r, "rejected_total", "Requests refused without asking Graph.", "reason")?,
            proofs: Family::new(r, "proofs_total", "Proofs looked for, recorded and dropped.", "result")?,
            collapsed: counter(r, "collapsed_total", "Requests answered by a flight that was under way.")?,
            entries: gauge(r, "entries", "Answers in memory.")?,
            bytes: gauge(r, "bytes", "Weight of answers and proofs in memory, bytes.")?,
            capacity: gauge(r, "capacity_bytes", "The weight that the cache may have, bytes.")?,
            evictions: Family::new(r, "evictions_total", "What left the cache.", "cause")?,
            scrubbed: Family::new(r, "scrubbed_total", "Members that the scrubber masked.", "field")?,
            scrub_failures: Family::new(
                r,
                "scrub_failures_total",
                "Bodies that could not be scrubbed.",
                "reason",
            )?,
            origin_requests: Statuses::new(r)?,
            origin_duration: histogram(
                r,
                "origin_request_duration_seconds",
                "Time of one attempt at Graph.",
                None,
            )?,
            origin_errors: Family::new(r, "origin_errors_total", "Attempts at Graph that failed.", "reason")?,
            origin_retries: Family::new(r, "origin_retries_total", "Second attempts at Graph.", "reason")?,
            throttle_gates: gauge(r, "throttle_gates", "Throttle gates that are closed now.")?,
            purged: counter(r, "purged_entries_total", "Entries that operators purged.")?,
            reloads: Family::new(
                r,
                "config_reloads_total",
                "Reloads of certificates and configuration.",
                "result",
            )?,
            certificate_not_after: gauges(
                r,
                "certificate_not_after_timestamp_seconds",
                "When the certificate in use ends.",
                &["use"],
            )?,
            draining: gauge(r, "draining", "1 while the process drains.")?,
            log_lines_dropped: gauge(
                r,
                "log_lines_dropped",
                "Log lines dropped because their reader was too slow.",
            )?,
            registry,
        })
    }

    /// The exposition in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> prometheus::Result<String> {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A counter for each word of a vocabulary.
#[derive(Debug)]
pub struct Family<W> {
    counters: Box<[IntCounter]>,
    words: std::marker::PhantomData<fn(W)>,
}

impl<W: Word> Family<W> {
    fn new(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<Self> {
        let family = IntCounterVec::new(opts(name, help), &[label])?;
        let counters = W::ALL.iter().map(|word| family.with_label_values(&[word.as_str()])).collect();
        register(registry, family)?;
        Ok(Self { counters, words: std::marker::PhantomData })
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

words! {
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
    fn new(registry: &Registry) -> prometheus::Result<Self> {
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
    fn new(registry: &Registry) -> prometheus::Result<Self> {
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
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let name = "request_duration_seconds";
        let help = "Time from a request's head to its answer.";
        let one = |outcome: &Outcome| histogram(registry, name, help, Some(("cache", outcome.as_str())));
        Outcome::ALL.iter().map(one).collect::<Result<_, _>>().map(Self)
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

fn register(registry: &Registry, collector: impl Collector + 'static) -> prometheus::Result<()> {
    registry.register(Box::new(collector))
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::with_opts(opts(name, help))?;
    register(registry, counter.clone()).map(|()| counter)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::with_opts(opts(name, help))?;
    register(registry, gauge.clone()).map(|()| gauge)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(opts(name, help), labels)?;
    register(registry, gauges.clone()).map(|()| gauges)
}

fn histogram(
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
/// Set by whoever builds an image; a build from a plain checkout does not know.
const REVISION: &str = match option_env!("CONNECTOR_CACHE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
/// Seconds: a hit takes tens of microseconds, Graph 100 ms and more, and ten seconds is the deadline.
const BUCKETS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_foreseen_series_is_there_at_zero() {
        let text = Metrics::new().unwrap().render().unwrap();
        for series in [
            r#"connector_cache_requests_total{cache="hit",method="GET",status="200"} 0"#,
            r#"connector_cache_bypass_total{reason="token-opaque"} 0"#,
            r#"connector_cache_request_duration_seconds_count{cache="stale"} 0"#,
            r#"connector_cache_origin_requests_total{status="other"} 0"#,
            "connector_cache_draining 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
    }

    #[test]
    fn a_status_or_method_that_nobody_foresaw_shares_one_series() {
        let metrics = Metrics::new().unwrap();
        let before = metrics.render().unwrap().lines().count();
        for code in 600..700 {
            let odd = Method::from_bytes(format!("M{code}").as_bytes()).unwrap();
            metrics.requests.inc(MethodLabel::from(&odd), StatusCode::from_u16(code).unwrap(), Outcome::None);
        }
        assert_eq!(metrics.render().unwrap().lines().count(), before + 1);
    }
}
