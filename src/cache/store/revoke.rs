//! What Graph's "no" takes out of the store.
//!
//! The leases of the token are revoked first: whatever it has asked for is stored by then, or never will be.

use std::sync::Arc;

use super::{Store, lock};
use crate::auth::{Principal, TokenHash};
use crate::cache::grants::{Grants, Remaining};
use crate::cache::key::EntryKey;
use crate::resource::Resource;
use crate::support::sabotage::sabotaged;

impl Store {
    /// Graph said 401: the token is not good any more. Drops its proofs and its principal's entries, if it
    /// had proofs; whoever sends tokens that never were good changes nothing. Returns whether it had.
    pub fn revoke_token(&self, token_hash: &TokenHash) -> bool {
        sabotaged!(UnheededInFlight, (), self.leases.revoke_for(token_hash, None));
        let lock_entries = self.lock_grants(token_hash);
        let Some(grant) = self.grants(token_hash) else { return false };
        grant.revoke();
        self.grants.invalidate(token_hash);
        drop(lock_entries);
        self.invalidate_entries_of(grant.claims.principal);
        self.generations.advance(grant.claims.principal);
        true
    }

    fn invalidate_entries_of(&self, principal: Principal) {
        // Nobody who has read what goes now may put it back.
        let _turns = self.entry_locks.each_ref().map(lock);
        // Answers at once for every look-up from here on, and sweeps behind. The only error is a missing
        // builder switch, and that is set above; should it ever come, everything goes.
        if self.entries.invalidate_entries_if(move |key, _| key.principal == principal).is_err() {
            self.entries.invalidate_all();
        }
    }

    /// Graph said 403, 404 or 410: the token may not see this resource, or it is gone. Drops the token's proof
    /// for it and its principal's entry, if it had that proof. Returns whether it had.
    pub fn revoke_resource(&self, token_hash: &TokenHash, resource: &Arc<Resource>) -> bool {
        sabotaged!(UnheededInFlight, (), self.leases.revoke_for(token_hash, Some(resource)));
        let Some(grant) = self.remove_proofs(token_hash, |grant| grant.remove(resource)) else {
            return false;
        };
        let lock_entries = self.lock_entries(resource);
        self.entries.invalidate(&EntryKey::new(grant.claims.principal, resource));
        drop(lock_entries);
        self.generations.advance(grant.claims.principal);
        true
    }

    /// Takes proofs away from a token's grant. Without any it is as good as a token that never had one. Returns the
    /// grant if it had some of these.
    pub(super) fn remove_proofs(
        &self,
        token_hash: &TokenHash,
        take: impl FnOnce(&Grants) -> Remaining,
    ) -> Option<Arc<Grants>> {
        let _guard = self.lock_grants(token_hash);
        let grant = self.grants(token_hash)?;
        match take(&grant) {
            Remaining::All => return None,
            // Put again, so that it counts with what it weighs now.
            Remaining::Some => self.grants.insert(*token_hash, Arc::clone(&grant)),
            Remaining::None => self.grants.invalidate(token_hash),
        }
        Some(grant)
    }
}

#[cfg(feature = "sabotage")]
impl Store {
    /// Drops the entries of whomever a token says it is.
    pub fn drop_claimed(&self, claims: Result<crate::auth::Claims, crate::cache::outcome::Bypass>) {
        if let Ok(claims) = claims {
            self.invalidate_entries_of(claims.principal);
            self.generations.advance(claims.principal);
        }
    }

    /// The newest answer that fits this request, whoever was given it.
    pub fn claimed_entry(
        &self,
        key: &EntryKey,
        request: crate::cache::vary::SelectingRequest<'_>,
    ) -> Option<Arc<crate::cache::entry::Entry>> {
        let known = self.entries.get(key)?.variants;
        known.find(&self.secondary_key_hasher, request, |_| Some(())).map(|(entry, ())| Arc::clone(entry))
    }
}
