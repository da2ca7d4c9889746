//! Metrics of the process: one struct of typed families, and their rendering for Prometheus.
//!
//! Labels come from closed sets ([`crate::support::labels`]), so that no request can add a series without bound. A series
//! whose labels are known in advance exists from the start with the value zero: `increase` and `rate` see the first
//! event. Counters that every request touches are kept per thread ([`PerThread`]).

mod duration_histogram;
mod exposition;
mod family;
mod native_histogram;
mod per_thread;
mod registration;
mod reloads;
mod totals;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Registry};

pub use self::duration_histogram::DurationHistogram;
use self::duration_histogram::UPSTREAM_BOUNDS;
pub use self::exposition::ExpositionFormat;
use self::exposition::Snapshot;
pub use self::family::{
    CounterFamily, GaugeFamily, MethodLabel, RequestCounters, RequestDurations, StatusCounters,
};
use self::family::{NAMESPACE, gauge_vec, register, register_counter, register_gauge};
pub use self::per_thread::PerThread;
use self::per_thread::PerThreadShards;
use self::reloads::ReloadMetrics;
pub use self::reloads::ReloadSource;
pub use self::totals::{Totals, bucket_bounds, upstream_bucket_bounds};
use crate::auth::Bypass;
use crate::cache::outcome::{Eviction, ForwardReason, NotStored, Outcome, ProofChange, ProofLookup};
use crate::http::rejection::Rejection;
use crate::observability::logging::LogHandle;
use crate::scrub::{ScrubFailure, ScrubbedField};
use crate::support::labels::{Label, labels};
use crate::support::watched_files::ReloadResult;

/// All metric families. A process has one instance, which its parts share.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    shards: PerThreadShards,
    /// Histograms of other parts, by name without prefix.
    histograms: Mutex<Vec<(&'static str, Arc<DurationHistogram>)>>,
    /// Requests that may not use the cache, by reason.
    pub bypass: CounterFamily<Bypass>,
    /// Requests with a cacheable token that memory could not answer, by reason.
    pub forwarded: CounterFamily<ForwardReason>,
    /// Responses of Graph that were not stored, by reason.
    pub not_stored: CounterFamily<NotStored>,
    /// Requests rejected without a request to Graph, by reason.
    pub rejected: CounterFamily<Rejection>,
    /// Requests that shared the response of another request's fetch.
    pub collapsed: IntCounter,
    /// Responses in the cache.
    pub entries: IntGauge,
    /// Memory of the cached responses and proofs, bytes.
    pub bytes: IntGauge,
    /// `cache.max_bytes`.
    pub capacity: IntGauge,
    /// Responses removed from the cache, by cause.
    pub evictions: CounterFamily<Eviction>,
    /// JSON members masked by the scrubber, by kind.
    pub scrubbed: CounterFamily<ScrubbedField>,
    /// Bodies that the scrubber could not parse, by reason.
    pub scrub_failures: CounterFamily<ScrubFailure>,
    /// Open throttles and circuit breakers.
    pub throttle_gates: IntGauge,
    /// Cached responses purged by operators.
    pub purged: IntCounter,
    reloads: ReloadMetrics,
    /// Open connections of callers.
    pub connections_open: IntGauge,
    /// `limits.connections`, or fewer if the open-file limit allows fewer.
    pub connections_limit: IntGauge,
    /// End of validity of the certificate in use, seconds since the Unix epoch, by use.
    pub certificate_not_after: IntGaugeVec,
    /// Steps of the wall clock back that emptied the cache.
    pub clock_steps: IntCounter,
    /// Spans, by result of their export.
    pub spans: CounterFamily<SpanResult>,
    /// 1 while the process drains.
    pub draining: IntGauge,
    /// Bytes of `limits.bytes_in_flight` in use.
    pub bytes_in_flight: IntGauge,
    /// `limits.bytes_in_flight`.
    pub bytes_in_flight_limit: IntGauge,
    log_lines_dropped: IntCounter,
    log_lines_suppressed: IntCounter,
}

labels! {
    /// Result of the export of a span.
    pub enum SpanResult {
        /// The collector accepted the span.
        Sent = "sent",
        /// The queue was full.
        Dropped = "dropped",
        /// The collector did not accept the span, or rejected the span in a partial success.
        Refused = "refused",
    }
}

