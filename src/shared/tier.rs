//! The tier of one process: its parts, and what the rest of the process does with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::config::Config;
use super::event::{Event, EventKind, EventName, LogId, Position};
use super::handler::{EventHandler, ResourceForm};
use super::index::{EventIndex, Matcher};
use super::log;
use super::metrics::SharedMetrics;
use super::names::{Namer, log_name, replicas_name};
use super::outbox::{self, Outbox};
use super::replicas::Replicas;
use super::secret::Secrets;
use super::setup_error::SetupError;
use super::state::{SharedState, StateFacts};
use super::store::{Condition, Dialer, Fault, Store, random};
use super::writer::{self, WriteQueue};
use crate::auth::{Claims, HashKeys, Principal, Token};
use crate::cache::entry::EntityTagHasher;
use crate::support::clock::{Clock, Now};

/// The shared tier of one process, or none. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedTier {
    pub(super) tier: Option<Arc<Tier>>,
    metrics: Arc<SharedMetrics>,
}

/// Settings of other parts that the names of values depend on, and the clock.
#[derive(Debug)]
pub struct Scope<'a> {
    /// `graph.base_url`
    pub base_url: &'a str,
    /// Policy of the scrubber.
    pub policy: &'a [u8],
    /// Computes entity tags under this policy.
    pub entity_tags: EntityTagHasher,
    /// The clock.
    pub clock: Clock,
}

/// Parts of a tier that is on.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) config: Config,
    pub(super) secrets: Secrets,
    pub(super) namer: Namer,
    pub(super) log_name: String,
    pub(super) replicas_name: String,
    pub(super) entity_tags: EntityTagHasher,
    pub(super) clock: Clock,
    /// Hashes claims as the rest of the process does.
    pub(super) claims: HashKeys,
    /// Hashes claims as replicas do that have the secrets in the other order.
    other_claims: Option<HashKeys>,
    pub(super) facts: StateFacts,
    pub(super) store: Store,
    pub(super) metrics: Arc<SharedMetrics>,
    pub(super) writes: WriteQueue,
    pub(super) outbox: Outbox,
    pub(super) replicas: Replicas,
    /// Random number of this process.
    pub(super) replica: u64,
    index: Mutex<EventIndex>,
}

