//! Leases: which questions under way may still be answered into the cache.
//!
//! A question takes a lease before it leaves. Whatever makes its answer worthless while it is away revokes the
//! lease: a purge that selects it, or a "no" of Graph's to the same token. Who asks after that gets a new lease, and so
//! does not wait for the old question either. Leases are a token's own: no other token can revoke them (promise 3).
//!
//! An answer is stored within [`Ticket::commit`], which holds the lease meanwhile. So whoever revokes a lease knows, when
//! that returns, that its answer is either stored as a whole or never will be; what is then removed from the store
//! does not come back. A purge takes a while. Until it has ended, each lease that it selects is revoked from the start, so
//! that it is one point in time to every request: what began before its end stores nothing that it selects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::purge::Selection;
use crate::auth::{Claims, Fingerprint};
use crate::resource::Resource;
use crate::support::sabotage::sabotaged;

/// The leases of all questions under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    issued: u64,
    marks: HashMap<Fingerprint, Vec<Arc<Mark>>>,
    /// Purges that have not ended.
    purges: Vec<Arc<Selection>>,
}

/// What all leases share that one token holds for one resource at one time.
#[derive(Debug)]
struct Mark {
    number: u64,
    resource: Arc<Resource>,
    /// The token's claims. A token whose claims cannot be read stores nothing.
    claims: Option<Claims>,
    /// Held while an answer is stored.
    revoked: Mutex<bool>,
}

/// A question's right to have its answer kept. It ends when it is dropped.
#[derive(Debug)]
pub struct Ticket {
    tickets: Tickets,
    fingerprint: Fingerprint,
    mark: Arc<Mark>,
}

/// A purge under way. It ends when this is dropped.
#[derive(Debug)]
pub struct Purging<'a> {
    tickets: &'a Tickets,
    selection: Arc<Selection>,
}

impl Tickets {
    /// A lease for a question that is about to leave.
    pub fn take(
        &self,
        fingerprint: Fingerprint,
        claims: Option<&Claims>,
        resource: &Arc<Resource>,
    ) -> Ticket {
        let mut table = self.table();
        table.issued += 1;
        let number = table.issued;
        let revoked = table.purges.iter().any(|purge| purge.selects(claims, resource));
        let own = table.marks.entry(fingerprint).or_default();
        let known = own.iter().find(|mark| mark.resource == *resource).cloned();
        let mark = known.unwrap_or_else(|| {
            let (resource, claims) = (Arc::clone(resource), claims.copied());
            let mark = Arc::new(Mark { number, resource, claims, revoked: Mutex::new(revoked) });
            own.push(Arc::clone(&mark));
            mark
        });
        drop(table);
        Ticket { tickets: self.clone(), fingerprint, mark }
    }

    /// Revokes what a token holds: for one resource, or for all.
    pub fn void(&self, fingerprint: &Fingerprint, resource: Option<&Resource>) {
        self.table().revoke(fingerprint, |mark| resource.is_none_or(|resource| *mark.resource == *resource));
    }

    /// Begins a purge: revokes what it selects, now and until the purge has ended.
    pub fn purge(&self, selection: &Selection) -> Purging<'_> {
        let selection = Arc::new(selection.clone());
        let mut table = self.table();
        table.purges.push(Arc::clone(&selection));
        table.revoke_selected(&selection);
        drop(table);
        Purging { tickets: self, selection }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "sabotage")]
impl Tickets {
    /// Revokes those of a token's leases that a purge selects.
    pub fn void_selected(&self, fingerprint: &Fingerprint, selection: &Selection) {
        let selects = |mark: &Mark| selection.selects(mark.claims.as_ref(), &mark.resource);
        self.table().revoke(fingerprint, selects);
    }
}

impl Table {
    fn revoke_selected(&mut self, selection: &Selection) {
        let selects = |mark: &Mark| {
            sabotaged!(PurgeRevokesAll, true, selection.selects(mark.claims.as_ref(), &mark.resource))
        };
        let tokens: Vec<_> = self.marks.keys().copied().collect();
        for fingerprint in tokens {
            self.revoke(&fingerprint, selects);
        }
    }

    /// Revokes those of a token's leases that are selected. Whoever asks next gets a new one.
    fn revoke(&mut self, fingerprint: &Fingerprint, selects: impl Fn(&Mark) -> bool) {
        let Some(own) = self.marks.get_mut(fingerprint) else { return };
        own.retain(|mark| {
            let selected = selects(mark);
            if selected {
                mark.revoke();
            }
            !selected
        });
        if own.is_empty() {
            self.marks.remove(fingerprint);
        }
    }
}

impl Mark {
    /// Returns when no answer is being stored under it.
    fn revoke(&self) {
        *self.revoked() = true;
    }

    fn revoked(&self) -> MutexGuard<'_, bool> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Stores an answer, unless the lease was revoked: then `None`. Nobody can revoke it before `store` returns.
    pub fn commit<R>(&self, store: impl FnOnce() -> R) -> Option<R> {
        let revoked = self.mark.revoked();
        let may_not = sabotaged!(PurgeMissesFlights, false, *revoked);
        if may_not { None } else { Some(store()) }
    }

    /// Equal for the leases that one token holds for one resource, until they are revoked or all dropped.
    pub fn number(&self) -> u64 {
        self.mark.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.tickets.table();
        // The table's own and this one: nobody else holds it, and nobody can take it meanwhile.
        if Arc::strong_count(&self.mark) > 2 {
            return;
        }
        let Some(own) = table.marks.get_mut(&self.fingerprint) else { return };
        own.retain(|mark| !Arc::ptr_eq(mark, &self.mark));
        if own.is_empty() {
            table.marks.remove(&self.fingerprint);
        }
    }
}

impl Drop for Purging<'_> {
    /// Who asks from here on gets a lease that is good, and waits for no question from before.
    fn drop(&mut self) {
        let mut table = self.tickets.table();
        table.purges.retain(|known| !Arc::ptr_eq(known, &self.selection));
        table.revoke_selected(&self.selection);
    }
}

#[cfg(test)]
mod tests;
