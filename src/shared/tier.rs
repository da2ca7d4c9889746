//! The tier of one process: its parts, and the facts that follow from several of them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use redis::Value;

use super::config::{Config, Endpoint};
use super::event::{Event, EventKind, EventName, LogId, Position};
use super::handler::ResourceForm;
use super::index::{EventIndex, Matcher};
use super::last_purge::LastPurgeCell;
use super::metrics::SharedMetrics;
use super::names::{Namer, OtherNames, log_name, replicas_name};
use super::outbox::Outbox;
use super::replicas::{Replicas, fields_of};
use super::secret::Secrets;
use super::setup_error::SetupError;
use super::state::{OperationResult, SharedState, StateFacts};
use super::store::{Condition, Dialer, Fault, Store, random};
use super::writes::WriteQueue;
use crate::auth::ClaimKind::{Subject, Tenant};
use crate::auth::{Claims, HashKeys, Principal, Token};
use crate::cache::entry::EntityTagHasher;
use crate::cache::purge::PurgeSelector;
use crate::support::clock::{Clock, Now, unix_ms};

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
    /// Computes names as those replicas do.
    other_namer: Option<Namer>,
    pub(super) facts: StateFacts,
    pub(super) store: Store,
    pub(super) metrics: Arc<SharedMetrics>,
    pub(super) writes: WriteQueue,
    pub(super) outbox: Outbox,
    pub(super) replicas: Replicas,
    pub(super) last_purge: LastPurgeCell,
    /// Random number of this process.
    pub(super) replica: u64,
    /// The replica stops: no purge waits for it.
    pub(super) has_left: AtomicBool,
    index: Mutex<EventIndex>,
}

/// Returns the time of this machine's clock, Unix milliseconds. Times of the store are compared with it.
pub(super) fn system_ms() -> u64 {
    unix_ms(SystemTime::now())
}

impl Tier {
    /// Builds the parts. Connects to nothing.
    pub(super) fn new(
        config: &Config,
        (endpoint, secrets): (&Endpoint, Secrets),
        scope: Scope<'_>,
        metrics: Arc<SharedMetrics>,
    ) -> Result<Self, SetupError> {
        if let Some(path) = &config.password_file {
            std::fs::read(path)
                .map_err(|reason| SetupError::Password { path: path.display().to_string(), reason })?;
        }
        let dialer = Dialer::new(config)?;
        let other_claims = match secrets.secondary_claims_key() {
            Some(key) => Some(HashKeys::random()?.with_claims_key(key)),
            None => None,
        };
        let replica = random();
        let namer = |secret| Namer::new(secret, &config.prefix, scope.base_url, scope.policy);
        Ok(Self {
            namer: namer(secrets.primary()),
            other_namer: secrets.secondary().map(namer),
            log_name: log_name(&config.prefix),
            replicas_name: replicas_name(&config.prefix),
            entity_tags: scope.entity_tags,
            clock: scope.clock,
            claims: HashKeys::random()?.with_claims_key(secrets.claims_key()),
            other_claims,
            secrets,
            facts: StateFacts::new(),
            store: Store::new(endpoint, &dialer),
            metrics,
            writes: WriteQueue::default(),
            outbox: Outbox::new(replica),
            replicas: Replicas::new(replica),
            last_purge: LastPurgeCell::default(),
            replica,
            has_left: AtomicBool::new(false),
            index: Mutex::default(),
            config: config.clone(),
        })
    }

    pub(super) fn index(&self) -> MutexGuard<'_, EventIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns hashes of the principal under all secrets.
    pub(super) fn principals(&self, claims: &Claims, token: &Token) -> Vec<[u8; 16]> {
        let other = self.other_claims(token, self.clock.now()).map(|claims| claims.principal);
        [Some(claims.principal), other].into_iter().flatten().map(Principal::to_bytes).collect()
    }

    /// Returns the names under the second secret, and the hash of the principal under it.
    pub(super) fn other_names(&self, form: &ResourceForm, token: &Token) -> Option<OtherNames> {
        let other_namer = self.other_namer.as_ref()?;
        let principal = self.other_claims(token, self.clock.now())?.principal;
        let names = other_namer.compute(principal, form, token);
        Some(OtherNames { names, principal: principal.to_bytes() })
    }

    pub(super) fn other_claims(&self, token: &Token, now: Now) -> Option<Claims> {
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
        Some(match kind {
            EventKind::Purge { flow, tenant, subject } => {
                let hash = |kind, name: &Option<String>| {
                    name.as_deref().map(|name| self.claims.claim_hash(kind, name))
                };
                let (tenant, subject) = (hash(Tenant, tenant), hash(Subject, subject));
                Matcher::Purge(PurgeSelector { flow: flow.clone(), tenant, subject })
            }
            EventKind::Withdraw { principals, resource } => {
                Matcher::Withdraw(principals.clone(), resource.clone())
            }
            EventKind::Renew { principals, resource } => Matcher::Renew(principals.clone(), resource.clone()),
            EventKind::Begin | EventKind::Generation | EventKind::Throttle { .. } | EventKind::Unknown => {
                return None;
            }
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

    /// Returns the sealed acknowledgement of this replica.
    pub(super) fn acknowledgement(&self) -> Option<Vec<u8>> {
        let now = self.clock.now();
        let applied = self.index().publishers.applied(self.replica, system_ms()).collect();
        let has_left = self.has_left.load(Relaxed);
        self.replicas.seal(&self.secrets, &self.replicas_name, (now, has_left, applied))
    }

    /// Takes over the reply to HGETALL with the acknowledgements. Returns the fields of replicas that are gone for long, and `None` if
    /// the hash does not count.
    pub(super) fn record_acknowledgements(&self, reply: Value) -> Option<Vec<Vec<u8>>> {
        self.replicas.record((&self.secrets, &self.replicas_name), fields_of(reply), self.clock.now())
    }

    /// Returns the label of a failure, and records what the state follows from.
    pub(super) fn result_of(&self, fault: Fault) -> OperationResult {
        match fault {
            Fault::Unavailable => OperationResult::Skipped,
            Fault::Timeout => OperationResult::Timeout,
            Fault::Auth => {
                self.facts.record_denied();
                OperationResult::Error
            }
            _ => OperationResult::Error,
        }
    }
}
