//! Fill lease: one replica at a time calls Graph for a token and a resource.
//!
//! The lease is an optimization. A replica that does not get it waits for the value for at most a second, then calls Graph
//! itself; a lease whose holder died ends by its time to live.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd};
use tokio::time::sleep;

use super::read::{SharedFetch, SharedHit};
use super::state::{Operation, OperationResult};
use super::store::{Fault, random};
use super::tier::Tier;

/// Result of an attempt to take a fill lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillResult {
    /// Call Graph: this replica has the lease, or the store cannot be used.
    Proceed,
    /// Another replica calls Graph.
    Taken,
}

/// Fill lease of this replica. A drop releases it.
#[derive(Debug)]
pub struct FillLease {
    tier: Arc<Tier>,
    name: String,
    taken_at: Instant,
}

impl FillLease {
    /// Returns the name of the lease if it is still this replica's. It is then released by the caller.
    pub(super) fn into_name(mut self) -> Option<String> {
        let name = std::mem::take(&mut self.name);
        (self.taken_at.elapsed() < SAFE_LIFE).then_some(name)
    }
}

impl Drop for FillLease {
    fn drop(&mut self) {
        if !self.name.is_empty() && self.taken_at.elapsed() < SAFE_LIFE {
            self.tier.writes.push_release(std::mem::take(&mut self.name));
        }
    }
}

impl SharedFetch {
    /// Takes the fill lease, right before a request to Graph.
    pub async fn take_fill_lease(&mut self) -> FillResult {
        if self.has_failed() {
            return FillResult::Proceed;
        }
        let tier = Arc::clone(&self.tier);
        let mut command = cmd("SET");
        let name = self.names.lease.clone();
        command.arg(&name).arg(random()).arg("NX").arg("PX").arg(LEASE_LIFE_MS);
        let started = Instant::now();
        let reply = tier.store.send(&name, &command, tier.config.timeout).await;
        if reply != Err(Fault::Unavailable) {
            tier.metrics.observe(Operation::Lease, started.elapsed());
        }
        let (result, outcome) = match reply {
            Ok(Value::Okay) => {
                self.keep_fill_lease(FillLease { tier: Arc::clone(&tier), name, taken_at: started });
                (FillResult::Proceed, OperationResult::Ok)
            }
            Ok(_) => (FillResult::Taken, OperationResult::Taken),
            Err(fault) => (FillResult::Proceed, tier.result_of(fault)),
        };
        tier.metrics.count(Operation::Lease, outcome);
        result
    }

    /// Waits for the value that another replica fetches. Ends early when that replica releases its lease without a value.
    pub async fn await_value(&mut self, is_fresh: impl Fn(&SharedHit) -> bool) -> Option<SharedHit> {
        let started = Instant::now();
        let mut interval = FIRST_POLL_INTERVAL;
        while started.elapsed() < MAX_WAIT {
            sleep(interval).await;
            interval = (interval * 2).min(MAX_POLL_INTERVAL);
            let found = self.read(&is_fresh).await;
            if self.has_failed() {
                return None;
            }
            if found.is_some() || !self.is_taken() {
                return found;
            }
        }
        None
    }
}

/// Time to live of a lease.
const LEASE_LIFE_MS: u64 = 3000;
/// Time for which a lease is surely still this replica's.
const SAFE_LIFE: Duration = Duration::from_millis(2500);
/// Longest wait for the value of another replica.
const MAX_WAIT: Duration = Duration::from_secs(1);
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(10);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(80);
