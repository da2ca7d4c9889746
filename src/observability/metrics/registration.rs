//! Registration of families that other parts own.

use std::sync::Arc;

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge};

use super::duration_histogram::STORE_BOUNDS;
use super::family::{counter_vec, register_counter, register_float_gauge, register_gauge};
use super::{DurationHistogram, GaugeFamily, Metrics};
use crate::support::labels::Label;

impl Metrics {
    /// Registers a histogram of durations with one constant label. Fails if the name and the label are in use.
    pub(crate) fn register_histogram_with_label(
        &self,
        name: &'static str,
        help: &str,
        label: (&str, &'static str),
    ) -> prometheus::Result<Arc<DurationHistogram>> {
        let histogram = DurationHistogram::register(&self.registry, (name, help), Some(label), STORE_BOUNDS)?;
        Ok(Arc::new(histogram))
    }

    /// Registers counters with these labels.
    pub(crate) fn register_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        counter_vec(&self.registry, name, help, labels)
    }

    /// Registers a counter.
    pub(crate) fn register_counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        register_counter(&self.registry, name, help)
    }

    /// Registers a gauge.
    pub(crate) fn register_gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        register_gauge(&self.registry, name, help)
    }

    /// Registers a gauge of fractions.
    pub(crate) fn register_float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        register_float_gauge(&self.registry, name, help)
    }

    /// Registers a gauge for each label of a closed set.
    pub(crate) fn register_gauges<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<GaugeFamily<L>> {
        GaugeFamily::new(&self.registry, name, help, label)
    }
}
