//! Where answers and proofs are kept: two moka caches, bounded by weight.
//!
//! The store keeps and evicts; whether something may be used is judged elsewhere. Nothing is written but
//! for a token that Graph has just said 200 to, and nothing is dropped but by an operator, by time, by
//! weight, or by Graph's word to a token that had proofs (promise 3). Both caches evict the least recently
//! used: with a frequency sketch, look-ups of forged tokens would weigh on who stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;
use super::freshness::Proof;
use super::front::{self, Epoch, Epochs, Finding, Room};
use super::grant::Grant;
use super::interner::Interner;
use super::key::EntryKey;
use super::status::{Eviction, NotStored};
use super::ticket::{Ticket, Tickets};
use super::variants::Variants;
use super::vary::{Chooser, Presented};
use crate::clock::Now;
use crate::identity::{Claims, Fingerprint, Label, Principal, Spelling};
use crate::metrics::Metrics;
use crate::resource::Resource;
use crate::sabotage::sabotaged;

/// What the store needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cache.max_bytes`: keys, headers, bodies, proofs, and what threads remember of them, together.
    pub max_bytes: u64,
    /// `limits.proofs_per_token`: resources that one token may hold proofs for.
    pub proofs_per_token: usize,
    /// Threads that look things up, each of which remembers the last.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, proofs_per_token: 1_000, threads: 1 }
    }
}

/// The entries and the proofs of this process.
#[derive(Debug)]
pub struct Store {
    entries: Cache<EntryKey, Labelled>,
    grants: Cache<Fingerprint, Arc<Grant>>,
    /// Who puts an answer beside the others of its key is alone meanwhile. A turn is of many keys.
    turns: [Mutex<()>; TURNS],
    resources: Interner,
    max_entry: u64,
    proofs_per_token: usize,
    /// Of the questions under way: what is purged or withdrawn meanwhile must not be stored after.
    tickets: Tickets,
    chooser: Chooser,
    epochs: Arc<Epochs>,
    front: Room,
    metrics: Arc<Metrics>,
}

/// The answers of one key with whose they are, for purges.
#[derive(Clone, Debug)]
struct Labelled {
    variants: Variants,
    tenant: Label,
    subject: Label,
}

/// What a purge takes. `None` stands for any.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Entries of this flow.
    pub flow: Option<String>,
    /// Entries of this tenant's tokens.
    pub tenant: Option<Label>,
    /// Entries of this subject's tokens.
    pub subject: Option<Label>,
}

impl Labelled {
    fn leaves_by(&self, cause: Eviction) {
        self.variants.each().for_each(|entry| entry.leaves_by(cause));
    }

    fn left_by(&self) -> Option<Eviction> {
        self.variants.each().find_map(|entry| entry.left_by())
    }
}

impl Store {
    /// An empty store. `keep` is the longest that anything in it can be of use.
    pub fn new(config: &Config, keep: Duration, metrics: &Arc<Metrics>) -> Self {
        // A proof weighs a few hundred bytes where an entry weighs a few thousand.
        let for_grants = config.max_bytes / 5;
        let for_fronts = config.max_bytes / FRONTS;
        let for_entries = config.max_bytes - for_grants - for_fronts;
        let threads = u64::try_from(config.threads).unwrap_or(u64::MAX).max(1);
        metrics.capacity.set(i64::try_from(config.max_bytes).unwrap_or(i64::MAX));
        let (counts, epochs) = (Arc::clone(metrics), Arc::<Epochs>::default());
        let evictions = Arc::clone(&epochs);
        let entries = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(for_entries)
            .weigher(|key: &EntryKey, kept: &Labelled| weight(key.resource.weight() + kept.variants.weight()))
            .time_to_live(keep)
            .support_invalidation_closures()
            .eviction_listener(move |_, kept: Labelled, cause| {
                let cause = match cause {
                    RemovalCause::Size => {
                        kept.leaves_by(Eviction::Space);
                        Eviction::Space
                    }
                    RemovalCause::Expired => Eviction::Time,
                    RemovalCause::Explicit => kept.left_by().unwrap_or(Eviction::Invalidate),
                    RemovalCause::Replaced => return,
                };
                counts.evictions.inc(cause);
            })
            .build();
        let grants = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(for_grants)
            .weigher(|_: &Fingerprint, grant: &Arc<Grant>| weight(grant.weight()))
            .time_to_live(keep)
            // A token whose proofs have left for want of room is as one that never had any: Graph's 401 to it
            // withdraws nothing. So nobody may remember them.
            .eviction_listener(move |_, _, cause| {
                if cause.was_evicted() {
                    evictions.next();
                }
            })
            .build();
        Self {
            entries,
            grants,
            turns: Default::default(),
            resources: Interner::default(),
            max_entry: for_entries,
            proofs_per_token: config.proofs_per_token,
            tickets: Tickets::default(),
            chooser: Chooser::default(),
            epochs,
            front: Room::within(for_fronts / threads),
            metrics: Arc::clone(metrics),
        }
    }

