//! Removal after an error response from Graph.
//!
//! The token's leases are revoked first: afterwards each response to an earlier request of the token is either stored or
//! never will be.

use std::sync::Arc;

use super::{Store, lock_stripe};
use crate::auth::{Principal, TokenHash};
use crate::cache::grants::{Grants, Remaining};
use crate::cache::key::EntryKey;
use crate::resource::Resource;

impl Store {
    /// Handles a 401: removes the token's proofs and its principal's entries, if the token had proofs. A token without a proof
    /// changes nothing. Returns whether the token had proofs.
    pub fn revoke_token(&self, token_hash: &TokenHash) -> bool {
        self.leases.revoke_for(token_hash, None);
        let guard = self.lock_grants(token_hash);
        let Some(grants) = self.grants(token_hash) else { return false };
        grants.revoke();
        self.grants.invalidate(token_hash);
        drop(guard);
        self.invalidate_entries_of(grants.claims.principal);
        self.generations.advance(grants.claims.principal);
        true
    }

    pub(super) fn invalidate_entries_of(&self, principal: Principal) {
        // Prevents a concurrent change from restoring an entry that is removed here.
        let _guards = self.entry_locks.each_ref().map(lock_stripe);
        // Takes effect at once for lookups; moka removes the entries later. The only error is a missing builder option,
        // which `Store::new` sets; the fallback removes everything.
        if self.entries.invalidate_entries_if(move |key, _| key.principal == principal).is_err() {
            self.entries.invalidate_all();
        }
    }

    /// Handles a 403, 404 or 410: removes the token's proofs for the resource and its principal's entry, if the token had such
    /// a proof. Returns whether it had one.
    pub fn revoke_resource(&self, token_hash: &TokenHash, resource: &Arc<Resource>) -> bool {
        self.leases.revoke_for(token_hash, Some(resource));
        let Some(grants) = self.remove_proofs(token_hash, |grants| grants.remove(resource)) else {
            return false;
        };
        let guard = self.lock_entries(resource);
        self.entries.invalidate(&EntryKey::new(grants.claims.principal, resource));
        drop(guard);
        self.generations.advance(grants.claims.principal);
        true
    }

    /// Removes proofs from a token's grants, and the grants if no proof remains. Returns the grants if a proof was removed.
    pub(super) fn remove_proofs(
        &self,
        token_hash: &TokenHash,
        remove: impl FnOnce(&Grants) -> Remaining,
    ) -> Option<Arc<Grants>> {
        let _guard = self.lock_grants(token_hash);
        let grants = self.grants(token_hash)?;
        match remove(&grants) {
            Remaining::All => return None,
            // Inserted again, so that moka updates the weight.
            Remaining::Some => self.grants.insert(*token_hash, Arc::clone(&grants)),
            Remaining::None => self.grants.invalidate(token_hash),
        }
        Some(grants)
    }
}
