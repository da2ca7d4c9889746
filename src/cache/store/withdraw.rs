//! Removal because of an event on another replica.

use std::sync::Arc;

use super::Store;
use crate::auth::Principal;
use crate::cache::grants::Remaining;
use crate::cache::key::EntryKey;
use crate::resource::Resource;

impl Store {
    /// Removes the entries of a principal, the proofs of its tokens and the leases of their requests, for one resource or for
    /// all: Graph refused a proven token of the principal on another replica. Which token is not known here, so each must send
    /// one request to Graph.
    pub fn withdraw(&self, principal: Principal, resource: Option<&Arc<Resource>>) {
        self.leases.revoke_of(principal, resource.map(|resource| &**resource));
        for (token_hash, grants) in &self.grants {
            if grants.claims.principal == principal {
                self.remove_proofs(&token_hash, |grants| {
                    if let Some(resource) = resource {
                        return grants.remove(resource);
                    }
                    grants.revoke();
                    Remaining::None
                });
            }
        }
        self.remove_entries(principal, resource);
    }

    /// Removes the entries of a principal for a resource, and the leases of the requests in flight: a caller of another replica
    /// demanded a newer response. Proofs stay.
    pub fn renew(&self, principal: Principal, resource: &Arc<Resource>) {
        self.leases.revoke_of(principal, Some(resource));
        self.remove_entries(principal, Some(resource));
    }

    fn remove_entries(&self, principal: Principal, resource: Option<&Arc<Resource>>) {
        match resource {
            Some(resource) => {
                let guard = self.lock_entries(resource);
                let key = EntryKey::new(principal, resource);
                if let Some(kept) = self.entries.get(&key) {
                    kept.mark_evicted(crate::cache::outcome::Eviction::Invalidate);
                    self.entries.invalidate(&key);
                }
                drop(guard);
            }
            None => self.invalidate_entries_of(principal),
        }
        self.generations.advance(principal);
    }
}
