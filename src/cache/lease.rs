//! Leases: which questions under way may still be answered into the cache.
//!
//! A question takes a lease before it leaves. Whatever makes its answer worthless while it is away revokes the
//! lease: a purge that selects it, or a "no" of Graph's to the same token. Who asks after that gets a new lease, and so
//! does not wait for the old question either. Leases are a token's own: no other token can revoke them (promise 3).
//!
//! An answer is stored within [`Lease::commit`], which holds the lease meanwhile. So whoever revokes a lease knows, when
//! that returns, that its answer is either stored as a whole or never will be; what is then removed from the store
//! does not come back. A purge takes a while. Until it has ended, each lease that it selects is revoked from the start, so
//! that it is one point in time to every request: what began before its end stores nothing that it selects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::purge::PurgeSelector;
use crate::auth::{Claims, TokenHash};
use crate::resource::Resource;
use crate::support::sabotage::sabotaged;

/// The leases of all questions under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Mutex<LeaseTable>>);

#[derive(Debug, Default)]
struct LeaseTable {
    issued: u64,
    states: HashMap<TokenHash, Vec<Arc<LeaseState>>>,
    /// Purges that have not ended.
    purges: Vec<Arc<PurgeSelector>>,
}

/// What all leases share that one token holds for one resource at one time.
#[derive(Debug)]
struct LeaseState {
    number: u64,
    resource: Arc<Resource>,
    /// The token's claims. A token whose claims cannot be read stores nothing.
    claims: Option<Claims>,
    /// Held while an answer is stored.
    revoked: Mutex<bool>,
}

/// A question's right to have its answer kept. It ends when it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    token_hash: TokenHash,
    state: Arc<LeaseState>,
}

/// A purge under way. It ends when this is dropped.
#[derive(Debug)]
pub struct PurgeGuard<'a> {
    leases: &'a Leases,
    selector: Arc<PurgeSelector>,
}

impl Leases {
    /// A lease for a question that is about to leave.
    pub fn acquire(&self, token_hash: TokenHash, claims: Option<&Claims>, resource: &Arc<Resource>) -> Lease {
        let mut table = self.table();
        table.issued += 1;
        let number = table.issued;
        let revoked = table.purges.iter().any(|purge| purge.selects(claims, resource));
        let own = table.states.entry(token_hash).or_default();
        let known = own.iter().find(|state| state.resource == *resource).cloned();
        let state = known.unwrap_or_else(|| {
            let (resource, claims) = (Arc::clone(resource), claims.copied());
            let state = Arc::new(LeaseState { number, resource, claims, revoked: Mutex::new(revoked) });
            own.push(Arc::clone(&state));
            state
        });
        drop(table);
        Lease { leases: self.clone(), token_hash, state }
    }

    /// Revokes what a token holds: for one resource, or for all.
    pub fn revoke_for(&self, token_hash: &TokenHash, resource: Option<&Resource>) {
        self.table().revoke(token_hash, |state| resource.is_none_or(|resource| *state.resource == *resource));
    }

    /// Begins a purge: revokes what it selects, now and until the purge has ended.
    pub fn purge(&self, selector: &PurgeSelector) -> PurgeGuard<'_> {
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

#[cfg(feature = "sabotage")]
impl Leases {
    /// Revokes those of a token's leases that a purge selects.
    pub fn revoke_by_purge(&self, token_hash: &TokenHash, selector: &PurgeSelector) {
        let selects = |state: &LeaseState| selector.selects(state.claims.as_ref(), &state.resource);
        self.table().revoke(token_hash, selects);
    }
}

impl LeaseTable {
    fn revoke_all_selected(&mut self, selector: &PurgeSelector) {
        let selects = |state: &LeaseState| {
            sabotaged!(PurgeRevokesAll, true, selector.selects(state.claims.as_ref(), &state.resource))
        };
        let tokens: Vec<_> = self.states.keys().copied().collect();
        for token_hash in tokens {
            self.revoke(&token_hash, selects);
        }
    }

    /// Revokes those of a token's leases that are selected. Whoever asks next gets a new one.
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
    /// Returns when no answer is being stored under it.
    fn revoke(&self) {
        *self.revoked() = true;
    }

    fn revoked(&self) -> MutexGuard<'_, bool> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Stores an answer, unless the lease was revoked: then `None`. Nobody can revoke it before `store` returns.
    pub fn commit<R>(&self, store: impl FnOnce() -> R) -> Option<R> {
        let revoked = self.state.revoked();
        let may_not = sabotaged!(PurgeMissesFlights, false, *revoked);
        if may_not { None } else { Some(store()) }
    }

    /// Equal for the leases that one token holds for one resource, until they are revoked or all dropped.
    pub fn number(&self) -> u64 {
        self.state.number
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.leases.table();
        // The table's own and this one: nobody else holds it, and nobody can take it meanwhile.
        if Arc::strong_count(&self.state) > 2 {
            return;
        }
        let Some(own) = table.states.get_mut(&self.token_hash) else { return };
        own.retain(|state| !Arc::ptr_eq(state, &self.state));
        if own.is_empty() {
            table.states.remove(&self.token_hash);
        }
    }
}

impl Drop for PurgeGuard<'_> {
    /// Who asks from here on gets a lease that is good, and waits for no question from before.
    fn drop(&mut self) {
        let mut table = self.leases.table();
        table.purges.retain(|known| !Arc::ptr_eq(known, &self.selector));
        table.revoke_all_selected(&self.selector);
    }
}

#[cfg(test)]
mod tests;
