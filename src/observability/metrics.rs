//! What an operator can see: one struct of typed families.
//!
//! Labels come from closed vocabularies ([`crate::support::labels`]), so the number of series is bounded whatever is
//! asked. Every series that can be foreseen is there from the start, at zero.

mod family;
mod per_thread;

use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntGauge, IntGaugeVec, Registry};

pub use self::family::{CounterFamily, Durations, GaugeFamily, MethodLabel, Requests, Statuses};
use self::family::{counter, gauge, gauges, histogram, register};
pub use self::per_thread::PerThread;
use self::per_thread::PerThreadShards;
use crate::cache::outcome::{
    Bypass, Eviction, NotStored, Outcome, ProofChange, ProofLookup, Retry, ScrubFailure, ScrubbedField,
};
use crate::http::error::{Rejection, UpstreamFailure};
use crate::observability::logging::LogHandle;
use crate::support::labels::labels;

/// All families. One instance a process, handed to who counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    owns: PerThreadShards,
    /// Requests that may not use the cache, by reason.
    pub bypass: CounterFamily<Bypass>,
    /// Answers from Graph that were not stored, by reason.
    pub not_stored: CounterFamily<NotStored>,
    /// Requests refused by us, by reason.
    pub rejected: CounterFamily<Rejection>,
    /// Requests that were answered by a flight that was under way already.
    pub collapsed: IntCounter,
    /// Answers in memory.
    pub entries: IntGauge,
    /// Their weight and that of the proofs, bytes.
    pub bytes: IntGauge,
    /// `cache.max_bytes`.
    pub capacity: IntGauge,
    /// What left the cache, by cause.
    pub evictions: CounterFamily<Eviction>,
    /// Members that the scrubber masked, by kind.
    pub scrubbed: CounterFamily<ScrubbedField>,
    /// Bodies that could not be scrubbed, by reason.
    pub scrub_failures: CounterFamily<ScrubFailure>,
    /// Graph's answers, by status.
    pub origin_requests: Statuses,
    /// Time of one attempt at Graph, seconds.
    pub origin_duration: Histogram,
    /// Places to ask Graph from that are taken.
    pub origin_permits_in_use: GaugeFamily<PermitKind>,
    /// How many of these there are.
    pub origin_permits: GaugeFamily<PermitKind>,
    /// Attempts at Graph without a usable answer, by reason.
    pub origin_errors: CounterFamily<UpstreamFailure>,
    /// Second attempts, by reason.
    pub origin_retries: CounterFamily<Retry>,
    /// Throttles and circuit breakers that refuse requests now.
    pub throttle_gates: IntGauge,
    /// Entries that operators purged.
    pub purged: IntCounter,
    /// Reloads of certificates and configuration, by result.
    pub reloads: CounterFamily<Reload>,
    /// When the certificate in use ends, seconds since the Unix epoch, by use.
    pub certificate_not_after: IntGaugeVec,
    /// How often the wall clock was set back so far that the cache was emptied.
    pub clock_steps: IntCounter,
    /// Spans, by what became of them.
    pub spans: CounterFamily<SpanResult>,
    /// 1 while the process drains.
    pub draining: IntGauge,
    /// What of `limits.bytes_in_flight` is taken.
    pub bytes_in_flight: IntGauge,
    /// `limits.bytes_in_flight`.
    pub bytes_in_flight_limit: IntGauge,
    /// Log lines that were dropped because the log's reader was too slow.
    log_lines_dropped: IntCounter,
    /// Log lines that were suppressed because there were too many of their kind.
    log_lines_suppressed: IntCounter,
}

labels! {
    /// How a reload ended.
    pub enum Reload {
        /// The new one is in use.
        Success = "success",
        /// The new one was refused; the old one stays in use.
        Failure = "failure",
    }
}

labels! {
    /// Whose places to ask Graph from.
    pub enum PermitKind {
        /// Everybody's.
        All = "all",
        /// Of these, those that requests without a proof may take.
        Unproven = "unproven",
    }
}

labels! {
    /// What became of a span.
    pub enum SpanResult {
        /// The collector took it.
        Sent = "sent",
        /// The queue was full.
        Dropped = "dropped",
        /// The collector did not take it.
        Refused = "refused",
    }
}