    /// What is known of a token, if Graph has said 200 to it.
    pub fn grant(&self, fingerprint: &Fingerprint) -> Option<Arc<Grant>> {
        self.grants.get(fingerprint)
    }

    /// The answer for a principal that fits this request. Whoever calls this has looked at a proof first.
    pub fn entry(&self, key: &EntryKey, request: Presented<'_>) -> Option<Arc<Entry>> {
        self.entries.get(key)?.variants.fitting(&self.chooser, request).map(Arc::clone)
    }

    /// What tells requests apart by the fields that chose an answer.
    pub fn chooser(&self) -> &Chooser {
        &self.chooser
    }

    /// What it has for a request of exactly this spelling, if this thread has looked that up a moment ago.
    pub fn recall(&self, spelling: Spelling, now: Now) -> Option<Finding> {
        front::recall(spelling, self.front, self.epochs.now(), now).filter(|found| found.entry.is_kept())
    }

    /// The present state. To be taken before the look-ups whose outcome is given to [`Store::remember`].
    pub fn epoch(&self) -> Epoch {
        self.epochs.now()
    }

    /// Remembers what was looked up for a request.
    pub fn remember(&self, spelling: Spelling, epoch: Epoch, now: Now, found: &Finding) {
        front::remember(spelling, self.front, epoch, now, found);
    }

    /// To be taken before Graph is asked.
    pub fn ticket(&self, fingerprint: Fingerprint, resource: &Arc<Resource>) -> Ticket {
        self.tickets.take(fingerprint, resource)
    }

    /// Keeps an answer and the proof that it was given to this token. One that renews `old`, after a 304, is
    /// kept only while that is there: what was purged or replaced meanwhile does not come back.
    pub fn admit(
        &self,
        fingerprint: Fingerprint,
        claims: &Claims,
        resource: &Arc<Resource>,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        ticket: &Ticket,
    ) -> Result<(), NotStored> {
        let resource = &self.resources.intern(resource);
        let key = EntryKey::new(claims.principal, resource);
        if u64::try_from(entry.weight()).unwrap_or(u64::MAX) > self.max_entry {
            return Err(NotStored::TooLarge);
        }
        let is_void = || sabotaged!(PurgeMissesFlights, false, !ticket.is_good());
        if is_void() {
            return Err(NotStored::Invalidated);
        }
        if !self.put(key.clone(), claims, entry, old) {
            return Err(NotStored::Invalidated);
        }
        self.prove(fingerprint, claims, resource, Proof { granted: entry.asked });
        if is_void() {
            // Withdrawn while this was written: neither may stay.
            entry.leaves_by(Eviction::Invalidate);
            self.entries.invalidate(&key);
            self.grants.invalidate(&fingerprint);
            self.epochs.next();
            return Err(NotStored::Invalidated);
        }
        Ok(())
    }

    /// Puts an answer beside the others of its key; the newest stays. False: `old`, which it renews, is gone.
    fn put(&self, key: EntryKey, claims: &Claims, entry: &Arc<Entry>, old: Option<&Arc<Entry>>) -> bool {
        let label = |variants| Labelled { variants, tenant: claims.tenant, subject: claims.subject };
        let _turn = self.turn(&key.resource);
        if old.is_none() && !self.entries.contains_key(&key) {
            self.entries.insert(key, label(Variants::of(Arc::clone(entry))));
            return true;
        }
        let mut there = true;
        self.entries.entry(key).and_compute_with(|known| {
            let known = known.map(|known| known.into_value().variants);
            let known = known.as_ref();
            there = old.is_none_or(|old| known.is_some_and(|known| known.have(old)));
            if !there {
                return Op::Nop;
            }
            let variants = match known {
                Some(known) => known.with(entry, old),
                None => Some(Variants::of(Arc::clone(entry))),
            };
            if let (Some(known), Some(variants)) = (known, &variants) {
                known.each().filter(|it| !variants.have(it)).for_each(|it| it.mark_replaced());
            }
            variants.map_or(Op::Nop, |variants| Op::Put(label(variants)))
        });
        there
    }

    /// Adds a proof to those of a token. It is put again where it is, so that it counts with what it weighs now.
    /// Withdrawn meanwhile it may come back so, and [`Store::admit`] takes it away again.
    fn prove(&self, fingerprint: Fingerprint, claims: &Claims, resource: &Arc<Resource>, proof: Proof) {
        let add = |grant: &Grant| grant.add(resource, proof, self.proofs_per_token);
        if let Some(grant) = self.grants.get(&fingerprint) {
            add(&grant);
            self.grants.insert(fingerprint, grant);
            return;
        }
        // Two answers may come at once, and each is to find the other's proof.
        self.grants.entry(fingerprint).and_upsert_with(|known| {
            let grant = known.map_or_else(|| Arc::new(Grant::new(claims)), moka::Entry::into_value);
            add(&grant);
            grant
        });
    }

