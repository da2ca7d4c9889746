//! Purge on all replicas, and its confirmation.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::time::{Instant, sleep};

use super::event::{EventKind, EventName};
use super::last_purge::LastPurge;
use super::service::SharedTier;
use super::tier::Tier;

/// Names that an operator purges; all entries without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeNames {
    /// User flow.
    pub flow: Option<String>,
    /// Tenant.
    pub tenant: Option<String>,
    /// Subject.
    pub subject: Option<String>,
}

/// A purge that is on its way to the other replicas. From its begin on, no value of the store counts that it selects.
#[derive(Debug)]
pub struct SharedPurge {
    tier: Arc<Tier>,
    event: EventName,
    begun_at: Instant,
}

/// Replicas that have applied a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeConfirmation {
    /// Replicas, with this one.
    pub replicas: usize,
    /// Replicas that have applied the purge, with this one.
    pub confirmed: usize,
    /// Names of the others.
    pub unconfirmed: Vec<String>,
    /// The store has the purge and has named its replicas. Otherwise there may be others.
    pub is_complete: bool,
}

impl SharedTier {
    /// Begins a purge on all replicas. The caller then purges the local store, and waits for [`SharedPurge::confirm`]. Returns
    /// `None` if the tier is off.
    pub fn begin_purge(&self, names: PurgeNames) -> Option<SharedPurge> {
        let tier = Arc::clone(self.tier.as_ref()?);
        let begun_at = Instant::now();
        let PurgeNames { flow, tenant, subject } = names;
        let event = tier.publish_with(EventKind::Purge { flow, tenant, subject });
        Some(SharedPurge { tier, event, begun_at })
    }
}

impl SharedPurge {
    /// Waits until all replicas have applied the purge, for at most a second, and keeps the result for the overview. `purged`:
    /// number of entries that this replica removed.
    pub async fn confirm(self, purged: u64) -> PurgeConfirmation {
        let (tier, begun_at) = (Arc::clone(&self.tier), self.begun_at);
        let confirmation = self.wait().await;
        tier.last_purge.set(LastPurge {
            purged,
            replicas: confirmation.replicas,
            confirmed: confirmation.confirmed,
            duration: begun_at.elapsed(),
            at_ms: tier.clock.now().unix_millis(),
        });
        confirmation
    }

    async fn wait(self) -> PurgeConfirmation {
        let Self { tier, event, .. } = self;
        let deadline = Instant::now() + MAX_WAIT;
        let mut interval = FIRST_INTERVAL;
        let mut command = cmd("HGETALL");
        command.arg(&tier.replicas_name);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let reply = tier.store.send(&tier.replicas_name, &command, left.min(tier.config.timeout)).await;
            let is_read = reply.is_ok_and(|reply| tier.record_acknowledgements(reply).is_some());
            let unconfirmed = tier.replicas.unconfirmed(event);
            // The own reader, too: the position of the next fetch is then after the purge, and its response can be shared.
            let is_read = is_read && tier.index().publishers.has_applied(event);
            if (is_read && unconfirmed.is_empty()) || Instant::now() + interval >= deadline {
                let replicas = tier.replicas.count();
                let confirmed = replicas - unconfirmed.len();
                return PurgeConfirmation { replicas, confirmed, unconfirmed, is_complete: is_read };
            }
            sleep(interval).await;
            interval = (interval * 2).min(MAX_INTERVAL);
        }
    }
}

const MAX_WAIT: Duration = Duration::from_secs(1);
const FIRST_INTERVAL: Duration = Duration::from_millis(2);
/// A confirmation is late by no more than this. The other replicas acknowledge as soon as they have applied the event.
const MAX_INTERVAL: Duration = Duration::from_millis(5);