impl SharedTier {
    /// Builds the tier if `shared.url` is set. Connects to nothing.
    pub fn new(config: &Config, scope: Scope<'_>, metrics: Arc<SharedMetrics>) -> Result<Self, SetupError> {
        let (Some(endpoint), Some(secret_file)) = (&config.endpoint, &config.secret_file) else {
            metrics.set(SharedState::Off, Duration::ZERO, 0);
            return Ok(Self { tier: None, metrics });
        };
        if let Some(path) = &config.password_file {
            std::fs::read(path)
                .map_err(|reason| SetupError::Password { path: path.display().to_string(), reason })?;
        }
        let secrets = Secrets::read(secret_file)?;
        let dialer = Dialer::new(config)?;
        let other_claims = match secrets.secondary_claims_key() {
            Some(key) => Some(HashKeys::random()?.with_claims_key(key)),
            None => None,
        };
        let replica = random();
        let tier = Tier {
            namer: Namer::new(&secrets, &config.prefix, scope.base_url, scope.policy),
            log_name: log_name(&config.prefix),
            replicas_name: replicas_name(&config.prefix),
            entity_tags: scope.entity_tags,
            clock: scope.clock,
            claims: HashKeys::random()?.with_claims_key(secrets.claims_key()),
            other_claims,
            secrets,
            facts: StateFacts::new(),
            store: Store::new(endpoint, &dialer),
            metrics: Arc::clone(&metrics),
            writes: WriteQueue::default(),
            outbox: Outbox::new(replica),
            replicas: Replicas::new(replica),
            replica,
            index: Mutex::default(),
            config: config.clone(),
        };
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
            AbortOnDropHandle::new(tokio::spawn(outbox::run(outbox))),
            AbortOnDropHandle::new(tokio::spawn(log::run(log, handler))),
        ];
        tasks.extend(writer::start(tier));
        tasks
    }

    /// Withdraws the acknowledgements of this replica, so that no purge waits for it.
    pub async fn leave(&self) {
        if let Some(tier) = &self.tier {
            tier.replicas.leave(tier).await;
        }
    }

    /// Returns the state.
    pub fn state(&self) -> SharedState {
        self.tier.as_ref().map_or(SharedState::Off, |tier| tier.state())
    }

    /// Returns state, number of replicas and age of the log for the admin port.
    pub fn overview(&self) -> serde_json::Value {
        let (state, replicas, lag) = self.refresh_gauges();
        serde_json::json!({
            "state": crate::support::labels::Label::as_str(state),
            "replicas": replicas,
            "log_lag_seconds": lag.as_secs_f64(),
        })
    }

    /// Sets the gauges.
    pub fn refresh_gauges(&self) -> (SharedState, usize, Duration) {
        let facts = self.tier.as_ref().map_or((SharedState::Off, 0, Duration::ZERO), |tier| {
            let lag = tier.facts.log_age().unwrap_or_else(|| tier.facts.age());
            (tier.state(), tier.replicas.count(tier.clock.now()), lag)
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
        let Some(tier) = &self.tier else { return };
        let now = tier.clock.now();
        let other = tier.other_claims(token, now).map(|claims| claims.application);
        let applications = [Some(claims.application), other].into_iter().flatten();
        let until_ms = now.plus(wait).unix_millis();
        let applications = applications.map(crate::auth::ClaimHash::to_bytes).collect();
        tier.publish_with(EventKind::Throttle { applications, until_ms });
    }
}

impl Tier {
    pub(super) fn index(&self) -> MutexGuard<'_, EventIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns hashes of the principal under all secrets.
    pub(super) fn principals(&self, claims: &Claims, token: &Token) -> Vec<[u8; 16]> {
        let other = self.other_claims(token, self.clock.now()).map(|claims| claims.principal);
        [Some(claims.principal), other].into_iter().flatten().map(Principal::to_bytes).collect()
    }

    fn other_claims(&self, token: &Token, now: Now) -> Option<Claims> {
        token.claims(self.other_claims.as_ref()?, now).ok()
    }

    /// Adds an event to the outbox, and to the index: from now on no value counts that the event makes invalid.
    pub(super) fn publish_with(&self, kind: EventKind) -> EventName {
        let matcher = self.matcher(&kind);
        let index = |name| {
            if let Some(matcher) = matcher {
                self.index().insert_pending(name, matcher);
            }
        };
        let (name, dropped) = self.outbox.push(kind, index);
        if let Some(dropped) = dropped {
            // Other replicas do not receive the event. This one refuses all values from before.
            let now = LogId { ms: self.clock.now().unix_millis(), seq: 0 };
            let mut index = self.index();
            index.resolve(dropped, now);
            index.raise_floor(now);
        }
        name
    }

    /// Returns the values that an event makes invalid, in the terms of this process.
    pub(super) fn matcher(&self, kind: &EventKind) -> Option<Matcher> {
        use crate::auth::ClaimKind::{Subject, Tenant};
        Some(match kind {
            EventKind::Purge { flow, tenant, subject } => {
                let hash = |kind, name: &Option<String>| {
                    name.as_deref().map(|name| self.claims.claim_hash(kind, name))
                };
                let (tenant, subject) = (hash(Tenant, tenant), hash(Subject, subject));
                Matcher::Purge(crate::cache::purge::PurgeSelector { flow: flow.clone(), tenant, subject })
            }
            EventKind::Withdraw { principals, resource } => {
                Matcher::Withdraw(principals.clone(), resource.clone())
            }
            EventKind::Renew { principals, resource } => Matcher::Renew(principals.clone(), resource.clone()),
            EventKind::Begin | EventKind::Throttle { .. } => return None,
        })
    }

    /// Returns the event with the generation of the log.
    pub(super) fn event(&self, name: EventName, kind: EventKind) -> Event {
        let generation = self.index().position().map_or(0, |Position { generation, .. }| generation);
        Event { generation, name, kind }
    }

    pub(super) fn state(&self) -> SharedState {
        let condition = self.store.condition(&self.log_name);
        let fault = match condition {
            Condition::Disconnected(fault) => fault,
            Condition::Connected | Condition::Open => None,
        };
        let fault = fault.or(self.facts.log_fault());
        if self.facts.clock_differs() {
            return SharedState::Clock;
        }
        match (fault, condition) {
            (Some(Fault::Auth), _) => SharedState::Auth,
            (Some(Fault::Tls), _) => SharedState::Tls,
            (_, Condition::Disconnected(_)) => SharedState::Connecting,
            (_, Condition::Open) => SharedState::Open,
            (_, Condition::Connected) if self.facts.is_denied() => SharedState::Auth,
            (_, Condition::Connected) if self.facts.log_age().is_none() => SharedState::Connecting,
            (_, Condition::Connected) if self.facts.admits_values() => SharedState::Live,
            (_, Condition::Connected) => SharedState::Lagging,
        }
    }
}
