//! Fill lease that this replica has.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Fill lease of this replica. A drop releases it.
#[derive(Debug)]
pub(super) struct FillLease {
    name: String,
    taken_at: Instant,
    releases: mpsc::Sender<String>,
}

impl FillLease {
    pub(super) fn new(name: String, taken_at: Instant, releases: mpsc::Sender<String>) -> Self {
        Self { name, taken_at, releases }
    }

    /// Returns the name of the lease if it is still this replica's. The caller releases it.
    pub(super) fn into_name(mut self) -> Option<String> {
        let name = std::mem::take(&mut self.name);
        (self.taken_at.elapsed() < SAFE_LIFE).then_some(name)
    }
}

impl Drop for FillLease {
    fn drop(&mut self) {
        if !self.name.is_empty() && self.taken_at.elapsed() < SAFE_LIFE {
            // If the queue is full, the lease ends by its time to live.
            let _ = self.releases.try_send(std::mem::take(&mut self.name));
        }
    }
}

/// Time to live of a lease.
pub(super) const LEASE_LIFE_MS: u64 = 3000;
/// Time for which a lease is surely still this replica's.
const SAFE_LIFE: Duration = Duration::from_millis(2500);
