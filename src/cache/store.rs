//! Store of responses and proofs: two moka caches, bounded by weight.
//!
//! The store stores and evicts; [`super::freshness`] decides whether an entry may be used. The store writes only for a token
//! to which Graph has just sent a 200. It removes entries and proofs only on an operator's purge, by time, by weight, or
//! after an error response from Graph to a token with proofs (promise 3). Both caches evict the least recently used pair:
//! with a frequency sketch, lookups for forged tokens would influence which pairs stay.
//!
//! A change of a key's responses, or of a token's proofs, holds a striped lock: no other change occurs between its read and
//! its write. A revocation removes a proof from the grants first, and then advances the principal's generation; so neither
//! a writer nor a thread cache can restore the proof.

mod admit;
mod purge;
mod revoke;
mod supersede;
mod withdraw;

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;
use super::grants::{Grants, Proof};
use super::interner::Interner;
use super::key::{EntryKey, KeyHasher};
use super::lease::{Lease, Leases};
use super::outcome::Eviction;
use super::thread_cache;
use super::thread_cache::{CachedLookup, Capacity, Generation, Generations, MaxAge, Validity};
use super::variants::Variants;
use super::vary::{SecondaryKeyHasher, SelectingRequest};
use crate::auth::{CallerNames, Claims, Principal, RequestDigest, TokenHash};
use crate::resource::Resource;
use crate::support::clock::Now;

/// Limits of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cache.max_bytes`: limit on the total of keys, headers, bodies, proofs and thread caches.
    pub max_bytes: u64,
    /// `limits.proofs_per_token`: limit on the resources for which one token may have proofs.
    pub proofs_per_token: usize,
    /// `cache.keep`: time for which an entry or proof is stored, even if the settings of the start do not use it that long.
    pub keep: Duration,
    /// Number of threads with a thread cache.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, proofs_per_token: 1_000, keep: Duration::from_hours(2), threads: 1 }
    }
}

pub use super::purge::PurgeSelector;

/// Entries and proofs of this process.
#[derive(Debug)]
pub struct Store {
    entries: Cache<EntryKey, StoredVariants, KeyHasher>,
    grants: Cache<TokenHash, Arc<Grants>, KeyHasher>,
    /// Locks for changes of entries. Many keys share a lock.
    entry_locks: [Mutex<()>; LOCK_STRIPES],
    /// Locks for changes of proofs. Many tokens share a lock.
    grant_locks: [Mutex<()>; LOCK_STRIPES],
    /// Time after which an entry or proof is removed.
    retention: Duration,
    resources: Interner,
    max_entry: u64,
    proofs_per_token: usize,
    /// Leases of requests in flight: a response that was purged or revoked meanwhile must not be stored.
    leases: Leases,
    secondary_key_hasher: SecondaryKeyHasher,
    generations: Arc<Generations>,
    max_lookup_age: Arc<MaxAge>,
    thread_cache_capacity: Capacity,
}

/// Size of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSize {
    /// Keys with at least one response.
    pub entries: u64,
    /// Tokens with at least one proof.
    pub tokens: u64,
    /// Weight of all responses and proofs, bytes.
    pub bytes: u64,
}

/// Responses of one key, with the names of their principal for purges.
#[derive(Clone, Debug)]
struct StoredVariants {
    variants: Variants,
    names: Arc<CallerNames>,
}

impl StoredVariants {
    fn mark_evicted(&self, cause: Eviction) {
        self.variants.entries().for_each(|entry| entry.mark_evicted(cause));
    }

    fn is_selected(&self, selector: &PurgeSelector) -> bool {
        selector.selects_names(Some(&self.names))
    }

    fn eviction_cause(&self) -> Option<Eviction> {
        self.variants.entries().find_map(|entry| entry.eviction_cause())
    }
}

