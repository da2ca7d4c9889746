//! Handle of the tier: the functions that the rest of the process calls.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use redis::cmd;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::config::Config;
use super::event::EventKind;
use super::handler::{EventHandler, ResourceForm};
use super::log::{self, REPLICAS_LIFE};
use super::metrics::SharedMetrics;
use super::publisher;
use super::secret::Secrets;
use super::setup_error::SetupError;
use super::state::SharedState;
use super::tier::{Scope, Tier};
use super::writer;
use crate::auth::{ClaimHash, Claims, HashKeys, Token};
use crate::support::labels::Label;

/// The shared tier of one process, or none. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedTier {
    pub(super) tier: Option<Arc<Tier>>,
    metrics: Arc<SharedMetrics>,
}

impl SharedTier {
    /// Builds the tier if `shared.url` is set. Connects to nothing.
    pub fn new(config: &Config, scope: Scope<'_>, metrics: Arc<SharedMetrics>) -> Result<Self, SetupError> {
        let secrets = config.endpoint.as_ref().map(|_| Secrets::configured(config)).transpose()?.flatten();
        let (Some(endpoint), Some(secrets)) = (&config.endpoint, secrets) else {
            metrics.set(SharedState::Off, Duration::ZERO, 0);
            return Ok(Self { tier: None, metrics });
        };
        let tier = Tier::new(config, (endpoint, secrets), scope, Arc::clone(&metrics))?;
        Ok(Self { tier: Some(Arc::new(tier)), metrics })
    }

    /// Returns whether `shared.url` is set.
    pub fn is_on(&self) -> bool {
        self.tier.is_some()
    }

    /// Returns the hash keys for the process: replicas with one secret hash equal claims equally.
    pub fn hash_keys(&self, keys: HashKeys) -> HashKeys {
        match &self.tier {
            Some(tier) => keys.with_claims_key(tier.secrets.claims_key()),
            None => keys,
        }
    }

    /// Starts the tasks: connections, log, outbox and writes. They end when the handles are dropped.
    pub fn start(&self, handler: Arc<dyn EventHandler>) -> Vec<AbortOnDropHandle<()>> {
        let Some(tier) = &self.tier else { return Vec::new() };
        let (connections, outbox, log) = (Arc::clone(tier), Arc::clone(tier), Arc::clone(tier));
        let mut tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(async move { connections.store.run().await })),
            AbortOnDropHandle::new(tokio::spawn(publisher::run(outbox))),
            AbortOnDropHandle::new(tokio::spawn(log::run(log, handler))),
        ];
        tasks.extend(writer::start(tier));
        tasks
    }

    /// Waits until the store has the last events, and withdraws the acknowledgements of this replica, so that no purge waits for it.
    pub async fn leave(&self) {
        let Some(tier) = &self.tier else { return };
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while !tier.outbox.is_empty() && Instant::now() < deadline {
            sleep(OUTBOX_INTERVAL).await;
        }
        tier.has_left.store(true, Relaxed);
        let Some(last) = tier.acknowledgement() else { return };
        let mut command = cmd("HSET");
        command.arg(&tier.replicas_name).arg(tier.replicas.field()).arg(last);
        let mut expire = cmd("EXPIRE");
        expire.arg(&tier.replicas_name).arg(REPLICAS_LIFE.as_secs());
        for command in [command, expire] {
            // A replica that cannot leave is forgotten after some seconds.
            let _ = tier.store.send(&tier.replicas_name, &command, LEAVE_TIMEOUT).await;
        }
    }

    /// Returns the state.
    pub fn state(&self) -> SharedState {
        self.tier.as_ref().map_or(SharedState::Off, |tier| tier.state())
    }

    /// Returns state, number of replicas, age of the log, round trip of the store and the last purge for the admin port.
    pub fn overview(&self) -> serde_json::Value {
        let (state, replicas, lag) = self.refresh_gauges();
        let tier = self.tier.as_ref();
        let round_trip = tier.and_then(|tier| tier.store.round_trip(&tier.log_name));
        serde_json::json!({
            "state": state.as_str(),
            "replicas": replicas,
            "log_lag_seconds": lag.as_secs_f64(),
            "store_seconds": round_trip.map(|time| time.as_secs_f64()),
            "last_purge": tier.map_or(serde_json::Value::Null, |tier| tier.last_purge.to_json()),
        })
    }

    /// Sets the gauges.
    pub fn refresh_gauges(&self) -> (SharedState, usize, Duration) {
        let facts = self.tier.as_ref().map_or((SharedState::Off, 0, Duration::ZERO), |tier| {
            let lag = tier.facts.log_age().unwrap_or_else(|| tier.facts.age());
            (tier.state(), tier.replicas.count(), lag)
        });
        self.metrics.set(facts.0, facts.2, facts.1);
        facts
    }

    /// Adds an event to the log, because Graph refused a proven token: for all resources, or for one.
    pub fn publish_withdrawal(&self, claims: &Claims, token: &Token, resource: Option<ResourceForm>) {
        let Some(tier) = &self.tier else { return };
        tier.publish_with(EventKind::Withdraw { principals: tier.principals(claims, token), resource });
    }

    /// Adds an event to the log, because Graph sent a newer response to a proven token, which may not be stored.
    pub fn publish_supersession(&self, claims: &Claims, token: &Token, resource: ResourceForm) {
        let Some(tier) = &self.tier else { return };
        tier.publish_with(EventKind::Renew { principals: tier.principals(claims, token), resource });
    }

    /// Adds an event to the log, because Graph throttles an application for `wait`.
    pub fn publish_throttle(&self, claims: &Claims, token: &Token, wait: Duration) {
        let Some(tier) = self.tier.as_ref().filter(|tier| !tier.facts.clock_differs()) else { return };
        let now = tier.clock.now();
        let other = tier.other_claims(token, now).map(|claims| claims.application);
        let applications = [Some(claims.application), other].into_iter().flatten();
        let until_ms = now.plus(wait).unix_millis();
        let applications = applications.map(ClaimHash::to_bytes).collect();
        tier.publish_with(EventKind::Throttle { applications, until_ms });
    }
}

const LEAVE_TIMEOUT: Duration = Duration::from_millis(200);
const OUTBOX_INTERVAL: Duration = Duration::from_millis(5);