    fn turn(&self, resource: &Resource) -> MutexGuard<'_, ()> {
        let [digit, ..] = resource.digest().to_ne_bytes();
        self.turns[usize::from(digit) % TURNS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Graph said 401: the token is not good any more. Drops its proofs and its principal's entries, if it
    /// had proofs; whoever sends tokens that never were good changes nothing. Returns whether it had.
    pub fn withdraw_token(&self, fingerprint: &Fingerprint) -> bool {
        sabotaged!(UnheededInFlight, (), self.tickets.void(fingerprint, None));
        let Some(grant) = self.grants.get(fingerprint) else { return false };
        self.grants.invalidate(fingerprint);
        self.drop_entries(grant.claims.principal);
        self.epochs.next();
        true
    }

    fn drop_entries(&self, principal: Principal) {
        // Answers at once for every look-up from here on, and sweeps behind. The only error is a missing
        // builder switch, and that is set above; should it ever come, everything goes.
        if self.entries.invalidate_entries_if(move |key, _| key.principal == principal).is_err() {
            self.entries.invalidate_all();
        }
    }

    /// Graph said 403, 404 or 410: the token may not see this resource, or it is gone. Drops the token's proof
    /// for it and its principal's entry, if it had that proof. Returns whether it had.
    pub fn withdraw_resource(&self, fingerprint: &Fingerprint, resource: &Arc<Resource>) -> bool {
        sabotaged!(UnheededInFlight, (), self.tickets.void(fingerprint, Some(resource)));
        let Some(grant) = self.grants.get(fingerprint) else { return false };
        if grant.proof(resource).is_none() {
            // It may have had one that made room for others, and somebody may remember that.
            self.epochs.next();
            return false;
        }
        self.grants.entry(*fingerprint).and_compute_with(|known| match known {
            None => Op::Nop,
            Some(known) => {
                let grant = known.into_value();
                // Without proofs it is as good as a token that never had one.
                if grant.remove(resource) { Op::Put(grant) } else { Op::Remove }
            }
        });
        self.entries.invalidate(&EntryKey::new(grant.claims.principal, resource));
        self.epochs.next();
        true
    }

    /// Drops what an operator selects, entries and proofs, and whatever is on its way. Returns the entries' number.
    pub fn purge(&self, selection: &Selection) -> u64 {
        self.tickets.void_all();
        let flow = |resource: &Resource| selection.flow.as_deref().is_none_or(|flow| resource.flow() == flow);
        let whose = |tenant: Label, subject: Label| {
            selection.tenant.is_none_or(|wanted| wanted == tenant)
                && selection.subject.is_none_or(|wanted| wanted == subject)
        };
        for (fingerprint, grant) in &self.grants {
            if grant.has_any(flow) && whose(grant.claims.tenant, grant.claims.subject) {
                self.grants.invalidate(&*fingerprint);
            }
        }
        let mut purged = 0;
        for (key, kept) in &self.entries {
            if flow(&key.resource) && whose(kept.tenant, kept.subject) {
                kept.leaves_by(Eviction::Purge);
                self.entries.invalidate(&*key);
                purged += 1;
            }
        }
        self.epochs.next();
        self.metrics.purged.inc_by(purged);
        purged
    }

    /// Drops everything: the wall clock was set back, so no age can be trusted.
    pub fn forget(&self) {
        self.purge(&Selection::default());
    }

    /// Brings the gauges of size up to date.
    pub fn refresh_gauges(&self) {
        self.entries.run_pending_tasks();
        self.grants.run_pending_tasks();
        let bytes = self.entries.weighted_size() + self.grants.weighted_size();
        self.metrics.entries.set(i64::try_from(self.entries.entry_count()).unwrap_or(i64::MAX));
        self.metrics.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How many entries there are, and of how many tokens proofs.
    pub fn counts(&self) -> (u64, u64) {
        self.refresh_gauges();
        (self.entries.entry_count(), self.grants.entry_count())
    }
}

#[cfg(feature = "sabotage")]
impl Store {
    /// Drops the entries of whomever a token says it is.
    pub fn drop_claimed(&self, claims: Result<Claims, super::status::Bypass>) {
        if let Ok(claims) = claims {
            self.drop_entries(claims.principal);
            self.epochs.next();
        }
    }
}

/// With what moka itself and the allocator keep for one pair.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
}

/// Bytes of moka's own nodes, its hash table and the reference counts, for one pair: an estimate on the high side.
const OVERHEAD: usize = 320;
/// The part of `cache.max_bytes` in which all threads remember: one in so many.
const FRONTS: u64 = 16;
/// More than there are threads, as a rule: they hardly ever wait for each other.
const TURNS: usize = 32;

#[cfg(test)]
mod tests;
