//! What Graph's "no" takes out of the store.
//!
//! The leases of the token are revoked first: whatever it has asked for is stored by then, or never will be.

use std::sync::Arc;

use super::{Store, lock};
use crate::auth::{Principal, TokenHash};
use crate::cache::grants::{Grants, Remaining};
use crate::cache::key::EntryKey;
use crate::resource::Resource;

impl Store {
    /// Graph said 401: the token is not good any more. Drops its proofs and its principal's entries, if it
    /// had proofs; whoever sends tokens that never were good changes nothing. Returns whether it had.
    pub fn withdraw_token(&self, fingerprint: &TokenHash) -> bool {
        self.leases.revoke_for(fingerprint, None);
        let turn = self.grant_turn(fingerprint);
        let Some(grant) = self.grant(fingerprint) else { return false };
        grant.revoke();
        self.grants.invalidate(fingerprint);
        drop(turn);
        self.drop_entries(grant.claims.principal);
        self.generations.end(grant.claims.principal);
        true
    }

    fn drop_entries(&self, principal: Principal) {
        // Nobody who has read what goes now may put it back.
        let _turns = self.turns.each_ref().map(lock);
        // Answers at once for every look-up from here on, and sweeps behind. The only error is a missing
        // builder switch, and that is set above; should it ever come, everything goes.
        if self.entries.invalidate_entries_if(move |key, _| key.principal == principal).is_err() {
            self.entries.invalidate_all();
        }
    }

    /// Graph said 403, 404 or 410: the token may not see this resource, or it is gone. Drops the token's proof
    /// for it and its principal's entry, if it had that proof. Returns whether it had.
    pub fn withdraw_resource(&self, fingerprint: &TokenHash, resource: &Arc<Resource>) -> bool {
        self.leases.revoke_for(fingerprint, Some(resource));
        let Some(grant) = self.take_proofs(fingerprint, |grant| grant.remove(resource)) else { return false };
        let turn = self.turn(resource);
        self.entries.invalidate(&EntryKey::new(grant.claims.principal, resource));
        drop(turn);
        self.generations.end(grant.claims.principal);
        true
    }

    /// Takes proofs away from a token's grant. Without any it is as good as a token that never had one. Returns the
    /// grant if it had some of these.
    pub(super) fn take_proofs(
        &self,
        fingerprint: &TokenHash,
        take: impl FnOnce(&Grants) -> Remaining,
    ) -> Option<Arc<Grants>> {
        let _turn = self.grant_turn(fingerprint);
        let grant = self.grant(fingerprint)?;
        match take(&grant) {
            Remaining::All => return None,
            // Put again, so that it counts with what it weighs now.
            Remaining::Some => self.grants.insert(*fingerprint, Arc::clone(&grant)),
            Remaining::None => self.grants.invalidate(fingerprint),
        }
        Some(grant)
    }
}
