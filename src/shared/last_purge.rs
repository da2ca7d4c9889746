//! The last purge through this replica, for the admin port.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Result of the last purge through this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastPurge {
    /// Entries that this replica removed.
    pub(super) purged: u64,
    pub(super) replicas: usize,
    pub(super) confirmed: usize,
    /// Time from the begin to the confirmation.
    pub(super) duration: Duration,
    /// Time of the end, Unix milliseconds.
    pub(super) at_ms: u64,
}

/// The last purge, if there was one.
#[derive(Debug, Default)]
pub(super) struct LastPurgeCell(Mutex<Option<LastPurge>>);

impl LastPurgeCell {
    /// Replaces the purge.
    pub(super) fn set(&self, purge: LastPurge) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(purge);
    }

    /// Returns the purge for the admin port; null if there was none.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let Some(purge) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else {
            return serde_json::Value::Null;
        };
        let LastPurge { purged, replicas, confirmed, duration, at_ms } = purge;
        serde_json::json!({
            "purged": purged,
            "replicas": replicas,
            "confirmed": confirmed,
            "seconds": duration.as_secs_f64(),
            "unix_seconds": at_ms / 1000,
        })
    }
}