impl Metrics {
    /// Builds and registers every family. Fails only when two share a name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        tell_of_the_process(r)?;
        Ok(Self {
            owns: PerThreadShards::new()?,
            bypass: CounterFamily::new(r, "bypass_total", "Requests that may not use the cache.", "reason")?,
            not_stored: CounterFamily::new(r, "not_stored_total", "Answers of Graph not stored.", "reason")?,
            rejected: CounterFamily::new(
                r,
                "rejected_total",
                "Requests refused without asking Graph.",
                "reason",
            )?,
            collapsed: counter(r, "collapsed_total", "Requests answered by a flight that was under way.")?,
            entries: gauge(r, "entries", "Answers in memory.")?,
            bytes: gauge(r, "bytes", "Weight of answers and proofs in memory, bytes.")?,
            capacity: gauge(r, "capacity_bytes", "The weight that the cache may have, bytes.")?,
            evictions: CounterFamily::new(r, "evictions_total", "What left the cache.", "cause")?,
            scrubbed: CounterFamily::new(r, "scrubbed_total", "Members that the scrubber masked.", "field")?,
            scrub_failures: CounterFamily::new(
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
            origin_permits_in_use: GaugeFamily::new(
                r,
                "origin_permits_in_use",
                "Places at Graph taken.",
                "kind",
            )?,
            origin_permits: GaugeFamily::new(r, "origin_permits", "Places at Graph.", "kind")?,
            origin_errors: CounterFamily::new(
                r,
                "origin_errors_total",
                "Attempts at Graph that failed.",
                "reason",
            )?,
            origin_retries: CounterFamily::new(
                r,
                "origin_retries_total",
                "Second attempts at Graph.",
                "reason",
            )?,
            throttle_gates: gauge(r, "throttle_gates", "Throttles and breakers that refuse requests now.")?,
            purged: counter(r, "purged_entries_total", "Entries that operators purged.")?,
            reloads: CounterFamily::new(
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
            clock_steps: counter(
                r,
                "clock_steps_total",
                "Times that the wall clock was set back and the cache emptied.",
            )?,
            spans: CounterFamily::new(r, "trace_spans_total", "Spans, by what became of them.", "result")?,
            draining: gauge(r, "draining", "1 while the process drains.")?,
            bytes_in_flight: gauge(r, "bytes_in_flight", "Bytes that are on their way.")?,
            bytes_in_flight_limit: gauge(r, "bytes_in_flight_limit", "Bytes that may be on their way.")?,
            log_lines_dropped: counter(
                r,
                "log_lines_dropped_total",
                "Log lines dropped because the reader of the log was too slow or gone.",
            )?,
            log_lines_suppressed: counter(
                r,
                "log_lines_suppressed_total",
                "Log lines suppressed because there were too many of their kind.",
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

    /// What this thread counts of every request.
    pub fn local(&self) -> &PerThread {
        self.owns.local()
    }

    /// Requests answered so far.
    pub fn requests(&self, method: MethodLabel, status: StatusCode, outcome: Outcome) -> u64 {
        self.owns.all().map(|own| own.requests.get(method, status, outcome)).sum()
    }

    /// Requests so far that came out so.
    pub fn answered(&self, outcome: Outcome) -> u64 {
        self.owns.all().map(|own| own.request_duration.count(outcome)).sum()
    }

    /// Requests that are being answered now.
    pub fn in_flight(&self) -> i64 {
        self.owns.all().map(|own| own.in_flight.get()).sum()
    }

    /// Returns the number of look-ups of proofs with this result.
    pub fn proof_lookups(&self, result: ProofLookup) -> u64 {
        self.owns.all().map(|shard| shard.proof_lookups.get(result)).sum()
    }

    /// Returns the number of changes of this kind to the proofs.
    pub fn proof_changes(&self, change: ProofChange) -> u64 {
        self.owns.all().map(|shard| shard.proof_changes.get(change)).sum()
    }

    /// The exposition in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(self.owns.gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        prometheus::TextEncoder::new().encode_to_string(&families)
    }
}

/// What runs, and what it takes of the machine.
fn tell_of_the_process(registry: &Registry) -> prometheus::Result<()> {
    let labels = ["version", "revision"];
    let version = gauges(registry, "build_info", "The version that runs; always 1.", &labels)?;
    version.with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION]).set(1);
    register(registry, prometheus::process_collector::ProcessCollector::for_self())
}

/// Set by whoever builds an image; a build from a plain checkout does not know.
const REVISION: &str = match option_env!("CONNECTOR_CACHE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn every_foreseen_series_is_there_at_zero() {
        let text = Metrics::new().unwrap().render().unwrap();
        for series in [
            r#"connector_cache_requests_total{cache="hit",method="GET",status="200"} 0"#,
            r#"connector_cache_bypass_total{reason="token-opaque"} 0"#,
            r#"connector_cache_request_duration_seconds_count{cache="stale"} 0"#,
            r#"connector_cache_origin_requests_total{status="other"} 0"#,
            r#"connector_cache_origin_permits_in_use{kind="unproven"} 0"#,
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
            metrics.local().requests.inc(
                MethodLabel::from(&odd),
                StatusCode::from_u16(code).unwrap(),
                Outcome::None,
            );
        }
        assert_eq!(metrics.render().unwrap().lines().count(), before + 1);
    }
}
