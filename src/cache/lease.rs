//! Leases: the right of a request in flight to store its response, revoked by invalidation.
//!
//! A request acquires a lease before it is sent to Graph. An invalidation during the request revokes the lease: a purge that
//! selects the request, or an error response from Graph that revokes proofs of the same token. A later request acquires a
//! new lease, and so does not wait for the old request either. A lease belongs to one token: no other token can revoke it
//! (promise 3).
//!
//! A response is stored within [`Lease::commit`], which holds the lease's lock. When a revocation returns, the response is
//! therefore either stored completely or never will be; entries that are removed afterwards do not come back.
//!
//! A purge takes time. Until it ends, each new lease that it selects is revoked from the start, so that the purge is one
//! point in time for every request: a request that began before the end of the purge stores nothing that it selects.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::KeyHasher;
use super::purge::PurgeSelector;
use crate::auth::{Claims, Principal, TokenHash};
use crate::resource::Resource;

/// Leases of all requests in flight. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Mutex<LeaseTable>>);

#[derive(Debug, Default)]
struct LeaseTable {
    issued: u64,
    states: HashMap<TokenHash, Vec<Arc<LeaseState>>, KeyHasher>,
    /// Purges in progress.
    purges: Vec<Arc<PurgeSelector>>,
}

/// Shared state of all leases that one token holds for one resource at one time.
#[derive(Debug)]
struct LeaseState {
    number: u64,
    resource: Arc<Resource>,
    /// Claims of the token; `None` if they cannot be read, in which case nothing is stored.
    claims: Option<Claims>,
    /// Locked while a response is stored.
    revoked: Mutex<bool>,
}

/// Right of one request to store its response. It ends on drop.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    token_hash: TokenHash,
    state: Arc<LeaseState>,
}

/// Purge in progress. It ends on drop.
#[derive(Debug)]
pub struct PurgeGuard<'a> {
    leases: &'a Leases,
    selector: Arc<PurgeSelector>,
}

impl Leases {
    /// Acquires a lease for a request that is about to be sent.
    pub fn acquire(&self, token_hash: TokenHash, claims: Option<&Claims>, resource: &Arc<Resource>) -> Lease {
        self.acquire_where(token_hash, claims, resource, true)
    }

    /// Acquires a lease with a number of its own, for a request that must not wait for an earlier one. Requests after it
    /// share the new number. The leases of earlier requests stay valid: of two responses the newer one stays in the store.
    pub fn acquire_new(
        &self,
        token_hash: TokenHash,
        claims: Option<&Claims>,
        resource: &Arc<Resource>,
    ) -> Lease {
        self.acquire_where(token_hash, claims, resource, false)
    }

    fn acquire_where(
        &self,
        token_hash: TokenHash,
        claims: Option<&Claims>,
        resource: &Arc<Resource>,
        may_share: bool,
    ) -> Lease {
        let mut table = self.table();
        table.issued += 1;
        let number = table.issued;
        let revoked = table.purges.iter().any(|purge| purge.selects(claims, resource));
        let own = table.states.entry(token_hash).or_default();
        // The newest is the last.
        let known = own.iter().rev().find(|state| may_share && state.resource == *resource).cloned();
        let state = known.unwrap_or_else(|| {
            let (resource, claims) = (Arc::clone(resource), claims.cloned());
            let state = Arc::new(LeaseState { number, resource, claims, revoked: Mutex::new(revoked) });
            own.push(Arc::clone(&state));
            state
        });
        drop(table);
        Lease { leases: self.clone(), token_hash, state }
    }

    /// Revokes a token's leases for one resource, or for all.
    pub fn revoke_for(&self, token_hash: &TokenHash, resource: Option<&Resource>) {
        self.table().revoke(token_hash, |state| resource.is_none_or(|resource| *state.resource == *resource));
    }

    /// Revokes the leases of a principal's tokens for one resource, or for all.
    pub fn revoke_of(&self, principal: Principal, resource: Option<&Resource>) {
        let is_selected = |state: &LeaseState| {
            state.claims.as_ref().is_some_and(|claims| claims.principal == principal)
                && resource.is_none_or(|resource| *state.resource == *resource)
        };
        self.table().revoke_all(is_selected);
    }

    /// Begins a purge: revokes the leases that it selects, now and until the purge ends.
    pub fn begin_purge(&self, selector: &PurgeSelector) -> PurgeGuard<'_> {
        let selector = Arc::new(selector.clone());
        let mut table = self.table();
        table.purges.push(Arc::clone(&selector));
        table.revoke_all_selected(&selector);
        drop(table);
        PurgeGuard { leases: self, selector }
    }

    fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseTable {
    fn revoke_all_selected(&mut self, selector: &PurgeSelector) {
        self.revoke_all(|state| selector.selects(state.claims.as_ref(), &state.resource));
    }

    fn revoke_all(&mut self, selects: impl Fn(&LeaseState) -> bool) {
        let tokens: Vec<_> = self.states.keys().copied().collect();
        for token_hash in tokens {
            self.revoke(&token_hash, &selects);
        }
    }

    /// Revokes the selected leases of a token. The next request acquires a new one.
    fn revoke(&mut self, token_hash: &TokenHash, selects: impl Fn(&LeaseState) -> bool) {
        let Some(own) = self.states.get_mut(token_hash) else { return };
        own.retain(|state| {
            let selected = selects(state);
            if selected {
                state.revoke();
            }
            !selected
        });
        if own.is_empty() {
            self.states.remove(token_hash);
        }
    }
}

impl LeaseState {
    /// Revokes the lease. Waits until no response is being stored under it.
    fn revoke(&self) {
        *self.revoked() = true;
    }

    fn revoked(&self) -> MutexGuard<'_, bool> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Runs `store`, or returns `None` if the lease is revoked. The lease cannot be revoked before `store` returns.
    pub fn commit<R>(&self, store: impl FnOnce() -> R) -> Option<R> {
        let revoked = self.state.revoked();
        if *revoked { None } else { Some(store()) }
    }

    /// Returns the number of the lease. Leases of one token for one resource share a number until they are revoked, all
    /// dropped, or one is acquired with a number of its own.
    pub fn number(&self) -> u64 {
        self.state.number
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.leases.table();
        // Two references, the table's and this one, mean that this is the last lease. The table's lock prevents new ones.
        if Arc::strong_count(&self.state) > 2 {
            return;
        }
        let Entry::Occupied(mut own) = table.states.entry(self.token_hash) else { return };
        own.get_mut().retain(|state| !Arc::ptr_eq(state, &self.state));
        if own.get().is_empty() {
            own.remove();
        }
    }
}

impl Drop for PurgeGuard<'_> {
    /// Revokes the leases that were acquired during the purge. A later request acquires a valid lease, and does not wait
    /// for a request from before.
    fn drop(&mut self) {
        let mut table = self.leases.table();
        table.purges.retain(|known| !Arc::ptr_eq(known, &self.selector));
        table.revoke_all_selected(&self.selector);
    }
}

#[cfg(test)]
mod tests;
