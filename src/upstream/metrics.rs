//! Metrics of requests to Graph.

use std::sync::Arc;

use crate::observability::metrics::{CounterFamily, DurationHistogram, GaugeFamily, Metrics, StatusCounters};
use crate::support::labels::labels;
use crate::upstream::{Retry, UpstreamFailure};

/// Metric families of this room. A process has one instance.
#[derive(Debug)]
pub struct UpstreamMetrics {
    /// Responses of Graph, by status.
    pub requests: StatusCounters,
    /// Duration of one attempt at Graph, seconds.
    pub duration: Arc<DurationHistogram>,
    /// Permits for requests to Graph that are in use, by kind.
    pub permits_in_use: GaugeFamily<PermitKind>,
    /// Permits for requests to Graph, by kind.
    pub permits: GaugeFamily<PermitKind>,
    /// Attempts at Graph without a usable response, by reason.
    pub errors: CounterFamily<UpstreamFailure>,
    /// Second attempts at Graph, by reason.
    pub retries: CounterFamily<Retry>,
}

labels! {
    /// Kind of permits for requests to Graph.
    pub enum PermitKind {
        /// All permits.
        All = "all",
        /// The part of them that unproven tokens may use.
        Unproven = "unproven",
    }
}

impl UpstreamMetrics {
    /// Registers the families beside those of `metrics`. Fails if they are registered already.
    pub fn register(metrics: &Metrics) -> prometheus::Result<Self> {
        let r = metrics.registry();
        Ok(Self {
            requests: StatusCounters::new(r)?,
            duration: metrics.register_upstream_histogram(
                "origin_request_duration_seconds",
                "Duration of one attempt at Graph.",
            )?,
            permits_in_use: GaugeFamily::new(
                r,
                "origin_permits_in_use",
                "Permits for concurrent requests to Graph that are in use.",
                "kind",
            )?,
            permits: GaugeFamily::new(
                r,
                "origin_permits",
                "Permits for concurrent requests to Graph.",
                "kind",
            )?,
            errors: CounterFamily::new(
                r,
                "origin_errors_total",
                "Attempts at Graph without a usable response.",
                "reason",
            )?,
            retries: CounterFamily::new(r, "origin_retries_total", "Second attempts at Graph.", "reason")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_with_known_labels_starts_at_zero() {
        let metrics = Metrics::new().unwrap();
        UpstreamMetrics::register(&metrics).unwrap();
        let text = metrics.render_text().unwrap();
        for series in [
            r#"connector_cache_origin_requests_total{status="other"} 0"#,
            r#"connector_cache_origin_permits_in_use{kind="unproven"} 0"#,
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
        assert!(UpstreamMetrics::register(&metrics).is_err());
    }
}