impl Store {
    /// Creates an empty store. `retention` is the time after which an entry or proof is removed. `on_eviction` is called
    /// for each key that leaves the store.
    pub fn new(
        config: &Config,
        retention: Duration,
        on_eviction: impl Fn(Eviction) + Send + Sync + 'static,
    ) -> Self {
        // A proof takes a few hundred bytes, an entry a few thousand.
        let for_grants = config.max_bytes / 5;
        let for_thread_caches = config.max_bytes / THREAD_CACHE_DIVISOR;
        let for_entries = config.max_bytes - for_grants - for_thread_caches;
        let threads = u64::try_from(config.threads).unwrap_or(u64::MAX).max(1);
        let generations = Arc::<Generations>::default();
        let evictions = Arc::clone(&generations);
        let max_lookup_age = Arc::<MaxAge>::default();
        let [of_entries, of_grants] = [(); 2].map(|()| Arc::clone(&max_lookup_age));
        let entries = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(for_entries)
            .weigher(|key: &EntryKey, kept: &StoredVariants| {
                weight(key.resource.weight() + kept.variants.weight())
            })
            .time_to_live(retention)
            .support_invalidation_closures()
            .eviction_listener(move |_, kept: StoredVariants, cause| {
                let cause = match cause {
                    RemovalCause::Size => {
                        of_entries.record_scarcity(true);
                        kept.mark_evicted(Eviction::Space);
                        Eviction::Space
                    }
                    RemovalCause::Expired => Eviction::Time,
                    RemovalCause::Explicit => kept.eviction_cause().unwrap_or(Eviction::Invalidate),
                    RemovalCause::Replaced => return,
                };
                on_eviction(cause);
            })
            .build_with_hasher(KeyHasher::default());
        let grants = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(for_grants)
            .weigher(|_: &TokenHash, grants: &Arc<Grants>| weight(grants.weight()))
            // A proof that does not insert the grants again is stored for `retention` nevertheless.
            .time_to_live(retention + retention / GRANTS_REINSERTIONS)
            // A later 401 revokes nothing of a token whose proofs were evicted. So thread caches must not keep lookups that
            // depend on these proofs.
            .eviction_listener(move |_, grants: Arc<Grants>, cause| {
                if cause == RemovalCause::Size {
                    of_grants.record_scarcity(true);
                }
                if cause.was_evicted() {
                    grants.revoke();
                    evictions.advance(grants.claims.principal);
                }
            })
            .build_with_hasher(KeyHasher::default());
        Self {
            entries,
            grants,
            entry_locks: Default::default(),
            grant_locks: Default::default(),
            retention,
            resources: Interner::default(),
            max_entry: for_entries,
            proofs_per_token: config.proofs_per_token,
            leases: Leases::default(),
            secondary_key_hasher: SecondaryKeyHasher::default(),
            generations,
            max_lookup_age,
            thread_cache_capacity: Capacity::from_bytes(for_thread_caches / threads),
        }
    }

    /// Returns the claims and proofs of a token, if Graph has sent a 200 to it.
    pub fn grants(&self, token_hash: &TokenHash) -> Option<Arc<Grants>> {
        self.grants.get(token_hash).filter(|grants| !grants.is_revoked())
    }

    /// Returns the newest response that matches this request and for which the token has a proof, with that proof: its
    /// digest is the response's. `newest` is the token's newest proof for the resource.
    pub fn find_entry(
        &self,
        key: &EntryKey,
        request: SelectingRequest<'_>,
        (grants, newest): (&Grants, Proof),
    ) -> Option<(Arc<Entry>, Proof)> {
        let known = self.entries.get(key)?.variants;
        let proven = |entry: &Entry| {
            let given = entry.digest();
            // Nearly always one response is stored for a key.
            if newest.digest == given { Some(newest) } else { grants.proof_for_content(&key.resource, given) }
        };
        known
            .find(&self.secondary_key_hasher, request, proven)
            .map(|(entry, proof)| (Arc::clone(entry), proof))
    }

    /// Returns the hasher of secondary keys.
    pub fn secondary_key_hasher(&self) -> &SecondaryKeyHasher {
        &self.secondary_key_hasher
    }

    /// Returns the result of an earlier lookup for an identical request, if this thread's cache has a valid one.
    pub fn thread_cache_get(&self, digest: RequestDigest, now: Now) -> Option<CachedLookup> {
        thread_cache::get(digest, self.thread_cache_capacity, self.lookup_validity(now))
            .filter(|found| found.entry.is_kept())
    }

