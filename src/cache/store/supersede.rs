//! Removal of a stored response after Graph sent a newer one that may not be stored.

use std::sync::Arc;

use super::Store;
use crate::auth::{Claims, TokenHash};
use crate::cache::key::EntryKey;
use crate::cache::vary::SelectingRequest;
use crate::resource::Resource;
use crate::support::clock::Now;

impl Store {
    /// Handles a 200 or 304 that may not be stored, to a request that was sent at `requested_at`: the token does not receive
    /// older responses again, neither stored ones nor those of its requests in flight. Other tokens that received the same
    /// bytes must send one request to Graph each, as after any newer response. A token without a proof changes nothing
    /// (promise 3).
    pub fn discard_superseded(
        &self,
        token_hash: TokenHash,
        claims: &Claims,
        resource: &Arc<Resource>,
        request: SelectingRequest<'_>,
        requested_at: Now,
    ) {
        self.leases.revoke_for(&token_hash, Some(resource));
        let key = EntryKey::new(claims.principal, resource);
        // Each turn removes a proof, and a token has few for one resource.
        while let Some(grants) = self.grants(&token_hash)
            && let Some(newest) = grants.newest_proof(resource)
            && let Some((entry, proof)) = self.find_entry(&key, request, (&grants, newest))
            && !proof.granted_at.is_after(requested_at)
            && self
                .remove_proofs(&token_hash, |grants| grants.remove_content(resource, proof.digest))
                .is_some()
        {
            if !entry.requested_at.is_after(requested_at) {
                entry.mark_superseded();
            }
            self.generations.advance(claims.principal);
        }
    }
}
