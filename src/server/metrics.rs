//! Metrics of the server.

use crate::observability::metrics::{CounterFamily, Metrics};
use crate::server::rejection::ConnRejection;

/// Counters of one listener.
#[derive(Debug)]
pub(super) struct ServerMetrics {
    /// Connections that the server refused or ended, by reason: a part of `rejected_total`.
    pub(super) rejected: CounterFamily<ConnRejection>,
}

impl ServerMetrics {
    /// Adds the reasons of connections to `rejected_total`.
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { rejected: metrics.rejected.with_labels_of() }
    }
}
