//! Use of the store in one fetch: read before the request to Graph, write after its response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::event::{EventKind, EventName, Position};
use super::handler::ResourceForm;
use super::index::Subject;
use super::lease::FillLease;
use super::names::{OtherNames, ValueNames};
use super::record::{ProofRecord, Stamp, decode_entry};
use super::seal::open;
use super::service::SharedTier;
use super::state::{MAX_CLOCK_DIFFERENCE, Operation, OperationResult};
use super::store::Fault;
use super::tier::Tier;
use super::writes::WriteJob;
use crate::auth::{Claims, Token};
use crate::cache::entry::{ContentDigest, Entry};
use crate::cache::freshness;
use crate::resource::Resource;
use crate::support::clock::Now;

/// Part of the tier in one fetch. It holds no token: the names are computed before.
#[derive(Debug)]
pub struct SharedFetch {
    pub(super) tier: Arc<Tier>,
    pub(super) names: ValueNames,
    /// Names under the second secret, while the secret is rotated.
    other: Option<OtherNames>,
    claims: Claims,
    resource: Arc<Resource>,
    form: ResourceForm,
    /// Last event that was applied when the fetch took its lease.
    position: Option<Position>,
    /// `None` unless the caller demanded a newer response.
    forced_refresh: Option<ForcedRefresh>,
    is_proven: bool,
    was_read: bool,
    last_read: LastRead,
    fill: Option<FillLease>,
}

/// Forced refresh that a fetch serves.
#[derive(Debug)]
struct ForcedRefresh {
    /// Hashes of the principal, for the event.
    principals: Vec<[u8; 16]>,
    /// Last event of this process when the fetch began.
    last: EventName,
}

/// Result of the last read of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastRead {
    None,
    /// Another replica had the fill lease.
    Taken,
    /// The store did not reply: nothing else waits for it in this fetch.
    Failed,
}

/// A valid entry of the store, for which the token has a valid proof.
#[derive(Debug)]
pub struct SharedHit {
    /// Entry, with its own age.
    pub entry: Entry,
    /// Time of the proof.
    pub granted_at: Now,
}

impl SharedTier {
    /// Begins the use of the store in a fetch that has just taken its lease. Returns `None` if the tier is off or the store
    /// cannot be used: then nothing is computed. `is_renewal`: the caller demanded a newer response.
    pub fn begin(
        &self,
        claims: &Claims,
        resource: &Arc<Resource>,
        token: &Token,
        is_renewal: bool,
    ) -> Option<SharedFetch> {
        let tier = self.tier.as_ref()?;
        if !tier.facts.admits_values() {
            tier.metrics.count(Operation::Read, OperationResult::Skipped);
            return None;
        }
        let fetch = SharedFetch::new(tier, claims, resource, token, is_renewal);
        if !tier.store.is_usable(&fetch.names.entry) {
            tier.metrics.count(Operation::Read, OperationResult::Skipped);
            return None;
        }
        Some(fetch)
    }
}

impl SharedFetch {
    /// Notes the position in the log and computes the names.
    pub(super) fn new(
        tier: &Arc<Tier>,
        claims: &Claims,
        resource: &Arc<Resource>,
        token: &Token,
        is_renewal: bool,
    ) -> Self {
        let position = tier.index().position();
        let form = ResourceForm::new(resource);
        Self {
            names: tier.namer.compute(claims.principal, &form, token),
            tier: Arc::clone(tier),
            other: tier.other_names(&form, token),
            claims: claims.clone(),
            resource: Arc::clone(resource),
            form,
            position,
            forced_refresh: is_renewal.then(|| ForcedRefresh {
                principals: tier.principals(claims, token),
                last: tier.outbox.last(),
            }),
            is_proven: false,
            was_read: false,
            last_read: LastRead::None,
            fill: None,
        }
    }

    /// Returns whether the store has a valid proof of the token: Graph has responded 200 to it, on another replica. Reads the store
    /// unless this fetch has done so.
    pub async fn find_proof(&mut self) -> bool {
        if !self.was_read {
            // A valid proof is recorded in the fetch.
            let _ = self.read(|_| false).await;
        }
        self.is_proven
    }

    /// Returns whether another replica had the fill lease at the last read.
    pub(super) fn is_taken(&self) -> bool {
        self.last_read == LastRead::Taken
    }

    pub(super) fn has_failed(&self) -> bool {
        self.last_read == LastRead::Failed
    }

    pub(super) fn keep_fill_lease(&mut self, lease: FillLease) {
        self.fill = Some(lease);
    }

    /// Reads entry and proof in one round trip, and in a second one under the names of the second secret if there is one.
    /// `is_fresh` judges them by the rules of local entries.
    pub async fn read(&mut self, is_fresh: impl Fn(&SharedHit) -> bool) -> Option<SharedHit> {
        let tier = Arc::clone(&self.tier);
        let Some(_permit) = tier.writes.try_begin_read() else {
            tier.metrics.count(Operation::Read, OperationResult::Skipped);
            return None;
        };
        self.was_read = true;
        let mut found = self.read_under(false, &is_fresh).await;
        if matches!(found, Err(OperationResult::Miss))
            && self.last_read == LastRead::None
            && self.other.is_some()
        {
            found = self.read_under(true, &is_fresh).await;
        }
        tier.metrics.count(Operation::Read, found.as_ref().err().copied().unwrap_or(OperationResult::Hit));
        found.ok()
    }

