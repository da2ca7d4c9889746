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

/// The leases of all questions under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
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
    fingerprint: TokenHash,
    state: Arc<LeaseState>,
}

/// A purge under way. It ends when this is dropped.
#[derive(Debug)]
pub struct PurgeGuard<'a> {
    leases: &'a Leases,
    selection: Arc<PurgeSelector>,
}

impl Leases {
    /// A lease for a question that is about to leave.
    pub fn take(&self, fingerprint: TokenHash, claims: Option<&Claims>, resource: &Arc<Resource>) -> Lease {
        let mut table = self.table();
        table.issued += 1;
        let number = table.issued;
        let revoked = table.purges.iter().any(|purge| purge.selects(claims, resource));
        let own = table.states.entry(fingerprint).or_default();
        let known = own.iter().find(|state| state.resource == *resource).cloned();
        let state = known.unwrap_or_else(|| {
            let (resource, claims) = (Arc::clone(resource), claims.copied());
            let state = Arc::new(LeaseState { number, resource, claims, revoked: Mutex::new(revoked) });
            own.push(Arc::clone(&state));
            state
        });
        drop(table);
        Lease { leases: self.clone(), fingerprint, state }
    }

    /// Revokes what a token holds: for one resource, or for all.
    pub fn revoke_for(&self, fingerprint: &TokenHash, resource: Option<&Resource>) {
        self.table()
            .revoke(fingerprint, |state| resource.is_none_or(|resource| *state.resource == *resource));
    }

    /// Begins a purge: revokes what it selects, now and until the purge has ended.
    pub fn purge(&self, selection: &PurgeSelector) -> PurgeGuard<'_> {
        let selection = Arc::new(selection.clone());
        let mut table = self.table();
        table.purges.push(Arc::clone(&selection));
        table.revoke_selected(&selection);
        drop(table);
        PurgeGuard { leases: self, selection }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn revoke_selected(&mut self, selection: &PurgeSelector) {
        let selects = |state: &LeaseState| selection.selects(state.claims.as_ref(), &state.resource);
        let tokens: Vec<_> = self.states.keys().copied().collect();
        for fingerprint in tokens {
            self.revoke(&fingerprint, selects);
        }
    }

    /// Revokes those of a token's leases that are selected. Whoever asks next gets a new one.
    fn revoke(&mut self, fingerprint: &TokenHash, selects: impl Fn(&LeaseState) -> bool) {
        let Some(own) = self.states.get_mut(fingerprint) else { return };
        own.retain(|state| {
            let selected = selects(state);
            if selected {
                state.revoke();
            }
            !selected
        });
        if own.is_empty() {
            self.states.remove(fingerprint);
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
        if *revoked { None } else { Some(store()) }
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
        let Some(own) = table.states.get_mut(&self.fingerprint) else { return };
        own.retain(|state| !Arc::ptr_eq(state, &self.state));
        if own.is_empty() {
            table.states.remove(&self.fingerprint);
        }
    }
}

impl Drop for PurgeGuard<'_> {
    /// Who asks from here on gets a lease that is good, and waits for no question from before.
    fn drop(&mut self) {
        let mut table = self.leases.table();
        table.purges.retain(|known| !Arc::ptr_eq(known, &self.selection));
        table.revoke_selected(&self.selection);
    }
}

#[cfg(test)]
mod tests;
