//! Fill lease: one replica at a time calls Graph for a token and a resource.
//!
//! The lease is an optimization. A replica that does not get it waits for the value for at most a second, then calls Graph
//! itself; a lease whose holder died ends by its time to live.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd};
use tokio::time::sleep;

use super::lease::{FillLease, LEASE_LIFE_MS};
use super::read::{SharedFetch, SharedHit};
use super::state::{Operation, OperationResult};
use super::store::{Fault, random};

/// Result of an attempt to take a fill lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillResult {
    /// Call Graph: this replica has the lease, or the store cannot be used.
    Proceed,
    /// Another replica calls Graph.
    Taken,
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
                self.keep_fill_lease(FillLease::new(name, started, tier.writes.releases()));
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

/// Longest wait for the value of another replica.
const MAX_WAIT: Duration = Duration::from_secs(1);
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(10);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(80);
