//! Addition of a response and its proof.

use std::sync::Arc;

use moka::ops::compute::Op;

use super::{GRANTS_REINSERTIONS, Store, StoredVariants};
use crate::auth::{Claims, TokenHash};
use crate::cache::entry::Entry;
use crate::cache::grants::{Grants, Proof};
use crate::cache::key::EntryKey;
use crate::cache::lease::Lease;
use crate::cache::outcome::NotStored;
use crate::cache::variants::Variants;
use crate::cache::vary::SecondaryKey;
use crate::resource::Resource;
use crate::support::clock::Now;

impl Store {
    /// Stores a response and the proof that Graph sent it to this token. A response that renews `old`, after a 304, is
    /// stored only if `old` is still there: a response that was purged or replaced meanwhile is not restored.
    pub fn admit(
        &self,
        token_hash: TokenHash,
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
            let before =
                || self.grants(&token_hash).and_then(|grants| grants.proof_replaced_by(resource, selector));
            let key = EntryKey::new(claims.principal, resource);
            let is_stored = self.insert_variant(key, claims, entry, old, before);
            if is_stored {
                let proof = Proof { granted_at: entry.requested_at, digest: entry.digest() };
                self.add_proof(token_hash, claims, resource, (proof, selector));
            }
            is_stored
        });
        if stored == Some(true) { Ok(()) } else { Err(NotStored::Invalidated) }
    }

    /// Stores a response that another replica received, and the proof of it, given at `granted_at`, that the other replica
    /// received for this token. Both keep their own ages.
    pub fn admit_shared(
        &self,
        token_hash: TokenHash,
        claims: &Claims,
        resource: &Arc<Resource>,
        (entry, granted_at): (&Arc<Entry>, Now),
        lease: &Lease,
    ) -> bool {
        let resource = &self.resources.intern(resource);
        if u64::try_from(entry.weight()).unwrap_or(u64::MAX) > self.max_entry {
            return false;
        }
        let stored = lease.commit(|| {
            let before = || self.grants(&token_hash).and_then(|grants| grants.proof_replaced_by(resource, 0));
            let key = EntryKey::new(claims.principal, resource);
            let proof = Proof { granted_at, digest: entry.digest() };
            // Without a variant, the store has a newer response with the same bytes: the proof holds for that one.
            self.insert_variant(key, claims, entry, None, before);
            self.add_proof(token_hash, claims, resource, (proof, 0));
        });
        stored.is_some() && !entry.is_superseded()
    }

    /// Adds a response to the others of its key. `before` finds the token's previous proof, if there are others. Returns
    /// false if `old`, which the response renews, is no longer stored.
    fn insert_variant(
        &self,
        key: EntryKey,
        claims: &Claims,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        before: impl FnOnce() -> Option<Proof>,
    ) -> bool {
        let stored = |variants| StoredVariants { variants, names: Arc::clone(&claims.names) };
        let _guard = self.lock_entries(&key.resource);
        if old.is_none() && !self.entries.contains_key(&key) {
            self.entries.insert(key, stored(Variants::single(Arc::clone(entry))));
            return true;
        }
        let (before, mut is_current) = (before(), true);
        self.entries.entry(key).and_compute_with(|known| {
            let known = known.map(|known| known.into_value().variants);
            let known = known.as_ref();
            is_current = old.is_none_or(|old| known.is_some_and(|known| known.contains(old)));
            if !is_current {
                return Op::Nop;
            }
            let variants = match known {
                Some(known) => known.with_entry(entry, old, before.as_ref(), self.retention),
                None => Some(Variants::single(Arc::clone(entry))),
            };
            if let (Some(known), Some(variants)) = (known, &variants) {
                known.entries().filter(|it| !variants.contains(it)).for_each(|it| it.mark_replaced());
            }
            variants.map_or(Op::Nop, |variants| Op::Put(stored(variants)))
        });
        is_current
    }

    /// Adds a proof to a token's grants. The grants are inserted again if moka must update their weight or their age: an insertion
    /// costs more than all else here.
    fn add_proof(
        &self,
        token_hash: TokenHash,
        claims: &Claims,
        resource: &Arc<Resource>,
        (proof, selector): (Proof, u32),
    ) {
        let _guard = self.lock_grants(&token_hash);
        let grants = self.grants(&token_hash).unwrap_or_else(|| Arc::new(Grants::new(claims)));
        let lost = grants.add(resource, proof, selector, self.proofs_per_token);
        if grants.needs_insertion(proof.granted_at, self.retention / GRANTS_REINSERTIONS) {
            self.grants.insert(token_hash, grants);
        }
        if lost {
            self.generations.advance(claims.principal);
        }
    }
}