    /// Reads under the names of one secret. `is_other`: the second one.
    async fn read_under(
        &mut self,
        is_other: bool,
        is_fresh: impl Fn(&SharedHit) -> bool,
    ) -> Result<SharedHit, OperationResult> {
        let tier = Arc::clone(&self.tier);
        let other = self.other.as_ref().filter(|_| is_other);
        let ValueNames { entry, proof, lease } = other.map_or(&self.names, |other| &other.names);
        let mut command = cmd("MGET");
        command.arg(entry).arg(proof).arg(lease);
        let started = Instant::now();
        let reply = tier.store.send(entry, &command, tier.config.timeout).await;
        if reply != Err(Fault::Unavailable) {
            tier.metrics.observe(Operation::Read, started.elapsed());
        }
        self.last_read = if reply.is_err() { LastRead::Failed } else { LastRead::None };
        match reply {
            Ok(Value::Array(values)) => self.judge(values, is_other, is_fresh),
            Ok(_) => Err(OperationResult::Error),
            Err(fault) => Err(tier.result_of(fault)),
        }
    }

    /// Judges the values of entry, proof and fill lease.
    pub(super) fn judge(
        &mut self,
        values: Vec<Value>,
        is_other: bool,
        is_fresh: impl Fn(&SharedHit) -> bool,
    ) -> Result<SharedHit, OperationResult> {
        // A longer value is not of the tier, and does not open: an empty one stands for it.
        let max_value = self.tier.config.max_value;
        let mut values = values.into_iter().map(|value| match value {
            Value::BulkString(bytes) if bytes.len() > max_value => Some(Vec::new()),
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        });
        let (entry, proof) = (values.next().flatten(), values.next().flatten());
        // The lease is taken under the first secret.
        if values.next().flatten().is_some() && !is_other {
            self.last_read = LastRead::Taken;
        }
        let (tier, now) = (Arc::clone(&self.tier), self.tier.clock.now());
        let proof = proof.ok_or(OperationResult::Miss)?;
        let other = self.other.as_ref().filter(|_| is_other);
        let names = other.map_or(&self.names, |other| &other.names);
        let proof = open(&tier.secrets, &names.proof, proof).and_then(|plain| ProofRecord::decode(&plain));
        let proof = proof.filter(|proof| fits(&proof.stamp, now)).ok_or(OperationResult::Invalid)?;
        if !self.admits(&proof.stamp) {
            return Err(OperationResult::Superseded);
        }
        self.is_proven = true;
        let entry = entry.ok_or(OperationResult::Miss)?;
        let entry = open(&tier.secrets, &names.entry, entry);
        let entry = entry.and_then(|plain| decode_entry(&plain, &tier.entity_tags, now));
        let (stamp, entry) = entry.filter(|(stamp, _)| fits(stamp, now)).ok_or(OperationResult::Invalid)?;
        if !self.admits(&stamp) {
            return Err(OperationResult::Superseded);
        }
        let granted_at = now.at_unix_millis(proof.stamp.asked_ms);
        let hit = SharedHit { entry, granted_at };
        let is_usable = hit.entry.digest() == proof.digest && is_fresh(&hit);
        if is_usable { Ok(hit) } else { Err(OperationResult::Miss) }
    }

    /// Returns whether a value counts: the log was read within the last second, and has no newer event that matches.
    fn admits(&self, stamp: &Stamp) -> bool {
        self.tier.facts.admits_values() && self.tier.index().admits(self.subject(), stamp)
    }

    fn subject(&self) -> Subject<'_> {
        let other_principal = self.other.as_ref().map(|other| other.principal);
        Subject { claims: &self.claims, other_principal, resource: &self.resource, form: &self.form }
    }

    /// Queues an entry that Graph sent to the token, and the proof of it. The caller has its response, or receives it without
    /// waiting for this.
    pub fn write(mut self, entry: &Arc<Entry>, rules: &freshness::Config, now: Now) {
        let published = self.forced_refresh.take().map(|ForcedRefresh { principals, last }| {
            let event = EventKind::Renew { principals, resource: self.form.clone() };
            (self.tier.publish_with(event), last)
        });
        let (renewal, last) = published.unzip();
        let Some(position) = self.position else { return };
        // A response that selecting fields chose is not for every request of its key.
        if entry.secondary_key().is_some() {
            return;
        }
        let stamp = Stamp { position, renewal, asked_ms: entry.requested_at.unix_millis() };
        if !self.tier.index().admits_after(self.subject(), &stamp, last) {
            return;
        }
        let token_left = self.claims.expiry.remaining(now);
        let (fresh_for, proof_age) =
            (entry.lifetime().fresh_for.min(rules.ttl), now.since(entry.requested_at));
        let entry_life = fresh_for.saturating_sub(entry.age(now)).min(MAX_VALUE_LIFE);
        let proof_life = rules.proof_ttl.saturating_sub(proof_age).min(token_left).min(MAX_VALUE_LIFE);
        if entry_life.is_zero() || proof_life.is_zero() {
            return;
        }
        let digest: ContentDigest = entry.digest();
        let is_queued = self.tier.writes.push(WriteJob {
            names: self.names.clone(),
            stamp,
            entry: Arc::clone(entry),
            digest,
            entry_life,
            proof_life,
            fill: self.fill.take(),
        });
        if !is_queued {
            self.tier.metrics.count(Operation::Write, OperationResult::Skipped);
            self.tier.metrics.count_dropped_write();
        }
    }
}

/// Returns whether a record is not from the future, nor past every life.
fn fits(stamp: &Stamp, now: Now) -> bool {
    let ahead = stamp.asked_ms.saturating_sub(now.unix_millis());
    let age = now.unix_millis().saturating_sub(stamp.asked_ms);
    Duration::from_millis(ahead) <= MAX_CLOCK_DIFFERENCE && Duration::from_millis(age) <= MAX_VALUE_LIFE
}

/// Longest life of a value.
const MAX_VALUE_LIFE: Duration = Duration::from_millis(super::index::MAX_VALUE_LIFE_MS);
