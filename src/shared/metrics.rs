//! Metrics of the shared tier.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge};

use super::state::{Operation, OperationResult, SharedState};
use crate::observability::metrics::{DurationHistogram, GaugeFamily, Metrics};
use crate::support::labels::Label;

/// Metric families of this room. A process has one instance.
#[derive(Debug)]
pub struct SharedMetrics {
    requests: Box<[IntCounter]>,
    durations: Vec<Arc<DurationHistogram>>,
    state: GaugeFamily<SharedState>,
    log_lag: Gauge,
    writes_dropped: IntCounter,
    replicas: IntGauge,
}

impl SharedMetrics {
    /// Registers the families beside those of `metrics`. Fails if they are registered already.
    pub fn register(metrics: &Metrics) -> prometheus::Result<Self> {
        let help = "Operations of the shared tier on its store, by operation and result.";
        let family: IntCounterVec =
            metrics.register_counters("shared_requests_total", help, &["op", "result"])?;
        let operations = Operation::ALL.iter();
        let requests = operations.flat_map(|operation| {
            let family = family.clone();
            let counter = move |result: &OperationResult| {
                family.with_label_values(&[operation.as_str(), result.as_str()])
            };
            OperationResult::ALL.iter().map(counter)
        });
        let requests = requests.collect();
        let duration = |operation: &Operation| {
            metrics.register_histogram_with_label(
                "shared_request_duration_seconds",
                "Duration of an operation of the shared tier on its store.",
                ("op", operation.as_str()),
            )
        };
        Ok(Self {
            requests,
            durations: Operation::ALL.iter().map(duration).collect::<prometheus::Result<_>>()?,
            state: metrics.register_gauges(
                "shared_state",
                "State of the shared tier: 1 for the present state, else 0.",
                "state",
            )?,
            log_lag: metrics.register_float_gauge(
                "shared_log_lag_seconds",
                "Time since the log of the shared tier was read up to its end; 0 if the tier is off.",
            )?,
            writes_dropped: metrics.register_counter(
                "shared_writes_dropped_total",
                "Responses that were not written to the shared tier: the queue was full, or the store refused them.",
            )?,
            replicas: metrics.register_gauge(
                "replicas",
                "Replicas that read the log of the shared tier, including this one; 0 if the tier is off.",
            )?,
        })
    }

    /// Counts an operation.
    pub(super) fn count(&self, operation: Operation, result: OperationResult) {
        let at = operation.index() * OperationResult::ALL.len() + result.index();
        if let Some(counter) = self.requests.get(at) {
            counter.inc();
        }
    }

    /// Records the duration of an operation that used the store.
    pub(super) fn observe(&self, operation: Operation, duration: Duration) {
        if let Some(histogram) = self.durations.get(operation.index()) {
            histogram.observe(duration, None);
        }
    }

    /// Counts a response that was not written.
    pub(super) fn count_dropped_write(&self) {
        self.writes_dropped.inc();
    }

    /// Sets the gauges.
    pub(super) fn set(&self, state: SharedState, log_lag: Duration, replicas: usize) {
        for one in SharedState::ALL {
            self.state.set(*one, usize::from(*one == state));
        }
        self.log_lag.set(log_lag.as_secs_f64());
        self.replicas.set(i64::try_from(replicas).unwrap_or(i64::MAX));
    }
}
