//! Where answers and proofs are kept: two moka caches, bounded by weight.
//!
//! The store keeps and evicts; whether something may be used is judged elsewhere. Nothing is written but
//! for a token that Graph has just said 200 to, and nothing is dropped but by an operator, by time, by
//! weight, or by Graph's word to a token that had proofs (promise 3). Both caches evict the least recently
//! used: with a frequency sketch, look-ups of forged tokens would weigh on who stays.
//!
//! Whoever changes the answers of a key, or the proofs of a token, has a turn at it: what is read, changed and put back
//! meets no other change in between. A proof that is withdrawn is taken out of the grant itself first, and then the
//! principal's epoch ends; so neither a writer nor a thread that remembers a look-up can bring it back.

mod purge;
mod revoke;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;
use super::grants::{Grants, Proof};
use super::interner::Interner;
use super::key::EntryKey;
use super::lease::{Lease, Leases};
use super::outcome::{Eviction, NotStored};
use super::thread_cache;
use super::thread_cache::{CachedLookup, Capacity, Generation, Generations};
use super::variants::Variants;
use super::vary::{SecondaryKey, SecondaryKeyHasher, SelectingRequest};
use crate::auth::{ClaimHash, Claims, Principal, RequestDigest, TokenHash};
use crate::observability::metrics::Metrics;
use crate::resource::Resource;
use crate::support::clock::Now;

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

pub use super::purge::PurgeSelector;

/// The entries and the proofs of this process.
#[derive(Debug)]
pub struct Store {
    entries: Cache<EntryKey, Labelled>,
    grants: Cache<TokenHash, Arc<Grants>>,
    /// Who changes the answers of a key is alone meanwhile. A turn is of many keys.
    turns: [Mutex<()>; TURNS],
    /// The same for the proofs of a token.
    grant_turns: [Mutex<()>; TURNS],
    grant_turn: RandomState,
    /// Longest that anything is of use.
    keep: Duration,
    resources: Interner,
    max_entry: u64,
    proofs_per_token: usize,
    /// Of the questions under way: what is purged or withdrawn meanwhile must not be stored after.
    leases: Leases,
    secondary_key_hasher: SecondaryKeyHasher,
    generations: Arc<Generations>,
    front: Capacity,
    metrics: Arc<Metrics>,
}

/// The answers of one key with whose they are, for purges.
#[derive(Clone, Debug)]
struct Labelled {
    variants: Variants,
    tenant: ClaimHash,
    subjects: [ClaimHash; 2],
}

impl Labelled {
    fn leaves_by(&self, cause: Eviction) {
        self.variants.each().for_each(|entry| entry.leaves_by(cause));
    }

    fn is_selected(&self, selection: &PurgeSelector) -> bool {
        selection.selects_names(Some((self.tenant, self.subjects)))
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
        let for_fronts = config.max_bytes / THREAD_CACHE_PART;
        let for_entries = config.max_bytes - for_grants - for_fronts;
        let threads = u64::try_from(config.threads).unwrap_or(u64::MAX).max(1);
        metrics.capacity.set(i64::try_from(config.max_bytes).unwrap_or(i64::MAX));
        let (counts, generations) = (Arc::clone(metrics), Arc::<Generations>::default());
        let evictions = Arc::clone(&generations);
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
            .weigher(|_: &TokenHash, grant: &Arc<Grants>| weight(grant.weight()))
            .time_to_live(keep)
            // A token whose proofs have left for want of room is as one that never had any: Graph's 401 to it
            // withdraws nothing. So nobody may remember them.
            .eviction_listener(move |_, grant: Arc<Grants>, cause| {
                if cause.was_evicted() {
                    grant.revoke();
                    evictions.end(grant.claims.principal);
                }
            })
            .build();
        Self {
            entries,
            grants,
            turns: Default::default(),
            grant_turns: Default::default(),
            grant_turn: RandomState::new(),
            keep,
            resources: Interner::default(),
            max_entry: for_entries,
            proofs_per_token: config.proofs_per_token,
            leases: Leases::default(),
            secondary_key_hasher: SecondaryKeyHasher::default(),
            generations,
            front: Capacity::within(for_fronts / threads),
            metrics: Arc::clone(metrics),
        }
    }

    /// What is known of a token, if Graph has said 200 to it.
    pub fn grant(&self, fingerprint: &TokenHash) -> Option<Arc<Grants>> {
        self.grants.get(fingerprint).filter(|grant| !grant.is_revoked())
    }

    /// The newest answer for a principal that fits this request and that the token has a proof for, with that proof:
    /// its digest is the answer's. `newest` is the token's newest proof for the resource.
    pub fn entry(
        &self,
        key: &EntryKey,
        request: SelectingRequest<'_>,
        (grant, newest): (&Grants, Proof),
    ) -> Option<(Arc<Entry>, Proof)> {
        let known = self.entries.get(key)?.variants;
        let proven = |entry: &Entry| {
            let given = entry.digest();
            // One question has one answer, as a rule.
            if newest.digest == given { Some(newest) } else { grant.proof_of(&key.resource, given) }
        };
        known
            .find(&self.secondary_key_hasher, request, proven)
            .map(|(entry, proof)| (Arc::clone(entry), proof))
    }