impl Metrics {
    /// Builds and registers all families. Fails if two families share a name.
    #[expect(clippy::too_many_lines, reason = "a list with one entry for each family")]
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        register_process_metrics(r)?;
        Ok(Self {
            shards: PerThreadShards::new()?,
            histograms: Mutex::default(),
            bypass: CounterFamily::new(
                r,
                "bypass_total",
                "Requests with a token that may not use the cache.",
                "reason",
            )?,
            forwarded: CounterFamily::new(
                r,
                "forwarded_total",
                "Requests with a cacheable token that memory could not answer.",
                "reason",
            )?,
            not_stored: CounterFamily::new(
                r,
                "not_stored_total",
                "Responses of Graph that were not stored.",
                "reason",
            )?,
            rejected: CounterFamily::new(
                r,
                "rejected_total",
                "Requests rejected without a request to Graph.",
                "reason",
            )?,
            collapsed: register_counter(
                r,
                "collapsed_total",
                "Requests that shared the response of another request's fetch.",
            )?,
            entries: register_gauge(r, "entries", "Responses in the cache.")?,
            bytes: register_gauge(r, "bytes", "Memory of the cached responses and proofs in bytes.")?,
            capacity: register_gauge(r, "capacity_bytes", "Limit of the cache in bytes (cache.max_bytes).")?,
            evictions: CounterFamily::new(
                r,
                "evictions_total",
                "Responses removed from the cache.",
                "cause",
            )?,
            scrubbed: CounterFamily::new(
                r,
                "scrubbed_total",
                "JSON members masked by the scrubber.",
                "field",
            )?,
            scrub_failures: CounterFamily::new(
                r,
                "scrub_failures_total",
                "Response bodies that could not be scrubbed.",
                "reason",
            )?,
            throttle_gates: register_gauge(r, "throttle_gates", "Open throttles and circuit breakers.")?,
            purged: register_counter(r, "purged_entries_total", "Cached responses purged by operators.")?,
            reloads: ReloadMetrics::new(r)?,
            connections_open: register_gauge(r, "connections_open", "Open connections of callers.")?,
            connections_limit: register_gauge(
                r,
                "connections_limit",
                "Limit of connections_open (limits.connections, or fewer by the open-file limit).",
            )?,
            certificate_not_after: gauge_vec(
                r,
                "certificate_not_after_timestamp_seconds",
                "End of validity of the certificate in use, as Unix time.",
                &["use"],
            )?,
            clock_steps: register_counter(
                r,
                "clock_steps_total",
                "Steps of the wall clock back that emptied the cache.",
            )?,
            spans: CounterFamily::new(
                r,
                "trace_spans_total",
                "Spans, by result of their export to the collector.",
                "result",
            )?,
            draining: register_gauge(r, "draining", "1 while the process drains, else 0.")?,
            bytes_in_flight: register_gauge(
                r,
                "bytes_in_flight",
                "Bytes of requests and responses in transit (limits.bytes_in_flight).",
            )?,
            bytes_in_flight_limit: register_gauge(
                r,
                "bytes_in_flight_limit",
                "Limit of bytes_in_flight (limits.bytes_in_flight).",
            )?,
            log_lines_dropped: register_counter(
                r,
                "log_lines_dropped_total",
                "Log lines dropped because the reader of the log was too slow or gone.",
            )?,
            log_lines_suppressed: register_counter(
                r,
                "log_lines_suppressed_total",
                "Log lines suppressed because of the limit of lines of one kind.",
            )?,
            registry,
        })
    }

    /// Adds the log lines that were dropped and suppressed since the last call. One scrape at a time calls it.
    pub fn update_log_lines(&self, log: &LogHandle) {
        let catch_up = |counter: &IntCounter, total: u64| counter.inc_by(total.saturating_sub(counter.get()));
        catch_up(&self.log_lines_dropped, log.dropped.get());
        catch_up(&self.log_lines_suppressed, log.suppressed.total());
    }

    /// Records a reload.
    pub fn record_reload(&self, source: ReloadSource, result: ReloadResult) {
        self.reloads.record(source, result);
    }

    /// Returns the number of reloads with this result.
    pub fn reloads(&self, result: ReloadResult) -> u64 {
        self.reloads.count(result)
    }

    /// Registry for the families that another part owns.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the shard of this thread: the metrics that every request updates.
    pub fn local(&self) -> &PerThread {
        self.shards.local()
    }

    /// Returns the number of requests with these labels.
    pub fn requests(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) -> u64 {
        self.shards.iter().map(|shard| shard.requests.get(method, status, outcome)).sum()
    }

    /// Returns the number of requests with this outcome.
    pub fn requests_by_outcome(&self, outcome: Outcome) -> u64 {
        self.shards.iter().map(|shard| shard.request_duration.count(outcome)).sum()
    }

    /// Returns the number of requests that have no response yet.
    pub fn in_flight(&self) -> i64 {
        self.shards.iter().map(|shard| shard.in_flight.get()).sum()
    }

    /// Returns the number of lookups of proofs with this result.
    pub fn proof_lookups(&self, result: ProofLookup) -> u64 {
        self.shards.iter().map(|shard| shard.proof_lookups.get(result)).sum()
    }

    /// Returns the number of changes of this kind to the proofs.
    pub fn proof_changes(&self, change: ProofChange) -> u64 {
        self.shards.iter().map(|shard| shard.proof_changes.get(change)).sum()
    }

    /// Registers a histogram of durations of requests to Graph. Fails if the name is in use.
    pub(crate) fn register_upstream_histogram(
        &self,
        name: &'static str,
        help: &str,
    ) -> prometheus::Result<Arc<DurationHistogram>> {
        let histogram = DurationHistogram::register(&self.registry, (name, help), None, UPSTREAM_BOUNDS)?;
        let histogram = Arc::new(histogram);
        self.histograms().push((name, Arc::clone(&histogram)));
        Ok(histogram)
    }

    /// Renders all families. The first rendering with native histograms starts their count.
    pub fn render(&self, format: ExpositionFormat) -> prometheus::Result<Vec<u8>> {
        if format == ExpositionFormat::Protobuf {
            self.shards.enable_native();
            self.histograms().iter().for_each(|(_, histogram)| histogram.enable_native());
        }
        self.snapshot().render(format)
    }

    /// Renders all families in Prometheus' text format, version 0.0.4.
    pub fn render_text(&self) -> prometheus::Result<String> {
        self.render(ExpositionFormat::Text).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    fn snapshot(&self) -> Snapshot {
        let full = |name: &str| format!("{NAMESPACE}_{name}");
        let mut families = self.registry.gather();
        families.extend(self.shards.gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let of_requests = self
            .shards
            .details()
            .map(|(outcome, detail)| ((full(RequestDurations::NAME), outcome.as_str().to_owned()), detail));
        let histograms = self.histograms();
        let of_others = histograms.iter().map(|(name, one)| ((full(name), String::new()), one.detail()));
        Snapshot { families, details: of_requests.chain(of_others).collect() }
    }

    fn histograms(&self) -> MutexGuard<'_, Vec<(&'static str, Arc<DurationHistogram>)>> {
        self.histograms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers `build_info` and the `process_*` metrics.
fn register_process_metrics(registry: &Registry) -> prometheus::Result<()> {
    let labels = ["version", "revision"];
    let build = gauge_vec(registry, "build_info", "Version and commit of the program; always 1.", &labels)?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION]).set(1);
    register(registry, prometheus::process_collector::ProcessCollector::for_self())
}