    /// Returns the current generation of a principal. Callers read it before the lookup of a proof whose result they pass to
    /// [`Store::thread_cache_insert`].
    pub fn generation(&self, principal: Principal) -> Generation {
        self.generations.current(principal)
    }

    /// Adds the result of a lookup to this thread's cache.
    pub fn thread_cache_insert(
        &self,
        digest: RequestDigest,
        generation: Generation,
        now: Now,
        found: &CachedLookup,
    ) {
        let validity = self.lookup_validity(now);
        thread_cache::insert(digest, self.thread_cache_capacity, generation, validity, found);
    }

    fn lookup_validity(&self, now: Now) -> Validity<'_> {
        Validity::new(&self.generations, &self.max_lookup_age, now)
    }

    /// Acquires the right to store a response. Callers acquire it before they send the request to Graph.
    pub fn acquire_lease(
        &self,
        token_hash: TokenHash,
        claims: Option<&Claims>,
        resource: &Arc<Resource>,
    ) -> Lease {
        self.leases.acquire(token_hash, claims, resource)
    }

    /// Ends the backoff of all entries after failed revalidations.
    pub fn reset_backoff(&self) {
        for (_, kept) in &self.entries {
            kept.variants.entries().for_each(|entry| entry.reset_backoff());
        }
    }

    /// Acquires the right to store a response for a request that must not wait for an earlier one.
    pub fn acquire_new_lease(
        &self,
        token_hash: TokenHash,
        claims: Option<&Claims>,
        resource: &Arc<Resource>,
    ) -> Lease {
        self.leases.acquire_new(token_hash, claims, resource)
    }

    fn lock_entries(&self, resource: &Resource) -> MutexGuard<'_, ()> {
        let [first, ..] = resource.digest().to_ne_bytes();
        lock_stripe(&self.entry_locks[usize::from(first) % LOCK_STRIPES])
    }

    fn lock_grants(&self, token_hash: &TokenHash) -> MutexGuard<'_, ()> {
        let [first, ..] = KeyHasher::default().hash_one(token_hash).to_be_bytes();
        lock_stripe(&self.grant_locks[usize::from(first) % LOCK_STRIPES])
    }

    /// Returns the weight of all responses and proofs in bytes, without the changes of the last moments.
    pub fn recent_bytes(&self) -> u64 {
        self.entries.weighted_size() + self.grants.weighted_size()
    }

    /// Returns the size after all pending evictions.
    pub fn size(&self) -> StoreSize {
        self.entries.run_pending_tasks();
        self.grants.run_pending_tasks();
        let (entry_bytes, grant_bytes) = (self.entries.weighted_size(), self.grants.weighted_size());
        if has_space(entry_bytes, self.entries.policy().max_capacity())
            && has_space(grant_bytes, self.grants.policy().max_capacity())
        {
            self.max_lookup_age.record_scarcity(false);
        }
        StoreSize {
            entries: self.entries.entry_count(),
            tokens: self.grants.entry_count(),
            bytes: entry_bytes + grant_bytes,
        }
    }
}

fn lock_stripe(stripe: &Mutex<()>) -> MutexGuard<'_, ()> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a cache has so much space that it will not evict soon.
fn has_space(bytes: u64, capacity: Option<u64>) -> bool {
    capacity.is_none_or(|capacity| bytes < capacity / 4 * 3)
}

/// Returns the weight of a pair: its size and the overhead of moka and the allocator.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX)
}

/// Upper estimate of moka's nodes, its hash table, the reference counts and the size classes of the allocator for one pair, bytes.
const OVERHEAD_BYTES: usize = 420;
/// Divisor of `cache.max_bytes` that gives the capacity of all thread caches.
const THREAD_CACHE_DIVISOR: u64 = 16;
/// Insertions of a token's grants in the time of retention, if each of its proofs is renewed more often.
const GRANTS_REINSERTIONS: u32 = 16;
/// Number of locks. More than there are threads on most machines, so that threads rarely wait for each other.
const LOCK_STRIPES: usize = 32;

#[cfg(test)]
mod tests;