    /// What tells requests apart by the fields that chose an answer.
    pub fn secondary_key_hasher(&self) -> &SecondaryKeyHasher {
        &self.secondary_key_hasher
    }

    /// What it has for a request of exactly this spelling, if this thread has looked that up a moment ago.
    pub fn recall(&self, spelling: RequestDigest, now: Now) -> Option<CachedLookup> {
        thread_cache::recall(spelling, self.front, &self.generations, now)
            .filter(|found| found.entry.is_kept())
    }

    /// The present state for a principal. To be taken before a proof is looked up that is given to [`Store::remember`].
    pub fn generation(&self, principal: Principal) -> Generation {
        self.generations.now(principal)
    }

    /// Remembers what was looked up for a request.
    pub fn remember(&self, spelling: RequestDigest, generation: Generation, now: Now, found: &CachedLookup) {
        thread_cache::remember(spelling, self.front, (&self.generations, generation), now, found);
    }

    /// The right to keep the answer. To be taken before Graph is asked.
    pub fn lease(&self, fingerprint: TokenHash, claims: Option<&Claims>, resource: &Arc<Resource>) -> Lease {
        self.leases.take(fingerprint, claims, resource)
    }

    /// Keeps an answer and the proof that it was given to this token. One that renews `old`, after a 304, is
    /// kept only while that is there: what was purged or replaced meanwhile does not come back.
    pub fn admit(
        &self,
        fingerprint: TokenHash,
        claims: &Claims,
        resource: &Arc<Resource>,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        lease: &Lease,
    ) -> Result<(), NotStored> {
        let resource = &self.resources.intern(resource);
        if u64::try_from(entry.weight()).unwrap_or(u64::MAX) > self.max_entry {
            return Err(NotStored::TooLarge);
        }
        let stored = lease.commit(|| {
            let selector = entry.secondary_key().map_or(0, SecondaryKey::selector);
            let before = self.grant(&fingerprint).and_then(|grant| grant.proof_before(resource, selector));
            let is_put =
                self.put(EntryKey::new(claims.principal, resource), claims, entry, (old, before.as_ref()));
            if is_put {
                let proof = Proof { granted: entry.asked, digest: entry.digest() };
                self.prove(fingerprint, claims, resource, (proof, selector));
            }
            is_put
        });
        if stored == Some(true) { Ok(()) } else { Err(NotStored::Invalidated) }
    }

    /// Puts an answer beside the others of its key. `before` is the proof of the token that was given it, as it was until
    /// now. False: `old`, which it renews, is gone.
    fn put(
        &self,
        key: EntryKey,
        claims: &Claims,
        entry: &Arc<Entry>,
        (old, before): (Option<&Arc<Entry>>, Option<&Proof>),
    ) -> bool {
        let label = |variants| Labelled { variants, tenant: claims.tenant, subjects: claims.subjects };
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
                Some(known) => known.with(entry, old, before, self.keep),
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
    fn prove(
        &self,
        fingerprint: TokenHash,
        claims: &Claims,
        resource: &Arc<Resource>,
        (proof, selector): (Proof, u32),
    ) {
        let _turn = self.grant_turn(&fingerprint);
        let grant = self.grant(&fingerprint).unwrap_or_else(|| Arc::new(Grants::new(claims)));
        let lost = grant.add(resource, proof, selector, self.proofs_per_token);
        self.grants.insert(fingerprint, grant);
        if lost {
            self.generations.end(claims.principal);
        }
    }

    fn turn(&self, resource: &Resource) -> MutexGuard<'_, ()> {
        let [digit, ..] = resource.digest().to_ne_bytes();
        lock(&self.turns[usize::from(digit) % TURNS])
    }

    fn grant_turn(&self, fingerprint: &TokenHash) -> MutexGuard<'_, ()> {
        let [digit, ..] = self.grant_turn.hash_one(fingerprint).to_ne_bytes();
        lock(&self.grant_turns[usize::from(digit) % TURNS])
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

fn lock(turn: &Mutex<()>) -> MutexGuard<'_, ()> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With what moka itself and the allocator keep for one pair.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
}

/// Bytes of moka's own nodes, its hash table and the reference counts, for one pair: an estimate on the high side.
const OVERHEAD: usize = 320;
/// The part of `cache.max_bytes` in which all threads remember: one in so many.
const THREAD_CACHE_PART: u64 = 16;
/// More than there are threads, as a rule: they hardly ever wait for each other.
const TURNS: usize = 32;

#[cfg(test)]
mod tests;