/// Commit of the source, or `unknown`: `tools/revision.rs` sets it.
pub const REVISION: &str = env!("CONNECTOR_CACHE_REVISION");

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn every_series_known_in_advance_starts_at_zero() {
        let text = Metrics::new().unwrap().render_text().unwrap();
        for series in [
            r#"connector_cache_requests_total{cache="hit",method="GET",status="200"} 0"#,
            r#"connector_cache_bypass_total{reason="token-opaque"} 0"#,
            r#"connector_cache_request_duration_seconds_count{cache="stale"} 0"#,
            "connector_cache_draining 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
    }

    #[test]
    fn unknown_statuses_and_methods_share_one_series() {
        let metrics = Metrics::new().unwrap();
        let before = metrics.render_text().unwrap().lines().count();
        for code in 600..700 {
            let odd = Method::from_bytes(format!("M{code}").as_bytes()).unwrap();
            metrics.local().requests.inc(
                MethodLabel::from(&odd),
                StatusCode::from_u16(code).unwrap(),
                Outcome::None,
            );
        }
        assert_eq!(metrics.render_text().unwrap().lines().count(), before + 1);
    }

    #[test]
    fn counters_and_only_counters_end_in_total() {
        let text = Metrics::new().unwrap().render_text().unwrap();
        let types: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE connector_cache_")?.split_once(' '))
            .collect();
        assert!(types.len() > 25, "{types:?}");
        for (name, kind) in types {
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        }
    }
}
